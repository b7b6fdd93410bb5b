"""Weights of models as a page in a browser takes them: no weight normalisation, nothing that a mask hides, compressed.

A layer is a matrix of rows, one an output. Of a masked convolution a row has the taps that the mask leaves, channel
after channel. The hidden units of a MADE are sorted by degree, so that what a unit sees comes first in its row, and the
rest is left out; `lengths` says how much that is.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.models.flows import MADE
from pipeline.models.layers import ConvTranspose2d, Linear, WeightNorm
from pipeline.models.masked import MaskedConv2d
from pipeline.reporting.live.rounding import whole

Layout = tuple[Tensor, Tensor]
"""Which output units, and which input units, in which order."""


class Rows(NamedTuple):
    """Weights (outputs, inputs), and of a MADE how many of each row are kept: (outputs,)."""

    values: Tensor
    lengths: Tensor | None

    def kept(self) -> np.ndarray:
        """Row after row."""
        if self.lengths is None:
            return self.values.flatten().numpy()
        return self.values[torch.arange(self.values.shape[1]) < self.lengths[:, None]].numpy()


class Store:
    """The models of a page: `models` says what layers there are, two streams hold their numbers in that order.

    The stream `bytes` has rounded weights; `halves`, two bytes each, of every layer lengths, if it has them, steps or
    weights, and biases.
    """

    def __init__(self) -> None:
        self.models: dict[str, Any] = {}
        self._streams: dict[str, list[np.ndarray]] = {"bytes": [], "halves": []}

    def add(self, name: str, model: nn.Module, steps: dict[str, Tensor], **facts: Any) -> None:
        """Put in a model whose weights were rounded by these steps, with what else the page should know of it."""
        orders = made_orders(model)
        layers = {
            key: self._add_layer(layer, steps.get(key), orders.get(key))
            for key, layer in model.named_modules()
            if isinstance(layer, WeightNorm)
        }
        self.models[name] = {**facts, "layers": layers}

    def _add_layer(self, layer: WeightNorm, steps: Tensor | None, order: Layout | None) -> dict[str, Any]:
        weights = rows_of(layer, layer.weight if steps is None else whole(layer, steps), order)
        units = slice(None) if order is None else order[0]
        halves = [] if weights.lengths is None else [weights.lengths.numpy().astype("<u2")]
        if steps is None:
            halves.append(weights.kept().astype("<f2"))
        else:
            self._streams["bytes"].append(weights.kept().astype(np.int8))
            halves.append(steps[units].numpy().astype("<f2"))
        self._streams["halves"] += [*halves, layer.bias[units].detach().numpy().astype("<f2")]
        shape = {"rows": weights.values.shape[0], "columns": weights.values.shape[1]}
        facts = {"masked": weights.lengths is not None, "rounded": steps is not None}
        return shape | facts | ({"reach": list(layer.reach)} if isinstance(layer, MaskedConv2d) else {})

    def packed(self) -> dict[str, str]:
        """The streams, deflated, in base64."""
        joined = {name: b"".join(part.tobytes() for part in parts) for name, parts in self._streams.items()}
        return {name: base64.b64encode(_deflated(data)).decode("ascii") for name, data in joined.items()}


def _deflated(data: bytes) -> bytes:
    """Rounded weights repeat nothing, and are a tenth smaller if nobody looks for repetitions."""
    stream = zlib.compressobj(9, strategy=zlib.Z_HUFFMAN_ONLY)
    return stream.compress(data) + stream.flush()


def rows_of(layer: WeightNorm, weight: Tensor, order: Layout | None) -> Rows:
    """A weight, or anything in its shape, as rows."""
    weight = weight.detach()
    if isinstance(layer, MaskedConv2d):
        return Rows(weight.flatten(2)[..., : layer.seen].transpose(1, 2).flatten(1), None)
    if order is not None:
        assert layer.mask is not None
        return Rows(weight[order[0]][:, order[1]], layer.mask.sum(1).long()[order[0]])
    return Rows((weight.transpose(0, 1) if isinstance(layer, ConvTranspose2d) else weight).flatten(1), None)


def made_orders(model: nn.Module) -> dict[str, Layout]:
    """By layer of every MADE, the order of its output and input units: hidden ones by how many inputs they see."""
    orders = {}
    for name, made in model.named_modules():
        if isinstance(made, MADE):
            layers = {f"{name}.layers.{i}": layer for i, layer in enumerate(made.layers) if isinstance(layer, Linear)}
            for key, outputs, inputs in _sorted_layers(layers):
                orders[key] = (outputs, inputs)
    return orders


def _sorted_layers(layers: dict[str, Linear]) -> Iterator[tuple[str, Tensor, Tensor]]:
    *hidden, (last, output) = layers.items()
    inputs = torch.arange(hidden[0][1].weight.shape[1])
    for name, layer in hidden:
        assert layer.mask is not None
        units = layer.mask.sum(1).argsort(stable=True)
        yield name, units, inputs
        inputs = units
    yield last, torch.arange(len(output.weight)), inputs
