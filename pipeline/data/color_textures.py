"""Textures in colour whose answer is known: 16×16 images with a global hue and local brightness, in 8-bit levels.

An image has one of four hues, and bright and dark pixels that follow each other as the ink of the binary textures
does (textures.py, without global factors). The levels of a pixel are noisy:

    level = brightness of the pixel + what the hue of the image adds to this channel + noise

The noise is a discretized logistic, as a model's own likelihood, but cut off so that no two of the eight colours
overlap. So any pixel tells its brightness and the hue for sure, and I(x; hue) = log 4 nats = 2 bits. All hues have one
luma: a decoder that sees an earlier pixel in colour lacks nothing, one that sees it in grey lacks exactly the hue.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from pipeline.data.textures import TextureSource

SIZES = {"train": 8_000, "valid": 500, "test": 1_000}
SEED = 2018
BRIGHT_OR_DARK = TextureSource(size=16, density=0, board=0)
NO_FACTORS = np.zeros((1, 2))
LUMA = (0.299, 0.587, 0.114)
"""Of R, G and B, as a grey window weighs them."""
BRIGHTNESS = np.array([90.0, 165.0])
RED, BLUE = (60, -60 * LUMA[0] / LUMA[1], 0), (0, -60 * LUMA[2] / LUMA[1], 60)
HUES = np.array([RED, BLUE, np.negative(RED), np.negative(BLUE)])
"""(4, 3) levels that are added to R, G and B; their luma is 0."""
NOISE_SCALE, NOISE_LIMIT = 2.5, 25.5
"""In levels; the limit is the farthest from the rounded mean."""


def generate(folder: Path) -> None:
    """Write the raw files of `color_textures`: images.npy (N, 3, H, W) uint8 and hues.npy (N,) int64."""
    images, hues = draw(sum(SIZES.values()), np.random.RandomState(SEED))
    np.save(folder / "images.npy", images)
    np.save(folder / "hues.npy", hues)


def draw(count: int, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 3, H, W) uint8 and their hues (count,) int64, 0 to 3."""
    bright, _ = BRIGHT_OR_DARK.draw(count, random)
    hues = random.randint(0, len(HUES), count, dtype=np.int64)
    means = BRIGHTNESS[bright] + HUES[hues][:, :, None, None]
    low, high = _ends(means)
    share = low + (high - low) * random.random_sample(means.shape)
    return np.rint(means + NOISE_SCALE * np.log(share / (1 - share))).astype(np.uint8), hues


def exact(images: np.ndarray) -> dict[str, np.ndarray]:
    """`nll`, −log p(x), and `information`, KL(p(hue|x) ‖ p(hue)), of drawn images (N, 3, H, W): (N,) nats each."""
    colors = (BRIGHTNESS[:, None, None] + HUES).reshape(-1, 3)
    nearest = np.abs(images[:, None] - colors[None, :, :, None, None]).max(2).argmin(1)
    means = colors[nearest].transpose(0, 3, 1, 2)
    low, high = _ends(means)
    mass = (_cumulative(images + 0.5 - means) - _cumulative(images - 0.5 - means)) / (high - low)
    bright = (nearest // len(HUES))[:, None].astype(np.uint8)
    given = BRIGHT_OR_DARK.log_prob_given(bright, NO_FACTORS)[:, 0] + np.log(mass).sum((1, 2, 3))
    information = np.full(len(images), math.log(len(HUES)))
    return {"nll": information - given, "information": information}


def _ends(means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share of the noise below the lowest and below the highest level that is drawn about each mean."""
    middle = np.rint(means) - means
    return _cumulative(middle - NOISE_LIMIT), _cumulative(middle + NOISE_LIMIT)


def _cumulative(noise: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-noise / NOISE_SCALE))
