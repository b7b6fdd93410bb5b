"""Pixels as bits: of binary images each pixel is one, of colours each level is eight, from the highest on.

A bit is coded under its probability given the pixels before, the channels before, and the level's bits before.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pipeline.coding.stack import PARTS, Stack
from pipeline.models.levels import LEVELS
from pipeline.models.likelihoods import Bernoulli, Front, LogisticMixture

Take = Callable[[Tensor, Tensor | None], Tensor]
"""Gives bits (…), told the probabilities of a 1 and, in writing, the bits themselves."""


class KnownPixels:
    """Pixels of x (B, C, H, W) in writing: visited first, then pushed in the order in which they will be popped."""

    def __init__(self, likelihood: Bernoulli | LogisticMixture, x: Tensor) -> None:
        self.likelihood, self.x = likelihood, x
        self.bits: list[tuple[np.ndarray, np.ndarray]] = []

    def choose(self, here: Front, parameters: Tensor) -> Tensor:
        """The pixels as they are; under which probabilities they are coded is noted."""
        return _spelled(self.likelihood, parameters, self._note, self.x[:, :, None, here[0], here[1]])

    def push(self, stack: Stack) -> None:
        """All pixels, once they have been visited."""
        bits, ones = (np.concatenate(parts) for parts in zip(*self.bits, strict=True))
        stack.push_bits(bits, ones)

    def _note(self, probabilities: Tensor, bits: Tensor | None) -> Tensor:
        assert bits is not None
        self.bits.append((bits.flatten().numpy(), _parts(probabilities)))
        return bits


class PoppedPixels:
    """The same in reading."""

    def __init__(self, likelihood: Bernoulli | LogisticMixture, stack: Stack) -> None:
        self.likelihood, self.stack = likelihood, stack

    def choose(self, here: Front, parameters: Tensor) -> Tensor:
        """The pixels that the stack holds."""
        return _spelled(self.likelihood, parameters, self._pop, None)

    def _pop(self, probabilities: Tensor, bits: Tensor | None) -> Tensor:
        popped = self.stack.pop_bits(_parts(probabilities))
        return torch.from_numpy(popped).view(probabilities.shape).float()


def _parts(probabilities: Tensor) -> np.ndarray:
    """Flat; a probability that is not a number, of weights gone wrong, is as good as any other."""
    return (probabilities.double() * PARTS).round().nan_to_num(PARTS / 2).clamp(1, PARTS - 1).flatten().numpy()


def _spelled(likelihood: Bernoulli | LogisticMixture, parameters: Tensor, take: Take, x: Tensor | None) -> Tensor:
    """Pixels (B, C, 1, n) bit by bit; `x` are the pixels themselves where they are known."""
    if isinstance(likelihood, Bernoulli):
        return take(parameters.sigmoid(), x)
    levels = parameters.new_zeros(len(parameters), likelihood.channels, *parameters.shape[2:])
    for channel in range(likelihood.channels):
        below = likelihood.below(parameters, levels, channel)
        levels[:, channel] = _spelled_level(below, take, None if x is None else x[:, channel], levels[:, channel])
    return levels


def _spelled_level(below: Callable[[Tensor], Tensor], take: Take, x: Tensor | None, level: Tensor) -> Tensor:
    """Levels (B, 1, n), from 0 on; `below` says how probable a smaller one is."""
    low, high, half = below(level), below(level + LEVELS), LEVELS // 2
    while half:
        middle = below(level + half)
        bit = take((high - middle) / (high - low), None if x is None else (x // half) % 2)
        low, high = torch.where(bit > 0, middle, low), torch.where(bit > 0, high, middle)
        level, half = level + half * bit, half // 2
    return level
