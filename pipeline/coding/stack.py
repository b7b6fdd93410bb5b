"""A stack of bits: a symbol of probability p is pushed for −log2 p bits, and popping it gives them back (stack ANS).

Probabilities are whole numbers of parts of 2^PRECISION before they get here. All arrays are flat, (n,); of what is
pushed, the first is popped first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import constriction
import numpy as np

from pipeline.errors import DataError

PRECISION = 18
PARTS = 2**PRECISION
"""Parts that a probability is a number of."""
STATE_BITS = 64
"""What the coder holds in hand, beside whole words: below that popping would make bits up."""

Interval = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Symbols, the first of the parts of each, and how many it has."""
_models = constriction.stream.model


class Stack:
    """A stack of bits, at first what `words` (n,) uint32 hold."""

    def __init__(self, words: np.ndarray) -> None:
        self._coder = constriction.stream.stack.AnsCoder(words.astype(np.uint32))

    @property
    def bits(self) -> int:
        """How many it holds."""
        return self._coder.num_valid_bits()

    @property
    def words(self) -> np.ndarray:
        """All that it holds: (n,) uint32."""
        return self._coder.get_compressed()

    def push_bits(self, bits: np.ndarray, ones: np.ndarray) -> None:
        """Bits that are 1 with a probability of `ones` parts each, from 1 to PARTS − 1."""
        self._coder.encode_reverse(bits.astype(np.int32), _models.Bernoulli(perfect=False), ones / PARTS)

    def pop_bits(self, ones: np.ndarray) -> np.ndarray:
        """The same bits."""
        return self._coder.decode(_models.Bernoulli(perfect=False), ones / PARTS)

    def push_uniform(self, numbers: np.ndarray, count: int) -> None:
        """Numbers of 0 … `count` − 1, all as probable."""
        self._coder.encode_reverse(numbers.astype(np.int32), _models.Uniform(count))

    def pop_uniform(self, count: int, n: int) -> np.ndarray:
        """The same numbers, n of them."""
        return self._coder.decode(_models.Uniform(count), n)

    def push_normal(self, cells: np.ndarray, count: int, deviation: float) -> None:
        """Cells of −`count`/2 … `count`/2 − 1, normally distributed around 0; the standard deviation in cells."""
        self._coder.encode_reverse(cells.astype(np.int32), _normal(count, deviation))

    def pop_normal(self, count: int, deviation: float, n: int) -> np.ndarray:
        """The same cells, n of them."""
        return self._coder.decode(_normal(count, deviation), n)

    def pop_intervals(self, n: int, find: Callable[[np.ndarray], Interval]) -> np.ndarray:
        """n symbols, each with as many parts of its own distribution as its probability; `find` whose a part is.

        A part is popped, and which of the symbol's own parts it is, is pushed again: a symbol of one part takes
        PRECISION bits from the stack, one that has all parts none.
        """
        parts = self.pop_uniform(PARTS, n)
        symbols, starts, sizes = find(parts)
        several = sizes > 1
        rest = (parts - starts)[several].astype(np.int32)
        self._coder.encode_reverse(rest, _models.Uniform(), sizes[several].astype(np.int32))
        return symbols

    def push_intervals(self, starts: np.ndarray, sizes: np.ndarray) -> None:
        """The opposite: symbols by their parts. As much as popping them took is there again.

        DataError if a symbol has no part: it cannot have been popped.
        """
        if not sizes.all():
            raise DataError("a symbol that has no probability")
        several = sizes > 1
        rest = np.zeros_like(starts)
        rest[several] = self._coder.decode(_models.Uniform(), sizes[several].astype(np.int32))
        self.push_uniform(starts + rest, PARTS)


def random_words(bits: int) -> np.ndarray:
    """What a stack begins with, to pop so many bits from: words (n,) uint32, always the same ones."""
    words = np.random.RandomState(0).randint(0, 2**32, (bits + STATE_BITS) // 32 + 1, np.uint32)
    words[-1] |= 2**31  # or the coder could not tell where the bits end
    return words


def _normal(count: int, deviation: float) -> Any:
    return _models.QuantizedGaussian(-(count // 2), count // 2 - 1, 0.0, deviation)
