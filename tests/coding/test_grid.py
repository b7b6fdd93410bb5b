"""z on a grid: every step can be taken back exactly, and costs what its density says."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from pipeline.coding.grid import CELLS, NEAR, WIDTH, Normals, from_noise, pop_noise, push_noise, to_noise, value
from pipeline.coding.stack import PARTS, Stack, random_words
from pipeline.models.flows import MADE, AutoregressiveFlow, ConvMADE


def flow(maps, spread, context=0):
    steps = [ConvMADE((2, 1, 3), (9,), context) if maps else MADE(6, (20, 20), context) for _ in range(3)]
    made = AutoregressiveFlow(steps)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(spread * torch.randn(parameter.shape))
    return made


@pytest.mark.parametrize("spread", [0.5, 1e3, 1e30, float("inf")])
@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize("context", [0, 4])
def test_a_flow_is_a_bijection_of_the_grid_whatever_its_weights(maps, spread, context):
    made = flow(maps, spread, context)
    seen = None if not context else torch.randn(50, context, *((1, 3) if maps else ()))
    z = torch.randint(-CELLS // 2, CELLS // 2, (50, 6))
    noise = to_noise(made, z, seen)
    assert noise.min() >= -CELLS // 2
    assert noise.max() < CELLS // 2
    assert torch.equal(from_noise(made, noise, seen), z)
    assert torch.equal(to_noise(made, from_noise(made, z, seen), seen), z)


@torch.no_grad()
@pytest.mark.parametrize("maps", [False, True])
def test_a_flow_on_the_grid_is_the_flow_up_to_rounding(maps):
    made, z = flow(maps, 0.3), torch.randint(-200, 200, (50, 6))
    assert torch.allclose(value(to_noise(made, z)), made.inverse(value(z)), atol=60 * WIDTH)


@pytest.mark.parametrize("far", [1, 100, CELLS // NEAR])
def test_noise_comes_back_however_far_out_it_is(far):
    noise = (far * 128 * torch.randn(20, 6)).round().clamp(-CELLS // 2, CELLS // 2 - 1).long()
    noise[0, 0], noise[0, 1] = -CELLS // 2, CELLS // 2 - 1
    held = Stack(random_words(0))
    words = held.words
    push_noise(held, noise)
    assert torch.equal(pop_noise(held, *noise.shape), noise)
    assert np.array_equal(held.words, words)


def test_noise_costs_its_density():
    noise = (torch.randn(5000, 2) / WIDTH).round().long()
    held = Stack(random_words(0))
    before = held.bits
    push_noise(held, noise)
    expected = -norm.logpdf(noise.numpy() * WIDTH).sum() / np.log(2) - noise.numel() * np.log2(WIDTH)
    assert held.bits - before == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("log_scale", [-9.0, -4.0, 0.0, 2.0, 9.0, float("nan")])
@pytest.mark.parametrize("mean", [0.0, 0.3, -41.2, 255.99, 1e9, float("inf"), float("nan")])
def test_every_part_of_a_posterior_has_its_cell(mean, log_scale):
    normals = Normals(torch.full((64,), mean), torch.full((64,), log_scale))
    parts = np.concatenate([[0, 1, PARTS - 2, PARTS - 1], np.random.RandomState(0).randint(0, PARTS, 60)])
    cells, starts, sizes = normals.find(parts)
    assert ((starts <= parts) & (parts < starts + sizes)).all()
    assert all(map(np.array_equal, normals.interval(cells), (starts, sizes)))
    assert np.abs(cells + 0.5).max() <= CELLS / 2


def test_a_posterior_has_the_mass_of_its_density():
    mean, scale = 0.377, 0.1
    cells = np.arange(-200, 200)
    one = torch.full((len(cells),), mean), torch.full((len(cells),), np.log(scale))
    _, sizes = Normals(*one).interval(cells)
    assert sizes.sum() == PARTS
    assert np.allclose(sizes / PARTS, norm.pdf(cells * WIDTH, mean, scale) * WIDTH, atol=1e-4)
