"""Muon: against the singular value decomposition that its iteration stands for, and one matrix at a time."""

import pytest
import torch

from pipeline.training.muon import MOMENTUM, SIZE, move_kernels, orthogonal
from pipeline.training.updates import Updates


def matrices(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(3, 4, 9), (2, 9, 4), (1, 1, 7), (2, 6, 6)])
def test_singular_values_end_near_one_and_their_vectors_stay(shape):
    x = matrices(*shape) * 10.0 ** torch.arange(shape[0]).view(-1, 1, 1)
    u, before, v = torch.linalg.svd(x, full_matrices=False)
    values = u.mT @ orthogonal(x) @ v.mT
    diagonal = values.diagonal(dim1=1, dim2=2)
    small = before < 0.05 * before.norm(dim=1, keepdim=True)  # five steps do not take these so far
    assert ((diagonal > 0.6) | small).all()
    assert small.float().mean() < 0.4
    assert ((diagonal > 0) & (diagonal < 1.25)).all()
    assert (values - torch.diag_embed(diagonal)).abs().max() < 1e-3


def test_a_gradient_of_zeros_moves_nothing():
    assert torch.equal(orthogonal(torch.zeros(2, 3, 5)), torch.zeros(2, 3, 5))


@pytest.mark.parametrize("size", [1e-10, 1e-20, 1e-24, 1e-36, 1e-42])
def test_a_gradient_that_fades_away_moves_by_finite_steps(size):
    move = orthogonal(size * matrices(2, 3, 5))
    assert move.isfinite().all()
    assert move.abs().max() < 1.25


def test_kernels_of_one_shape_move_as_each_alone():
    shapes = [(4, 3, 3, 3), (2, 4, 3, 3), (4, 3, 3, 3), (4, 27, 1, 1), (6, 2, 1, 1)]
    gradients = [matrices(*shape) + i for i, shape in enumerate(shapes)]
    weights, means = [matrices(*shape) for shape in shapes], [matrices(*shape) / 9 for shape in shapes]
    expected = []
    for weight, gradient, mean in zip(weights, gradients, means, strict=True):
        mean = MOMENTUM * mean + (1 - MOMENTUM) * gradient
        ahead = MOMENTUM * mean + (1 - MOMENTUM) * gradient
        rows, columns = len(ahead), ahead[0].numel()
        move = orthogonal(ahead.view(1, rows, columns)).view_as(weight)
        expected.append((weight - 0.1 * SIZE * max(rows, columns) ** 0.5 * move, mean))
    move_kernels(weights, gradients, means, 0.1)
    for weight, mean, (moved, followed) in zip(weights, means, expected, strict=True):
        assert torch.allclose(weight, moved, atol=1e-5)
        assert torch.allclose(mean, followed, atol=1e-6)


def test_a_move_is_of_the_size_that_the_learning_rate_tells():
    weight = torch.zeros(32, 16, 3, 3)
    move_kernels([weight], [1e-5 * matrices(32, 16, 3, 3)], [torch.zeros(32, 16, 3, 3)], 0.002)
    assert 0.7 < weight.square().mean().sqrt() / (0.002 * SIZE) < 1.2


@pytest.mark.parametrize("compiled", [True, False])
def test_muon_moves_the_kernels_of_the_autoregressive_network_and_adamax_the_rest(compiled):
    network = torch.nn.ModuleDict(
        {"encoder": torch.nn.Conv2d(1, 2, 3), "network": torch.nn.Conv2d(2, 3, 3), "decoder": torch.nn.Module()}
    )
    network["decoder"].network = torch.nn.ModuleList([torch.nn.Conv2d(3, 2, 1), torch.nn.Linear(4, 2)])
    updates = {name: Updates(network, 0.9, name) for name in ("adamax", "muon")}
    start = {key: value.clone() for key, value in network.state_dict().items()}
    ended = {}
    for name, update in updates.items():
        update.compiled = compiled
        network.load_state_dict(start)
        for parameter in network.parameters():
            parameter.grad = matrices(*parameter.shape)
        update(0.01)
        ended[name] = {key: value.clone() for key, value in network.state_dict().items()}
        average = update.average.state_dict()
        share = 1 - 2 / 11
        for key, value in ended[name].items():
            assert torch.allclose(average[key], torch.lerp(start[key], value, share), atol=1e-6), key
    same = {key: torch.allclose(ended["adamax"][key], ended["muon"][key]) for key in start}
    assert {name for name in same if not same[name]} == {"network.weight", "decoder.network.0.weight"}
