"""Annealed importance sampling: bounds on both sides of a log p(x) that is known."""

from __future__ import annotations

import math

import pytest
import torch
from conftest import VAE, VLAE
from torch import Tensor, nn

from pipeline import build_model
from pipeline.evaluation.ais import FIRST_STEP, Place, Schedule, Visit, anneal, bounds, move, simulate
from pipeline.models.vlae import LatentVariableModel

SHAPE = (1, 6, 6)
SCHEDULE = Schedule(temperatures=40, leapfrogs=3, chains=16)


def model_of(block: dict, spread: float) -> LatentVariableModel:
    """With two latent dimensions on which images depend, and a posterior that is off."""
    model = build_model(block | {"latent_dim": 2}, SHAPE).requires_grad_(False)
    assert isinstance(model, LatentVariableModel)
    generator = model.decoder.generator.input
    assert isinstance(generator, nn.Sequential)
    for layer in (generator[0], generator[2]):
        layer.gain.mul_(spread)
    return model


def by_quadrature(model: LatentVariableModel, x: Tensor) -> Tensor:
    """log p(x) of each image, ∫ p(x, z) dz over a grid of z."""
    axis = torch.linspace(-6, 6, 41)
    grid = torch.cartesian_prod(axis, axis)
    joint = [
        model.decoder.log_prob(one.expand(len(grid), *one.shape), grid) + model.prior.log_prob_terms(grid).sum(1)
        for one in x
    ]
    return torch.stack(joint).double().logsumexp(1) + 2 * math.log(0.3)


@pytest.mark.parametrize("block", [VAE, VLAE], ids=["vae", "vlae"])
def test_the_bounds_meet_at_log_p(block, rng):
    model = model_of(block, 1.5)
    z, x = simulate(model, 12, rng)
    exact = by_quadrature(model, x)
    for error in (bound - exact for bound in bounds(model, x, z, SCHEDULE, rng)):
        assert error.std() < 0.4
        assert error.mean().abs() < 0.02 + 3 * error.std() / 12**0.5


def test_with_one_step_log_p_lies_between_the_bounds(rng):
    model = model_of(VAE, 2.0)
    z, x = simulate(model, 60, rng)
    exact = by_quadrature(model, x)
    lower, upper = bounds(model, x, z, Schedule(1, 1, 1), rng)
    for above in (exact - lower, upper - exact):
        assert above.mean() > 3 * above.std() / 60**0.5


def gaussian(precision: float) -> tuple[Visit, float]:
    """log w of N(0, 1 / (1 + precision)), not normalized, beside N(0, 1); and the logarithm of its integral."""

    def visit(noise: Tensor) -> Place:
        return Place(noise, -0.5 * precision * noise.square().sum(1), -precision * noise)

    return visit, -0.5 * math.log(1 + precision)


def test_the_integral_of_a_gaussian_is_found_from_below_and_from_above(rng):
    visit, exact = gaussian(20.0)
    schedule, sizes = Schedule(100, 2, 1), torch.full((101, 1), 0.4)
    up = anneal(visit, torch.randn(4000, 1, generator=rng), schedule.rising(), sizes, 2, rng)
    drawn = torch.randn(4000, 1, generator=rng) / 21**0.5
    down = anneal(visit, drawn, schedule.rising().flip(0), sizes, 2, rng)
    assert up.logsumexp(0) - math.log(4000) == pytest.approx(exact, abs=0.01)
    assert math.log(4000) - down.logsumexp(0) == pytest.approx(exact, abs=0.01)
    assert up.mean() < exact < -down.mean()


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_a_move_leaves_its_density_as_it_is(temperature, rng):
    visit, _ = gaussian(8.0)
    deviation = (1 + 8 * temperature) ** -0.5
    place = visit(deviation * torch.randn(20_000, 1, generator=rng))
    accepted = torch.ones(())
    for _ in range(5):
        place, accepted = move(visit, place, temperature, torch.full((1,), 1.5 * deviation), 2, rng)
    assert 0.3 < accepted.mean() < 0.95  # so that it is seen if refusing goes wrong
    assert place.noise.std().item() == pytest.approx(deviation, rel=0.02)


def test_the_pilot_finds_step_sizes_at_which_most_moves_are_accepted(rng):
    visit, _ = gaussian(100.0)
    sizes = torch.full((301, 1), FIRST_STEP)
    rising = Schedule(300, 3, 1).rising()
    anneal(visit, torch.randn(50, 1, generator=rng), rising, sizes, 3, rng, adapt=True)
    assert sizes[-1] < sizes[10]
    _, accepted = move(visit, visit(torch.randn(5000, 1, generator=rng) / 101**0.5), 1.0, sizes[-1], 3, rng)
    assert accepted.mean().item() == pytest.approx(0.8, abs=0.12)


def test_an_iaf_posterior_is_refused(rng):
    model = build_model(VAE | {"posterior": "iaf"}, SHAPE)
    with pytest.raises(ValueError, match="Gaussian posterior"):
        bounds(model, torch.zeros(1, *SHAPE), torch.zeros(1, 3), SCHEDULE, rng)
