"""The parts of a decoder of binary images in their faster forms: fronts in sampling, and compiled functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor

from pipeline.fast.fronts import visit_pixelcnn
from pipeline.fast.kernels import Block, CompiledPixelCNN, Layers, compiled_generator, compiled_pixelcnn
from pipeline.models.binary import Generator
from pipeline.models.layers import ConvTranspose2d, ResidualBlock, WeightNorm
from pipeline.models.likelihoods import Choose
from pipeline.models.pixelcnn import PixelCNN, repeat


class FastPixelCNN(PixelCNN):
    """On a CPU with a C++ compiler `log_prob` is one compiled function behind the first layer."""

    def log_prob(self, x: Tensor, maps: Tensor) -> Tensor:
        return self.log_prob_given(x, self.image_layer(x), maps)

    def log_prob_given(self, x: Tensor, features: Tensor, maps: Tensor) -> Tensor:
        compiled = None if x.requires_grad else self.compiled()
        if compiled is None:
            return super().log_prob_given(x, features, maps)
        if torch.is_grad_enabled():
            x, features = repeat(x, len(maps)), repeat(features, len(maps))
        return compiled(x, features, maps, self.weights())

    def visit(self, maps: Tensor, choose: Choose) -> Tensor:
        return visit_pixelcnn(self, maps, choose)

    def compiled(self) -> CompiledPixelCNN | None:
        """The function of this network's shape, if it can work on it."""
        outputs, filters = self.head.direction.shape[:2]
        compiled = compiled_pixelcnn(filters, self.maps_layer.direction.shape[1], *self.steps(), outputs)
        return compiled if compiled.takes(self) else None

    def steps(self) -> tuple[Sequence[tuple[int, int]], tuple[bool, ...]]:
        """Where the taps of a masked layer look; of each step behind the first layer whether it is a pair of 1×1."""
        offsets = self.later_layer(0).tap_offsets if self.later_layers else ()
        pairs = [pair for i in range(self.later_layers) for pair in (False, *(True for _ in self.blocks_after(i)))]
        return offsets, tuple(pairs)

    def weights(self) -> Layers:
        """Of all layers but the one that sees the image."""
        yield self.maps_layer.weight.flatten(2), self.maps_layer.bias
        for i in range(self.later_layers):
            layer = self.later_layer(i)
            yield layer.taps, layer.bias
            for block in self.blocks_after(i):
                for pointwise in cast(tuple[WeightNorm, WeightNorm], (block.first, block.second)):
                    yield pointwise.weight.flatten(2), pointwise.bias
        yield self.head.weight.flatten(2), self.head.bias


class FastGenerator(Generator):
    """Without gradients, on a CPU with a C++ compiler, one compiled function behind the fully connected layers."""

    def forward(self, z: Tensor) -> Tensor:
        compiled = compiled_generator(tuple(self.geometry()))
        if torch.is_grad_enabled() or not compiled.takes(self):
            return super().forward(z)
        return compiled(self.input(z).view(-1, *self.start), self.weights())

    def geometry(self) -> Iterator[Block]:
        """Of each block, what it makes of which shape."""
        _, *size = self.start
        for block in cast(Iterable[ResidualBlock], self.blocks):
            first, second = cast(tuple[WeightNorm, WeightNorm], (block.first, block.second))
            out = list(second.size) if isinstance(second, ConvTranspose2d) else size
            yield Block(isinstance(second, ConvTranspose2d), len(first.bias), len(second.bias), *size, *out)
            size = out

    def weights(self) -> Layers:
        for block in cast(Iterable[ResidualBlock], self.blocks):
            for layer in (block.first, block.second, block.skip):
                if isinstance(layer, WeightNorm):
                    yield layer.weight.transpose(0, layer.out_axis).flatten(2), layer.bias
