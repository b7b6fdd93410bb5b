"""Adamax and the Polyak average: against direct computations, and the compiled pass against torch's calls."""

import copy

import pytest
import torch

from pipeline.training import updates
from pipeline.training.updates import Updates

needs_compiler = pytest.mark.skipif(updates.one_pass.library is None, reason="no C++ compiler")


def network(dtype=torch.float32):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)).to(dtype)
    layers.register_parameter("unused", torch.nn.Parameter(torch.ones(2, dtype=dtype)))
    return layers


def go_on(update):
    """A step of least squares, with a gradient in column-major order."""
    generator = torch.Generator().manual_seed(int(update.average.n_averaged))
    x = torch.randn(4, 7, generator=generator).to(update.model[0].weight.dtype)
    update.model.zero_grad()
    update.model(x).square().sum().backward()
    update.model[0].weight.grad = update.model[0].weight.grad.t().contiguous().t()
    update(0.01)


def flat(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


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
    passes = []
    monkeypatch.setattr(Updates, "_in_one_pass", lambda self, run=Updates._in_one_pass: passes.append(run(self)))
    ours, theirs = Updates(network(), 0.9), Updates(network(), 0.9)
    theirs.compiled = False
    for _ in range(20):
        go_on(ours)
        go_on(theirs)
    assert len(passes) == 19
    assert (flat(theirs.model) - flat(network())).abs().max() > 0.1
    assert torch.allclose(flat(ours.model), flat(theirs.model), rtol=1e-5, atol=1e-6)
    assert torch.allclose(flat(ours.average), flat(theirs.average), rtol=1e-5, atol=1e-6)
    assert ours.average.n_averaged == theirs.average.n_averaged
    for weights, same in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        for name, value in theirs.optimizer.state[same].items():
            assert torch.allclose(ours.optimizer.state[weights][name], value, rtol=1e-5, atol=1e-6)


@needs_compiler
def test_what_torch_has_begun_goes_on_in_one_pass():
    ours, theirs = Updates(network(), 0.9), Updates(network(), 0.9)
    theirs.compiled = False
    for _ in range(5):
        go_on(theirs)
    for part in ("model", "optimizer", "average"):
        getattr(ours, part).load_state_dict(copy.deepcopy(getattr(theirs, part).state_dict()))
    for _ in range(5):
        go_on(ours)
        go_on(theirs)
    assert torch.allclose(flat(ours.average), flat(theirs.average), rtol=1e-5, atol=1e-6)
