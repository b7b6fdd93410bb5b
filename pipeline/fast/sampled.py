"""log p(x|z) of one image under many z as one compiled function, in bfloat16: generator and PixelCNN together.

Twice as fast as float32 in kernels.py, and less exact: log p(x|z) is off by 0.05 nats or so. importance.py corrects
what comes of it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.fast.decoders import FastGenerator, FastPixelCNN
from pipeline.fast.kernels import Block, Layers
from pipeline.fast.library import Compiled, checked, in_parts
from pipeline.models.vlae import Decoder

LANES, TOGETHER = 16, 4
"""Draws side by side; outputs whose weights lie together."""


class _Shape(ctypes.Structure):
    _fields_ = (
        *(
            (name, ctypes.c_int)
            for name in ("count", "height", "width", "channels", "maps", "outputs", "taps", "steps")
        ),
        *((name, ctypes.POINTER(ctypes.c_int)) for name in ("blocks", "offsets", "pairs")),
    )


class CompiledDraws(Compiled):
    """log p(x|z) in nats of an image x (1, C, H, W) in {0, 1}, by `blocks` and the layers that kernels.py describes."""

    def __init__(
        self,
        blocks: Sequence[Block],
        channels: int,
        offsets: Sequence[tuple[int, int]],
        pairs: Sequence[bool],
        outputs: int,
    ) -> None:
        last = blocks[-1]
        numbers = [number for block in blocks for number in block], [n for pair in offsets for n in pair], pairs
        self.shape = _Shape(
            len(blocks), last.out_height, last.out_width, channels, last.outputs, outputs, len(offsets), len(pairs),
            *((ctypes.c_int * len(of))(*of) for of in numbers),
        )  # fmt: skip
        self.start = (blocks[0].height, blocks[0].width, blocks[0].inputs)
        self.image, self.features = ((last.out_height, last.out_width, count) for count in (outputs, channels))
        types = [ctypes.POINTER(_Shape), ctypes.c_int, *[ctypes.c_void_p] * 7]
        super().__init__("sampled.cpp", "log_probs", types)

    def __call__(self, x: Tensor, features: Tensor, start: Tensor, layers: Layers) -> Tensor:
        """(N,) nats from `start` (N, channels, h, w) of the generator's blocks.

        `features` (1, channels, H, W) are what the first layer makes of x; `layers` those of all blocks, then from the
        maps' to the head.
        """
        *hidden, (head, head_bias) = layers
        weights = torch.cat([_pairs(weight) for weight, _ in hidden])
        biases = torch.cat([F.pad(bias, (0, -len(bias) % TOGETHER)) for _, bias in hidden]).float()
        whole = F.pad(start, (0, 0, 0, 0, 0, 0, 0, -len(start) % LANES))
        side = whole.unflatten(0, (-1, LANES)).permute(0, 3, 4, 2, 1).float().contiguous()
        checked(side, len(side), *self.start, LANES)
        x, features = (values[0].permute(1, 2, 0).float().contiguous() for values in (x, features))
        arrays = [weights, biases, checked(features, *self.features), checked(x, *self.image),
                  torch.cat([head.flatten(), head_bias]).float()]  # fmt: skip
        result = biases.new_empty(len(side), LANES)

        def work(part: slice, number: int) -> None:
            pointers = (values.data_ptr() for values in (side[part], *arrays, result[part]))
            self.call(self.shape, part.stop - part.start, *pointers)

        in_parts(len(side), work)
        return result.flatten()[: len(start)]


def _pairs(weight: Tensor) -> Tensor:
    """(outputs, inputs, taps) as [outputs / 4][taps][pairs of inputs][4] of two bfloat16 in an integer, 1-d."""
    padded = F.pad(weight, (0, 0, 0, -weight.shape[1] % 2, 0, -len(weight) % TOGETHER)).bfloat16()
    split = padded.unflatten(1, (-1, 2)).unflatten(0, (-1, TOGETHER))  # …, 4, pairs, 2, taps
    return split.permute(0, 4, 2, 1, 3).contiguous().view(torch.int32).flatten()


compiled_draws = cache(CompiledDraws)


def rough_log_prob_of(decoder: Decoder, x: Tensor) -> Callable[[Tensor], Tensor] | None:
    """log p(x|z) of an image x (1, C, H, W), roughly, as a function of z (N, D) to (N,); None where there is none."""
    generator, network = decoder.generator, decoder.network
    if not isinstance(generator, FastGenerator) or not isinstance(network, FastPixelCNN) or not _supported():
        return None
    outputs, filters = network.head.direction.shape[:2]
    compiled = compiled_draws(tuple(generator.geometry()), filters, *network.steps(), outputs)
    if not compiled.takes(decoder):
        return None
    features = network.image_features(x)

    def log_prob(z: Tensor) -> Tensor:
        start = generator.input(z).view(-1, *generator.start)
        return compiled(x, features, start, [*generator.weights(), *network.weights()])

    return log_prob


def _supported() -> bool:
    """Whether the processor multiplies pairs of bfloat16."""
    tell = getattr(torch.cpu, "get_capabilities", dict)  # torch that cannot tell computes in float32
    capabilities: Mapping[str, Any] = tell()
    return bool(capabilities.get("avx512_bf16"))
