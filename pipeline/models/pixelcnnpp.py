"""The colour decoder: a shallow, wide PixelCNN++ over a small window (Appendix B; Salimans et al., 2017)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.config import ColorModelConfig
from pipeline.models.layers import Conv2d, WeightNorm, concat_elu
from pipeline.models.levels import LUMA
from pipeline.models.likelihoods import LogisticMixture, scaled
from pipeline.models.masked import MaskedConv2d, Reach
from pipeline.models.pixelcnn import AutoregressiveNetwork

UPWARD_LEFT = Reach(1, 1, 0)
"""2×2: the pixel, its left neighbour, and the two above them."""


class Stacks(NamedTuple):
    """Layers of the two stacks of a block."""

    vertical: int
    horizontal: int

    @classmethod
    def of_window(cls, window: str) -> Stacks:
        """Those that see exactly the window "AxB": (1, 2) for 4x2, (2, 2) for 5x3, (3, 3) for 7x4 (Appendix B).

        The vertical stack sees B rows above the pixel, to B − 1 columns on both sides; the horizontal one ⌊A/2⌋
        columns to the left, in as many rows above. ValueError unless together they are a window A wide and B tall.
        """
        width, height = map(int, window.split("x"))
        if height != (width + 1) // 2 or width < 2:
            raise ValueError(f"window {window}: must be ⌈A/2⌉ tall, such as 4x2, 5x3 or 7x4")
        return cls(height - 1, width // 2)


class VerticalConv2d(WeightNorm):
    """2×3 convolution that sees the row above and its own: (B, inputs, H, W) to (B, outputs, H, W).

    `first`, on the image itself, sees the two rows above instead. Pixels to the right are among what it sees, so that
    what it makes of a pixel may depend on later ones in the rows above it, but never on its own row:

        first:  x x x      then:  x x x
                x x x             x o x
                . o .
    """

    def __init__(self, inputs: int, outputs: int, first: bool) -> None:
        super().__init__((outputs, inputs, 2, 3))
        self.up = 2 if first else 1

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, self.up, 1 - self.up)), self.weight, self.bias)

    @property
    def taps(self) -> Tensor:
        """The weights in raster order: (outputs, inputs, 6)."""
        return self.weight.flatten(2)

    @property
    def tap_offsets(self) -> tuple[tuple[int, int], ...]:
        """(row, column) of each tap, from the pixel."""
        return tuple((row - self.up, column - 1) for row in range(2) for column in range(3))


Causal = VerticalConv2d | MaskedConv2d


class Gate(nn.Module):
    """x + a σ(b), where a and b are a 1×1 convolution of c, to which another of an `earlier` gate's output is added.

    A gated ResNet layer behind its first convolution; c is what that convolution has made. ELU of both signs before
    each 1×1. All (B, F, H, W).
    """

    def __init__(self, filters: int, earlier: bool) -> None:
        super().__init__()
        self.filters = filters
        self.earlier = Conv2d(2 * filters, filters, 1) if earlier else None
        self.out = Conv2d(2 * filters, 2 * filters, 1, initial_scale=0.2)

    def forward(self, x: Tensor, c: Tensor, *earlier: Tensor) -> Tensor:
        if self.earlier is not None:
            c = c + self.earlier(concat_elu(*earlier))
        a, b = self.out(concat_elu(c)).chunk(2, 1)
        return x + a * b.sigmoid()


class WindowBlock(nn.Module):
    """One block's features of the window, from the image alone: `forward` gives every layer, vertical ones first.

    Each layer is a gated ResNet layer, conditioned on the same layer of the block before by a 1×1 convolution, so that
    blocks make the network deeper and no window larger.
    """

    def __init__(self, channels: int, filters: int, stacks: Stacks, first: bool) -> None:
        super().__init__()
        vertical: list[WeightNorm] = [VerticalConv2d(channels, filters, True)]
        horizontal: list[WeightNorm] = [MaskedConv2d(channels, filters, UPWARD_LEFT, "A")]
        vertical += [VerticalConv2d(2 * filters, filters, False) for _ in range(stacks.vertical - 1)]
        horizontal += [MaskedConv2d(2 * filters, filters, UPWARD_LEFT, "B") for _ in range(stacks.horizontal - 1)]
        self.stacks = stacks
        self.convolutions = nn.ModuleList(vertical + horizontal)
        self.gates = nn.ModuleList(Gate(filters, earlier=not first) for _ in self.convolutions)
        self.summary = nn.ModuleList(Conv2d(2 * filters, filters, 1) for _ in stacks)

    def forward(self, image: Tensor, before: Sequence[Tensor]) -> list[Tensor]:
        """Features (B, F, H, W) of each layer, from the image (B, C, H, W) and the same of the block before."""
        layers: list[Tensor] = []
        for i, (convolution, gate) in enumerate(self.parts()):
            below = None if i in (0, self.stacks.vertical) else layers[-1]
            c = convolution(image if below is None else concat_elu(below))
            layers.append(gate(c if below is None else below, c, *before[i : i + 1]))
        return layers

    def parts(self) -> Iterator[tuple[Causal, Gate]]:
        """Convolution and gate of every layer."""
        return zip(cast(Iterable[Causal], self.convolutions), cast(Iterable[Gate], self.gates), strict=True)

    def summarize(self, vertical: Tensor, horizontal: Tensor) -> Tensor:
        """(B, 2F, H, W) from the last layer of each stack: where the block's output starts from, and what moves it."""
        c = self.summary[0](concat_elu(vertical)) + self.summary[1](concat_elu(horizontal))
        return torch.cat([horizontal, c], 1)


class PixelCNNPP(AutoregressiveNetwork):
    """p(x | maps) = ∏ p(x_i | window of earlier pixels, maps), x_i a pixel with its channels (Appendix B).

    image (B, C, H, W) → `blocks` WindowBlocks, each conditioned on the one before ─┐
    maps (k·B, M, H, W) ─ 1×1 ──────────────────────────────────────────────────────┴→ `blocks` gates, each on
    a block's features, the maps and the gate before → all their outputs → 1×1 → mixture parameters (k·B, P, H, W).

    The maps, and with them z, enter behind the windows, by 1×1 convolutions: what the image alone gives is computed
    once for any number of latent samples, and nothing widens the window. With `grayscale` the window's input is the
    luma of the pixels; the channels of the pixel itself still see each other (in the mixture).
    """

    luma: Tensor

    def __init__(self, block: ColorModelConfig, likelihood: LogisticMixture) -> None:
        super().__init__()
        filters, blocks = block.filters, range(block.blocks)
        self.grayscale, self.likelihood = block.grayscale, likelihood
        self.register_buffer("luma", torch.tensor(LUMA).view(1, -1, 1, 1), persistent=False)
        seen, self.stacks = 1 if block.grayscale else likelihood.channels, Stacks.of_window(block.context)
        self.blocks = nn.ModuleList(WindowBlock(seen, filters, self.stacks, first=i == 0) for i in blocks)
        self.maps_layers = nn.ModuleList(
            Conv2d(2 * block.channels, filters, 1, initial_scale=block.conditioning_scale) for _ in blocks
        )
        self.gates = nn.ModuleList(Gate(filters, earlier=i > 0) for i in blocks)
        self.head = Conv2d(2 * filters * block.blocks, likelihood.parameters, 1, initial_scale=0.5)

    def window_blocks(self) -> Iterable[WindowBlock]:
        """The blocks, typed."""
        return cast(Iterable[WindowBlock], self.blocks)

    def window_input(self, x: Tensor) -> Tensor:
        """What the windows see of levels x (B, C, H, W): from −1 to 1, (B, C or 1, H, W)."""
        y = scaled(x)
        return (y * self.luma).sum(1, keepdim=True) if self.grayscale else y

    def image_features(self, x: Tensor) -> Tensor:
        """What the image alone gives: levels (B, C, H, W) to (B, 2F · blocks, H, W)."""
        image = self.window_input(x)
        features: list[Tensor] = []
        layers: list[Tensor] = []
        for block in self.window_blocks():
            layers = block(image, layers)
            features.append(block.summarize(layers[self.stacks.vertical - 1], layers[-1]))
        return torch.cat(features, 1)

    def conditioned(self, features: Tensor, maps: Tensor) -> Tensor:
        """Mixture parameters (k·B, P, H, W) from features (B, …), which start over for k·B maps (k·B, M, H, W)."""
        outputs: list[Tensor] = []
        maps = concat_elu(maps)
        parts = features.chunk(len(self.blocks), 1)
        for gate, layer, of_block in zip(self.gates, self.maps_layers, parts, strict=True):
            of_maps = layer(maps).unflatten(0, (-1, len(features)))
            horizontal, c = ((part + of_maps).flatten(0, 1) for part in of_block.chunk(2, 1))
            outputs.append(gate(horizontal, c, *outputs[-1:]))
        with torch.autocast(maps.device.type, enabled=False):  # bfloat16 would round the means to half a level
            return self.head(concat_elu(torch.cat(outputs, 1).to(self.head.bias.dtype)))
