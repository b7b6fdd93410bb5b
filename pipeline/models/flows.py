"""Autoregressive flows over a latent vector (section 3.2; IAF: Kingma et al., 2016, arXiv:1606.04934)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import cast

from torch import Tensor, nn

from pipeline.models.made import MADE, ConvMADE


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
        """(B, D) ε to (B, D) z = f(ε): the sampling direction, D small steps for each of the flow's."""
        z = noise
        for shift in reversed(self.shifts):
            z = cast(MADE | ConvMADE, shift).visit(len(z), partial(_moved, z.flip(-1)))
        return z


def _moved(base: Tensor, i: int, shift: Tensor) -> Tensor:
    return base[:, i] + shift
