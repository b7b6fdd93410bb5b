"""Textures in colour whose answer is known: 16×16 images with a global hue and local brightness, in 8-bit levels.

An image has one of eight hues h, which add to R, G and B and have the luma 0. Pixel by pixel in raster order, with l
the luma of the pixels to the left and above less `MIDDLE`, 0 outside the image:

    mean = MIDDLE + h + FOLLOWED · (l_left + l_up)                    of each channel
    R ~ logistic(mean_R, WIDE),   G, B ~ logistic(mean + SHARED · (R − mean_R), NARROW)

rounded to levels 0 … 255. That is a family that the decoder has, too. A neighbour in colour tells the hue for sure, its
luma tells nothing of it: a decoder that sees an earlier pixel in colour lacks nothing, one that sees it in grey lacks
exactly the hue, I(x; hue) = log 8 nats = 3 bits.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

SIZES = {"train": 8_000, "valid": 500, "test": 1_000}
SEED = 2018
SIDE = 16
MIDDLE, FOLLOWED, SHARED = 128.0, 0.45, 0.9
WIDE, NARROW = 8.0, 3.0
SCALES = np.array([WIDE, NARROW, NARROW])
LUMA = np.array([0.299, 0.587, 0.114])
"""Of R, G and B, as a grey window weighs them."""
RED, BLUE = 60 * np.array([[1, -LUMA[0] / LUMA[1], 0], [0, -LUMA[2] / LUMA[1], 1]])
ANGLES = 2 * np.pi * np.arange(8)[:, None] / 8
HUES = np.cos(ANGLES) * RED + np.sin(ANGLES) * BLUE
"""(8, 3) levels."""


def generate(folder: Path) -> None:
    """Write the raw files of `color_textures`: images.npy (N, 3, H, W) uint8 and hues.npy (N,) int64."""
    images, hues = draw(sum(SIZES.values()), np.random.RandomState(SEED))
    np.save(folder / "images.npy", images)
    np.save(folder / "hues.npy", hues)


def draw(count: int, random: np.random.RandomState, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 3, side, side) uint8 and their hues (count,) int64, 0 to 7."""
    hues = random.randint(0, len(HUES), count, dtype=np.int64)
    luma = np.zeros((count, side + 1, side + 1))  # less MIDDLE; the first row and column are outside
    images = np.zeros((count, 3, side, side), np.uint8)
    for i, j in np.ndindex(side, side):
        mean = HUES[hues] + _middle(luma[:, i + 1, j], luma[:, i, j + 1])[:, None]
        noise = SCALES * random.logistic(size=(count, 3))
        red = _rounded(mean + noise)[:, :1]
        noise[:, 1:] += SHARED * (red - mean[:, :1])
        images[:, :, i, j] = _rounded(mean + noise)
        luma[:, i + 1, j + 1] = images[:, :, i, j] @ LUMA - MIDDLE
    return images, hues


def log_prob_given(images: np.ndarray) -> np.ndarray:
    """log p(x|hue) in nats of images (N, 3, H, W) for each hue: (N, 8)."""
    levels = images.astype(float)
    luma = np.pad(np.tensordot(levels, LUMA, (1, 0)) - MIDDLE, ((0, 0), (1, 0), (1, 0)))
    middle = _middle(luma[:, 1:, :-1], luma[:, :-1, 1:])[:, None]
    given = []
    for hue in HUES:
        mean = middle + hue[:, None, None]
        shared = SHARED * (levels[:, :1] - mean[:, :1])
        mean[:, 1:] += shared
        given.append(_log_mass(levels, mean, SCALES[:, None, None]).sum((1, 2, 3)))
    return np.stack(given, 1)


def exact(images: np.ndarray) -> dict[str, np.ndarray]:
    """`nll`, −log p(x), and `information`, KL(p(hue|x) ‖ p(hue)), of images (N, 3, H, W): (N,) nats each."""
    given = log_prob_given(images)
    nll = math.log(len(HUES)) - np.logaddexp.reduce(given, 1)
    posterior = np.exp(given - math.log(len(HUES)) + nll[:, None])
    return {"nll": nll, "information": nll + (posterior * given).sum(1)}


def _middle(left: np.ndarray, up: np.ndarray) -> np.ndarray:
    return MIDDLE + FOLLOWED * (left + up)


def _rounded(levels: np.ndarray) -> np.ndarray:
    return np.rint(levels).clip(0, 255)


def _log_mass(level: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Log of the logistic's mass on (level − ½, level + ½); the tails belong to levels 0 and 255."""
    high = np.where(level == 255, np.inf, (level + 0.5 - mean) / scale)
    low = np.where(level == 0, -np.inf, (level - 0.5 - mean) / scale)
    return -np.logaddexp(0, -high) - np.logaddexp(0, low) + np.log(-np.expm1(low - high))
