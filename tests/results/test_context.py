"""How many pixels a decoder is said to see: those on which something depends, in images of any shape."""

import dataclasses
import itertools

import pytest
import torch
from conftest import COLOR_VLAE, ROOT, VAE, VLAE

from pipeline.config import ModelConfig, load_params
from pipeline.models.build import build_model
from pipeline.results.context import context_pixels
from pipeline.schema import from_mapping

SHAPES = [(1, 1), (1, 5), (5, 1), (2, 3), (5, 3), (8, 8), (9, 14)]
FULL_SIZE = {
    "context_0": 0, "context_1x1": 1, "context_4x2": 10, "context_7x4": 31, "vlae": 69, "vlae_first_7x7": 129,
    "vlae_full_context": 783,
}  # fmt: skip
BLOCKS = [
    VAE, VLAE, VLAE | {"masked_layers": 1}, VLAE | {"kernel_size": 5, "masked_layers": 3},
    VLAE | {"first_kernel_size": 7}, *(VLAE | {"context": context} for context in ("full", "1x1", "4x2", "7x4", "9x5")),
]  # fmt: skip


def whole(block):
    """With its defaults, as config.json has it."""
    return dataclasses.asdict(from_mapping(ModelConfig, block, "model"))


def most_with_gradient(block, shape):
    """The most pixels on which the parameters of one pixel depend."""
    model = build_model(block, shape)
    if block["decoder"] == "factorized":
        return 0
    decoder, image = model.decoder, torch.rand(1, *shape)
    maps = decoder.generator(torch.randn(1, model.latent_dim)).detach()
    jacobian = torch.autograd.functional.jacobian(lambda x: decoder.network(x, maps).sum((0, 1)), image)
    return int((jacobian != 0).any(3).any(2).sum((2, 3)).max())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("block", BLOCKS)
def test_context_pixels_are_those_with_a_gradient(block, shape):
    assert context_pixels(whole(block), (1, *shape)) == most_with_gradient(block, (1, *shape))


@pytest.mark.parametrize("shape", [(4, 4), (8, 8), (4, 12)])
@pytest.mark.parametrize("window", ["3x2", "4x2", "5x3", "7x4", "9x5"])
def test_context_pixels_of_a_colour_window_are_those_with_a_gradient(window, shape):
    block = COLOR_VLAE | {"context": window, "blocks": 1}
    assert context_pixels(block, (3, *shape)) == most_with_gradient(block, (3, *shape))


@pytest.mark.parametrize("model", FULL_SIZE)
def test_in_images_that_are_large_enough_they_are_the_papers_numbers(model):
    block = dataclasses.asdict(load_params(ROOT / "params.yaml").models[model])
    assert context_pixels(block, (1, 28, 28)) == FULL_SIZE[model]


def test_block_averages_are_no_pixels():
    assert context_pixels(whole(VLAE | {"context": "downsampled"}), (1, 8, 8)) is None


@pytest.mark.parametrize("block", BLOCKS)
def test_no_decoder_is_said_to_see_more_pixels_than_come_before_one(block):
    for height, width in itertools.product(range(1, 12), repeat=2):
        assert context_pixels(whole(block), (1, height, width)) <= height * width - 1
