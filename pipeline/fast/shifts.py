"""Visiting the variables of a flow's shifts without repeated work: each hidden unit is computed once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.models.flows import MADE, ChooseNext, ConvMADE
from pipeline.models.layers import Linear
from pipeline.models.masked import MaskedConv2d


class FastMADE(MADE):
    """Unit after unit."""

    @torch.no_grad()
    def visit(self, batch: int, choose: ChooseNext, context: Tensor | None = None) -> Tensor:
        layers = [(layer.weight, layer.bias[:, None]) for layer in self.layers if isinstance(layer, Linear)]
        layers[0] = layers[0][0], self.with_context(layers[0][1].t(), context).t()
        return _visit(layers, batch, choose, 1).t().contiguous()


class FastConvMADE(ConvMADE):
    """Position after position, at each unit after unit."""

    @torch.no_grad()
    def visit(self, batch: int, choose: ChooseNext, context: Tensor | None = None) -> Tensor:
        _, height, width = self.shape
        kernels = [(layer.weight, layer.bias) for layer in cast(Sequence[MaskedConv2d], self.layers)]
        first = kernels[0][1].new_zeros(batch, len(kernels[0][1]), height, width)
        given = self.with_context(first, context)
        known = [F.pad(k.new_zeros(batch, k.shape[1], height, width), (1, 1, 1, 0)) for k, _ in kernels]
        for row, column in itertools.product(range(height), range(width)):
            here = (..., row + 1, column + 1)
            layers: list[tuple[Tensor, Tensor]] = []
            for (kernel, bias), values in zip(kernels, known, strict=True):
                seen = values[..., row : row + 2, column : column + 3]  # zero at the position itself
                earlier = kernel.flatten(1) @ seen.flatten(1).t() + bias[:, None]
                layers.append((kernel[..., 1, 1], earlier))
            layers[0] = layers[0][0], layers[0][1] + given[..., row, column].t()
            values = _visit(layers, batch, partial(_choose_channel, choose, row * width + column, height * width), 0)
            known[0][here] = values.t()
            for (centre, earlier), after in zip(layers[:-1], known[1:], strict=True):
                values = torch.relu(centre @ values + earlier)
                after[here] = values.t()
        return known[0][..., 1:, 1:-1].flatten(1)


def _visit(layers: Sequence[tuple[Tensor, Tensor]], batch: int, choose: ChooseNext, lowest: int) -> Tensor:
    """z (D, B) as it is chosen, told the outputs of masked `layers`: weights (units, inputs), biases (units, 1 or B).

    Degrees of the hidden units start at `lowest`.
    Hidden units of degree i see z_0 … z_{i−1} and units of lower or the same degree in the layer before, so that
    each is computed once, when its inputs are there; those still to come are zero.
    """
    *hidden, (weight, bias) = layers
    known = weight.new_zeros(len(weight), batch)
    values = [known, *(weight.new_zeros(len(units), batch) for units, _ in hidden)]
    for i in range(len(known)):
        for (weights, biases), inputs, outputs in zip(hidden, values[:-1], values[1:], strict=True):
            now = _of_degree(i, len(known), lowest)
            outputs[now] = torch.addmm(biases[now], weights[now], inputs).relu_()
        known[i] = choose(i, torch.addmm(bias[i : i + 1], weight[i : i + 1], values[-1])[0])
    return known


def _of_degree(degree: int, dim: int, lowest: int) -> slice:
    """Which of the hidden units that `degrees` tells have this degree."""
    return slice(degree - lowest, None, max(dim - lowest, 1)) if degree >= lowest else slice(0)


def _choose_channel(choose: ChooseNext, place: int, places: int, channel: int, output: Tensor) -> Tensor:
    """Of maps whose vector holds channel after channel, the variable of a channel at a place."""
    return choose(channel * places + place, output)
