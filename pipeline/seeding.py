"""Random numbers as a function of (seed, purpose, indices): no state to save, and no dependence on what came before."""

from __future__ import annotations

import hashlib

import torch


def stream(seed: int, purpose: str, *indices: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh random generator for one purpose ("order", "noise", …) at one place (step, epoch …)."""
    return torch.Generator(device).manual_seed(stream_seed(seed, purpose, *indices))


def stream_seed(seed: int, purpose: str, *indices: int) -> int:
    """What the generator of `stream` is seeded with."""
    digest = hashlib.sha256(repr((seed, purpose, indices)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
