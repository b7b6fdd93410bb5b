"""Weight normalisation, its data-dependent initialisation, and shapes of the ResNet blocks."""

import itertools

import pytest
import torch
from conftest import PIXELCNN, VAE, VLAE, binary_images

from pipeline import build_model
from pipeline.models.layers import Conv2d, ConvTranspose2d, Linear, WeightNorm, initialize, residual_down, residual_up
from pipeline.training.gradients import Gradients


@pytest.mark.parametrize("layer", [Linear(3, 5), Conv2d(3, 5), ConvTranspose2d(3, 5, (4, 4))])
def test_weight_has_norm_gain(layer):
    layer.gain.data = torch.arange(1.0, 6.0)
    assert torch.allclose(layer.weight.movedim(layer.out_axis, 0).flatten(1).norm(dim=1), layer.gain)


def test_weight_matches_torch_parametrization():
    ours, theirs = Linear(4, 6), torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(4, 6))
    theirs.parametrizations.weight.original1.data = ours.direction.data.clone()
    theirs.parametrizations.weight.original0.data = ours.gain.data[:, None].clone()
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-6)


def test_masked_entries_are_zero_and_get_no_gradient():
    mask = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    layer = Linear(2, 2, mask=mask)
    layer.weight.square().sum().backward()
    assert (layer.weight[mask == 0] == 0).all()
    assert (layer.direction.grad[mask == 0] == 0).all()
    assert torch.isfinite(layer.direction.grad).all()


@pytest.mark.parametrize("block", [VAE, VLAE | {"tied": False}, PIXELCNN | {"tied": False}])
def test_initialisation_standardises_every_layer(block, rng):
    x = binary_images(64, (1, 12, 12))
    model = build_model(block, image_shape=(1, 12, 12))
    initialize(model, x, rng)
    outputs = {}
    for module in model.modules():
        if isinstance(module, WeightNorm):
            module.register_forward_hook(lambda layer, _, output: outputs.setdefault(layer, output))
    # The same noise as in the initialising pass: the stream after the directions were drawn.
    replay = torch.Generator().manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, WeightNorm):
            torch.empty_like(layer.direction).normal_(generator=replay)
    model.loss(x, replay)
    assert outputs
    for layer, output in outputs.items():
        deviation, mean = torch.std_mean(output, [axis for axis in range(output.dim()) if axis != 1])
        varying = deviation > 1e-4
        expected = torch.as_tensor(layer.initial_scale).expand_as(deviation)
        assert torch.allclose(mean, torch.as_tensor(layer.initial_mean).expand_as(mean), atol=2e-3)
        assert torch.allclose(deviation[varying], expected[varying], rtol=1e-2)
    assert sum(bool((output.std() > 1e-4).item()) for output in outputs.values()) > len(outputs) / 2


def test_initialisation_is_seeded():
    x = binary_images(16, (1, 8, 8))
    models = [build_model(VLAE, image_shape=(1, 8, 8)) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        initialize(model, x, torch.Generator().manual_seed(seed))
    states = [torch.cat([value.flatten() for value in model.state_dict().values()]) for model in models]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@pytest.mark.parametrize("size", [(28, 28), (7, 4), (5, 6)])
def test_residual_up_mirrors_residual_down(size):
    x = torch.rand(2, 3, *size)
    down = residual_down(3, 5)(x)
    assert down.shape == (2, 5, (size[0] + 1) // 2, (size[1] + 1) // 2)
    assert residual_up(5, 3, size)(down).shape == x.shape


@pytest.mark.parametrize("transposed", [False, True])
def test_bfloat16_gradients_are_near_those_of_float32_on_maps_of_any_size_pytorch_169688_and_163347(transposed):
    for size in itertools.product((1, 2, 3, 7), repeat=2):
        layer = ConvTranspose2d(16, 32, size) if transposed else Conv2d(16, 32, stride=2)
        small = tuple((length + 1) // 2 for length in size)
        x = torch.randn(8, 16, *(small if transposed else size))
        gradients = []
        for bfloat16 in (False, True):
            _leave_garbage_in_memory()
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16, cache_enabled=False):
                y = layer(x)
            assert y.shape[2:] == (size if transposed else small)
            assert (y.dtype == torch.bfloat16) == (bfloat16 and 1 not in size)
            weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
            gradients.append(torch.autograd.grad((y.float() * weights).sum(), layer.direction)[0])
        assert (gradients[1] - gradients[0]).abs().max() <= 0.03 * gradients[0].abs().max(), size


def _leave_garbage_in_memory() -> None:
    """What is never written is then found out."""
    for count in (32, 4608, 9216, 18432):
        torch.full((count,), torch.nan)


@pytest.mark.parametrize(("shape", "levels"), [((1, 28, 28), 6), ((1, 5, 1), 2), ((1, 1, 1), 1), ((1, 1, 9), 3)])
@pytest.mark.parametrize("block", [VAE, VLAE])
def test_a_model_of_any_depth_has_finite_gradients_in_bfloat16_pytorch_169688(block, shape, levels):
    model = build_model(block | {"encoder_channels": [16] + [32] * (levels - 1)}, shape)
    x = binary_images(16, shape)
    initialize(model, x, torch.Generator().manual_seed(0))
    found = []
    for bfloat16 in (False, True):
        _leave_garbage_in_memory()
        gradients = Gradients(model, bfloat16)
        gradients.forward(x, 1)
        found.append(gradients.backward(torch.ones(2)))
    assert found[1].isfinite().all()
    assert (found[1] - found[0]).norm() <= 0.5 * found[0].norm()  # rounding is 0.3 of it for 1×1, garbage 1e13
