"""Weights that are computed once for many passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from pipeline.models.layers import WeightNorm


@contextmanager
def kept_weights(model: nn.Module) -> Iterator[None]:
    """Inside, every layer's weight is computed once, without gradient: for many small passes, as in sampling."""
    layers = [(module, type(module)) for module in model.modules() if isinstance(module, WeightNorm)]
    try:
        for layer, plain in layers:
            layer.__class__ = type(plain.__name__, (plain,), {"weight": layer.weight.detach()})
        yield
    finally:
        for layer, plain in layers:
            layer.__class__ = plain
