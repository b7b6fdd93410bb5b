"""Visiting the pixels of a decoder without repeated work: every feature of a pixel is computed once and kept.

Pixels that do not see each other are visited together, as a front of n pixels. Draws are those of the obvious way,
which passes the whole image through the network for every pixel in raster order, up to the rounding of the parameters.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.fast.kept import kept_weights
from pipeline.models.layers import WeightNorm
from pipeline.models.likelihoods import Choose, Front
from pipeline.models.masked import DownsampledConv2d, MaskedConv2d
from pipeline.models.pixelcnn import PixelCNN
from pipeline.models.pixelcnnpp import Causal, Gate, PixelCNNPP, WindowBlock


@torch.no_grad()
def visit_pixelcnn(network: PixelCNN, maps: Tensor, choose: Choose) -> Tensor:
    """The image (B, C, H, W) that `choose` makes of the logits that the pixels before and maps (B, M, H, W) give."""
    with kept_weights(network):
        first, conditions = network.image_layer, network.maps_layer(maps).permute(2, 3, 0, 1)
        image = _Blocks(first, maps) if isinstance(first, DownsampledConv2d) else _masked(first, maps)
        later = [_masked(network.later_layer(i), maps) for i in range(network.later_layers)]
        for here in image.fronts(max(layer.right for layer in (image, *later))):
            h = image(here) + conditions[here]
            for i, layer in enumerate(later):
                layer.source.add(here, F.elu(h))
                h = h + layer(here)
                for block in network.blocks_after(i):
                    h = h + _pointwise(block.second, F.elu(_pointwise(block.first, F.elu(h))))
            logits = _pointwise(network.head, F.elu(h))
            image.source.add(here, _numbers(choose(here, _image(logits))))
    return image.source.known


@torch.no_grad()
def visit_pixelcnnpp(network: PixelCNNPP, maps: Tensor, choose: Choose) -> Tensor:
    """The image (B, C, H, W) that `choose` makes of the mixtures that the pixels before and maps (B, M, H, W) give.

    The vertical stack of a block looks to the right in the rows above, so that each of its layers runs a column ahead
    of the layer that needs it.
    """
    slope, x = network.stacks.vertical + 1, _SoFar(maps, network.likelihood.channels)
    with kept_weights(network):
        image = _SoFar(maps, network.window_input(x.known).shape[1], up=2, side=1)
        blocks = [(block, _gated_layers(block, image, maps)) for block in network.window_blocks()]
        for number in range(2 - slope, x.width + slope * (x.height - 1)):
            here, features = x.front(number, slope), []
            outputs: list[list[Tensor]] = [[] for _ in blocks[0][1]]
            for block, layers in blocks:
                outputs = [layer(number, slope, *before) for layer, before in zip(layers, outputs, strict=True)]
                if len(here[0]):
                    features.append(block.summarize(*outputs[network.stacks.vertical - 1], *outputs[-1]))
            if features:
                chosen = choose(here, network.conditioned(torch.cat(features, 1), maps[:, :, None, *here]))
                x.add(here, _numbers(chosen))
                image.add(here, _numbers(network.window_input(chosen)))
    return x.known


def _image(numbers: Tensor) -> Tensor:
    """The pixels of a front (n, B, C) as an image of one row, (B, C, 1, n)."""
    return numbers.permute(1, 2, 0)[:, :, None]


def _numbers(image: Tensor) -> Tensor:
    """The inverse."""
    return image[:, :, 0].permute(2, 0, 1)


def _pointwise(layer: nn.Module, h: Tensor) -> Tensor:
    """A 1×1 convolution of (n, B, channels)."""
    assert isinstance(layer, WeightNorm)
    return F.linear(h, layer.weight.flatten(1), layer.bias)


class _SoFar:
    """What is known of an image or of features (B, C, H, W), with zeros around it, where convolutions pad."""

    def __init__(self, maps: Tensor, channels: int, up: int = 0, side: int = 0) -> None:
        batch, _, self.height, self.width = maps.shape
        self.up, self.side = up, side
        self.values = maps.new_zeros(up + self.height, side + self.width + side, batch, channels)

    @property
    def known(self) -> Tensor:
        """(B, C, H, W)."""
        return self.values[self.up :, self.side : self.side + self.width].permute(2, 3, 0, 1).contiguous()

    def front(self, number: int, slope: int) -> Front:
        """The pixels with column + slope · row = `number`, if there are any."""
        low, high = -((self.width - 1 - number) // slope), number // slope
        rows = torch.arange(max(0, low), min(self.height - 1, high) + 1)
        return rows, number - slope * rows

    def at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(…, B, C) at places (…), which may be around it."""
        return self.values[rows + self.up, columns + self.side]

    def add(self, here: Front, values: Tensor) -> None:
        """Make (n, B, C) known."""
        self.values[here[0] + self.up, here[1] + self.side] = values


class _Convolution:
    """A causal convolution of what is known; with `gated`, of the ELU of both signs of it."""

    def __init__(self, layer: Causal, source: _SoFar, gated: bool = False) -> None:
        self.source, self.gated = source, gated
        self.kernel, self.bias = layer.taps.transpose(1, 2).flatten(1), layer.bias  # outputs, taps × inputs
        self.right = max([0, *(column for _, column in layer.tap_offsets)])
        self.down, self.across = torch.tensor(layer.tap_offsets, dtype=torch.long).view(-1, 2).unbind(1)

    def __call__(self, here: Front) -> Tensor:
        """(n, B, outputs) of n pixels."""
        seen = self.source.at(here[0][:, None] + self.down, here[1][:, None] + self.across)  # n, taps, B, inputs
        seen = F.elu(torch.cat([seen, -seen], -1)) if self.gated else seen
        return F.linear(seen.transpose(1, 2).flatten(2), self.kernel, self.bias)

    def fronts(self, right: int) -> Iterator[Front]:
        """Pixels that do not see each other, after all that they see, so many columns to the `right` in the row above.

        With 3×3 masks the slope is 2, 82 fronts for 28×28; where a pixel sees whole rows above it is the width.
        """
        slope = 1 + min(right, self.source.width - 1)
        fronts = (self.source.front(i, slope) for i in range(self.source.width + slope * (self.source.height - 1)))
        return (here for here in fronts if len(here[0]))


def _masked(layer: MaskedConv2d, maps: Tensor) -> _Convolution:
    """Nothing of its input is known as yet."""
    return _Convolution(layer, _SoFar(maps, layer.direction.shape[1], layer.reach.up, layer.reach.left))


class _Blocks:
    """The same of the context "downsampled", in which the pixels of a row of blocks do not see each other."""

    right = 0

    def __init__(self, layer: DownsampledConv2d, maps: Tensor) -> None:
        self.layer, self.source = layer, _SoFar(maps, layer.direction.shape[1])

    def __call__(self, here: Front) -> Tensor:
        return _numbers(self.layer(self.source.known)[:, :, None, *here])

    def fronts(self, right: int) -> Iterator[Front]:
        """A row of blocks each."""
        for rows in torch.arange(self.source.height).split(self.layer.factor):
            down, across = torch.cartesian_prod(rows, torch.arange(self.source.width)).unbind(1)
            yield down, across


class _GatedLayer:
    """A layer of a PixelCNN++'s block, and what is known of its output; `ahead`: columns that it runs ahead."""

    def __init__(self, convolution: Causal, gate: Gate, source: _SoFar, first: bool, ahead: int, maps: Tensor) -> None:
        self.convolution = _Convolution(convolution, source, gated=not first)
        self.gate, self.first, self.ahead = gate, first, ahead
        self.output = _SoFar(maps, gate.filters, up=2, side=1)

    def __call__(self, number: int, slope: int, *before: Tensor) -> list[Tensor]:
        """Its output (B, F, 1, n) at the front, given the block before's there; nothing if there is no front."""
        here = self.output.front(number + self.ahead, slope)
        if not len(here[0]):
            return []
        c = _image(self.convolution(here))
        output = self.gate(c if self.first else _image(self.convolution.source.at(*here)), c, *before)
        self.output.add(here, _numbers(output))
        return [output]


def _gated_layers(block: WindowBlock, image: _SoFar, maps: Tensor) -> list[_GatedLayer]:
    layers: list[_GatedLayer] = []
    for i, (convolution, gate) in enumerate(block.parts()):
        first = i in (0, block.stacks.vertical)
        source, ahead = image if first else layers[-1].output, max(0, block.stacks.vertical - 1 - i)
        layers.append(_GatedLayer(convolution, gate, source, first, ahead, maps))
    return layers
