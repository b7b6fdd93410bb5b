"""Means, errors and intervals of the evaluation, and units."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import PIXELCNN, VLAE, binary_images

from pipeline import build_model
from pipeline.evaluation.bootstrap import bootstrap, normal_interval
from pipeline.evaluation.likelihood import importance_nll, per_dimension, per_image, summarize
from pipeline.fast import accelerate
from pipeline.units import bits_per_dim, nats_to_bits

SHAPE = (1, 6, 6)


def test_units():
    assert nats_to_bits(13.3) == pytest.approx(19.2, abs=0.02)
    assert bits_per_dim(3072 * np.log(256), (3, 32, 32)) == pytest.approx(8.0)


def test_the_bootstrap_interval_of_many_values_is_the_normal_one():
    values = np.random.default_rng(1).normal(5, 2, 4000)
    interval = bootstrap(values, seed=0)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.se == pytest.approx(2 / 4000**0.5, rel=0.05)
    assert interval == bootstrap(values, seed=0)
    normal = normal_interval(values)
    assert (normal.mean, normal.se) == (interval.mean, interval.se)
    assert (normal.low, normal.high) == pytest.approx((interval.low, interval.high), abs=0.1 * interval.se)


def test_estimates_do_not_depend_on_how_many_images_follow():
    model, x = build_model(VLAE, SHAPE), binary_images(110, SHAPE)
    few, many = (per_image(model, images, 4, seed=0) for images in (x[:100], x))
    pd.testing.assert_frame_equal(few, many[:100])


def test_the_bound_and_its_parts_are_consistent():
    model, x = accelerate(build_model(VLAE, SHAPE)), binary_images(60, SHAPE)
    table = per_image(model, x, 256, seed=0)
    assert len(table) == 60
    assert (table["nll"].mean()) < (table["reconstruction"] + table["kl"]).mean()
    others = [-model.log_prob(x, 256, torch.Generator().manual_seed(seed)).mean().item() for seed in range(8)]
    assert table["nll"].mean() == pytest.approx(np.mean(others), abs=5 * np.std(others, ddof=1))
    metrics = summarize(table, 256, exact=False, seed=0)
    assert metrics["elbo"] == pytest.approx(-metrics["reconstruction_nats"] - metrics["kl_nats"])
    assert metrics["code_length_bits"] == pytest.approx(nats_to_bits(-metrics["elbo"]))
    assert (metrics["images"], metrics["importance_samples"]) == (60, 256)


def test_a_model_without_latent_is_exact():
    model, x = build_model(PIXELCNN, SHAPE), binary_images(10, SHAPE)
    table = per_image(model, x, 64, seed=0)
    assert table["nll"].to_numpy() == pytest.approx(-model.log_prob(x).numpy())
    metrics = summarize(table, 64, exact=True, seed=0)
    assert (metrics["kl_nats"], metrics["importance_samples"], metrics["exact"]) == (0, 0, True)
    assert metrics["nll"] == pytest.approx(-metrics["elbo"])


@pytest.mark.parametrize(("column", "key"), [("nll", "nll"), ("kl", "kl_nats"), ("reconstruction", "elbo")])
def test_an_image_without_a_number_is_not_left_out_of_the_mean(column, key):
    table = pd.DataFrame({"nll": [90.0, 91.0], "reconstruction": [80.0, 82.0], "kl": [11.0, 12.0]})
    table.loc[1, column] = np.nan
    assert np.isnan(summarize(table, 64, exact=False, seed=0)[key])


def test_bounds_with_fewer_samples_are_means_over_disjoint_groups():
    code = torch.tensor([[1.0], [3.0], [2.0], [7.0], [9.0]])
    expected = -np.log((np.exp([-1.0, -2.0]) + np.exp([-3.0, -7.0])) / 2).mean()  # the fifth is left over
    assert importance_nll(code, 2).item() == pytest.approx(expected)
    assert importance_nll(code, 1).item() == pytest.approx(code.mean().item())


def test_more_samples_bound_tighter():
    table = per_image(build_model(VLAE, SHAPE), binary_images(60, SHAPE), 70, seed=0)
    means = [table[column].mean() for column in ("nll_k1", "nll_k4", "nll_k16", "nll_k64")]
    assert means == sorted(means, reverse=True)
    assert table["nll_k1"].to_numpy() == pytest.approx((table["reconstruction"] + table["kl"]).to_numpy(), abs=1e-3)
    assert "nll_k256" not in table


def test_colour_metrics_are_the_same_numbers_per_dimension():
    table = pd.DataFrame({"nll": [7000.0, 7400.0, 6900.0], "reconstruction": [6900.0, 7300.0, 6800.0], "kl": 150.0})
    metrics = summarize(table, 16, False, seed=0)
    converted = per_dimension(metrics, (3, 32, 32))
    per_nat = 1 / (3072 * np.log(2))
    assert converted["bits_per_dim"] == pytest.approx(7100 * per_nat)
    assert converted["bits_per_dim_low"] < converted["bits_per_dim"] < converted["bits_per_dim_high"]
    assert converted["elbo_bits_per_dim"] == pytest.approx(7150 * per_nat)
    assert converted["kl_bits_per_dim"] == pytest.approx(150 * per_nat)


def test_means_are_those_of_the_images_to_the_last_digits_told():
    """pandas adds a column of float32 up in float32: with 10,000 images the third decimal was off."""
    values = (26 + np.random.default_rng(0).normal(size=10_000)).astype(np.float32)
    table = pd.DataFrame({name: values for name in ("nll", "reconstruction", "kl")})
    summary = summarize(table, 4, exact=False, seed=0)
    for key in ("nll", "kl_nats", "reconstruction_nats"):
        assert summary[key] == pytest.approx(values.astype(float).mean(), abs=1e-9)
