"""What the latent z carries: which of its units answer to the image, and how many nats it tells about it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

ACTIVE = 0.01
"""A unit is active above this variance (Burda et al. 2016). It is in the units of z², which a N(0, I) prior fixes and a
learned prior leaves open."""
CODES_AT_ONCE = 500
"""Rows of the (N, N) matrix of densities held in memory: 40 MB for 10,000 images."""


def activity(draws: Tensor) -> Tensor:
    """A_d = Var_x(E_q[z_d|x]) (D,) from `draws` (M, N, D): M ≥ 2 independent draws z ~ q(z|x) of each of N ≥ 2 images.

    The variance over images of the means of M draws, less what the draws' own noise adds to it: variance within an
    image / M. So it is unbiased for any posterior one can draw from, and may fall slightly below 0. For a unit that
    ignores the image and has variance σ² its standard error is about σ²/M · √(2/N): take M so that this is well below
    `ACTIVE`. Burda, Grosse, Salakhutdinov 2016, Importance Weighted Autoencoders, "Latent space representation".
    ValueError if M or N is below 2, where a variance is undefined.
    """
    if draws.ndim != 3 or min(draws.shape[:2]) < 2:
        raise ValueError(f"draws are {tuple(draws.shape)}, not (M, N, D) with M and N at least 2")
    draws = draws.double()
    between, within = draws.mean(0).var(0), draws.var(0).mean(0)
    return between - within / len(draws)


def active_units(draws: Tensor) -> int:
    """How many of the D units of `draws` (M, N, D) have an `activity` above `ACTIVE`."""
    return int((activity(draws) > ACTIVE).sum())


def mutual_information_bound(z: Tensor, mean: Tensor, log_scale: Tensor) -> float:
    """Mean over n of log q(z_n|x_n) − log 1/N Σ_j q(z_n|x_j), in nats: a lower bound on I_q(x; z) in expectation.

    `z` (N, D) holds one draw z_n ~ q(z|x_n) = N(mean_n, diag exp(log_scale_n)²) an image; j runs over all N.

    Given the N images, this is an unbiased estimate of what z tells about *which of the N* it came from. That is at
    most log N, as is every term of the estimate. If the images are independent draws from the data distribution, its
    expectation over them is at most I_q(x; z) = H[q(z)] − H[q(z|x)], because entropy is concave and q(z) is the
    expectation of 1/N Σ_j q(z|x_j). The same follows from InfoNCE (van den Oord et al. 2018; Poole et al. 2019) with
    log q(z|x) as the critic. With the mean over the other N − 1 images alone it would be an upper bound (ibid.).
    E KL(q(z|x) ‖ p(z)) is an upper bound for every prior: it is I_q(x; z) + KL(q(z) ‖ p(z)).

    One set of draws may give a value above I_q, or below 0, by chance. Near log N it says only that z tells the N
    images apart. ValueError if the three shapes differ or are not (N, D).
    """
    if z.ndim != 2 or not z.shape == mean.shape == log_scale.shape:
        shapes = ", ".join(str(tuple(part.shape)) for part in (z, mean, log_scale))
        raise ValueError(f"z, mean and log_scale are {shapes}, not the same (N, D)")
    centre = mean.double().mean(0)  # a shift changes no density ratio, and a large one would cost digits in the squares
    z, mean, log_scale = z.double() - centre, mean.double() - centre, log_scale.double()
    total = 0.0
    for start in range(0, len(z), CODES_AT_ONCE):
        log_q = _log_densities(z[start : start + CODES_AT_ONCE], mean, log_scale)
        # both from the same matrix, so that rounding cannot lift a term above log N
        total += float((log_q.diagonal(start) - log_q.logsumexp(1)).sum())
    return total / len(z) + math.log(len(z))


def _log_densities(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log N(z_i; mean_j, scale_j²) (B, N) of `z` (B, D) under each of N Gaussians, but for the constant D/2 log 2π.

    (z − μ)² / σ² = z² / σ² − 2 z μ / σ² + μ² / σ² makes it one matrix product, without an array of B·N·D.
    """
    precision = (-2 * log_scale).exp()
    weights = torch.cat([-precision / 2, mean * precision], 1)
    bias = -(mean.square() * precision / 2 + log_scale).sum(1)
    return torch.cat([z.square(), z], 1) @ weights.T + bias
