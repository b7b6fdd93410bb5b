"""A mean over images and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

BOOTSTRAP_RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A mean over images with its standard error and bootstrap interval."""

    mean: float
    se: float
    low: float
    high: float


def bootstrap(values: np.ndarray, seed: int) -> Interval:
    """Mean of `values` (N,), its standard error, and the 95 % interval of N images drawn with replacement."""
    low, high = _bounds(values.tobytes(), values.dtype.str, seed)
    return Interval(float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5), low, high)


@lru_cache(maxsize=1000)  # a report needs that of the same difference in several places
def _bounds(content: bytes, dtype: str, seed: int) -> tuple[float, float]:
    values, generator = np.frombuffer(content, dtype), np.random.default_rng(seed)
    means = [generator.choice(values, len(values)).mean() for _ in range(BOOTSTRAP_RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
