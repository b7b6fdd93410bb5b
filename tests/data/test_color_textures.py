"""Colour textures: any pixel tells the hue, no grey level does, and p(x) is that of the generator."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.data import color_textures as source
from pipeline.data import fetch, prepare
from pipeline.data.textures import TextureSource
from pipeline.models import levels


@pytest.fixture(scope="module")
def drawn():
    return source.draw(2000, np.random.RandomState(0))


def colors() -> np.ndarray:
    """The eight means (2, 4, 3): of dark and bright pixels of each hue."""
    return source.BRIGHTNESS[:, None, None] + source.HUES


def test_no_two_colors_overlap():
    """So that a pixel has one color only, and p(x) needs no sum over colors."""
    means = colors().reshape(8, 3)
    apart = np.abs(means[:, None] - means).max(2)[~np.eye(8, dtype=bool)]
    assert apart.min() > 2 * (source.NOISE_LIMIT + 0.5)
    assert means.min() - source.NOISE_LIMIT - 1 >= 0
    assert means.max() + source.NOISE_LIMIT + 1 <= 255


def test_all_hues_have_one_luma():
    assert source.LUMA == levels.LUMA
    np.testing.assert_allclose(source.HUES @ np.array(levels.LUMA), 0, atol=1e-9)


def test_a_grey_level_does_not_tell_the_hue(drawn):
    images, hues = drawn
    gray = np.tensordot(images, levels.LUMA, (1, 0)).mean((1, 2))
    means = [gray[hues == hue].mean() for hue in range(4)]
    assert np.ptp(means) < 6 * gray.std() / math.sqrt(500)


def test_probability_of_an_image_adds_up_to_one_over_its_noise(monkeypatch):
    """Of one-pixel images: the sum of p over all levels near the eight colors."""
    monkeypatch.setattr(source, "BRIGHT_OR_DARK", TextureSource(size=1, density=0, board=0))
    monkeypatch.setattr(source, "NOISE_LIMIT", 4.5)
    reach = np.arange(-4, 5)
    noise = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), -1).reshape(-1, 3)
    total = 0.0
    for mean in np.rint(colors().reshape(8, 3)).astype(int):
        images = (mean + noise)[:, :, None, None].astype(np.uint8)
        total += np.exp(-source.exact(images)["nll"]).sum()
    assert total == pytest.approx(1, abs=1e-9)


def test_levels_are_drawn_with_their_probability(drawn):
    """E log p of the noise over draws, against the same by summing over levels: nats per image."""
    images, _ = drawn
    exact = source.exact(images)
    bright = (np.tensordot(images, levels.LUMA, (1, 0)) > source.BRIGHTNESS.mean()).astype(np.uint8)[:, None]
    board = source.BRIGHT_OR_DARK.log_prob_given(bright, source.NO_FACTORS)[:, 0]
    noise = exact["nll"] - math.log(4) + board
    reach = np.arange(-25, 26)
    entropies = []
    for mean in colors().reshape(-1):
        low, high = source._ends(np.array(mean))
        level = np.rint(mean) + reach - mean
        mass = (source._cumulative(level + 0.5) - source._cumulative(level - 0.5)) / (high - low)
        assert mass.sum() == pytest.approx(1, abs=1e-9)
        entropies.append(-(mass * np.log(mass)).sum())
    assert noise.mean() == pytest.approx(256 * 3 * np.mean(entropies), abs=4 * noise.std() / math.sqrt(2000) + 0.05)


def test_prepared_images_are_labelled_by_their_hue(tmp_path):
    fetch("color_textures", tmp_path, None, 1, 0)
    prepared = prepare("color_textures", tmp_path, 0)
    assert [len(images) for images in (prepared.train, prepared.valid, prepared.test)] == [8_000, 500, 1_000]
    assert prepared.image_shape == (3, 16, 16)
    np.testing.assert_allclose(prepared.exact_information, math.log(4))
    np.testing.assert_allclose(prepared.exact_nll[:20], source.exact(prepared.test[:20])["nll"])
    for split in ("train", "test"):
        images, hues = getattr(prepared, split).astype(float), getattr(prepared, f"{split}_labels")
        color = images.mean((2, 3)) - np.tensordot(images, levels.LUMA, (1, 0)).mean((1, 2))[:, None]
        assert (np.abs(color[:, None] - source.HUES).max(2).argmin(1) == hues).all()
