"""Visiting the pixels of a PixelCNN without repeated work: each pixel's features are computed once and kept.

Pixels that do not see each other are visited together. Draws are those of the obvious way, which passes the whole
image through the network for every pixel in raster order, up to the rounding of the probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.fast.kept import kept_weights
from pipeline.models.layers import WeightNorm
from pipeline.models.likelihoods import Choose, Front
from pipeline.models.masked import DownsampledConv2d, MaskedConv2d
from pipeline.models.pixelcnn import PixelCNN


@torch.no_grad()
def visit_pixelcnn(network: PixelCNN, maps: Tensor, choose: Choose) -> Tensor:
    """The image whose pixels `choose` gives their values, told the logits given the pixels before and the maps.

    maps (B, M, H, W) to x (B, C, H, W) in {0, 1}. Features of the n pixels of a front are (n, B, channels).
    """
    with kept_weights(network):
        return _visit(network, network.maps_layer(maps).permute(2, 3, 0, 1), choose)


def _visit(network: PixelCNN, conditioning: Tensor, choose: Choose) -> Tensor:
    size, first = conditioning.shape[:3], network.image_layer
    height, width, _ = size
    x = conditioning.new_zeros(*size, network.likelihood.channels)
    image = _BlocksSoFar(first, x) if isinstance(first, DownsampledConv2d) else _SoFar(first, *size)
    layers = [_SoFar(network.later_layer(i), *size) for i in range(network.later_layers)]
    for rows, columns in image.fronts(height, width):
        h = image.output(rows, columns) + conditioning[rows, columns]
        for i, layer in enumerate(layers):
            layer.add(rows, columns, F.elu(h))
            h = h + layer.output(rows, columns)
            for block in network.blocks_after(i):
                h = h + _pointwise(block.second, F.elu(_pointwise(block.first, F.elu(h))))
        logits = _pointwise(network.head, F.elu(h))
        x[rows, columns] = choose((rows, columns), logits.permute(1, 2, 0)[:, :, None])[:, :, 0].permute(2, 0, 1)
        image.add(rows, columns, x[rows, columns])
    return x.permute(2, 3, 0, 1).contiguous()


def _pointwise(layer: nn.Module, h: Tensor) -> Tensor:
    """A 1×1 convolution of (n, B, channels)."""
    assert isinstance(layer, WeightNorm)
    return F.linear(h, layer.weight.flatten(1), layer.bias)


class _SoFar:
    """The input of a masked convolution as far as it is known: (rows, columns, B, channels), padded with zeros."""

    def __init__(self, layer: MaskedConv2d, height: int, width: int, batch: int) -> None:
        self.reach = layer.reach
        up, left, right = layer.reach
        taps = layer.taps
        self.down, self.across = _positions(layer.tap_offsets, up, left)
        self.kernel = taps.transpose(1, 2).flatten(1)  # outputs, taps × channels
        self.bias = layer.bias
        self.values = taps.new_zeros(up + height, left + width + right, batch, taps.shape[1])

    def fronts(self, height: int, width: int) -> Iterator[Front]:
        """Pixels with the same column + slope · row do not see each other, and all they see comes before.

        With 3×3 masks the slope is 2, 82 fronts for 28×28; where a pixel sees whole rows above it is the width.
        """
        slope = min(self.reach.right, width - 1) + 1
        for front in range(width + slope * (height - 1)):
            rows = torch.arange(max(0, -((width - 1 - front) // slope)), min(height - 1, front // slope) + 1)
            yield rows, front - slope * rows

    def add(self, rows: Tensor, columns: Tensor, values: Tensor) -> None:
        """Make the input at these pixels, (n, B, channels), known."""
        self.values[rows + self.reach.up, columns + self.reach.left] = values

    def output(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The convolution's output at these pixels, (n, B, outputs)."""
        seen = self.values[rows[:, None] + self.down, columns[:, None] + self.across]  # n, taps, B, channels
        return F.linear(seen.transpose(1, 2).flatten(2), self.kernel, self.bias)


def _positions(offsets: Sequence[tuple[int, int]], up: int, left: int) -> tuple[Tensor, ...]:
    """Rows and columns of taps in padded values; of a 1×1 image there are none."""
    return (torch.tensor(offsets, dtype=torch.long).view(-1, 2) + torch.tensor([up, left])).unbind(1)


class _BlocksSoFar:
    """The same for the context "downsampled", from the image (H, W, B, C) that is being drawn."""

    def __init__(self, layer: DownsampledConv2d, x: Tensor) -> None:
        self.layer, self.x = layer, x

    def fronts(self, height: int, width: int) -> Iterator[Front]:
        """The pixels of a row of blocks do not see each other."""
        for rows in torch.arange(height).split(self.layer.factor):
            grid = torch.cartesian_prod(rows, torch.arange(width))
            yield grid[:, 0], grid[:, 1]

    def add(self, rows: Tensor, columns: Tensor, values: Tensor) -> None:
        """The image has the values already."""

    def output(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The layer's output at these pixels, (n, B, outputs); it does not see the rows from the first of them on."""
        return self.layer(self.x.permute(2, 3, 0, 1)).permute(2, 3, 0, 1)[rows, columns]
