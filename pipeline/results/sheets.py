"""Sheets of small images: figure 1's two panels and the data sheets. Black is data, blue is drawn by a model.

A sheet is an RGB array made of whole pixels, saved by Pillow, so the same images always give the same file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

DATA_INK = (17, 24, 39)
MODEL_INK = (29, 78, 196)
PAPER = (255, 255, 255)
GRID = (222, 226, 232)
COLUMNS = 8
PAIRS = 32
SHEET_WIDTH = 720


def model_sheets(panels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The two panels of Figure 1 by name, from what a model drew: `samples`, and with a code `reconstructions`."""
    sheets = {"samples": samples_sheet(panels["samples"])} if "samples" in panels else {}
    if "decompressions" in panels:
        sheets["reconstructions"] = pairs_sheet(panels["originals"], panels["decompressions"])
    return sheets


def pairs_sheet(originals: np.ndarray, decompressions: np.ndarray) -> np.ndarray:
    """Figure 1a: the first 32 originals (N, C, H, W), each with its decompression to the right, 4 pairs a row.

    original 0 | decompression 0 | original 1 | decompression 1 | …
    """
    tiles = np.stack([inked(originals[:PAIRS], DATA_INK), inked(decompressions[:PAIRS], MODEL_INK)], axis=1)
    return tile(tiles.reshape(-1, *tiles.shape[2:]))


def ladder_sheet(images: np.ndarray, ends: bool) -> np.ndarray:
    """8 rows of 8 images (64, C, H, W); with `ends`, the first and the last of each row are data."""
    sheet = inked(images, MODEL_INK)
    if ends:
        data = np.arange(len(images)) % COLUMNS % (COLUMNS - 1) == 0
        sheet[data] = inked(images[data], DATA_INK)
    return tile(sheet)


def samples_sheet(samples: np.ndarray) -> np.ndarray:
    """Figure 1b: 64 samples (N, C, H, W) in reading order."""
    return tile(inked(samples, MODEL_INK))


def data_sheet(images: np.ndarray) -> np.ndarray:
    """The first 64 of `images` (N, C, H, W) as they are stored: binary, grey or colour."""
    return tile(inked(images[: COLUMNS * COLUMNS], DATA_INK))


def inked(images: np.ndarray, ink: tuple[int, int, int]) -> np.ndarray:
    """uint8 images (N, C, H, W) as RGB (N, H, W, 3): colour unchanged, one channel from paper (0) to ink.

    One channel is binary when no value exceeds 1, and grey levels 0 to 255 otherwise.
    """
    if images.shape[1] == 3:
        return images.transpose(0, 2, 3, 1)
    strength = images[:, 0, :, :, None] / (255 if images.max() > 1 else 1)
    return np.rint(np.array(PAPER) * (1 - strength) + np.array(ink) * strength).astype(np.uint8)


def tile(images: np.ndarray) -> np.ndarray:
    """RGB images (N, H, W, 3) in rows of 8 with grid lines between; every pixel a square of whole pixels."""
    count, height, width, _ = images.shape
    rows, (scale, line) = -(-count // COLUMNS), _grid(width)
    sheet = np.empty((rows * (height * scale + line) + line, COLUMNS * (width * scale + line) + line, 3), np.uint8)
    sheet[:] = GRID
    for index, image in enumerate(images.repeat(scale, axis=1).repeat(scale, axis=2)):
        row, column = divmod(index, COLUMNS)
        top, left = line + row * (height * scale + line), line + column * (width * scale + line)
        sheet[top : top + height * scale, left : left + width * scale] = image
    return sheet


def untile(sheet: np.ndarray, height: int, width: int) -> np.ndarray:
    """The images (N, H, W, 3) of a sheet made by `tile`, the tiles of its last row that are empty among them."""
    scale, line = _grid(width)
    inner = sheet[line:, line:]
    down, across = height * scale + line, width * scale + line
    rows, columns = inner.shape[0] // down, inner.shape[1] // across
    tiles = inner[: rows * down, : columns * across].reshape(rows, down, columns, across, 3).swapaxes(1, 2)
    return tiles[:, :, : height * scale : scale, : width * scale : scale].reshape(-1, height, width, 3)


def _grid(width: int) -> tuple[int, int]:
    """Side of an image's pixel and width of a line, in pixels of the sheet."""
    scale = max(1, SHEET_WIDTH // (COLUMNS * width))
    return scale, max(1, scale // 2)


def save_sheet(sheet: np.ndarray, path: Path) -> None:
    """Write an RGB array as PNG, with a palette where 256 colours are enough."""
    image = Image.fromarray(sheet)
    colours = image.getcolors(256)
    if colours:
        image = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=len(colours))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=colours is not None)
