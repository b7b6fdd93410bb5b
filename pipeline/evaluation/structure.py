"""What a decompression keeps of its original: coarse and fine structure, and colour (behind Figures 1 to 3).

A lossy code may drop local texture and keep global structure. The split into block means and what is left of them
puts both in numbers, without a network whose taste would have to be trusted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.evaluation.bootstrap import BOOTSTRAP_RESAMPLES
from pipeline.models.levels import LUMA

__all__ = ["COARSE_FACTOR", "chroma", "coarse", "contrast", "distortion", "fine", "kept", "luma"]

COARSE_FACTOR = 4
"""Side of a block in pixels."""
NOTHING_VARIES = 1e-9
"""A norm below this is rounding, not signal: one pixel that differs in one image already has a norm near 1."""


def coarse(images: np.ndarray) -> np.ndarray:
    """Means of the 4×4 blocks of `images` (N, C, H, W): (N, C, ⌈H/4⌉, ⌈W/4⌉), float64.

    Where 4 does not divide H or W the last blocks are smaller and average over the pixels they have.
    """
    means = images
    for axis in (2, 3):
        starts = np.arange(0, images.shape[axis], COARSE_FACTOR)
        sizes = np.diff(starts, append=images.shape[axis])
        means = np.add.reduceat(means, starts, axis=axis) / np.expand_dims(sizes, tuple(range(1, 4 - axis)))
    return means


def fine(images: np.ndarray) -> np.ndarray:
    """`images` (N, C, H, W) minus their block means repeated to full size: (N, C, H, W), float64, mean 0 per block."""
    height, width = images.shape[2:]
    repeated = coarse(images).repeat(COARSE_FACTOR, axis=2).repeat(COARSE_FACTOR, axis=3)
    return images - repeated[:, :, :height, :width]


def contrast(images: np.ndarray) -> np.ndarray:
    """Standard deviations within the 4×4 blocks of `images` (N, C, H, W): (N, C, ⌈H/4⌉, ⌈W/4⌉), float64.

    They say where there are edges and texture, whatever these look like and whatever level they stand on.
    """
    return np.sqrt(coarse(fine(images) ** 2))


def luma(images: np.ndarray) -> np.ndarray:
    """Y' of colour images (N, 3, H, W): (N, 1, H, W); others as they are."""
    return images if images.shape[1] != 3 else np.einsum("nchw,c->nhw", images, LUMA)[:, None]


def chroma(images: np.ndarray) -> np.ndarray:
    """The planes Cb and Cr of colour images (N, 3, H, W): (N, 2, H, W), both 0 for gray (ITU-R BT.601)."""
    gray = luma(images)
    return np.concatenate([(images[:, 2:] - gray) / 1.772, (images[:, :1] - gray) / 1.402], axis=1)


def kept(originals: np.ndarray, decompressions: np.ndarray, seed: int) -> dict[str, float]:
    """Correlation of `originals` with their `decompressions` (both (N, C, H, W)) in each part, with 95 % intervals.

    Keys `kept_coarse`, `kept_fine`, each also with `_low` and `_high`; of colour images these are of the luma, as is
    `kept_contrast`, and `kept_color` is of the two chroma planes, pixel by pixel. Pooled over images and pixels, after
    the mean original and the mean decompression are subtracted, so what all images share does not count: 1 is the same
    up to scale, 0 as unrelated as two different images. Decompressions that are all alike keep nothing: 0.
    The interval is the percentile interval over images drawn with replacement; the means stay those of all images.

    Raises:
        ValueError: if the shapes differ.
    """
    _check_same_shape(originals, decompressions)
    count = len(originals)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), BOOTSTRAP_RESAMPLES)
    metrics: dict[str, float] = {}
    parts: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "coarse": lambda images: coarse(luma(images)),
        "fine": lambda images: fine(luma(images)),
    }
    if originals.shape[1] == 3:
        parts |= {"contrast": lambda images: contrast(luma(images)), "color": chroma}
    for name, part in parts.items():
        sums = _sums_of_products(part(originals), part(decompressions))
        low, high = np.quantile(_correlation(draws @ sums), [0.025, 0.975])
        point = float(_correlation(sums.sum(0)))
        metrics |= {f"kept_{name}": point, f"kept_{name}_low": float(low), f"kept_{name}_high": float(high)}
    return metrics


def distortion(originals: np.ndarray, decoded: np.ndarray) -> dict[str, float]:
    """`pixel_error`, the share of pixels that differ, and `coarse_rmse`, the root mean square error of block means.

    Both arguments are (N, C, H, W), with values in {0, 1}.

    Raises:
        ValueError: if the shapes differ.
    """
    _check_same_shape(originals, decoded)
    difference = coarse(originals) - coarse(decoded)
    return {
        "pixel_error": float((originals != decoded).mean()),
        "coarse_rmse": float(np.sqrt((difference**2).mean())),
    }


def _sums_of_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Per image Σab, Σa², Σb² over its pixels, each minus its mean over images: (N, 3).

    The correlation is a ratio of sums over images, so these are all that a resample of images needs.
    """
    a, b = a - a.mean(0), b - b.mean(0)
    return np.stack([(first * second).sum((1, 2, 3)) for first, second in ((a, b), (a, a), (b, b))], axis=1)


def _correlation(sums: np.ndarray) -> np.ndarray:
    """Σab / √(Σa² Σb²) from `sums` (..., 3): (...)."""
    norm = np.sqrt(sums[..., 1] * sums[..., 2])
    return np.where(norm > NOTHING_VARIES, sums[..., 0] / np.maximum(norm, NOTHING_VARIES), 0.0)


def _check_same_shape(originals: np.ndarray, others: np.ndarray) -> None:
    """Broadcasting would compare every image with the same one and not complain."""
    if originals.shape != others.shape:
        raise ValueError(f"originals are {originals.shape}, what they are compared with is {others.shape}")
