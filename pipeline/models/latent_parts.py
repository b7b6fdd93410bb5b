"""What can stand for p(z) and q(z|x): densities over the latent vector, in nats."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.flows import AutoregressiveFlow
from pipeline.models.layers import Linear, residual, residual_down


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """log N(z; 0, I) in nats: (B, D) to (B,)."""
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)


class GaussianPrior(nn.Module):
    """p(z) = N(0, I)."""

    def log_prob(self, z: Tensor) -> Tensor:
        """(B, D) to (B,) nats."""
        return standard_normal_log_prob(z)

    def transform(self, noise: Tensor) -> Tensor:
        """(B, D) standard normal noise to (B, D) draws from the prior."""
        return noise


class AutoregressivePrior(nn.Module):
    """AF prior: z = f(ε), ε ~ N(0, I), log p(z) = log N(f⁻¹(z); 0, I) + log|det dε/dz| (section 3.2, equation 11)."""

    def __init__(self, dim: int, steps: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.flow = AutoregressiveFlow(dim, steps, hidden)

    def log_prob(self, z: Tensor) -> Tensor:
        """(B, D) to (B,) nats."""
        noise, log_det = self.flow.inverse(z)
        return standard_normal_log_prob(noise) + log_det

    def transform(self, noise: Tensor) -> Tensor:
        """(B, D) standard normal noise to (B, D) draws from the prior."""
        return self.flow(noise)


class GaussianPosterior(nn.Module):
    """q(z|x) = N(μ(x), diag σ(x)²) from the ResNet encoder of Appendix A.

    (B, C, 28, 28) → stride-2 blocks with a stride-1 block after all but the last → (B, 32, 4, 4) → 450 units → μ, σ.
    """

    def __init__(self, image_shape: tuple[int, int, int], channels: tuple[int, ...], hidden: int, dim: int) -> None:
        super().__init__()
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

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) to mean and log standard deviation, each (B, D)."""
        features = F.elu(self.blocks(x.contiguous(memory_format=torch.channels_last))).flatten(1)
        mean, log_scale = self.head(F.elu(self.hidden(features))).float().chunk(2, dim=-1)
        return mean, log_scale

    def sample(self, parameters: tuple[Tensor, Tensor], noise: Tensor) -> tuple[Tensor, Tensor]:
        """z = μ + σ·noise (B, D), and log q(z|x) (B,) in nats; `parameters` from `encode`, noise ~ N(0, I)."""
        mean, log_scale = parameters
        return mean + log_scale.exp() * noise, standard_normal_log_prob(noise) - log_scale.sum(-1)


def pyramid(size: tuple[int, int], levels: int) -> list[tuple[int, int]]:
    """(H, W) and what `levels` stride-2 convolutions make of it: 28 → 14 → 7 → 4."""
    sizes = [size]
    for _ in range(levels):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes
