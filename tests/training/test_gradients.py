"""Gradients of a shard in two halves; the captured ones need a GPU."""

import copy

import pytest
import torch
from conftest import COLOR_VLAE, VLAE, binary_images, color_images

from pipeline import build_model
from pipeline.models.layers import initialize
from pipeline.training.gradients import CapturedGradients, Gradients, gradients_of

SHAPE = (1, 8, 8)


def test_they_are_those_of_the_priced_means_at_this_noise():
    model = build_model(VLAE, SHAPE)
    initialize(model, binary_images(16, SHAPE), torch.Generator().manual_seed(0))
    x, prices = binary_images(4, SHAPE, 1), torch.tensor([0.5, 0.25])
    compute = gradients_of(model, False)
    compute.forward(x, 6)
    compute.backward(prices)  # leaves nothing behind
    means = compute.forward(x, 7)
    found = compute.backward(prices)
    parts = model.parts(x, torch.Generator().manual_seed(7))
    loss = (0.5 * parts["reconstruction"] + 0.25 * parts["kl"]).mean()
    right = torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(model.parameters()))])
    assert torch.allclose(found, right, atol=1e-5)
    assert means.tolist() == pytest.approx([parts["reconstruction"].mean().item(), parts["kl"].mean().item()])
    assert all(parameter.grad is None for parameter in model.parameters())


def test_where_no_graph_can_be_captured_training_goes_on_without(caplog, monkeypatch):
    model, tried = build_model(COLOR_VLAE, (3, 8, 8)), []
    initialize(model, color_images(16, (3, 8, 8)), torch.Generator().manual_seed(0))

    def fail(*_):
        tried.append(1)
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(CapturedGradients, "_capture", fail)
    x, prices, results = color_images(4, (3, 8, 8), 1), torch.tensor([0.5, 0.25]), []
    captured = CapturedGradients(model, True)
    for compute in (Gradients(model, True), captured, captured):
        results.append((compute.forward(x, 7), compute.backward(prices)))
    assert all(torch.equal(a, b) for others in results[1:] for a, b in zip(results[0], others, strict=True))
    assert tried == [1]
    assert caplog.messages == [
        "training goes on without a CUDA graph: operation not permitted when stream is capturing"
    ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize(
    ("block", "images", "shape"), [(VLAE, binary_images, SHAPE), (COLOR_VLAE, color_images, (3, 8, 8))]
)
def test_captured_gradients_are_the_same_at_every_replay(block, images, shape, bfloat16):
    model = build_model(block, shape)
    initialize(model, images(16, shape), torch.Generator().manual_seed(0))
    model = model.cuda()
    eager = Gradients(copy.deepcopy(model), bfloat16)
    captured = CapturedGradients(model, bfloat16)
    for seed, price in ((7, 0.25), (8, 1.0), (7, 0.25)):
        x, prices = images(4, shape, seed).cuda(), torch.tensor([0.5, price], device="cuda")
        means = [compute.forward(x, seed) for compute in (eager, captured)]
        assert torch.allclose(*means, rtol=0.02 if bfloat16 else 1e-4)
        a, b = (compute.backward(prices) for compute in (eager, captured))
        sizes = [parameter.numel() for parameter in eager.parameters]
        for one, other in zip(a.split(sizes), b.split(sizes), strict=True):
            assert torch.allclose(one, other, atol=(0.05 if bfloat16 else 1e-3) * (1e-3 + one.abs().max().item()))
        for compute in (eager, captured):  # the next replay has to see other weights
            for parameter, part in zip(compute.parameters, a.split(sizes), strict=True):
                parameter.data.sub_(0.1 * part.view_as(parameter).sign())
    assert captured.graphs is not None
