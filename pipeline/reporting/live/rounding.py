"""Weights rounded until they fit a page: whole multiples of a step, which take a byte each and compress well.

A step is a share of the standard deviation of an output unit's weights. What is small, and what sees the image, is in
float16.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pipeline.models.flows import MADE
from pipeline.models.layers import Linear, WeightNorm

FEW = 2500
"""A layer of so few weights is in float16."""
CONVOLUTION, LINEAR, FLOW, HIDDEN_FLOW = 0.1, 0.15, 0.2, 0.5
"""Steps by kind of layer; those of a flow between hidden units are more than half of a model."""
LARGEST = 127


@torch.no_grad()
def round_weights(model: nn.Module) -> dict[str, Tensor]:
    """Round a model's weights and biases in place, and return the steps of each output unit of the rounded layers.

    Weight normalisation loses its meaning: a direction is the weight, and a gain its norm.
    """
    steps, hidden = {}, set(_hidden_layers(model))
    for name, layer in model.named_modules():
        if isinstance(layer, WeightNorm):
            layer.bias.copy_(layer.bias.half())
            share = HIDDEN_FLOW if layer in hidden else _share(name, layer)
            if share is None:
                _set(layer, layer.weight.half().float())
            else:
                steps[name] = _steps(layer, share)
                _set(layer, whole(layer, steps[name]) * _along(layer, steps[name]))
    return steps


def whole(layer: WeightNorm, steps: Tensor) -> Tensor:
    """The weight in whole steps, from −127 to 127."""
    return torch.where(_along(layer, steps) > 0, layer.weight / _along(layer, steps), 0).round()


def _hidden_layers(model: nn.Module) -> Iterator[nn.Module]:
    """Those of flows between hidden units."""
    for made in model.modules():
        if isinstance(made, MADE):
            yield from [layer for layer in made.layers if isinstance(layer, Linear)][1:-1]


def _share(name: str, layer: WeightNorm) -> float | None:
    """The step of any other layer in standard deviations; None: none, it is in float16."""
    if layer.weight.numel() < FEW or name.startswith("decoder.network."):
        return None
    if name.startswith("prior.flow."):
        return FLOW
    return LINEAR if isinstance(layer, Linear) else CONVOLUTION


def _steps(layer: WeightNorm, share: float) -> Tensor:
    """(outputs,), in what float16 can say."""
    weight, others = layer.weight, _others(layer)
    kept = torch.ones_like(weight) if layer.mask is None else layer.mask.expand_as(weight)
    deviation = (weight.square().sum(others) / kept.sum(others).clamp_min(1)).sqrt()
    return torch.maximum(share * deviation, 1.01 * weight.abs().amax(others) / LARGEST).half().float()


def _set(layer: WeightNorm, weight: Tensor) -> None:
    layer.direction.copy_(weight)
    layer.gain.copy_(weight.square().sum(_others(layer)).sqrt())


def _others(layer: WeightNorm) -> list[int]:
    return [axis for axis in range(layer.direction.dim()) if axis != layer.out_axis]


def _along(layer: WeightNorm, values: Tensor) -> Tensor:
    """(outputs,) in the shape of the weight."""
    return values.view([-1 if axis == layer.out_axis else 1 for axis in range(layer.direction.dim())])
