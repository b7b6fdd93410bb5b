"""Gradients of a batch; the captured ones need a GPU."""

import copy

import pytest
import torch
from conftest import COLOR_VLAE, VLAE, binary_images, color_images

from pipeline import build_model
from pipeline.models.layers import initialize
from pipeline.training.gradients import CapturedGradients, Gradients, gradients_of
from pipeline.training.objectives import Objective

SHAPE = (1, 8, 8)
OBJECTIVE = Objective("soft_free_bits", 3.0)


def test_they_are_those_of_the_objective_at_this_noise():
    model = build_model(VLAE, SHAPE)
    initialize(model, binary_images(16, SHAPE), torch.Generator().manual_seed(0))
    x = binary_images(4, SHAPE, 1)
    compute = gradients_of(model, OBJECTIVE, False)
    compute(x, 6, 1.0)  # leaves nothing behind
    means = compute(x, 7, 0.25)
    found = [parameter.grad.clone() for parameter in model.parameters()]
    parts = model.loss(x, torch.Generator().manual_seed(7))
    loss = (parts["reconstruction"] + 0.25 * parts["kl"]).mean()
    right = torch.autograd.grad(loss, list(model.parameters()))
    assert all(torch.allclose(*both, atol=1e-5) for both in zip(found, right, strict=True))
    assert means.tolist() == pytest.approx([parts["reconstruction"].mean().item(), parts["kl"].mean().item()])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize(
    ("block", "images", "shape"), [(VLAE, binary_images, SHAPE), (COLOR_VLAE, color_images, (3, 8, 8))]
)
def test_captured_gradients_are_the_same_at_every_replay(block, images, shape, bfloat16):
    model = build_model(block, shape)
    initialize(model, images(16, shape), torch.Generator().manual_seed(0))
    model = model.cuda()
    eager = Gradients(copy.deepcopy(model), OBJECTIVE, bfloat16)
    captured = CapturedGradients(model, OBJECTIVE, bfloat16)
    for seed, weight in ((7, 0.25), (8, 1.0), (7, 0.25)):
        x = images(4, shape, seed).cuda()
        assert torch.allclose(eager(x, seed, weight), captured(x, seed, weight), rtol=0.02 if bfloat16 else 1e-4)
        for a, b in zip(eager.model.parameters(), captured.model.parameters(), strict=True):
            tolerance = (0.05 if bfloat16 else 1e-3) * (1e-3 + a.grad.abs().max().item())
            assert torch.allclose(a.grad, b.grad, atol=tolerance)
            for parameter in (a, b):  # the next replay has to see other weights
                parameter.data.sub_(0.1 * a.grad.sign())
    assert captured.graph is not None
