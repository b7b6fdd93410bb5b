"""The decoder's two halves as compiled functions for the CPU, in float32.

The layers are narrow, so that the usual way spends most of its time on moving activations and on ELU. Here one image
passes all layers while it is in the processor's cache. The sums are those of the layers, in another order.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipeline.fast.library import Compiled, checked, in_parts

Layers = Iterable[tuple[Tensor, Tensor]]
"""Weights (outputs, inputs, taps) and biases (outputs,), in the order of use."""
LANES = 16
"""generator.cpp stores channels in multiples of so many floats."""


class _Shape(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int) for name in ("height", "width", "outputs", "taps", "steps")),
        *((name, ctypes.POINTER(ctypes.c_int)) for name in ("offsets", "pairs")),
    )


class CompiledPixelCNN(Compiled):
    """log p(x | maps) in nats of images x (N, C, H, W) in {0, 1}, and its gradients.

    From what the first layer makes of x, features (N, channels, H, W), and from maps (N, M, H, W): a 3×3 convolution
    of the maps is added to the features, then each step adds something to their sum h: a masked convolution of ELU(h),
    whose taps are `offsets` (row, column) from the pixel, or, where `pairs` has True, what a pair of 1×1 convolutions
    makes of it, ELU before each. The head, a 1×1 convolution of ELU(h), gives logits (N, C, H, W).
    """

    def __init__(
        self, channels: int, maps: int, offsets: Sequence[tuple[int, int]], pairs: Sequence[bool], outputs: int
    ) -> None:
        self.lanes = 1 << max(2, (max(channels, maps) - 1).bit_length())
        self.offsets = (ctypes.c_int * (2 * len(offsets)))(*(number for offset in offsets for number in offset))
        self.pairs = (ctypes.c_int * len(pairs))(*pairs)
        self.outputs = outputs
        self.channels = [outputs, channels, maps]
        of_pairs, of_taps = 2 * (channels + 1), channels * len(offsets) + 1
        inputs = 9 * maps + 1 + sum(of_pairs if pair else of_taps for pair in pairs)
        self.weights = self.lanes * inputs + outputs * (self.lanes + 1)
        types = [ctypes.POINTER(_Shape), *[ctypes.c_int] * 3, *[ctypes.c_void_p] * 9]
        super().__init__("pixelcnn.cpp", "log_prob", types, CHANNELS=channels, MAPS=maps, LANES=self.lanes)

    def __call__(self, x: Tensor, features: Tensor, maps: Tensor, layers: Layers) -> Tensor:
        """(N,); `layers` from the maps' to the head. Without gradients the images may be fewer: they start over.

        ValueError if shapes do not belong together.
        """
        shapes = [tuple(values.shape) for values in (x, features, maps)]
        sizes = {shape[2:] for shape in shapes}
        if len(x) != len(features) or len(maps) % len(x) or len(sizes) > 1 or [s[1] for s in shapes] != self.channels:
            raise ValueError(
                f"images, features and maps of shapes {shapes}: must be of one size, {self.channels} channels"
            )
        x, features, maps = map(_channels_last, (x, features, maps))
        *hidden, (weight, bias) = layers
        parts = [part for layer in hidden for part in _padded(*layer, self.lanes - len(layer[1]))]
        head = F.pad(weight[..., 0], (0, self.lanes - weight.shape[1])).flatten()
        return _LogProb.apply(features, maps, torch.cat([*parts, head, bias]), x, self)

    def run(
        self, features: Tensor, maps: Tensor, weights: Tensor, x: Tensor, scales: Tensor, gradients: Sequence[Tensor]
    ) -> Tensor:
        """Call pixelcnn.cpp with (N, H, W, …); fill `gradients` of features, maps (N, …) and weights (threads, …)."""
        height, width = size = x.shape[1:3]
        for values, count, numbers in zip((x, features, maps), (len(x), len(x), len(maps)), self.channels, strict=True):
            checked(values, count, *size, numbers)
        checked(weights, self.weights)
        checked(scales, len(maps))
        shape = _Shape(height, width, self.outputs, len(self.offsets) // 2, len(self.pairs), self.offsets, self.pairs)
        result = weights.new_empty(len(maps))

        def work(part: slice, number: int) -> None:
            rows = (part.stop - part.start, part.start % len(x), len(x))
            arrays = [features, x, weights, maps[part], result[part], scales[part]]
            arrays += [*(array[part] for array in gradients[:2]), *(array[number] for array in gradients[2:])]
            self.call(shape, *rows, *(array.data_ptr() for array in arrays), *[None] * (3 - len(gradients)))

        in_parts(len(maps), work)
        return result


class _LogProb(torch.autograd.Function):
    """The gradients come with the values, while the activations are in the cache, as if every image counted the same.

    If the loss then weights the images otherwise, they are computed anew.
    """

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, maps: Tensor, weights: Tensor, x: Tensor, network: CompiledPixelCNN
    ) -> Tensor:
        same = weights.new_ones(len(maps))
        if not any(ctx.needs_input_grad):
            return network.run(features, maps, weights, x, same, ())
        ctx.inputs, ctx.network = (features, maps, weights, x), network
        gradients = _gradients(features, maps, weights)
        ctx.save_for_backward(*gradients)
        return network.run(features, maps, weights, x, same, gradients)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        scales, gradients = outer[0].contiguous(), ctx.saved_tensors
        scale = scales[0]
        if bool((scales != scale).any()):
            gradients = _gradients(*ctx.inputs[:3])
            ctx.network.run(*ctx.inputs, scales, gradients)
            scale = torch.ones_like(scale)
        features, maps, parts = gradients
        return scale * features, scale * maps, scale * parts.sum(0), None, None


def _gradients(features: Tensor, maps: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Room for them; the weights' have a row for each of the parts that run at once."""
    parts = weights.new_zeros(torch.get_num_threads(), len(weights))
    return torch.empty_like(features), torch.empty_like(maps), parts


class Block(NamedTuple):
    """A residual block of the generator: height and width, before and after; a skip if it enlarges the image."""

    enlarge: bool
    inputs: int
    outputs: int
    height: int
    width: int
    out_height: int
    out_width: int


class CompiledGenerator(Compiled):
    """The generator's residual blocks without gradients: start (N, channels, h, w) to maps (N, M, H, W)."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.first, self.last = blocks[0], blocks[-1]
        self.weights = sum(_weights_of(block) for block in blocks)
        self.blocks = (ctypes.c_int * (7 * len(blocks)))(*(number for block in blocks for number in block))
        self.count = len(blocks)
        types = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int, *[ctypes.c_void_p] * 3]
        super().__init__("generator.cpp", "generate", types, LANES=LANES)

    def __call__(self, start: Tensor, layers: Layers) -> Tensor:
        """`layers`: of each block the first, the second and the skip's, each (outputs, inputs, 9)."""
        first = self.first
        start = checked(_channels_last(start), len(start), first.height, first.width, first.inputs)
        weights = torch.cat([part for layer in layers for part in _padded(*layer, -len(layer[1]) % LANES)])
        checked(weights, self.weights)
        maps = start.new_empty(len(start), self.last.out_height, self.last.out_width, self.last.outputs)

        def work(part: slice, number: int) -> None:
            pointers = (values.data_ptr() for values in (start[part], weights, maps[part]))
            self.call(self.blocks, self.count, part.stop - part.start, *pointers)

        in_parts(len(start), work)
        return maps.permute(0, 3, 1, 2)


def _padded(weight: Tensor, bias: Tensor, lanes: int) -> tuple[Tensor, Tensor]:
    """Weights [taps][inputs][outputs] and biases, with room for so many more outputs: 1-d each."""
    return F.pad(weight.permute(2, 1, 0), (0, lanes)).flatten(), F.pad(bias, (0, lanes))


def _channels_last(images: Tensor) -> Tensor:
    """(N, C, H, W) to (N, H, W, C) in memory."""
    return images.float().permute(0, 2, 3, 1).contiguous()


def _weights_of(block: Block) -> int:
    """Of the first layer, the second, and the skip's, with biases, outputs rounded up."""
    inner, outer = (-(-width // LANES) * LANES for width in (block.inputs, block.outputs))
    return (9 * block.inputs + 1) * (inner + outer * (2 if block.enlarge else 1))


compiled_pixelcnn = cache(CompiledPixelCNN)
compiled_generator = cache(CompiledGenerator)
