"""Visiting the pixels of a PixelCNN++ without repeated work: every feature of a pixel is computed once and kept.

Pixels that do not see each other are visited together. The vertical stack of a block looks to the right in the rows
above, so that each of its layers runs a column ahead of the layer that needs it. Draws are those of the obvious
way, a whole pass for every pixel in raster order, up to the rounding of the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.fast.kept import kept_weights
from pipeline.models.layers import concat_elu
from pipeline.models.likelihoods import Choose, Front
from pipeline.models.pixelcnnpp import Causal, Gate, PixelCNNPP, WindowBlock


@torch.no_grad()
def visit_pixelcnnpp(network: PixelCNNPP, maps: Tensor, choose: Choose) -> Tensor:
    """The image whose pixels `choose` gives their values, told the mixtures given the pixels before and the maps.

    maps (B, M, H, W) to levels x (B, C, H, W). The n pixels of a front pass through the network as an image of 1 × n.
    """
    height, width = maps.shape[2:]
    ahead = network.stacks.vertical
    x = maps.new_zeros(len(maps), network.likelihood.channels, height, width)
    with kept_weights(network):
        image = _SoFar(network.window_input(x))
        blocks = [_BlockSoFar(block, image) for block in network.window_blocks()]
        for front in range(1 - ahead, width + (ahead + 1) * (height - 1)):
            layers: Sequence[Tensor | None] = [None] * len(blocks[0].layers)
            features = []
            for block in blocks:
                layers = block.advance(front, layers)
                if layers[-1] is not None:
                    features.append(block.summarize(layers))
            if features:
                here = image.positions(front, ahead + 1)
                parameters = network.conditioned(torch.cat(features, 1), _pick(maps, here))
                chosen = choose(here, parameters)
                x[:, :, here[0], here[1]] = chosen[:, :, 0]
                image.add(here, network.window_input(chosen))
    return x


class _SoFar:
    """Values (B, C, H, W) as far as they are known, with zeros around them, where convolutions pad."""

    UP, SIDE = 2, 1

    def __init__(self, like: Tensor) -> None:
        self.height, self.width = like.shape[2:]
        self.values = F.pad(torch.zeros_like(like), (self.SIDE, self.SIDE, self.UP, 0))

    def positions(self, front: int, slope: int) -> Front:
        """The pixels with column + slope · row = `front`: those to which it has come."""
        low, high = -((self.width - 1 - front) // slope), front // slope
        rows = torch.arange(max(0, low), min(self.height - 1, high) + 1)
        return rows, front - slope * rows

    def add(self, here: Front, values: Tensor) -> None:
        """Make (B, C, 1, n) known."""
        self.values[:, :, here[0] + self.UP, here[1] + self.SIDE] = values[:, :, 0]

    def seen(self, here: Front, offsets: Sequence[tuple[int, int]]) -> Tensor:
        """What lies at these offsets (row, column) from n pixels: (B, C, n, offsets)."""
        down, across = (torch.tensor(part) for part in zip(*offsets, strict=True))
        return self.values[:, :, here[0][:, None] + down + self.UP, here[1][:, None] + across + self.SIDE]


class _LayerSoFar(_SoFar):
    """A layer's output; `ahead` is how many columns it runs ahead of the pixels that are drawn."""

    def __init__(self, convolution: Causal, gate: Gate, below: _SoFar, first: bool, ahead: int) -> None:
        batch, _, height, width = below.values.shape
        shape = (batch, gate.filters, height - self.UP, width - 2 * self.SIDE)
        super().__init__(below.values.new_zeros(shape))
        self.gate, self.below, self.first, self.ahead = gate, below, first, ahead
        self.offsets, self.bias = convolution.tap_offsets, convolution.bias
        self.kernel = convolution.taps[:, :, None]  # outputs, inputs, 1, taps

    def advance(self, front: int, slope: int, before: Sequence[Tensor]) -> Tensor | None:
        """Compute the layer at the front, given the block before's there: (B, F, 1, n), or None if there is none."""
        here = self.positions(front + self.ahead, slope)
        if not len(here[0]):
            return None
        seen = self.below.seen(here, self.offsets)
        c = F.conv2d(seen if self.first else concat_elu(seen), self.kernel, self.bias).transpose(2, 3)
        start = c if self.first else self.below.seen(here, [(0, 0)]).transpose(2, 3)
        output = self.gate(start, c, *before)
        self.add(here, output)
        return output


class _BlockSoFar:
    """All layers of a block."""

    def __init__(self, block: WindowBlock, image: _SoFar) -> None:
        self.block, self.vertical = block, block.stacks.vertical
        self.layers: list[_LayerSoFar] = []
        for i, (convolution, gate) in enumerate(block.parts()):
            first = i in (0, self.vertical)
            ahead = max(0, self.vertical - 1 - i)
            self.layers.append(_LayerSoFar(convolution, gate, image if first else self.layers[-1], first, ahead))

    def advance(self, front: int, before: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Every layer at the front, given those of the block before."""
        return [
            layer.advance(front, self.vertical + 1, [] if other is None else [other])
            for layer, other in zip(self.layers, before, strict=True)
        ]

    def summarize(self, layers: Sequence[Tensor | None]) -> Tensor:
        """(B, 2F, 1, n) of the pixels that are drawn at this front."""
        vertical, horizontal = layers[self.vertical - 1], layers[-1]
        assert vertical is not None
        assert horizontal is not None
        return self.block.summarize(vertical, horizontal)


def _pick(maps: Tensor, here: Front) -> Tensor:
    """(B, C, H, W) at n pixels, (B, C, 1, n)."""
    return maps[:, :, None, here[0], here[1]]
