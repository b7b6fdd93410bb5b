"""What is told of a latent, on models whose posterior is known because it is set by hand."""

import math

import numpy as np
import pytest
import torch
from conftest import VAE, VLAE, binary_images

from pipeline import build_model
from pipeline.data.datasets import Dataset
from pipeline.evaluation.latent import (
    binarized,
    describe_latent,
    draw_latents,
    exact_values,
    probe_factors,
    probe_latent,
)

SHAPE = (1, 6, 6)


def constant_posterior(log_scale=0.0):
    """A model whose q(z|x) is N(0, exp(log_scale)²) for every image."""
    model = build_model(VAE, SHAPE)
    with torch.no_grad():
        model.posterior.head.gain.zero_()
        model.posterior.head.bias.copy_(torch.tensor([0.0] * 3 + [log_scale] * 3))
    return model


def test_a_latent_that_ignores_the_image_is_empty():
    table, numbers = describe_latent(constant_posterior(), binary_images(200, SHAPE), seed=0)
    assert table["kl_nats"].abs().max() < 1e-5
    assert numbers["information_nats"] == pytest.approx(0, abs=1e-6)


def test_kl_terms_of_a_gaussian_are_its_closed_form():
    table, _ = describe_latent(constant_posterior(log_scale=-1.0), binary_images(200, SHAPE), seed=0)
    expected = 0.5 * (math.exp(-2) - 1 + 2)
    assert table["kl_nats"].to_numpy() == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("block", [VAE, VLAE, VLAE | {"posterior": "iaf", "prior": "gaussian"}])
def test_terms_add_up_to_the_kl_and_information_needs_a_gaussian(block):
    model, x = build_model(block, SHAPE), binary_images(50, SHAPE)
    table, numbers = describe_latent(model, x, seed=0)
    with torch.no_grad():
        kl = torch.stack([model.loss(x, torch.Generator().manual_seed(seed))["kl"] for seed in range(32)]).mean()
    assert table["kl_nats"].sum() == pytest.approx(kl.item(), abs=0.2)
    assert ("information_nats" in numbers) == (block["posterior"] == "gaussian")
    if "information_nats" in numbers:
        assert numbers["information_nats"] < table["kl_nats"].sum() + 0.1
    assert 0 <= numbers["active_units"] <= 3


def test_draws_of_an_image_do_not_depend_on_how_many_follow_in_its_portion(monkeypatch):
    model, x = build_model(VAE, SHAPE), binary_images(6, SHAPE)
    monkeypatch.setattr("pipeline.evaluation.latent.AT_ONCE", 3)
    few, many = (draw_latents(model, images, 4, torch.Generator().manual_seed(0))[0] for images in (x[:3], x))
    assert many.shape == (4, 6, 3)
    assert torch.equal(few, many[:, :3])


def test_the_class_is_read_off_a_latent_that_has_it_and_only_with_labels(monkeypatch):
    """Images of two classes, blank and full; the posterior's mean follows them."""
    classes = np.arange(80) % 2
    images = np.repeat(classes, 36).reshape(80, *SHAPE).astype(np.uint8)
    labelled = Dataset("toy", "binary", False, images, images, images, classes, classes, classes)
    model, x = constant_posterior(log_scale=-4.0), torch.from_numpy(images).float()
    assert probe_latent(model, labelled, x, x[:40], seed=0)["probe_z"] < 0.8
    with torch.no_grad():
        model.posterior.head.gain[:3] = 1
    assert probe_latent(model, labelled, x, x[:40], seed=0)["probe_z"] == 1
    monkeypatch.setattr("pipeline.evaluation.latent.MOST_PROBED", 50)
    assert probe_latent(model, labelled, x, x[:40], seed=0)["probe_train_images"] == 50
    assert probe_latent(model, Dataset("toy", "binary", False, images, images, images), x, x, seed=0) == {}


def test_training_images_are_drawn_from_their_grey_levels():
    levels = np.full((400, *SHAPE), 51, np.uint8)
    drawn = binarized(levels, True, torch.Generator().manual_seed(0))
    assert drawn.mean().item() == pytest.approx(0.2, abs=0.02)
    assert set(drawn.unique().tolist()) == {0, 1}
    assert torch.equal(binarized(levels // 51, False, torch.Generator()), torch.ones(400, *SHAPE))


def known(factors: np.ndarray, exact: np.ndarray) -> Dataset:
    """60 images a split, with global factors, of which `exact` is the best guess of the test images."""
    images = binary_images(60, SHAPE).numpy().astype(np.uint8)
    answers = {"exact_nll": np.arange(60.0), "exact_information": np.ones(60), "exact_factors": exact}
    return Dataset("known", "binary", False, *(images,) * 3, train_factors=factors, test_factors=factors, **answers)


@pytest.mark.parametrize(("told", "r2"), [(True, 1.0), (False, 0.0)])
def test_factors_are_read_off_a_latent_that_tells_them(monkeypatch, told, r2):
    factors = np.random.RandomState(0).standard_normal((60, 2))
    dataset = known(factors, exact=factors * 0.5)
    latents = torch.from_numpy(factors @ np.array([[1.0, 2.0, 0.0], [1.0, -1.0, 3.0]]) + 5)
    z = latents if told else torch.zeros(60, 3)
    monkeypatch.setattr("pipeline.evaluation.latent.draw_latents", lambda _, x, *__: (z[None, : len(x)], None))
    images = torch.from_numpy(dataset.test).float()
    report = probe_factors(None, dataset, images, images, seed=0)
    assert report["factors_r2"] == pytest.approx(r2, abs=1e-6)
    assert report["exact_factors_r2"] == pytest.approx(0.75, abs=0.01)


def test_answers_are_those_of_the_images_evaluated_and_absent_where_nobody_knows_them():
    dataset = known(np.zeros((60, 2)), np.zeros((60, 2)))
    assert {name: values.tolist() for name, values in exact_values(dataset, 3).items()} == {
        "exact_nll": [0, 1, 2],
        "exact_information": [1, 1, 1],
    }
    unknown = Dataset("unknown", "binary", False, *(dataset.test,) * 3)
    images = torch.from_numpy(unknown.test).float()
    assert exact_values(unknown, 3) == probe_factors(build_model(VAE, SHAPE), unknown, images, images, seed=0) == {}
