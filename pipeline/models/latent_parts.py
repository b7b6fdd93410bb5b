"""What can stand for p(z) and q(z|x): densities over the latent vector, in nats.

Densities come as a term for each dimension, so that the KL can be told by dimension.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.flows import AutoregressiveFlow
from pipeline.models.layers import Linear, residual, residual_down


def standard_normal_terms(z: Tensor) -> Tensor:
    """log N(z_d; 0, 1) of each dimension in nats: (B, D) to (B, D)."""
    return -0.5 * (z.square() + math.log(2 * math.pi))


class GaussianPrior(nn.Module):
    """p(z) = N(0, I)."""

    def log_prob_terms(self, z: Tensor) -> Tensor:
        """(B, D) to (B, D) nats, whose sum over D is log p(z)."""
        return standard_normal_terms(z)

    def transform(self, noise: Tensor) -> Tensor:
        """(B, D) standard normal noise to (B, D) draws from the prior."""
        return noise

    def noise(self, z: Tensor) -> Tensor:
        """(B, D) to (B, D): the inverse of `transform`."""
        return z


class AutoregressivePrior(nn.Module):
    """AF prior: z = f(ε), ε ~ N(0, I), log p(z) = log N(f⁻¹(z); 0, I) + log|det dε/dz| (section 3.2, equation 11).

    The determinant is 1, f being made of shifts.
    """

    def __init__(self, flow: AutoregressiveFlow) -> None:
        super().__init__()
        self.flow = flow

    def log_prob_terms(self, z: Tensor) -> Tensor:
        """(B, D) to (B, D) nats, whose sum over D is log p(z); term i is the density of the ε in z_i's place."""
        terms = standard_normal_terms(self.noise(z))
        return terms.flip(-1) if len(self.flow.shifts) % 2 else terms

    def transform(self, noise: Tensor) -> Tensor:
        """(B, D) standard normal noise to (B, D) draws from the prior."""
        return self.flow(noise)

    def noise(self, z: Tensor) -> Tensor:
        """(B, D) to (B, D): the inverse of `transform`."""
        return self.flow.inverse(z)


class Posterior(nn.Module):
    """q(z|x): a Gaussian N(μ(x), diag σ(x)²), whose draws an inverse autoregressive `flow` may move by shifts.

    The shifts see what the encoder has computed as context (Kingma et al., 2016, section 3). They are the AF prior's,
    run in the direction that takes one pass a step; with determinant 1 they leave log q as it was.
    """

    def __init__(self, flow: AutoregressiveFlow | None = None) -> None:
        super().__init__()
        self.flow = flow

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) to mean and log standard deviation, (B, D) each, and the features behind them, (B, …)."""
        raise NotImplementedError

    def sample(self, parameters: tuple[Tensor, ...], noise: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, D), without a flow μ + σ·noise, and terms (B, D) whose sum over D is log q(z|x) in nats.

        `parameters` from `encode`, noise ~ N(0, I).
        """
        mean, log_scale, features = parameters
        z = mean + log_scale.exp() * noise
        return z if self.flow is None else self.flow.inverse(z, features), standard_normal_terms(noise) - log_scale


class VectorPosterior(Posterior):
    """The ResNet encoder of Appendix A, for binary images.

    (B, C, 28, 28) → stride-2 blocks with a stride-1 block after all but the last → (B, 32, 4, 4) → 450 units → μ, σ.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        channels: tuple[int, ...],
        hidden: int,
        dim: int,
        flow: AutoregressiveFlow | None = None,
    ) -> None:
        super().__init__(flow)
        width, height_width = image_shape[0], image_shape[1:]
        blocks: list[nn.Module] = []
        for i, outputs in enumerate(channels):
            blocks += [residual(width)] if i else []
            blocks.append(residual_down(width, outputs))
            width = outputs
        height, breadth = pyramid(height_width, len(channels))[-1]
        self.blocks = nn.Sequential(*blocks)
        self.hidden = Linear(width * height * breadth, hidden)
        self.head = Linear(hidden, 2 * dim, initial_scale=0.1)

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """The features are the 450 hidden units."""
        features = F.elu(self.blocks(x.contiguous(memory_format=torch.channels_last))).flatten(1)
        hidden = F.elu(self.hidden(features))
        mean, log_scale = self.head(hidden).float().chunk(2, dim=-1)
        return mean, log_scale, hidden


def pyramid(size: tuple[int, int], levels: int) -> list[tuple[int, int]]:
    """(H, W) and what `levels` stride-2 convolutions make of it: 28 → 14 → 7 → 4."""
    sizes = [size]
    for _ in range(levels):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes
