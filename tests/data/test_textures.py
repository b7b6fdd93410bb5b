"""The textures: probabilities that add up, quadrature against other ways to the same numbers, the generator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import all_binary_images

from pipeline.config import ModelConfig
from pipeline.data import fetch, prepare, textures
from pipeline.data.textures import TextureSource, grid
from pipeline.errors import DataError
from pipeline.models.pixelcnn import PixelCNN

SMALL = TextureSource(size=3, density=0.7, board=1.1, left=0.5, up=-0.9)
EVERY_IMAGE = all_binary_images(3, 3).numpy().astype(np.uint8)


def entropy(source: TextureSource) -> float:
    """H(x) of a 3×3 source in nats, by enumeration of all images."""
    nll = source.exact(EVERY_IMAGE).nll
    return float((np.exp(-nll) * nll).sum())


def test_probabilities_of_all_images_add_up_to_one():
    assert np.exp(-SMALL.exact(EVERY_IMAGE).nll).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("factors", [[0.0, 0.0], [1.5, -2.0]])
def test_probabilities_given_the_factors_add_up_to_one(factors):
    given = SMALL.log_prob_given(EVERY_IMAGE, np.array([factors]))
    assert np.exp(given).sum() == pytest.approx(1, abs=1e-9)


def test_entropy_is_that_given_the_factors_plus_information():
    """H(x) = H(x|g) + I(x; g), each computed for itself: over images, over the grid, and from the posteriors."""
    points, weights = grid()
    given = SMALL.log_prob_given(EVERY_IMAGE, points)
    conditional = -(weights * (np.exp(given) * given).sum(0)).sum()
    exact = SMALL.exact(EVERY_IMAGE)
    information = (np.exp(-exact.nll) * exact.information).sum()
    assert information > 0.3
    assert entropy(SMALL) == pytest.approx(conditional + information, abs=1e-6)


def test_information_agrees_with_monte_carlo():
    """E log p(x|g) / p(x) over draws of both, against the mean of KL(p(g|x) ‖ p(g)) over other images."""
    source = TextureSource()
    images, factors = source.draw(1000, np.random.RandomState(0))
    given = np.concatenate([source.log_prob_given(images[i : i + 1], factors[i : i + 1]) for i in range(len(images))])
    drawn = given[:, 0] + source.exact(images).nll
    information = source.exact(source.draw(1000, np.random.RandomState(1))[0]).information
    error = np.hypot(drawn.std(), information.std()) / np.sqrt(1000)
    assert error < 0.05
    assert drawn.mean() == pytest.approx(information.mean(), abs=4 * error)


def test_posterior_means_are_calibrated():
    """E[(g − E[g|x]) f(x)] = 0: regression of g on its posterior mean has slope 1."""
    images, factors = TextureSource().draw(2000, np.random.RandomState(0))
    means = TextureSource().exact(images).factors
    slopes = (means * factors).sum(0) / (means * means).sum(0)
    np.testing.assert_allclose(slopes, 1, atol=0.03)


@pytest.mark.parametrize(
    "source",
    [
        TextureSource(),
        TextureSource(density=1, board=-1, left=-3, up=3),
        TextureSource(density=1, board=1, left=0, up=0),
        TextureSource(size=3, density=4, board=4),
        TextureSource(size=24, density=0.5, board=0.5),
    ],
)
def test_a_finer_grid_changes_nothing(monkeypatch, source):
    images, _ = source.draw(20, np.random.RandomState(0))
    coarse = source.exact(images)
    monkeypatch.setattr(textures, "STEP", textures.STEP / 2)
    for values, finer in zip(coarse, source.exact(images), strict=True):
        np.testing.assert_allclose(values, finer, atol=1e-4)


def test_conditionals_are_the_generators():
    """With the factors fixed: how often each 3×3 image is drawn, against its probability."""
    factors = np.array([[0.6, -1.2]])

    class Fixed(np.random.RandomState):
        def standard_normal(self, size):
            return np.broadcast_to(factors, size)

    count = 200_000
    images, _ = SMALL.draw(count, Fixed(0))
    drawn = np.bincount(images.reshape(count, -1) @ (1 << np.arange(9)), minlength=512)
    expected = count * np.exp(SMALL.log_prob_given(EVERY_IMAGE, factors))[:, 0]
    assert ((drawn - expected) ** 2 / expected).sum() < 511 + 4 * np.sqrt(2 * 511)


def test_squares_of_the_board():
    assert TextureSource(size=5).squares.tolist() == [
        [1, 1, -1, -1, 1], [1, 1, -1, -1, 1], [-1, -1, 1, 1, -1], [-1, -1, 1, 1, -1], [1, 1, -1, -1, 1]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [("size", 0), ("size", 2.5), ("density", float("nan")), ("board", 5.0), ("left", -4.0), ("up", 9.0)],
)
def test_unfit_weights_are_refused_by_name(name, value):
    with pytest.raises(DataError, match=rf"{name} = {value}: must be"):
        replace(TextureSource(), **{name: value})


def test_window_decoder_with_the_sources_weights_is_exact_given_the_factors():
    """The window 2x1 contains what the source sees: its decoder needs only the factors, as maps, to be exact."""
    source = TextureSource(size=6, left=0.6, up=-0.9)
    images, factors = source.draw(50, np.random.RandomState(0))
    sizes = {"filters": 1, "masked_layers": 1, "conditioning_maps": 1}
    block = ModelConfig("gaussian", "gaussian", "pixelcnn", context="2x1", **sizes)
    network = PixelCNN(block, (1, 6, 6)).requires_grad_(False)
    shift = 50.0  # so that ELU, at the head, is the identity
    _set(network.image_layer, [[0.0, 2 * source.up], [2 * source.left, 0.0]], 0.0)
    _set(network.maps_layer, [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], shift)
    _set(network.head, [[1.0]], -shift)
    inside = np.ones((6, 6))
    inside[:, 0] = 0
    maps = source.logits(factors[:, None, None].astype(float), source.squares, -inside, -inside.T)
    log_prob = network.log_prob(torch.from_numpy(images).float(), torch.from_numpy(maps).float()[:, None])
    exact = source.log_prob_given(images, factors).diagonal()
    np.testing.assert_allclose(log_prob.numpy(), exact, atol=1e-3)


def _set(layer: torch.nn.Module, weight: list[list[float]], bias: float) -> None:
    kernel = torch.tensor(weight)[None, None]
    layer.direction.copy_(kernel)
    layer.gain.fill_(float(kernel.norm()))
    layer.bias.fill_(bias)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    raw = tmp_path_factory.mktemp("raw")
    fetch("textures", raw, None, 1, 0)
    return prepare("textures", raw, 0)


def test_prepared_splits_carry_what_is_known(prepared):
    assert [len(images) for images in (prepared.train, prepared.valid, prepared.test)] == [40_000, 2_000, 2_000]
    assert prepared.image_shape == (1, 12, 12)
    exact = TextureSource().exact(prepared.test[:30])
    np.testing.assert_allclose(prepared.exact_nll[:30], exact.nll)
    np.testing.assert_allclose(prepared.exact_information[:30], exact.information)
    np.testing.assert_allclose(prepared.exact_factors[:30], exact.factors)
    for split in ("train", "valid", "test"):  # more ink goes with g₁: the factors are still beside their images
        ink, factors = getattr(prepared, split).mean((1, 2, 3)), getattr(prepared, f"{split}_factors")
        assert np.corrcoef(ink, factors[:, 0])[0, 1] > 0.9


def test_another_result_of_the_generator_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(textures, "SEED", 1)
    with pytest.raises(DataError, match=r"textures is generated, and here with another result: images\.npy"):
        fetch("textures", tmp_path, None, 1, 0)
    assert list((tmp_path / "textures").iterdir()) == []
