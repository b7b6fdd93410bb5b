"""The networks around z for 8-bit colour images: ResNet or DenseNet, mirrored in encoder and generator (Appendix B)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.flows import AutoregressiveFlow
from pipeline.models.latent_parts import Posterior
from pipeline.models.layers import Conv2d, ConvTranspose2d, residual
from pipeline.models.likelihoods import scaled

Network = Literal["resnet", "densenet"]
BLOCKS = (2, 2, 3)
"""ResNet blocks at full, half and quarter size."""
DENSE_STEPS = 3
START_LOG_SCALE = -2.0
"""Of σ in q(z|x), whose means start with a variance of 1: were z mostly noise, the decoder might learn to ignore it."""


class DenseBlock(nn.Module):
    """Three 3×3 convolutions, each of the input and all that came before it; their outputs, concatenated.

    (B, C, H, W) to (B, 3g, H, W) with g = ⌊C/3⌋ + 1, slightly more maps than the ResNet has (Appendix B).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        growth = channels // DENSE_STEPS + 1
        self.outputs = DENSE_STEPS * growth
        self.steps = nn.ModuleList(Conv2d(channels + i * growth, growth) for i in range(DENSE_STEPS))

    def forward(self, x: Tensor) -> Tensor:
        parts = [x]
        for step in self.steps:
            parts.append(step(F.elu(torch.cat(parts, 1))))
        return torch.cat(parts[1:], 1)


def trunk(network: Network, channels: int, blocks: int) -> tuple[list[nn.Module], int]:
    """So many ResNet blocks, or with DenseNet a DenseBlock for each pair of them; and the width they end with."""
    layers: list[nn.Module] = []
    if network == "densenet":
        for _ in range(blocks // 2):
            layers.append(DenseBlock(channels))
            channels = layers[-1].outputs  # type: ignore[assignment]
        blocks %= 2
    return layers + [residual(channels) for _ in range(blocks)], channels


class MapPosterior(Posterior):
    """q(z|x) over maps (latent_maps, H/4, W/4), which z holds as one vector.

    levels (B, C, H, W) → 3×3, `channels` maps → blocks → stride 2, `inner` maps → blocks → stride 2 → blocks → 1×1.
    """

    def __init__(
        self,
        image_channels: int,
        network: Network,
        channels: int,
        inner: int,
        latent_maps: int,
        flow: AutoregressiveFlow | None = None,
    ) -> None:
        super().__init__(flow)
        layers: list[nn.Module] = [Conv2d(image_channels, channels)]
        width = channels
        for level, blocks in enumerate(BLOCKS):
            if level:
                layers += [nn.ELU(), Conv2d(width, inner, stride=2)]
                width = inner
            made, width = trunk(network, width, blocks)
            layers += made
        self.layers = nn.Sequential(*layers)
        of_mean_and_log_scale = torch.tensor([[0.0, START_LOG_SCALE], [1.0, 0.1]])
        mean, scale = of_mean_and_log_scale.repeat_interleave(latent_maps, 1)
        self.head = Conv2d(width, 2 * latent_maps, 1, initial_mean=mean, initial_scale=scale)

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """The features are maps (B, `features_of`, H/4, W/4)."""
        features = F.elu(self.layers(scaled(x).contiguous(memory_format=torch.channels_last)))
        mean, log_scale = (part.flatten(1) for part in self.head(features).float().chunk(2, 1))
        return mean, log_scale, features


def features_of(network: Network, inner: int) -> int:
    """Maps of the encoder's features."""
    return trunk(network, inner, BLOCKS[-1])[1]


class MapGenerator(nn.Module):
    """The encoder's mirror image: z (B, D) to maps (B, `maps`, H, W), the last by a 1×1 convolution."""

    def __init__(
        self,
        network: Network,
        channels: int,
        inner: int,
        latent_shape: tuple[int, int, int],
        maps: int,
    ) -> None:
        super().__init__()
        self.latent_shape = latent_shape
        layers: list[nn.Module] = [Conv2d(latent_shape[0], inner, 1)]
        width, size = inner, latent_shape[1:]
        for level, blocks in reversed(list(enumerate(BLOCKS))):
            made, width = trunk(network, width, blocks)
            layers += made
            if level:
                size = (2 * size[0], 2 * size[1])
                outputs = inner if level > 1 else channels
                layers += [nn.ELU(), ConvTranspose2d(width, outputs, size)]
                width = outputs
        self.layers = nn.Sequential(*layers, nn.ELU(), Conv2d(width, maps, 1))

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z.view(-1, *self.latent_shape).contiguous(memory_format=torch.channels_last))
