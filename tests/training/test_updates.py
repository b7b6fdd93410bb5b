"""Adamax and the Polyak average: against torch's, direct computations, and the compiled pass."""

import copy

import pytest
import torch

from pipeline.training import updates
from pipeline.training.updates import Updates

needs_compiler = pytest.mark.skipif(updates.one_pass.function is None, reason="no C++ compiler")
LATE = 4
"""The update at which a parameter has its first gradient."""


def network(dtype=torch.float32):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)).to(dtype)
    layers.register_parameter("unused", torch.nn.Parameter(torch.ones(2, dtype=dtype)))
    layers.register_parameter("late", torch.nn.Parameter(torch.ones(3, dtype=dtype)))
    return layers


def fill_gradients(model, step):
    """Of least squares, one in column-major order; `late` has none at first, nor at every third step."""
    x = torch.randn(4, 7, generator=torch.Generator().manual_seed(step)).to(model[0].weight.dtype)
    model.zero_grad()
    scale = model.late if step >= LATE and step % 3 else model.late.detach()
    (scale * model(x)).square().sum().backward()
    model[0].weight.grad = model[0].weight.grad.t().contiguous().t()


def go_on(update):
    fill_gradients(update.model, update.count + 1)
    update(0.01)


def flat(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def test_adamax_is_torchs_to_the_last_bit():
    update, model = Updates(network(), 0.9), network()
    update.compiled = False
    theirs = torch.optim.Adamax(model.parameters())
    for step in range(1, 101):
        rate = 0.02 / step
        fill_gradients(update.model, step)
        fill_gradients(model, step)
        update(rate)
        theirs.param_groups[0]["lr"] = rate
        theirs.step()
        assert torch.equal(flat(update.model), flat(model)), step
    assert {one.steps for one in update.moments} == {0, 65, 100}


def test_average_is_the_recursion_written_out():
    update = Updates(network(torch.float64), 0.6)
    expected = flat(update.model)
    assert torch.equal(flat(update.average), expected)
    for t in range(1, 40):
        go_on(update)
        decay = min(0.6, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * flat(update.model)
        assert torch.allclose(flat(update.average), expected, atol=1e-7)
    assert (1 + 39) / (10 + 39) > 0.6  # the constant rate of the paper was reached


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_one_pass_is_the_same_update(threads, monkeypatch):
    torch.set_num_threads(threads)
    passes, run = [], updates._in_one_pass
    monkeypatch.setattr(updates, "_in_one_pass", lambda *arguments: passes.append(run(*arguments)))
    ours, theirs = Updates(network(), 0.9), Updates(network(), 0.9)
    theirs.compiled = False
    for _ in range(20):
        go_on(ours)
        go_on(theirs)
    assert len(passes) == 20
    assert (flat(theirs.model) - flat(network())).abs().max() > 0.1
    assert torch.allclose(flat(ours.model), flat(theirs.model), rtol=1e-5, atol=1e-6)
    assert torch.allclose(flat(ours.average), flat(theirs.average), rtol=1e-5, atol=1e-6)
    for one, same in zip(ours.moments, theirs.moments, strict=True):
        assert one.steps == same.steps
        assert torch.allclose(one.mean, same.mean, rtol=1e-5, atol=1e-6)
        assert torch.allclose(one.maximum, same.maximum, rtol=1e-5, atol=1e-6)


def test_what_is_saved_goes_on_to_the_same_bits():
    whole, pieces = Updates(network(), 0.9), Updates(network(), 0.9)
    for _ in range(5):
        go_on(whole)
    pieces.model.load_state_dict(whole.model.state_dict())
    pieces.load_state_dict(copy.deepcopy(whole.state_dict()))
    for _ in range(5):
        go_on(whole)
        go_on(pieces)
    assert torch.equal(flat(pieces.model), flat(whole.model))
    assert torch.equal(flat(pieces.average), flat(whole.average))


def test_nothing_moves_without_a_gradient():
    update = Updates(network(), 0.9)
    update(0.01)
    assert torch.equal(flat(update.model), flat(network()))
