"""The fast forms against the definitions, of models of every kind: the same numbers up to rounding."""

import copy

import pytest
import torch
from conftest import COLOR_VLAE, PIXELCNN, VAE, VLAE, binary_images, color_images

from pipeline import build_model
from pipeline.fast import FAST, accelerate
from pipeline.models.layers import WeightNorm, initialize

BINARY, COLOR = (1, 9, 5), (3, 8, 4)
IAF = {"posterior": "iaf", "prior": "gaussian"}
UNCONDITIONAL = {"posterior": "none", "prior": "none"}
MODELS = [
    *((block, BINARY) for block in (VAE, VAE | {"prior": "af"}, VLAE, VLAE | IAF, VLAE | {"masked_layers": 2})),
    *((PIXELCNN | {"context": name}, BINARY) for name in ("stack", "full", "1x1", "4x2", "5x3", "downsampled")),
    *((block | {"context": "full", "masked_layers": 2}, BINARY) for block in (VLAE, PIXELCNN)),
    *((VLAE | {"kernel_size": size, "first_kernel_size": 10 - size}, BINARY) for size in (3, 7)),
    *((COLOR_VLAE | block, COLOR) for block in ({}, IAF, {"luma_map": True}, {"decoder": "factorized"}, UNCONDITIONAL)),
    *((COLOR_VLAE | {"context": "7x4", "grayscale": True, "network": name}, COLOR) for name in ("resnet", "densenet")),
]
SMALLEST = [(1, 1, 1), (1, 1, 4), (1, 4, 1), (1, 2, 3)]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count, shape, seed=0):
    return (color_images if shape[0] == 3 else binary_images)(count, shape, seed)


def pair(block, shape):
    """The definition and an accelerated copy, with weights away from their initialisation."""
    model = build_model(block, shape)
    initialize(model, images(32, shape), rng())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.03 / shape[0] * torch.randn(parameter.shape, generator=rng(1)))
    return model, accelerate(copy.deepcopy(model))


@pytest.mark.parametrize(("block", "shape"), MODELS)
def test_likelihoods_and_gradients_are_those_of_the_definition(block, shape):
    x, results = images(4, shape, 1), []
    for model in pair(block, shape):
        parts = model.loss(x, rng(2))
        gradients = torch.autograd.grad(sum(parts.values()).mean(), list(model.parameters()), allow_unused=True)
        given = torch.cat([values.flatten() for values in gradients if values is not None])
        results.append([*parts.values(), model.elbo(x, rng(3)), given])
    for expected, found in zip(*results, strict=True):
        assert torch.allclose(found, expected, rtol=1e-4, atol=2e-4 + 1e-5 * expected.abs().max().item())


@pytest.mark.parametrize(("block", "shape"), MODELS)
def test_many_draws_of_an_image_are_those_of_the_definition(block, shape):
    block = block | {"latent_dim" if shape[0] == 1 else "latent_maps": 16}  # of fewer, one call draws other noise
    definition, fast = pair(block, shape)
    for count, rows in ((4, 1024), (1, 1024), (1, 4), (1, 1)):
        x, fast.rows_at_once = images(count, shape, 1), rows
        bounds = [model.log_prob(x, 6, rng(3)) for model in (definition, fast)]
        assert torch.allclose(*bounds, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize(
    ("block", "shape"),
    [*MODELS, *((PIXELCNN | {"context": name}, shape) for shape in SMALLEST for name in ("stack", "full"))],
)
def test_samples_latents_and_decompressions_are_those_of_the_definition(block, shape):
    results = []
    for model in pair(block, shape):
        drawn = [model.sample(4, rng(4))]
        if hasattr(model, "encode"):
            z = model.encode(images(4, shape, 1), rng(5))
            drawn += [model.decompress(z, rng(6))]
            assert torch.allclose(model.prior.transform(model.prior.noise(z)), z, atol=1e-3)
        results.append(drawn)
    assert all(torch.equal(*values) for values in zip(*results, strict=True))
    assert results[0][0].std() > 0.02 or shape in SMALLEST


@pytest.mark.parametrize(("block", "shape"), MODELS)
def test_it_can_be_switched_off_and_leaves_the_weights_alone(block, shape):
    definition, fast = pair(block, shape)
    assert {type(module) for module in fast.modules()} & set(FAST)
    assert list(fast.state_dict()) == list(definition.state_dict())
    back = accelerate(fast, on=False)
    assert back is fast
    assert [type(module) for module in back.modules()] == [type(module) for module in definition.modules()]


def test_weights_are_computed_once_for_all_fronts(monkeypatch):
    computed, weight = [], WeightNorm.weight
    monkeypatch.setattr(WeightNorm, "weight", property(lambda self: computed.append(self) or weight.fget(self)))
    for block, shape in ((VLAE, BINARY), (COLOR_VLAE, COLOR)):
        network = pair(block, shape)[1].decoder.network
        computed.clear()
        maps = torch.randn(2, 2 if shape[0] == 1 else 4, *shape[1:])
        network.sample(maps, torch.rand(2, network.likelihood.uniforms, *shape[1:]))
        assert 0 < len(computed) == len(set(computed))
