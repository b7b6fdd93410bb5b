"""The networks around z for binary images: a ResNet encoder, and the generator that mirrors it (Appendix A)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.config import ModelConfig
from pipeline.models.flows import MADE, AutoregressiveFlow
from pipeline.models.layers import Linear, residual, residual_down, residual_up
from pipeline.models.likelihoods import Bernoulli
from pipeline.models.pixelcnn import PixelCNN
from pipeline.models.vlae import Posterior

Shape = tuple[int, int, int]


class VectorPosterior(Posterior):
    """q(z|x) over vectors.

    (B, C, 28, 28) → stride-2 blocks with a stride-1 block after all but the last → (B, 32, 4, 4) → 450 units → μ, σ.
    """

    def __init__(self, block: ModelConfig, image_shape: Shape, flow: AutoregressiveFlow | None = None) -> None:
        super().__init__(flow)
        width = image_shape[0]
        blocks: list[nn.Module] = []
        for i, outputs in enumerate(block.encoder_channels):
            blocks += [residual(width)] if i else []
            blocks.append(residual_down(width, outputs))
            width = outputs
        height, breadth = pyramid(image_shape[1:], len(block.encoder_channels))[-1]
        self.blocks = nn.Sequential(*blocks)
        self.hidden = Linear(width * height * breadth, block.hidden_units)
        self.head = Linear(block.hidden_units, 2 * block.latent_dim, initial_scale=0.1)

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """The features are the 450 hidden units."""
        features = F.elu(self.blocks(x)).flatten(1)
        hidden = F.elu(self.hidden(features))
        mean, log_scale = self.head(hidden).float().chunk(2, dim=-1)
        return mean, log_scale, hidden


class Generator(nn.Module):
    """The encoder's mirror image: z (B, D) to (B, `maps`, H, W), by transposed convolutions."""

    def __init__(self, block: ModelConfig, image_shape: Shape, maps: int) -> None:
        super().__init__()
        widths = (maps, *block.encoder_channels)
        sizes = pyramid(image_shape[1:], len(block.encoder_channels))
        self.start = (widths[-1], *sizes[-1])
        self.input = nn.Sequential(
            Linear(block.latent_dim, block.hidden_units),
            nn.ELU(),
            Linear(block.hidden_units, widths[-1] * sizes[-1][0] * sizes[-1][1]),
        )
        blocks: list[nn.Module] = []
        for level in reversed(range(len(block.encoder_channels))):
            blocks.append(residual_up(widths[level + 1], widths[level], sizes[level]))
            blocks += [residual(widths[level])] if level else []
        self.blocks = nn.Sequential(*blocks)

    def forward(self, z: Tensor) -> Tensor:
        return self.blocks(self.input(z).view(-1, *self.start))


def pyramid(size: tuple[int, int], levels: int) -> list[tuple[int, int]]:
    """(H, W) and what `levels` stride-2 convolutions make of it: 28 → 14 → 7 → 4."""
    sizes = [size]
    for _ in range(levels):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes


class BinaryNetworks:
    """The networks of a block of `models`, for build.py to compose."""

    def __init__(self, block: ModelConfig, image_shape: Shape) -> None:
        self.block, self.image_shape, self.likelihood = block, image_shape, Bernoulli(image_shape[0])
        self.latent_dim, self.maps = block.latent_dim, block.conditioning_maps
        self.features = block.hidden_units  # of the encoder, which an IAF posterior's shifts see
        # held at once of each pixel: six arrays of a PixelCNN's width, and the encoder's first layers
        self.numbers = 6 * max(block.filters, self.maps) + max(block.encoder_channels)
        self.most_rows = 1024  # images × samples in one pass without gradients: with the paper's sizes 0.2 GB

    def shift(self, context: int) -> MADE:
        """A step of a flow."""
        return MADE(self.latent_dim, self.block.flow_hidden_units, context)

    def posterior(self, flow: AutoregressiveFlow | None) -> VectorPosterior:
        return VectorPosterior(self.block, self.image_shape, flow)

    def generator(self, maps: int) -> Generator:
        return Generator(self.block, self.image_shape, maps)

    def network(self) -> PixelCNN:
        return PixelCNN(self.block, self.image_shape)
