"""How much of an image a decoder sees, counted in pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[tuple[int, int]]
"""What a pixel sees, clear of all edges: columns to the left in its own row and 0, then, a row above after the other,
columns to the left and to the right."""


def context_pixels(block: Mapping[str, Any], image_shape: Sequence[int]) -> int | None:
    """The most earlier pixels that the decoder of a model `block` sees of one pixel of images (C, H, W).

    The pixel that sees most is one of the last row, far from both sides if they are far enough: the paper's six masks
    of 3×3 see 69 pixels in 28×28, and 54 in 8×8. None if the decoder sees averages, and no pixels.
    """
    _, height, width = image_shape
    rows = seen_rows(block, height, width)
    if rows is None:
        return None
    return max(_inside(rows[:height], column, width) for column in range(width))


def seen_rows(block: Mapping[str, Any], height: int, width: int) -> Rows | None:
    """The rows that the decoder of a model `block` sees of images that large; None if it sees averages."""
    if block["decoder"] == "factorized":
        return [(0, 0)]
    if block["context"] == "downsampled":
        return None
    if block["context"] == "full":
        return [(width, 0), *[(width, width)] * (height - 1)]
    if block["context"] == "stack":
        sizes = [block.get("first_kernel_size") or block["kernel_size"]]
        sizes += [block["kernel_size"]] * (block["masked_layers"] - 1)
        reaches = sorted((size // 2 for size in sizes), reverse=True)
        left = sum(reaches)
        return [(left, sum(reaches[:up])) for up in range(left + 1)]
    wide, tall = map(int, block["context"].split("x"))
    return [(wide // 2, 0), *[(wide // 2, (wide - 1) // 2)] * tall]


def _inside(rows: Rows, column: int, width: int) -> int:
    """How many pixels of these rows a pixel of this column sees, itself not counted."""
    return sum(min(left, column) + 1 + min(right, width - 1 - column) for left, right in rows) - 1
