"""p(pixel | parameters): Bernoulli for binary images, discretized logistic mixtures for 8-bit colour. In nats.

Both take parameter maps (N, `parameters`, …) and images (N, C, …), and draw from uniform numbers (N, `uniforms`, …);
the dots stand for the same pixels everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.models.levels import LEVELS

HALF = (LEVELS - 1) / 2
"""Levels 0 … 255 are −1 … 1 to a network: level / HALF − 1."""
START_LOG_SCALE = -2.5
"""What a log scale is where its parameter is 0: about 10 levels. From 0 itself a small learning rate takes long."""
SMALLEST_LOG_SCALE = -7.0
"""A component this narrow has nearly all its mass in the one or two levels next to its mean."""

Front = tuple[Tensor, Tensor]
"""Rows and columns of n pixels that do not see each other."""
Choose = Callable[[Front, Tensor], Tensor]
"""Gives these pixels their values (B, C, 1, n), told their parameters (B, P, 1, n): drawn, known, or from a file."""


def scaled(levels: Tensor) -> Tensor:
    """Levels 0 … 255 as −1 … 1."""
    return levels / HALF - 1


@dataclass(frozen=True)
class Bernoulli:
    """Independent binary values, of which the parameters are logits."""

    channels: int
    values: ClassVar[str] = "0 and 1"

    def holds(self, x: Tensor) -> Tensor:
        """Where x, of any shape, has a value that an image can have."""
        return (x == 0) | (x == 1)

    @property
    def parameters(self) -> int:
        """Parameter maps."""
        return self.channels

    @property
    def uniforms(self) -> int:
        """Uniform numbers that a draw takes."""
        return self.channels

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Sum over an image's dimensions of log Bernoulli(x; sigmoid(logits)): to (N,) nats."""
        return -F.binary_cross_entropy_with_logits(parameters.float(), x, reduction="none").flatten(1).sum(1)

    def sample(self, parameters: Tensor, uniforms: Tensor) -> Tensor:
        """1 where a uniform number is below the pixel's probability, else 0."""
        return (uniforms < parameters.sigmoid()).float()


@dataclass(frozen=True)
class LogisticMixture:
    """Mixture of `components` discretized logistics over 8-bit levels (Salimans et al., 2017, section 2.1 and 2.2).

    One component is drawn for all channels of a pixel. Its mean in a channel is shifted linearly by the channels
    before it (R, then G, then B), each coefficient in (−1, 1). Level l has the mass that the logistic puts on
    (l − ½, l + ½); the tails belong to levels 0 and 255, so that the 256 masses add up to 1.
    """

    components: int
    channels: int = 3
    values: ClassVar[str] = f"whole numbers from 0 to {LEVELS - 1}"

    def holds(self, x: Tensor) -> Tensor:
        """Where x, of any shape, has a value that an image can have."""
        return (x >= 0) & (x < LEVELS) & (x == x.round())

    @property
    def parameters(self) -> int:
        """Parameter maps: a weight a component, then means, log scales and coefficients of every channel."""
        return self.components * (1 + 2 * self.channels + self.channels * (self.channels - 1) // 2)

    @property
    def uniforms(self) -> int:
        """Uniform numbers that a draw takes: one to choose the component, and one a channel."""
        return 1 + self.channels

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """log p(x) of images (N, C, …) of levels 0 … 255: to (N,) nats."""
        weights, means, log_scales, coefficients = self._split(parameters.float())
        y, total = scaled(x), weights.log_softmax(1)
        for channel in range(self.channels):
            mean = self._shifted(means[channel], coefficients[channel], y)
            total = total + log_mass(x[:, channel, None], mean, log_scales[channel])
        return total.logsumexp(1).flatten(1).sum(1)

    def below(self, parameters: Tensor, x: Tensor, channel: int) -> Callable[[Tensor], Tensor]:
        """P(x_channel < level | the channels before it in x): of levels 0 … 256 (N, …), in float64."""
        weights, means, log_scales, coefficients = self._split(parameters.double())
        shifted = [self._shifted(*both, scaled(x.double())) for both in zip(means, coefficients, strict=True)]
        masses = [log_mass(x[:, before, None], shifted[before], log_scales[before]) for before in range(channel)]
        shares = sum(masses, weights).softmax(1)

        def probability(level: Tensor) -> Tensor:
            edge = scaled(level[:, None].double() - 0.5)
            smaller = (shares * ((edge - shifted[channel]) * (-log_scales[channel]).exp()).sigmoid()).sum(1)
            return smaller.masked_fill(level <= 0, 0.0).masked_fill(level >= LEVELS, 1.0)

        return probability

    def sample(self, parameters: Tensor, uniforms: Tensor) -> Tensor:
        """Levels (N, C, …), by inverting distribution functions at `uniforms`."""
        weights, means, log_scales, coefficients = self._split(parameters.float())
        above = (weights.softmax(1).cumsum(1) <= uniforms[:, :1]).sum(1, keepdim=True)
        chosen = above.clamp_max(self.components - 1)  # the weights may add up to a little less than 1
        x = torch.zeros_like(uniforms[:, 1:])
        for channel in range(self.channels):
            mean = self._shifted(means[channel], coefficients[channel], scaled(x)).gather(1, chosen)
            scale = log_scales[channel].gather(1, chosen).exp()
            value = mean + scale * torch.logit(uniforms[:, 1 + channel, None])
            x[:, channel] = ((value + 1) * HALF).round().clamp(0, LEVELS - 1).squeeze(1)
        return x

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """Weights (N, K, …), means and log scales (C, N, K, …), coefficients (N, K, before, …) of each channel."""
        n = self.channels
        parts = parameters.unflatten(1, (-1, self.components))
        means, log_scales = (parts[:, 1 + i * n : 1 + (i + 1) * n].transpose(0, 1) for i in range(2))
        counts = list(range(n))
        coefficients = [c.transpose(1, 2) for c in parts[:, 1 + 2 * n :].tanh().split(counts, 1)]
        return parts[:, 0], means, (START_LOG_SCALE + log_scales).clamp_min(SMALLEST_LOG_SCALE), coefficients

    @staticmethod
    def _shifted(mean: Tensor, coefficients: Tensor, y: Tensor) -> Tensor:
        """Means (N, K, …) of a channel given the earlier channels of y (N, C, …)."""
        before = coefficients.shape[2]
        return mean + (coefficients * y[:, None, :before]).sum(2)


def drawn_from(likelihood: Bernoulli | LogisticMixture, uniforms: Tensor) -> Choose:
    """Values as `likelihood` draws them from uniform numbers (B, n, H, W)."""
    return lambda here, parameters: likelihood.sample(parameters, uniforms[:, :, None, here[0], here[1]])


def log_mass(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Log of what a logistic puts on level x of 0 … 255; `mean` is on the scale from −1 to 1.

    With a, b the standardized ends of the level's interval:
        x = 0        log σ(b), the left tail included
        x = 255      log σ(−a), the right tail included
        between      log(σ(b) − σ(a)) = log σ(b) + log σ(−a) + log(1 − exp(a − b)), which no tail can make underflow
    """
    inverse = (-log_scale).exp()
    middle, width = (scaled(x) - mean) * inverse, inverse / HALF
    upper, lower = F.logsigmoid(middle + width / 2), F.logsigmoid(width / 2 - middle)
    upper = upper.masked_fill(x == LEVELS - 1, 0.0)
    lower = lower.masked_fill(x == 0, 0.0)
    inside = torch.log(-torch.expm1(-width)).masked_fill((x == 0) | (x == LEVELS - 1), 0.0)
    return upper + lower + inside
