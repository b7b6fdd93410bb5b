"""The networks of colour models with nothing but `activated` between their convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pipeline.fast.activations import Activated, activated, elu_of_sum, takes
from pipeline.fast.fronts import visit_pixelcnnpp
from pipeline.models.color import DenseBlock, Trunk
from pipeline.models.layers import ResidualBlock
from pipeline.models.likelihoods import Choose
from pipeline.models.pixelcnnpp import Gate, PixelCNNPP, WindowBlock


class FastTrunk(Trunk):
    """A convolution sees the ELU of what is before it, which is made once, with the sums of ResNet blocks."""

    def forward(self, x: Tensor) -> Tensor:
        if not takes(self):
            return super().forward(x)
        h, bent = x, None  # and its ELU, once it is needed
        for layer in self:
            if isinstance(layer, nn.ELU | ResidualBlock | DenseBlock) and bent is None:
                bent = elu_of_sum(h, both=False)
            h, bent = _through(layer, h, bent)
        return h


class FastPixelCNNPP(PixelCNNPP):
    """Samples in fronts; likelihoods of one set of maps an image without a copy between the convolutions."""

    def forward(self, x: Tensor, maps: Tensor) -> Tensor:
        if not takes(self):
            return super().forward(x, maps)
        image = self.window_input(x).contiguous(memory_format=torch.channels_last)
        of_maps, layers, outputs = elu_of_sum(maps), list[Activated](), list[Activated]()
        for block, maps_layer, gate in zip(self.window_blocks(), self.maps_layers, self.gates, strict=True):
            layers = _window_layers(block, image, layers)
            vertical, horizontal = layers[self.stacks.vertical - 1], layers[-1]
            moved = maps_layer(of_maps)
            parts = block.summary[0](vertical.out), block.summary[1](horizontal.out), moved
            outputs.append(_gated(cast(Gate, gate), (horizontal.h, moved), parts, outputs[-1:]))
        return self._head_of([output.out for output in outputs])

    def _head_of(self, outputs: list[Tensor]) -> Tensor:
        """The head, whose weights have first what sees ELU(h) of all blocks and then what sees ELU(−h)."""
        weight = self.head.weight.unflatten(1, (2, len(outputs), -1)).transpose(1, 2).flatten(1, 3)
        return _Head.apply(torch.cat(outputs, 1), weight, self.head.bias)

    def visit(self, maps: Tensor, choose: Choose) -> Tensor:
        return visit_pixelcnnpp(self, maps, choose)


class _Head(torch.autograd.Function):
    """A 1×1 convolution in the precision of its weights, and its gradients in that of x, as of other layers."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        with torch.autocast(x.device.type, enabled=False):
            return F.conv2d(x.to(weight.dtype), weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        less, where = (outer.to(x.dtype), x, weight.to(x.dtype)), ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)
        return torch.ops.aten.convolution_backward(*less, [len(weight)], *where, [True] * 3)


def _through(layer: nn.Module, h: Tensor, bent: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """What the layer makes of h, whose ELU is `bent` if it needs that; and the ELU of the result, if it is known."""
    if bent is None or isinstance(layer, nn.ELU):
        return (layer(h), None) if bent is None else (bent, None)
    if isinstance(layer, ResidualBlock):
        return activated(h, layer.second(elu_of_sum(layer.first(bent), both=False)), both=False)
    made, seen = list[Tensor](), [bent]
    for step in cast(DenseBlock, layer).steps:
        made.append(step(torch.cat(seen, 1)))
        seen.append(elu_of_sum(made[-1], both=False))
    return torch.cat(made, 1), torch.cat(seen[1:], 1)


def _window_layers(block: WindowBlock, image: Tensor, before: Sequence[Activated]) -> list[Activated]:
    """As `WindowBlock.forward`."""
    layers: list[Activated] = []
    for i, (convolution, gate) in enumerate(block.parts()):
        first = i in (0, block.stacks.vertical)
        c = convolution(image if first else layers[-1].out)
        layers.append(_gated(gate, (c if first else layers[-1].h,), (c,), before[i : i + 1]))
    return layers


def _gated(gate: Gate, x: Sequence[Tensor], c: Sequence[Tensor], earlier: Sequence[Activated]) -> Activated:
    """As `Gate.forward`, x and c being sums of these."""
    if gate.earlier is not None:
        c = (*c, gate.earlier(earlier[0].out))
    return activated(*x, gate=gate.out(elu_of_sum(*c)))
