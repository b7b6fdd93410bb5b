"""Colour textures: p(x) is that of the generator, a neighbour in colour tells the hue, and no grey level does."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pipeline.data import color_textures as source
from pipeline.data import fetch, prepare
from pipeline.models import levels
from pipeline.models.likelihoods import HALF, log_mass, scaled

LUMA = np.array(levels.LUMA)


@pytest.fixture(scope="module")
def drawn():
    return source.draw(500, np.random.RandomState(0))


def test_all_hues_have_one_luma():
    assert tuple(source.LUMA) == levels.LUMA
    np.testing.assert_allclose(source.HUES @ LUMA, 0, atol=1e-9)


def test_probabilities_of_a_pixel_add_up_to_one_over_each_channel():
    """Given the hue, of a one-pixel image: over all blues they leave a density of green and red, and so on."""
    every = np.arange(256)
    red, green, blue = np.meshgrid(np.arange(170, 200), every[::5], every, indexing="ij")
    images = np.stack([red, green, blue], -1).reshape(-1, 3, 1, 1).astype(np.uint8)
    over_blue = np.exp(source.log_prob_given(images)[:, 0]).reshape(30, -1, 256).sum(2)
    mean = source.MIDDLE + source.HUES[0]
    shared = mean[1] + source.SHARED * (np.arange(170, 200) - mean[0])
    density = _mass(np.arange(170, 200), mean[0], source.WIDE)[:, None]
    density = density * _mass(every[::5], shared[:, None], source.NARROW)
    np.testing.assert_allclose(over_blue, density, atol=1e-9)


def _mass(level: np.ndarray, mean: np.ndarray, scale: float) -> np.ndarray:
    """The models' own discretized logistic."""
    level, mean = (torch.as_tensor(values).double() for values in (level, mean))
    return log_mass(level, scaled(mean), torch.tensor(scale / HALF).log()).exp().numpy()


def test_conditionals_are_the_generators():
    """How often each red level is drawn in the second pixel of a row, against its probability given the first."""
    images, hues = source.draw(40_000, np.random.RandomState(0), side=2)
    first, second = images[:, :, 0, 0].astype(float), images[:, 0, 0, 1]
    mean = source.MIDDLE + source.HUES[hues, 0] + source.FOLLOWED * (first @ LUMA - source.MIDDLE)
    share = 1 / (1 + np.exp(-(second + 0.5 - mean) / source.WIDE))  # uniform, but for rounding
    assert np.histogram(share, 10, (0, 1))[0] / 40_000 == pytest.approx(0.1, abs=0.012)


def test_nll_is_the_entropy_given_the_hue_and_the_hue(drawn):
    """−log p(x) = log 8 − log p(x|hue) of the hue that an image was drawn with: any other is ruled out."""
    images, hues = drawn
    exact = source.exact(images)
    given = source.log_prob_given(images)[np.arange(500), hues]
    np.testing.assert_allclose(exact["nll"], math.log(8) - given, atol=1e-9)
    np.testing.assert_allclose(exact["information"], math.log(8), atol=1e-9)


def test_one_pixel_tells_the_hue_for_sure(drawn):
    pixel = source.exact(drawn[0][:, :, :1, :1])
    assert pixel["information"].mean() > math.log(8) - 0.01


def test_grey_levels_do_not_tell_the_hue(drawn):
    images, hues = drawn
    gray = np.tensordot(images, LUMA, (1, 0)).mean((1, 2))
    for hue in range(8):
        own, others = gray[hues == hue], gray[hues != hue]
        assert abs(own.mean() - others.mean()) < 4 * gray.std() / math.sqrt(len(own))


def test_prepared_images_are_labelled_by_their_hue(tmp_path):
    fetch("color_textures", tmp_path, None, 1, 0)
    prepared = prepare("color_textures", tmp_path, 0)
    assert [len(images) for images in (prepared.train, prepared.valid, prepared.test)] == [8_000, 500, 1_000]
    assert prepared.image_shape == (3, 16, 16)
    np.testing.assert_allclose(prepared.exact_nll[:20], source.exact(prepared.test[:20])["nll"])
    assert (source.log_prob_given(prepared.test).argmax(1) == prepared.test_labels).all()
    assert (source.log_prob_given(prepared.train[:500]).argmax(1) == prepared.train_labels[:500]).all()
