"""log p(x) from both sides: annealed importance sampling, and its reverse on images that the model itself has drawn.

Neal, 2001, physics/9803008; Grosse et al., 2015, arXiv:1511.02543 (bidirectional Monte Carlo); Wu et al., 2017,
arXiv:1611.04273. All in the noise ε of the Gaussian posterior, z = μ(x) + σ(x) ε, where the densities between are

    f_t(ε) = N(ε; 0, I) w(ε)^t,    w = p(x, z) / q(z|x),    t from 0 (the posterior) to 1 (ε given x)

and whose integral at t = 1 is p(x). From draws of f_0 up to 1 the mean weight of the chains estimates p(x), so that its
logarithm is a lower bound in expectation, as K draws of q give without the steps between. From draws of f_1 down to 0
it estimates 1 / p(x), which bounds log p(x) from above. Only of an image x ~ p(x|z) is there a draw of f_1: that z.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.models.pixelcnn import repeat
from pipeline.models.vlae import LatentVariableModel, standard_normal_terms

ACCEPTED = 0.8
"""The share of moves that the step sizes aim at."""
FIRST_STEP, ADAPTATION = 0.5, 0.3
"""Step size of the pilot at the start, and by how much (of its logarithm) a wholly refused or accepted move tells."""


class Place(NamedTuple):
    """Of each chain ε (N, D), log w(ε) (N,) in nats and its gradient (N, D)."""

    noise: Tensor
    log_weight: Tensor
    slope: Tensor


Visit = Callable[[Tensor], Place]


class Schedule(NamedTuple):
    """How long to anneal: so many `temperatures`, at each a move of so many `leapfrogs`, and `chains` an image."""

    temperatures: int
    leapfrogs: int
    chains: int

    def rising(self) -> Tensor:
        """(temperatures + 1,) from 0 to 1, denser at both ends (Grosse et al., 2015, have a sigmoid)."""
        sigmoid = torch.linspace(-3, 3, self.temperatures + 1).sigmoid()
        return (sigmoid - sigmoid[0]) / (sigmoid[-1] - sigmoid[0])


def simulate(model: LatentVariableModel, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """z ~ p(z), x ~ p(x|z): (count, D) and (count, C, H, W)."""
    with torch.no_grad():
        z = model.prior.transform(torch.randn(count, model.latent_dim, generator=rng))
        return z, model.drawn_given(z, model.uniforms(count, rng))


def bounds(
    model: LatentVariableModel, x: Tensor, z: Tensor, schedule: Schedule, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A lower and an upper bound of log p(x), (B,) nats, of images (B, C, H, W) and the z (B, D) they were drawn from.

    The step sizes, of each image at each temperature, come from a pilot, of which nothing else is kept: a chain must
    not choose its own. ValueError if the posterior is not Gaussian.
    """
    if model.posterior.flow is not None:
        raise ValueError("annealed importance sampling is written for a Gaussian posterior")
    with torch.no_grad():
        mean, log_scale, _ = model.posterior.encode(x)
    visit = log_weight_of(model, x, mean, log_scale)
    rows, rising = schedule.chains * len(x), schedule.rising()
    sizes = torch.full((len(rising), len(x)), FIRST_STEP)
    anneal(visit, torch.randn(len(x), z.shape[1], generator=rng), rising, sizes, schedule.leapfrogs, rng, adapt=True)
    start = torch.randn(rows, z.shape[1], generator=rng)
    up = anneal(visit, start, rising, sizes, schedule.leapfrogs, rng)
    drawn = repeat((z - mean) / log_scale.exp(), rows)
    down = anneal(visit, drawn, rising.flip(0), sizes.flip(0), schedule.leapfrogs, rng)
    return _log_mean(up, len(x)), -_log_mean(down, len(x))


def log_weight_of(model: LatentVariableModel, x: Tensor, mean: Tensor, log_scale: Tensor) -> Visit:
    """log w and its gradient as a function of ε (k·B, D), for which x (B, C, H, W) starts over."""

    def visit(noise: Tensor) -> Place:
        noise = noise.detach().requires_grad_()
        z = repeat(mean, len(noise)) + repeat(log_scale.exp(), len(noise)) * noise
        log_q = standard_normal_terms(noise) - repeat(log_scale, len(noise))
        log_weight = model.decoder.log_prob(repeat(x, len(noise)), z) + (model.prior.log_prob_terms(z) - log_q).sum(-1)
        (slope,) = torch.autograd.grad(log_weight.sum(), noise)
        return Place(noise.detach(), log_weight.detach(), slope)

    return visit


def anneal(
    visit: Visit,
    noise: Tensor,
    temperatures: Tensor,
    sizes: Tensor,
    leapfrogs: int,
    rng: torch.Generator,
    adapt: bool = False,
) -> Tensor:
    """Log weights (k·B,) in nats of chains that start at `noise` (k·B, D), drawn at the first of `temperatures` (T,).

    Up or down; `sizes` (T, B) are the leapfrogs' step sizes, which `adapt` overwrites as it goes.
    """
    place = visit(noise)
    total = torch.zeros(len(noise), dtype=torch.float64)
    for i in range(1, len(temperatures)):
        total += (temperatures[i] - temperatures[i - 1]) * place.log_weight.double()
        if adapt:
            sizes[i] = sizes[i - 1]
        place, accepted = move(visit, place, float(temperatures[i]), sizes[i], leapfrogs, rng)
        if adapt:
            sizes[i] *= ((accepted.view(-1, sizes.shape[1]).mean(0) - ACCEPTED) * ADAPTATION).exp()
    return total


def move(
    visit: Visit, place: Place, temperature: float, sizes: Tensor, leapfrogs: int, rng: torch.Generator
) -> tuple[Place, Tensor]:
    """A step of Hamiltonian Monte Carlo (Neal, 2011), leaving f_t as it is, and how probable each move was (N,)."""
    count = len(place.noise)
    jitter = 0.75 + 0.5 * torch.rand(count, generator=rng)  # a fixed length could come back to where it started
    size = (repeat(sizes, count) * jitter)[:, None]
    momentum = torch.randn(place.noise.shape, generator=rng)
    before = _log_density(place, temperature) - 0.5 * momentum.square().sum(-1)
    there = place
    momentum = momentum + 0.5 * size * _force(there, temperature)
    for i in range(leapfrogs):
        there = visit(there.noise + size * momentum)
        momentum = momentum + (0.5 if i == leapfrogs - 1 else 1.0) * size * _force(there, temperature)
    after = _log_density(there, temperature) - 0.5 * momentum.square().sum(-1)
    probability = (after - before).clamp_max(0.0).exp().nan_to_num(0.0)
    moved = torch.rand(count, generator=rng) < probability
    chosen = (torch.where(moved.view(-1, *[1] * (a.dim() - 1)), b, a) for a, b in zip(place, there, strict=True))
    return Place(*chosen), probability


def _log_density(place: Place, temperature: float) -> Tensor:
    return standard_normal_terms(place.noise).sum(-1) + temperature * place.log_weight


def _force(place: Place, temperature: float) -> Tensor:
    return temperature * place.slope - place.noise


def _log_mean(log_weights: Tensor, images: int) -> Tensor:
    """Over the chains of each image: (k·B,) to (B,)."""
    chains = log_weights.view(-1, images)
    return chains.logsumexp(0) - math.log(len(chains))
