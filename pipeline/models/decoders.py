"""What can stand for p(x|z) on binary images, in nats per image; also the PixelCNN without a latent."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.latent_parts import pyramid
from pipeline.models.layers import Conv2d, Linear, residual, residual_up
from pipeline.models.masked import MaskedConv2d, WholeImageConv2d


def bernoulli_log_prob(logits: Tensor, x: Tensor) -> Tensor:
    """Sum over an image's dimensions of log Bernoulli(x; sigmoid(logits)): (B, C, H, W) twice to (B,) nats."""
    return -F.binary_cross_entropy_with_logits(logits.float(), x, reduction="none").flatten(1).sum(1)


class Generator(nn.Module):
    """The encoder's mirror image: (B, D) z to (B, `maps`, H, W), by transposed convolutions (Appendix A)."""

    def __init__(
        self, dim: int, hidden: int, channels: tuple[int, ...], maps: int, image_shape: tuple[int, int, int]
    ) -> None:
        super().__init__()
        sizes = pyramid(image_shape[1:], len(channels))
        self.start = (channels[-1], *sizes[-1])
        self.input = nn.Sequential(
            Linear(dim, hidden), nn.ELU(), Linear(hidden, channels[-1] * sizes[-1][0] * sizes[-1][1])
        )
        blocks: list[nn.Module] = []
        widths = (maps, *channels)
        for level in reversed(range(len(channels))):
            blocks.append(residual_up(widths[level + 1], widths[level], sizes[level]))
            blocks += [residual(widths[level])] if level else []
        self.blocks = nn.Sequential(*blocks)

    def forward(self, z: Tensor) -> Tensor:
        start = self.input(z).view(-1, *self.start)
        return self.blocks(start.contiguous(memory_format=torch.channels_last))


class PixelCNN(nn.Module):
    """p(x | maps) = ∏ Bernoulli(x_i | earlier pixels in the context, maps) (Appendix A).

    x (B, C, H, W) ─ masked conv A ─┐
    maps (B, M, H, W) ─ conv ───────┴→ `layers` − 1 residual masked convs B, after every other masked convolution
    two residual blocks of 1×1 convolutions, → ELU → 1×1 → logits (B, C, H, W).

    Adding two convolutions is the same as one convolution of the concatenation, and what the image alone gives can
    be computed once for any number of latent samples. `tied`: the B layers share one set of weights. `context`:
    "stack" is what the layers reach (69 pixels for the paper's six 3×3); "full" widens layer A to the whole image.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        maps: int,
        filters: int,
        kernel_size: int,
        layers: int,
        tied: bool,
        context: Literal["stack", "full"],
    ) -> None:
        super().__init__()
        channels, _, width = image_shape
        reach = (kernel_size // 2, kernel_size // 2)
        self.later_layers = layers - 1
        whole = context == "full"
        self.image_layer = (
            WholeImageConv2d(image_shape, filters) if whole else MaskedConv2d(channels, filters, reach, "A")
        )
        self.rows_above = self.later_layers * reach[0]
        self.columns_right = min(self.image_layer.reach[1], width - 1)
        # At first z is noise: it starts small, or the decoder would have to learn to ignore it before it can use it.
        self.maps_layer = Conv2d(maps, filters, initial_scale=0.1)
        distinct = min(1, self.later_layers) if tied else self.later_layers
        self.masked = nn.ModuleList(MaskedConv2d(filters, filters, reach, "B") for _ in range(distinct))
        self.pointwise = nn.ModuleList(
            nn.Sequential(residual(filters, 1), residual(filters, 1)) for _ in range(self.later_layers // 2)
        )
        self.head = Conv2d(filters, channels, 1)

    def forward(self, x: Tensor, maps: Tensor) -> Tensor:
        """Logits (B, C, H, W) for images x (B, C, H, W) in {0, 1} and conditioning maps (B, M, H, W)."""
        return self.body(self.image_layer(x) + self.maps_layer(maps))

    def body(self, h: Tensor) -> Tensor:
        """Logits (B, C, H, W) from the first layer's output (B, filters, H, W)."""
        h = h.contiguous(memory_format=torch.channels_last)
        for i in range(self.later_layers):
            h = h + self.masked[i % len(self.masked)](F.elu(h))
            if i % 2 == 0 and i // 2 < len(self.pointwise):
                h = self.pointwise[i // 2](h)
        return self.head(F.elu(h))


@torch.no_grad()
def sample_pixelcnn(network: PixelCNN, maps: Tensor, uniforms: Tensor) -> Tensor:
    """Draw x_i = 1 where uniforms_i < p(x_i = 1 | earlier pixels, maps), as pixel by pixel in raster order.

    maps (B, M, H, W), uniforms (B, C, H, W) to x (B, C, H, W) in {0, 1}. Pixels (row, column) with the same
    column + slope · row do not see each other, and all they see comes before: they are drawn in one pass, over the rows
    that matter. With 3×3 masks the slope is 2, 82 passes for 28×28; with full context it is the width, a pixel a pass.
    """
    x = torch.zeros_like(uniforms)
    conditioning = network.maps_layer(maps)
    height, width = uniforms.shape[-2:]
    slope = network.columns_right + 1
    for front in range(width + slope * (height - 1)):
        rows = torch.arange(max(0, -((width - 1 - front) // slope)), min(height - 1, front // slope) + 1)
        bottom = int(rows[-1]) + 1
        top = max(0, int(rows[0]) - network.rows_above)
        first = max(0, top - network.image_layer.reach[0])
        features = network.image_layer(x[:, :, first:bottom])[:, :, top - first :] + conditioning[:, :, top:bottom]
        probabilities = network.body(features).sigmoid()
        columns = front - slope * rows
        x[:, :, rows, columns] = (uniforms[:, :, rows, columns] < probabilities[:, :, rows - top, columns]).float()
    return x


class FactorizedDecoder(nn.Module):
    """p(x|z) = ∏ Bernoulli(x_i | z): every pixel independent of the others given z."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def image_features(self, x: Tensor) -> None:
        """Nothing can be computed from the image alone."""
        return None

    def log_prob(self, x: Tensor, z: Tensor, image_features: Tensor | None = None) -> Tensor:
        """log p(x|z) in nats: (B, C, H, W) and (B, D) to (B,)."""
        return bernoulli_log_prob(self.generator(z), x)

    def sample(self, z: Tensor, uniforms: Tensor) -> Tensor:
        """x ~ p(x|z), 1 where `uniforms` (B, C, H, W) is below the pixel's probability."""
        return (uniforms < self.generator(z).sigmoid()).float()


class PixelCNNDecoder(nn.Module):
    """p(x|z): a PixelCNN conditioned on maps made from z."""

    def __init__(self, generator: Generator, network: PixelCNN) -> None:
        super().__init__()
        self.generator, self.network = generator, network

    def image_features(self, x: Tensor) -> Tensor:
        """What the first layer makes of x (B, C, H, W): the same for every z."""
        return self.network.image_layer(x)

    def log_prob(self, x: Tensor, z: Tensor, image_features: Tensor | None = None) -> Tensor:
        """log p(x|z) in nats: (B, C, H, W) and (B, D) to (B,); `image_features` as above, if they are at hand."""
        features = self.image_features(x) if image_features is None else image_features
        logits = self.network.body(features + self.network.maps_layer(self.generator(z)))
        return bernoulli_log_prob(logits, x)

    def sample(self, z: Tensor, uniforms: Tensor) -> Tensor:
        """x ~ p(x|z) from `uniforms` (B, C, H, W), pixel by pixel."""
        return sample_pixelcnn(self.network, self.generator(z), uniforms)
