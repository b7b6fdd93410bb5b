"""Masked convolutions: what a pixel sees of the pixels before it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.models.layers import WeightNorm


class Reach(NamedTuple):
    """How many rows up, and columns to the left and right in these rows, a masked convolution sees."""

    up: int
    left: int
    right: int

    @classmethod
    def square(cls, kernel_size: int) -> Reach:
        """Of a masked kernel_size × kernel_size convolution."""
        return cls(kernel_size // 2, kernel_size // 2, kernel_size // 2)

    @classmethod
    def window(cls, width: int, height: int) -> Reach:
        """Of the window "AxB": A wide and B tall above the pixel, and ⌈(A − 1)/2⌉ pixels to its left."""
        return cls(height, width // 2, (width - 1) // 2)


class MaskedConv2d(WeightNorm):
    """Convolution whose output at a pixel sees earlier pixels in raster order (van den Oord et al., 2016).

    Only the rows up to the centre are stored, so a "3×3" kernel has 2 rows. Kind A, for the image itself, leaves out
    the centre; kind B, for features, keeps it, or those of its (outputs, inputs) connections that a mask `centre` of
    ones and zeros leaves. Of 3×3, and of the window 4x2:

        A:  x x x      B:  x x x      A:  x x x x
            x . .          x x .          x x x x
                                          x x . .

    (B, inputs, H, W) to (B, outputs, H, W).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        reach: Reach,
        kind: Literal["A", "B"],
        centre: Tensor | None = None,
        initial_scale: float = 1.0,
    ) -> None:
        shape = (reach.up + 1, reach.left + 1 + reach.right)
        mask = torch.ones(1, 1, *shape) if centre is None else torch.ones(outputs, inputs, *shape)
        mask[..., reach.up, reach.left + (kind == "B") :] = 0.0
        if centre is not None:
            mask[..., reach.up, reach.left] = centre
        super().__init__((outputs, inputs, *shape), mask=mask, initial_scale=initial_scale)
        self.reach = reach
        self.seen = reach.up * shape[1] + reach.left + (kind == "B")

    @property
    def taps(self) -> Tensor:
        """The weights that the mask leaves, in raster order: (outputs, inputs, taps)."""
        return self.weight.flatten(2)[..., : self.seen]

    @property
    def tap_offsets(self) -> tuple[tuple[int, int], ...]:
        """(row, column) of each tap, from the pixel."""
        up, left, right = self.reach
        return tuple((tap // (left + 1 + right) - up, tap % (left + 1 + right) - left) for tap in range(self.seen))

    def forward(self, x: Tensor) -> Tensor:
        up, left, right = self.reach
        return F.conv2d(F.pad(x, (left, right, up, 0)), self.weight, self.bias)


class WholeImageConv2d(MaskedConv2d):
    """A kind A `MaskedConv2d` that reaches every earlier pixel of images (C, H, W): (B, C, H, W) to (B, outputs, H, W).

    The kernel is H × (2W − 1), too large for the usual algorithms; the same sums are a one-dimensional convolution
    over rows whose channels are the columns, several times faster.
    """

    offsets: Tensor

    def __init__(self, image_shape: tuple[int, int, int], outputs: int) -> None:
        channels, height, width = image_shape
        super().__init__(channels, outputs, Reach(height - 1, width - 1, width - 1), "A")
        columns = torch.arange(width)
        self.register_buffer("offsets", columns[None, :] - columns[:, None] + width - 1, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        kernel = self.weight[..., self.offsets].permute(0, 3, 1, 4, 2)  # outputs, column, channels, earlier column, row
        rows = F.pad(x.transpose(2, 3).reshape(batch, channels * width, height), (self.reach.up, 0))
        out = F.conv1d(rows, kernel.reshape(-1, channels * width, self.reach.up + 1))
        return out.view(batch, -1, width, height).transpose(2, 3) + self.bias.view(-1, 1, 1)


class DownsampledConv2d(WeightNorm):
    """What is above a pixel, seen only in blocks of `factor` × `factor` pixels: (B, C, H, W) to (B, outputs, H, W).

    The image is averaged over the blocks; a pixel sees the averages of every row of blocks above its own row of
    blocks, all of whose pixels come before it in raster order, so that the likelihood stays exact. Of a row of
    blocks (here 4 × 4 pixels) all pixels get the same features:

        a a a a b b b b        a, b: averages of these pixels
        a a a a b b b b
        a a a a b b b b
        a a a a b b b b
        . . . . . . . .        no pixel here sees another of these rows
        . . . . . x . .        x sees a, b, and the blocks above them
    """

    def __init__(self, image_shape: tuple[int, int, int], outputs: int, factor: int) -> None:
        channels, height, width = image_shape
        rows, columns = -(-height // factor), -(-width // factor)
        super().__init__((outputs, channels, rows, 2 * columns - 1))
        self.factor, self.grid = factor, (rows, columns)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.grid
        blocks = F.avg_pool2d(x, self.factor, ceil_mode=True)
        above = F.pad(blocks, (columns - 1, columns - 1, rows, -1))
        out = F.conv2d(above, self.weight, self.bias)
        return out.repeat_interleave(self.factor, 2).repeat_interleave(self.factor, 3)[..., : x.shape[2], : x.shape[3]]
