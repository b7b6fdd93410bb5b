"""Densities without a network to stand beside a model of 8-bit images: uniform, and a multivariate Gaussian."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.linalg import solve_triangular

from pipeline.evaluation.bootstrap import bootstrap
from pipeline.models.levels import LEVELS
from pipeline.units import bits_per_dim


def uniform_nll(images: np.ndarray) -> np.ndarray:
    """−log p of images (N, C, H, W) under 1/256 for every level: (N,) nats, exactly 8 bits/dim."""
    return np.full(len(images), math.prod(images.shape[1:]) * math.log(LEVELS))


def gaussian_nll(train: np.ndarray, images: np.ndarray, seed: int) -> np.ndarray:
    """Upper bound on −log p of `images` (N, C, H, W) uint8 under one Gaussian fitted to `train`: (N,) nats.

    The Gaussian has mean and covariance of the training images with noise u ~ U[0, 1) added to every level, whose
    covariance is that of the levels plus 1/12 on the diagonal. −log of its density at image + u, u drawn once, bounds
    −log of the mass it puts on the image's cells in expectation (Theis et al., 2016, section 3.1).
    """
    levels = train.reshape(len(train), -1).astype(np.float64)
    mean = levels.mean(0) + 0.5
    covariance = np.cov(levels, rowvar=False, bias=True) + np.eye(levels.shape[1]) / 12
    factor = np.linalg.cholesky(covariance)
    noise = np.random.default_rng(seed).random((len(images), levels.shape[1]))
    distance = solve_triangular(factor, (images.reshape(len(images), -1) + noise - mean).T, lower=True)
    log_det = 2 * np.log(factor.diagonal()).sum()
    return 0.5 * (np.square(distance).sum(0) + log_det + len(mean) * math.log(2 * math.pi))


def density_table(train: np.ndarray, images: np.ndarray, seed: int) -> pd.DataFrame:
    """Both on `images` (N, C, H, W), in bits per dimension with 95 % intervals, as rows of Table 5."""
    rows = []
    for name, nll in (("Uniform", uniform_nll(images)), ("Multivariate Gaussian", gaussian_nll(train, images, seed))):
        mean = bootstrap(bits_per_dim(nll, images.shape[1:]), seed)
        ends = {"bits_per_dim_low": mean.low, "bits_per_dim_high": mean.high}
        rows.append({"name": name, "bits_per_dim": mean.mean, **ends, "images": len(images)})
    return pd.DataFrame(rows)
