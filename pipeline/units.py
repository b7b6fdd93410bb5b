"""The one place where units are converted. Everything is kept in nats per image until it is reported."""

from __future__ import annotations

import math


def nats_to_bits(nats: float) -> float:
    """Nats to bits: 13.3 nats are 19.2 bits."""
    return nats / math.log(2)
