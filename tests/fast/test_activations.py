"""Sums, gates and ELUs in one pass against the operations one by one, and when they are not to be used."""

import copy
import itertools
import shutil

import pytest
import torch
import torch.nn.functional as F
from conftest import COLOR_VLAE, color_images

from pipeline import build_model
from pipeline.fast import accelerate
from pipeline.fast.activations import activated, elu_of_sum, takes
from pipeline.models.layers import concat_elu, initialize

there = any(map(shutil.which, ("c++", "g++", "clang++")))
pytestmark = pytest.mark.skipif(not there, reason="no C++ compiler")
CHANNELS = [1, 4, 16, 17, 33]
CASES = list(itertools.product([torch.float32, torch.bfloat16], CHANNELS, [False, True], [1, 3]))
PARTS = [("posterior", "layers"), ("decoder", "generator", "layers"), ("decoder", "network")]


def some(channels, dtype, scale=1.5):
    """Values of which some are 0, where ELU bends, and some so low that its exponential vanishes."""
    values = scale * torch.randn(3, channels, 2, 5)
    values[0, 0, 0, :3] = torch.tensor([0.0, -100.0, 100.0])
    return values.to(dtype).requires_grad_()


def one_by_one(inputs, gate, both):
    h = sum(values.double() for values in inputs)
    if gate is not None:
        a, b = gate.double().chunk(2, 1)
        h = h + a * b.sigmoid()
    return h, concat_elu(h) if both else F.elu(h)


@pytest.mark.parametrize(("dtype", "channels", "gated", "count"), CASES)
@pytest.mark.parametrize("both", [True, False])
def test_values_and_gradients_are_those_of_the_operations_one_by_one(dtype, channels, gated, count, both):
    torch.set_num_threads(count)
    inputs = [some(channels, dtype) for _ in range(count)]
    gate = some(2 * channels, dtype) if gated else None
    wanted = [*inputs, gate] if gated else inputs
    expected, found = one_by_one(inputs, gate, both), activated(*inputs, gate=gate, both=both)
    outer = [torch.randn(values.shape).to(dtype) for values in expected]
    expected += torch.autograd.grad(expected, wanted, [values.double() for values in outer])
    found += torch.autograd.grad(found, wanted, outer)
    tolerance = 2e-5 if dtype == torch.float32 else 0.03
    for right, ours in zip(expected, found, strict=True):
        assert ours.dtype == dtype
        assert torch.allclose(ours.double(), right.double(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_right_where_only_one_of_the_results_is_used(dtype):
    x = some(4, dtype)
    h, out = activated(x)
    assert torch.equal(torch.autograd.grad(h.sum(), x)[0], torch.ones_like(x))
    expected = torch.autograd.grad(concat_elu(x.float()).sum(), x)[0]
    for result in (activated(x).out, elu_of_sum(x)):
        assert torch.allclose(torch.autograd.grad(result.sum(), x)[0], expected, atol=0.02)
    assert torch.equal(out, elu_of_sum(x))


@pytest.mark.parametrize("bits", [0x7FC0, -0x40, 0x7FFF, -1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_not_a_number_stays_none(dtype, bits):
    x = torch.full((1, 3, 1, 1), bits, dtype=torch.int16).view(torch.bfloat16).to(dtype)
    assert all(values.isnan().all() for values in activated(x, gate=torch.cat([x, x], 1)))


def test_shapes_that_do_not_belong_together_are_refused():
    x = torch.zeros(2, 3, 4, 4)
    for inputs, gate in (((x, x[:1]), None), ((x,), x), ((x, x[..., :3]), None)):
        with pytest.raises(ValueError, match="must be alike"):
            activated(*inputs, gate=gate)


@pytest.mark.parametrize("network", ["resnet", "densenet"])
def test_in_bfloat16_a_model_is_about_as_far_from_float32_as_its_definition(network):
    block = COLOR_VLAE | {"network": network, "context": "7x4", "filters": 16}
    definition, x = build_model(block, (3, 8, 8)), color_images(32, (3, 8, 8))
    initialize(definition, x, torch.Generator().manual_seed(0))
    fast = accelerate(copy.deepcopy(definition))
    exact, slow, ours = (gradients(*of, x) for of in ((definition, False), (definition, True), (fast, True)))
    assert 0 < (ours - exact).norm() < 1.25 * (slow - exact).norm()


def gradients(model, bfloat16, x):
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        parts = model.loss(x, torch.Generator().manual_seed(1))
    loss = sum(parts.values()).mean()
    return torch.cat([values.flatten() for values in torch.autograd.grad(loss, list(model.parameters()))])


@pytest.mark.parametrize("path", PARTS)
def test_it_is_used_unless_a_hook_has_to_see_a_layer(path, monkeypatch):
    model = accelerate(build_model(COLOR_VLAE, (3, 8, 8)))
    part = model
    for name in path:
        part = getattr(part, name)
    assert takes(part)
    calls = []
    monkeypatch.setattr("pipeline.fast.color.elu_of_sum", lambda *a, **k: calls.append(1) or elu_of_sum(*a, **k))
    model.loss(color_images(2, (3, 8, 8)))
    assert calls
    part.register_forward_hook(lambda *_: None)
    assert not takes(part)
