"""Autoregressive flows over a latent vector, and the networks of their shifts: MADE, and a PixelCNN over latent maps.

Section 3.2 of the paper; MADE: Germain et al., 2015, arXiv:1502.03509; IAF: Kingma et al., 2016, arXiv:1606.04934.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
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


class Shift(nn.Module):
    """Base of functions (B, D) to (B, D) whose output i depends on those inputs alone that come before i in `order`.

    `context` makes something of what else they depend on, if anything.
    """

    order: Sequence[int]
    context: nn.Module | None

    @torch.no_grad()
    def visit(self, batch: int, choose: ChooseNext, context: Tensor | None = None) -> Tensor:
        """(`batch`, D) values as they are chosen, one variable after the other: for each a pass of all of them.

        ValueError unless there is a context where one is needed.
        """
        z = next(self.parameters()).new_zeros(batch, len(self.order))
        for i in self.order:
            z[:, i] = choose(i, self(z, context)[:, i])
        return z

    def with_context(self, first: Tensor, context: Tensor | None) -> Tensor:
        """What the first layer has made of z, and what there is of context added."""
        if self.context is None:
            return first
        if context is None:
            raise ValueError("a shift with a context cannot be computed without it")
        return first + self.context(context)


class MADE(Shift):
    """Masked autoencoder: (B, D) to (B, D), output i depends on inputs before i alone.

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
        self.order = range(dim)
        mask = (torch.arange(dim)[:, None] >= before[None, :]).float()
        layers.append(Linear(len(before), dim, mask=mask, initial_scale=0.1))
        self.layers = nn.Sequential(*layers)
        self.context = Linear(context, (*hidden, dim)[0]) if context else None

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self.layers[1:](self.with_context(self.layers[0](z), context))


class ConvMADE(Shift):
    """The same over maps z (B, C · H · W), position after position in raster order, at each channel after channel.

    Masked 3×3 convolutions: what lies before a position is seen with all its channels, and of the position itself
    what a MADE over C variables sees, with hidden maps in the part of its hidden units; those of degree 0 see earlier
    positions alone. One is a "PixelCNN" of the AF prior of Appendix B. `context` (B, `context`, H, W) is added to the
    first layer by a 1×1 convolution.
    """

    def __init__(self, shape: tuple[int, int, int], hidden: tuple[int, ...], context: int = 0) -> None:
        super().__init__()
        self.shape, channels = shape, shape[0]
        self.order = torch.arange(math.prod(shape)).view(channels, -1).t().flatten().tolist()
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
            h = layer(F.relu(h)) if i else self.with_context(layer(h), context)
        return h.flatten(1)


class AutoregressiveFlow(nn.Module):
    """z = f(ε) by mean-only autoregressive steps, the order of the dimensions reversed between them.

    One step is z_i = ε_i + m_i(z_1 … z_{i-1}) with m one of `shifts`. From z to ε all dimensions go at once; from ε
    to z they go one after the other. Shifts alone have determinant 1: log|det dε/dz| = 0, and densities carry over.
    """

    def __init__(self, shifts: Iterable[MADE | ConvMADE]) -> None:
        super().__init__()
        self.shifts = nn.ModuleList(shifts)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, D) z to (B, D) ε, one pass a step: the way to the density of an AF, and to the draws of an IAF.

        `context` (B, …) is what else every shift depends on, if the flow was made with one. As all steps reverse
        the order, an odd number of them returns ε in the reverse order of z.
        """
        for shift in self.shifts:
            z = (z - shift(z, context)).flip(-1)
        return z

    def forward(self, noise: Tensor) -> Tensor:
        """(B, D) ε to (B, D) z = f(ε): the sampling direction, one dimension after the other in each step."""
        z = noise
        for shift in reversed(self.shifts):
            z = cast(Shift, shift).visit(len(z), partial(_moved, z.flip(-1)))
        return z


def _moved(base: Tensor, i: int, shift: Tensor) -> Tensor:
    return base[:, i] + shift
