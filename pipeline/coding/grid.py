"""z on a grid, where flows are exact: shifts, rounded to whole cells, can be taken back to the last bit.

A coordinate is a whole number of cells, modulo CELLS: a shift that leads over the edge comes in at the other side, so
that a flow is a bijection of the grid, whatever its network says. z (B, D) int64 stands for the values z · WIDTH. Both
directions visit the variables one after the other, and compute every shift by the same operations on the same numbers:
only so is it the same to the last bit.
"""

from __future__ import annotations

from functools import partial
from typing import TypeVar, cast

import numpy as np
import torch
from scipy.special import ndtr, ndtri
from torch import Tensor

from pipeline.coding.stack import PARTS, Interval, Stack
from pipeline.models.flows import MADE, AutoregressiveFlow, ConvMADE

WIDTH = 2.0**-7
"""Of a cell. The narrowest σ of q(z|x) among the published models is five of them."""
CELLS = 2**16
"""From −256 to 256: means of 40 occur, as the AF prior moves z far from its noise."""
NEAR = 2**11
"""Cells from −8 to 8, where noise is normally distributed; what is beyond is rare, and all as probable."""
BEYOND = 4 / PARTS
"""Probability of that: a standard normal number is beyond with one of 10^−15, but of an odd image much may be."""
NARROWEST, WIDEST = 0.05, CELLS / 16
"""Deviations of q(z|x), in cells, that are coded: all parts of a wider one would not lie within half the grid."""
FARTHEST = 2.0**40
Cells = TypeVar("Cells", Tensor, np.ndarray)


def to_noise(flow: AutoregressiveFlow, z: Tensor, context: Tensor | None = None) -> Tensor:
    """`flow.inverse` on the grid: (B, D) to (B, D)."""
    for shift in cast(list[MADE | ConvMADE], flow.shifts):
        moved = torch.empty_like(z)
        shift.visit(len(z), partial(_leave, z, moved), context)
        z = moved.flip(-1)
    return z


def from_noise(flow: AutoregressiveFlow, noise: Tensor, context: Tensor | None = None) -> Tensor:
    """The opposite of `to_noise`, exactly."""
    z = noise
    for shift in cast(list[MADE | ConvMADE], reversed(flow.shifts)):
        base, z = z.flip(-1), torch.empty_like(z)
        shift.visit(len(z), partial(_return, base, z), context)
    return z


def _leave(z: Tensor, moved: Tensor, i: int, shift: Tensor) -> Tensor:
    moved[:, i] = _wrapped(z[:, i] - _whole(shift))
    return value(z[:, i])


def _return(moved: Tensor, z: Tensor, i: int, shift: Tensor) -> Tensor:
    z[:, i] = _wrapped(moved[:, i] + _whole(shift))
    return value(z[:, i])


def value(z: Tensor) -> Tensor:
    """What the networks see."""
    return z.float() * WIDTH


def push_noise(stack: Stack, noise: Tensor) -> None:
    """The prior's noise ε (B, D), standard normal."""
    cells = noise.flatten().numpy()
    beyond = (cells < -NEAR // 2) | (cells >= NEAR // 2)
    stack.push_uniform(cells[beyond] + CELLS // 2, CELLS)
    stack.push_normal(cells[~beyond], NEAR, 1 / WIDTH)
    stack.push_bits(beyond, np.full(len(cells), BEYOND * PARTS))


def pop_noise(stack: Stack, batch: int, dim: int) -> Tensor:
    """The same (`batch`, `dim`)."""
    beyond = stack.pop_bits(np.full(batch * dim, BEYOND * PARTS)).astype(bool)
    cells = np.empty(len(beyond), np.int64)
    cells[~beyond] = stack.pop_normal(NEAR, 1 / WIDTH, int((~beyond).sum()))
    cells[beyond] = stack.pop_uniform(CELLS, int(beyond.sum())) - CELLS // 2
    return torch.from_numpy(cells).view(batch, dim)


class Normals:
    """Normal distributions over cells, one a row, in parts: from mean and log standard deviation (B,) of the values."""

    def __init__(self, mean: Tensor, log_scale: Tensor) -> None:
        middle = _tamed(mean.double() / WIDTH).numpy()
        self.nearest = np.round(middle).astype(np.int64)
        self.rest = middle - self.nearest
        self.deviation = _tamed(log_scale.double().exp() / WIDTH).clamp(NARROWEST, WIDEST).numpy()

    def find(self, parts: np.ndarray) -> Interval:
        """The cells that these parts (B,) belong to, and what parts they have."""
        offsets = np.floor(ndtri((parts + 0.5) / PARTS) * self.deviation + self.rest + 0.5).astype(np.int64)
        while (low := self._start(offsets) > parts).any():
            offsets -= low
        while (high := self._start(offsets + 1) <= parts).any():
            offsets += high
        return (_wrapped(self.nearest + offsets), *self._interval(offsets))

    def interval(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first of the parts of these cells (B,), and how many they have."""
        return self._interval(_wrapped(cells - self.nearest))

    def _interval(self, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        start = self._start(offsets)
        return start, self._start(offsets + 1) - start

    def _start(self, offsets: np.ndarray) -> np.ndarray:
        """How many parts lie below the cells at these distances from the one with the mean."""
        return np.round(PARTS * ndtr((offsets - 0.5 - self.rest) / self.deviation)).astype(np.int64)


def _whole(shift: Tensor) -> Tensor:
    return _tamed(shift / WIDTH).round().long()


def _tamed(values: Tensor) -> Tensor:
    """What weights gone wrong make, as numbers that still have a place on the grid."""
    return values.nan_to_num(0.0).clamp(-FARTHEST, FARTHEST)


def _wrapped(cells: Cells) -> Cells:
    return (cells + CELLS // 2) % CELLS - CELLS // 2
