"""The networks around z for 8-bit colour images: ResNet or DenseNet, mirrored in encoder and generator (Appendix B)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.config import ColorModelConfig
from pipeline.models.flows import AutoregressiveFlow, ConvMADE
from pipeline.models.layers import Conv2d, ConvTranspose2d, residual
from pipeline.models.levels import LUMA
from pipeline.models.likelihoods import LogisticMixture, scaled
from pipeline.models.pixelcnnpp import PixelCNNPP
from pipeline.models.vlae import Posterior
from pipeline.schema import ParamError, refusal

Shape = tuple[int, int, int]
Network = Literal["resnet", "densenet"]
BLOCKS = (2, 2, 3)
"""ResNet blocks at full, half and quarter size."""
DENSE_STEPS = 3
SHRINKING = 4
"""A map of z is a quarter as high and wide as the image."""
COARSE_WIDTH = 32
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


class Trunk(nn.Sequential):
    """Convolutions, the blocks of `trunk` between them, and an ELU before each convolution that is not the first."""


class MapPosterior(Posterior):
    """q(z|x) over maps (latent_maps, H/4, W/4), which z holds as one vector.

    levels (B, C, H, W) → 3×3, `channels` maps → blocks → stride 2, `inner` maps → blocks → stride 2 → blocks → 1×1.
    With `luma_map` the means of the first map are those of the image's blocks of 4×4, in luma, times a learned gain.
    """

    def __init__(self, block: ColorModelConfig, image_channels: int, flow: AutoregressiveFlow | None = None) -> None:
        super().__init__(flow)
        layers: list[nn.Module] = [Conv2d(image_channels, block.channels)]
        width = block.channels
        for level, blocks in enumerate(BLOCKS):
            if level:
                layers += [nn.ELU(), Conv2d(width, block.inner_channels, stride=2)]
                width = block.inner_channels
            made, width = trunk(block.network, width, blocks)
            layers += made
        self.layers = Trunk(*layers)
        of_mean_and_log_scale = torch.tensor([[0.0, START_LOG_SCALE], [1.0, 0.1]])
        mean, scale = of_mean_and_log_scale.repeat_interleave(block.latent_maps, 1)
        self.head = Conv2d(width, 2 * block.latent_maps, 1, initial_mean=mean, initial_scale=scale)
        self.luma_gain = nn.Parameter(torch.ones(1)) if block.luma_map else None

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """The features are maps of a quarter of the size, (B, …, H/4, W/4)."""
        features = F.elu(self.layers(scaled(x)))
        mean, log_scale = (part.flatten(1) for part in self.head(features).float().chunk(2, 1))
        if self.luma_gain is not None:
            luma = self.luma_gain * coarse_luma(x).flatten(1)
            mean = torch.cat([luma, mean[:, luma.shape[1] :]], 1)
        return mean, log_scale, features


def coarse_luma(x: Tensor) -> Tensor:
    """Levels (B, 3, H, W) to the luma of blocks of 4×4, (B, 1, H/4, W/4), from −2 to 2: a variance of 1 or so."""
    weights = torch.tensor(LUMA, device=x.device).view(1, -1, 1, 1)
    return 2 * F.avg_pool2d((weights * scaled(x)).sum(1, keepdim=True), SHRINKING)


class CoarseMaps(nn.Module):
    """A coarse map (B, 1, H/4, W/4) to maps (B, `maps`, H, W) that a small network makes for each pixel.

    It is told the values of the pixel's block and of those to the right, below, and both, and where in the block the
    pixel is.
    """

    places: Tensor

    def __init__(self, maps: int) -> None:
        super().__init__()
        side = torch.eye(SHRINKING)
        rows = side.unsqueeze(2).expand(-1, -1, SHRINKING)
        self.register_buffer("places", torch.cat([rows, rows.mT]), persistent=False)
        widths = (4 + len(self.places), COARSE_WIDTH, COARSE_WIDTH)
        layers = [layer for sizes in pairwise(widths) for layer in (Conv2d(*sizes, kernel_size=1), nn.ELU())]
        self.layers = nn.Sequential(*layers, Conv2d(COARSE_WIDTH, maps, 1))

    def forward(self, coarse: Tensor) -> Tensor:
        height, width = coarse.shape[2:]
        wider = F.pad(coarse, (0, 1, 0, 1), mode="replicate")
        around = [wider[:, :, i : i + height, j : j + width] for i in (0, 1) for j in (0, 1)]
        values = torch.cat(around, 1).repeat_interleave(SHRINKING, 2).repeat_interleave(SHRINKING, 3)
        places = self.places.repeat(1, height, width).expand(len(coarse), -1, -1, -1)
        return self.layers(torch.cat([values, places], 1))


class MapGenerator(nn.Module):
    """The encoder's mirror image: z (B, D) to maps (B, `maps`, H, W), the last by a 1×1 convolution.

    With `luma_map` what a small network makes of the first map alone is added.
    """

    def __init__(self, block: ColorModelConfig, latent_shape: Shape, maps: int) -> None:
        super().__init__()
        self.latent_shape = latent_shape
        layers: list[nn.Module] = [Conv2d(latent_shape[0], block.inner_channels, 1)]
        width, size = block.inner_channels, latent_shape[1:]
        for level, blocks in reversed(list(enumerate(BLOCKS))):
            made, width = trunk(block.network, width, blocks)
            layers += made
            if level:
                size = (2 * size[0], 2 * size[1])
                outputs = block.inner_channels if level > 1 else block.channels
                layers += [nn.ELU(), ConvTranspose2d(width, outputs, size)]
                width = outputs
        self.layers = Trunk(*layers, nn.ELU(), Conv2d(width, maps, 1))
        self.coarse = CoarseMaps(maps) if block.luma_map else None

    def forward(self, z: Tensor) -> Tensor:
        z = z.view(-1, *self.latent_shape)
        return self.layers(z) if self.coarse is None else self.layers(z) + self.coarse(z[:, :1])


class ColorNetworks:
    """The networks of a block of `color_models`, for build.py to compose; ParamError if z has no whole maps."""

    def __init__(self, block: ColorModelConfig, image_shape: Shape) -> None:
        if image_shape[1] % SHRINKING or image_shape[2] % SHRINKING:
            allowed = "a height and width that 4 divides, since z has maps of a quarter"
            raise ParamError(refusal("image_shape", image_shape, allowed))
        self.block, self.image_shape = block, image_shape
        self.likelihood = LogisticMixture(block.mixtures, image_shape[0])
        self.latent_shape = (block.latent_maps, image_shape[1] // SHRINKING, image_shape[2] // SHRINKING)
        self.latent_dim, self.maps = math.prod(self.latent_shape), block.channels
        self.features = trunk(block.network, block.inner_channels, BLOCKS[-1])[1]
        # held at once of each pixel: nine arrays of a PixelCNN++'s blocks, eight of the encoder's, and the mixtures
        of_the_encoder = 8 * max(block.channels, block.inner_channels)
        self.numbers = 9 * block.filters * block.blocks + of_the_encoder + 13 * block.mixtures
        self.most_rows = 64  # images × samples in one pass without gradients: with the paper's sizes 0.6 GB

    def shift(self, context: int) -> ConvMADE:
        """A step of a flow."""
        return ConvMADE(self.latent_shape, self.block.flow_maps, context)

    def posterior(self, flow: AutoregressiveFlow | None) -> MapPosterior:
        return MapPosterior(self.block, self.image_shape[0], flow)

    def generator(self, maps: int) -> MapGenerator:
        return MapGenerator(self.block, self.latent_shape, maps)

    def network(self) -> PixelCNNPP:
        return PixelCNNPP(self.block, self.likelihood)
