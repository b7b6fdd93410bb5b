"""A mean over images and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BOOTSTRAP_RESAMPLES = 2000
NORMAL = 1.96
"""Half the width of a 95 % interval of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class Interval:
    """A mean over images with its standard error and 95 % interval."""

    mean: float
    se: float
    low: float
    high: float


def bootstrap(values: np.ndarray, seed: int) -> Interval:
    """Mean of `values` (N,), its standard error, and the 95 % interval of N images drawn with replacement."""
    generator = np.random.default_rng(seed)
    means = [generator.choice(values, len(values)).mean() for _ in range(BOOTSTRAP_RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), _error(values), float(low), float(high))


def normal_interval(values: np.ndarray) -> Interval:
    """The same without drawing anything: over hundreds of images the bootstrap of a mean comes to this interval.

    A report has fifty of them, over up to 10,000 images each.
    """
    mean, error = float(values.mean()), _error(values)
    return Interval(mean, error, mean - NORMAL * error, mean + NORMAL * error)


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5)
