"""Many draws of z in bfloat16: near the definition, and what is left taken out of the estimate."""

from __future__ import annotations

import copy

import pytest
import torch
from conftest import VAE, VLAE, binary_images

from pipeline import build_model
from pipeline.evaluation.likelihood import importance_nll
from pipeline.fast import accelerate, importance
from pipeline.fast.sampled import rough_log_prob_of
from pipeline.models.layers import initialize
from pipeline.models.vlae import LatentVariableModel

SHAPE = (1, 8, 8)
BLOCKS = {
    "tied": VLAE,
    "untied": VLAE | {"tied": False},
    "5×5": VLAE | {"kernel_size": 5, "filters": 7},
    "window": VLAE | {"context": "4x2", "masked_layers": 3},
    "one layer": VLAE | {"masked_layers": 1},
    "odd widths": VLAE | {"encoder_channels": [5, 9], "conditioning_maps": 3},
    "IAF posterior": VLAE | {"posterior": "iaf", "prior": "gaussian"},
}


@pytest.fixture(params=[SHAPE, (1, 9, 13)], ids=["even", "odd"])
def shape(request):
    return request.param


def model_of(block: dict, shape: tuple[int, int, int]) -> LatentVariableModel:
    model = build_model(block, shape).requires_grad_(False)
    assert isinstance(model, LatentVariableModel)
    initialize(model, binary_images(32, shape), torch.Generator().manual_seed(0))
    return accelerate(model)


def needs_instructions(model: LatentVariableModel) -> None:
    if rough_log_prob_of(model.decoder, binary_images(1, model.image_shape)) is None:
        pytest.skip("no processor or no compiler for it")


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_it_is_the_definition_to_the_precision_of_bfloat16(block, shape, rng):
    model, x = model_of(block, shape), binary_images(1, shape)
    needs_instructions(model)
    z = torch.randn(37, model.latent_dim, generator=rng)
    rough = rough_log_prob_of(model.decoder, x)
    plain = accelerate(copy.deepcopy(model), on=False).decoder.log_prob(x.expand(37, *shape), z)
    error = rough(z) - plain
    assert error.abs().max() < 0.004 * plain.abs().max()
    assert torch.corrcoef(torch.stack([rough(z), plain]))[0, 1] > 0.99


def both(model: LatentVariableModel, draws: int, monkeypatch) -> tuple[torch.Tensor, torch.Tensor]:
    """NLL of images with the same draws, in float32 and with most in bfloat16."""
    nats: dict[int, list[torch.Tensor]] = {draws + 1: [], draws: []}
    for many, found in nats.items():
        monkeypatch.setattr(importance, "MANY", many)
        for x in binary_images(6, SHAPE)[:, None]:  # one by one: what is checked has random numbers of its own
            code = sum(model.code_lengths(x, draws, torch.Generator().manual_seed(0)))
            assert code.shape == (draws, 1)
            found.append(importance_nll(code.double(), draws))
    exact, estimate = (torch.cat(found) for found in nats.values())
    return exact, estimate


@pytest.mark.parametrize("block", [BLOCKS["untied"], BLOCKS["IAF posterior"]], ids=["AF prior", "IAF posterior"])
def test_the_estimate_is_that_of_float32_with_the_same_draws(block, monkeypatch):
    model = model_of(block, SHAPE)
    needs_instructions(model)
    exact, estimate = both(model, 200, monkeypatch)
    assert not torch.equal(exact, estimate)
    assert (exact - estimate).abs().max() < 0.01


def test_whatever_the_rough_values_are_the_estimate_is_right(monkeypatch):
    """An error of 2 nats that all draws share, and one of 0.1 nats of each."""
    model = model_of(VLAE, SHAPE)
    log_prob = importance.log_prob_of

    def wrong(decoder, x):
        return lambda z: log_prob(decoder, x)(z) + 2 + 0.1 * torch.sin(1e4 * z.sum(1))

    monkeypatch.setattr(importance, "rough_log_prob_of", wrong)
    exact, estimate = both(model, 500, monkeypatch)
    assert not torch.equal(exact, estimate)
    assert (exact - estimate).abs().max() < 3 * 0.1 / importance.CHECKED**0.5


@pytest.mark.parametrize("block", [VAE, VLAE | {"decoder": "factorized"}], ids=["vae", "af_vae"])
def test_without_a_pixelcnn_all_draws_are_in_float32(block, monkeypatch):
    exact, same = both(model_of(block, SHAPE), 200, monkeypatch)
    assert torch.equal(exact, same)
