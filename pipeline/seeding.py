"""Random numbers as a function of (seed, purpose, indices): no state to save, and no dependence on what came before."""

from __future__ import annotations

import hashlib

import torch


def stream(seed: int, purpose: str, *indices: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for one purpose ("order", "noise", …) at one place (step, epoch …)."""
    digest = hashlib.sha256(repr((seed, purpose, indices)).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "little") >> 1)
