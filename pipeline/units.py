"""The one place where units are converted.

Everything is kept in nats per image until it is reported.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

Quantity = TypeVar("Quantity", float, np.ndarray)


def nats_to_bits(nats: Quantity) -> Quantity:
    """Nats to bits: 13.3 nats are 19.2 bits."""
    return nats / math.log(2)


def bits_to_nats(bits: Quantity) -> Quantity:
    """Bits to nats: 37.3 bits are 25.9 nats."""
    return bits * math.log(2)


def bits_per_dim(nats: Quantity, image_shape: tuple[int, ...]) -> Quantity:
    """Nats per image (C, H, W) to bits per dimension; a uniform guess of 8-bit values costs 8."""
    return nats_to_bits(nats) / math.prod(image_shape)
