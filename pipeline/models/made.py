"""Masked autoencoders: functions of a vector, or of maps, whose output i depends on the inputs before i alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.layers import Conv2d, Linear
from pipeline.models.masked import MaskedConv2d, Reach

ChooseNext = Callable[[int, Tensor], Tensor]
"""Gives variable i its values (B,), told output i (B,), which depends on those before it."""


def degrees(count: int, dim: int, lowest: int) -> Tensor:
    """Degrees of `count` hidden units of a MADE over `dim` variables: `lowest` … dim − 1, as evenly as they go."""
    return torch.arange(count) % max(dim - lowest, 1) + lowest


def of_degree(degree: int, dim: int, lowest: int) -> slice:
    """Which of these units have this degree."""
    return slice(degree - lowest, None, max(dim - lowest, 1)) if degree >= lowest else slice(0)


class MADE(nn.Module):
    """Masked autoencoder (Germain et al., 2015): (B, D) to (B, D), output i depends on inputs before i alone.

    Input i has degree i + 1; a hidden unit of degree d sees degrees ≤ d; output i sees hidden degrees ≤ i. For D = 4
    the product of the masks, rows outputs, columns inputs, is strictly lower triangular:

        . . . .
        x . . .
        x x . .
        x x x .

    A `context` (B, C) of that many numbers is added to the first layer. If that is a hidden one, output 0, which sees
    no hidden unit, is a constant still; the others may depend on it.
    """

    def __init__(self, dim: int, hidden: tuple[int, ...], context: int = 0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = torch.arange(1, dim + 1)
        for width in hidden:
            after = degrees(width, dim, 1)
            layers.append(Linear(len(before), width, mask=(after[:, None] >= before[None, :]).float()))
            layers.append(nn.ReLU())
            before = after
        output = torch.arange(dim)
        mask = (output[:, None] >= before[None, :]).float()
        layers.append(Linear(len(before), dim, mask=mask, initial_scale=0.1))
        self.layers = nn.Sequential(*layers)
        self.context = Linear(context, (*hidden, dim)[0]) if context else None

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        first = self.layers[0](z)
        return self.layers[1:](first if self.context is None else first + self.context(context))

    @torch.no_grad()
    def visit(self, batch: int, choose: ChooseNext, context: Tensor | None = None) -> Tensor:
        """(`batch`, D) values as they are chosen, one variable after the other.

        ValueError unless there is a context where one is needed.
        """
        layers = [(layer.weight, layer.bias[:, None]) for layer in self.layers if isinstance(layer, Linear)]
        given = _given(self.context, context)
        if given is not None:
            layers[0] = layers[0][0], layers[0][1] + given.t()
        return visit(layers, batch, choose, 1).t().contiguous()


class ConvMADE(nn.Module):
    """The same over maps z (B, C · H · W), position after position in raster order, at each channel after channel.

    Masked 3×3 convolutions: what lies before a position is seen with all its channels, and of the position itself
    what a MADE over C variables sees, with hidden maps in the part of its hidden units; those of degree 0 see earlier
    positions alone. One is a "PixelCNN" of the AF prior of Appendix B. `context` (B, `context`, H, W) is added to the
    first layer by a 1×1 convolution.
    """

    def __init__(self, shape: tuple[int, int, int], hidden: tuple[int, ...], context: int = 0) -> None:
        super().__init__()
        self.shape, channels = shape, shape[0]
        widths = (channels, *hidden, channels)
        of_units = [torch.arange(1, channels + 1), *(degrees(width, channels, 0) for width in hidden)]
        of_units.append(torch.arange(channels))
        self.layers = nn.ModuleList(
            MaskedConv2d(
                widths[i],
                widths[i + 1],
                Reach.square(3),
                "B",
                (of_units[i + 1][:, None] >= of_units[i][None, :]).float(),
                initial_scale=0.1 if i == len(hidden) else 1.0,
            )
            for i in range(len(hidden) + 1)
        )
        self.context = Conv2d(context, widths[1], 1) if context else None

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        h = z.view(-1, *self.shape)
        for i, layer in enumerate(self.layers):
            h = layer(h if i == 0 else F.relu(h))
            if i == 0 and self.context is not None:
                h = h + self.context(context)
        return h.flatten(1)

    @torch.no_grad()
    def visit(self, batch: int, choose: ChooseNext, context: Tensor | None = None) -> Tensor:
        """As of a MADE."""
        given = _given(self.context, context)
        _, height, width = self.shape
        kernels = [(layer.weight, layer.bias) for layer in cast(Sequence[MaskedConv2d], self.layers)]
        known = [F.pad(k.new_zeros(batch, k.shape[1], height, width), (1, 1, 1, 0)) for k, _ in kernels]
        for row, column in itertools.product(range(height), range(width)):
            here = (..., row + 1, column + 1)
            layers: list[tuple[Tensor, Tensor]] = []
            for (kernel, bias), values in zip(kernels, known, strict=True):
                seen = values[..., row : row + 2, column : column + 3]  # zero at the position itself
                earlier = kernel.flatten(1) @ seen.flatten(1).t() + bias[:, None]
                layers.append((kernel[..., 1, 1], earlier))
            if given is not None:
                layers[0] = layers[0][0], layers[0][1] + given[..., row, column].t()
            values = visit(layers, batch, partial(_choose_channel, choose, row * width + column, height * width), 0)
            known[0][here] = values.t()
            for (centre, earlier), after in zip(layers[:-1], known[1:], strict=True):
                values = torch.relu(centre @ values + earlier)
                after[here] = values.t()
        return known[0][..., 1:, 1:-1].flatten(1)


def visit(layers: Sequence[tuple[Tensor, Tensor]], batch: int, choose: ChooseNext, lowest: int) -> Tensor:
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
            now = of_degree(i, len(known), lowest)
            outputs[now] = torch.addmm(biases[now], weights[now], inputs).relu_()
        known[i] = choose(i, torch.addmm(bias[i : i + 1], weight[i : i + 1], values[-1])[0])
    return known


def _choose_channel(choose: ChooseNext, place: int, places: int, channel: int, output: Tensor) -> Tensor:
    """Of maps whose vector holds channel after channel, the variable of a channel at a place."""
    return choose(channel * places + place, output)


def _given(layer: nn.Module | None, context: Tensor | None) -> Tensor | None:
    if layer is None:
        return None
    if context is None:
        raise ValueError("a MADE with a context cannot be visited without it")
    return layer(context)
