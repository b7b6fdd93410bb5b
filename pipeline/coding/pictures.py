"""Any picture as the data sets have theirs: one ink on paper, in the frame of MNIST; and images as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from scipy.ndimage import center_of_mass

from pipeline.errors import DataError

BOX = 20 / 28
"""Of the frame that the ink's longer side fills in MNIST, whose centre of mass is in the middle."""
FAINT = 0.2
"""Of the darkest ink: what is fainter does not count as part of the drawing."""
LARGEST = 4096
"""Pixels of a side to which larger pictures are reduced, to find the ink in."""


def open_picture(path: Path) -> Image.Image:
    """A file that Pillow reads; DataError if it does not."""
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: no picture that can be read ({error})") from error


def prepare(picture: Image.Image, size: tuple[int, int]) -> tuple[np.ndarray, list[str]]:
    """A picture as an image (1, H, W) uint8 in {0, 1}, ink 1, and what was done to it.

    As MNIST's digits were made: grey, ink bright on dark paper, the ink's longer side 20 of 28 pixels, its centre of
    mass in the middle. A picture of the size (H, W) is taken to be so already.
    """
    grey, done = _grey(picture)
    if np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]).mean() > 0.5:
        grey = 1 - grey
        done.append("inverted, being dark on light")
    grey = grey - grey.min()
    ink = grey / max(grey.max(), 1e-9)
    if grey.shape != size:
        ink = _framed(ink, size)
        done.append(f"scaled from {picture.height}×{picture.width} into {size[0]}×{size[1]} as MNIST is")
    done.append("binarized at one half")
    return (ink >= 0.5).astype(np.uint8)[None], done


def _grey(picture: Image.Image) -> tuple[np.ndarray, list[str]]:
    """(H, W) from 0 to 1; what is transparent becomes white."""
    done = [] if picture.mode in ("1", "L") else [f"made grey from {picture.mode}"]
    if picture.mode.startswith("I") or picture.mode == "F":  # more than 8 bits
        levels = np.asarray(picture, dtype=np.float64)
        return (levels - levels.min()) / max(np.ptp(levels), 1e-9), done
    if picture.has_transparency_data:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
        done.append("laid on white")
    picture = picture.convert("L")
    picture.thumbnail((LARGEST, LARGEST))
    return np.asarray(picture, dtype=np.float64) / 255, done


def _framed(ink: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows, columns = (np.flatnonzero((ink > FAINT).any(axis)) for axis in (1, 0))
    if not len(rows):
        return np.zeros(size)
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX * min(size) / max(ink.shape)
    height, width = (max(1, round(scale * side)) for side in ink.shape)
    small = Image.fromarray((255 * ink).astype(np.uint8)).resize((width, height), Image.Resampling.BOX)
    ink = np.asarray(small, dtype=np.float64) / 255
    ink /= max(ink.max(), 1e-9)
    middle = center_of_mass(ink)
    top, left = (
        min(max(0, round(side / 2 - 0.5 - place)), side - length)
        for side, place, length in zip(size, middle, ink.shape, strict=True)
    )
    frame = np.zeros(size)
    frame[top : top + height, left : left + width] = ink
    return frame


def read_exact(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """A picture that is an image of a model already: (C, H, W) uint8, binary ones in {0, 1}; DataError otherwise."""
    channels, height, width = shape
    picture = open_picture(path).convert("RGB" if channels == 3 else "L")
    if picture.size != (width, height):
        raise DataError(f"{path}: is {picture.height}×{picture.width}, images of the model are {height}×{width}")
    levels = np.asarray(picture).reshape(height, width, channels).transpose(2, 0, 1)
    if channels == 3:
        return levels
    if not np.isin(levels, (0, 255)).all():
        raise DataError(f"{path}: has other levels than black and white, and images of the model do not")
    return levels // 255


def as_picture(image: np.ndarray, enlarged: int = 1) -> Image.Image:
    """An image (C, H, W) uint8, of which one of one channel is in {0, 1}."""
    levels = image * np.uint8(255) if len(image) == 1 else image
    picture = Image.fromarray(levels[0] if len(image) == 1 else levels.transpose(1, 2, 0))
    return picture.resize((enlarged * picture.width, enlarged * picture.height), Image.Resampling.NEAREST)


def in_a_row(pictures: list[Image.Image], gap: int) -> Image.Image:
    """Pictures side by side, all as high as the last, with some pixels of white between them."""
    height = pictures[-1].height
    fitted = [picture.resize((max(1, picture.width * height // picture.height), height)) for picture in pictures]
    row = Image.new("RGB", (sum(picture.width + gap for picture in fitted) - gap, height), "white")
    left = 0
    for picture in fitted:
        row.paste(picture.convert("RGB"), (left, 0))
        left += picture.width + gap
    return row
