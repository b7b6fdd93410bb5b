"""The same models, faster: the numbers of the definitions in pipeline/models up to rounding, which tests compare."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from pipeline.fast.color import FastPixelCNNPP, FastTrunk
from pipeline.fast.decoders import FastGenerator, FastPixelCNN
from pipeline.fast.importance import FastLatentVariableModel
from pipeline.fast.shifts import FastConvMADE, FastMADE

FAST: tuple[type[nn.Module], ...] = (
    FastLatentVariableModel,
    FastConvMADE,
    FastMADE,
    FastGenerator,
    FastPixelCNN,
    FastPixelCNNPP,
    FastTrunk,
)
"""Each is a subclass of the definition that it stands for, with the same weights."""
AnyModule = TypeVar("AnyModule", bound=nn.Module)


def accelerate(model: AnyModule, on: bool = True) -> AnyModule:
    """`model` with the faster forms of its parts, in place; with `on` False with their definitions."""
    for module in model.modules():
        for fast in FAST:
            if type(module) is (fast.__base__ if on else fast):
                module.__class__ = fast if on else fast.__base__  # type: ignore[assignment]
    return model
