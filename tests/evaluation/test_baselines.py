"""The baselines against exact values and scipy."""

import numpy as np
import pytest
import scipy.stats

from pipeline.evaluation.baselines import density_table, gaussian_nll, uniform_nll
from pipeline.units import bits_per_dim


def images(count, shape=(3, 2, 2), seed=0):
    """Levels that depend on each other: a brightness an image, and noise."""
    rng = np.random.default_rng(seed)
    levels = rng.normal(120, 40, (count, 1, 1, 1)) + rng.normal(0, 12, (count, *shape))
    return levels.round().clip(0, 255).astype(np.uint8)


def test_uniform_is_exactly_eight_bits_per_dimension():
    nll = uniform_nll(images(3))
    assert bits_per_dim(nll, (3, 2, 2)) == pytest.approx([8, 8, 8], abs=1e-12)


def test_gaussian_density_is_scipys():
    train, test = images(400), images(50, seed=1)
    levels = train.reshape(400, -1).astype(float)
    noise = np.random.default_rng(7).random((50, 12))
    covariance = np.cov(levels.T, bias=True) + np.eye(12) / 12
    expected = scipy.stats.multivariate_normal(levels.mean(0) + 0.5, covariance)
    assert gaussian_nll(train, test, seed=7) == pytest.approx(-expected.logpdf(test.reshape(50, -1) + noise))


def test_gaussian_knows_that_pixels_go_together():
    """Far better than pixels that are independent normals; and the bound is above the entropy it estimates."""
    train, test = images(4000), images(1000, seed=1)
    nll = gaussian_nll(train, test, seed=0).mean()
    independent = -sum(
        scipy.stats.norm(column.mean(), column.std()).logpdf(other).mean()
        for column, other in zip(train.reshape(4000, -1).T.astype(float), test.reshape(1000, -1).T, strict=True)
    )
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * (40**2 * np.ones((12, 12)) + 12**2 * np.eye(12)))[1]
    assert nll < independent - 5
    assert abs(nll - entropy) < 0.5


def test_a_pixel_that_never_varies_is_no_obstacle():
    train = images(300)
    train[:, :, 0, 0] = 7
    assert np.isfinite(gaussian_nll(train, train[:20], seed=0)).all()


def test_densities_are_told_in_bits_per_dimension_with_intervals():
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 2, 2), dtype=np.uint8)
    table = density_table(images, images[:10], seed=0).set_index("name")
    assert table.loc["Uniform", ["bits_per_dim", "bits_per_dim_low", "bits_per_dim_high"]].tolist() == [8, 8, 8]
    gaussian = table.loc["Multivariate Gaussian"]
    assert gaussian["bits_per_dim_low"] < gaussian["bits_per_dim"] < gaussian["bits_per_dim_high"]
    assert gaussian["bits_per_dim"] == pytest.approx(gaussian_nll(images, images[:10], 0).mean() / 12 / np.log(2))
    assert set(table["images"]) == {10}
