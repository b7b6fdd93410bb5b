"""The update of the weights: Adamax, then Polyak averaging (Appendix A); the averaged weights are those evaluated.

Where a model asks for Muon, which is not the paper's, the kernels of its autoregressive network move by that.
"""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from pipeline.config.names import Optimizer
from pipeline.fast.library import Compiled, checked, in_parts
from pipeline.training.muon import move_kernels

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
NETWORK, KERNEL = ("network.", "decoder.network."), 4
"""Begin the names of the weights of an autoregressive decoder, but for the generator of its maps; axes of a kernel.

Muon moves all kernels alike however weak their gradients are, and an encoder whose z is not yet of use has only noise:
moved by that it forgets what it saw, and z stays empty.
"""
one_pass = Compiled(
    "adamax.cpp",
    "update",
    [ctypes.c_long, ctypes.c_long, ctypes.c_int, *[ctypes.c_void_p] * 7, *[ctypes.c_float] * 4],
)
Trained = TypeVar("Trained", bound=nn.Module)


@dataclass
class Moments:
    """What is kept of a parameter, and the average of its values; `steps` is how often it had a gradient for Adamax."""

    weights: nn.Parameter
    average: nn.Parameter
    mean: Tensor
    maximum: Tensor
    by_muon: bool = False
    steps: int = 0


class Updates(Generic[Trained]):
    """Of `model` by its gradients, and of `average`, a copy: average ← d·average + (1 − d)·weights.

    d = min(`decay`, (1 + t) / (10 + t)) at update t = 1, 2, …, so that a run much shorter than the paper's is not an
    average with its random start; with the paper's 0.998 the warm-up ends at update 4,490.

    On a CPU with a C++ compiler all of an update by Adamax is one pass over memory, unless `compiled` is set to False.
    """

    def __init__(self, model: Trained, decay: float, optimizer: Optimizer = "adamax") -> None:
        self.model, self.decay, self.average = model, decay, copy.deepcopy(model)
        self.moments = [
            Moments(weights, average, torch.zeros_like(weights), torch.zeros_like(weights))
            for weights, average in zip(model.parameters(), self.average.parameters(), strict=True)
        ]
        for (name, weights), one in zip(model.named_parameters(), self.moments, strict=True):
            one.by_muon = optimizer == "muon" and name.startswith(NETWORK) and weights.dim() == KERNEL
        self.count = 0
        self.compiled = True

    @torch.no_grad()
    def __call__(self, learning_rate: float) -> None:
        self.count += 1
        share = 1 - min(self.decay, (1 + self.count) / (10 + self.count))
        moving = [one for one in self.moments if one.weights.grad is not None]
        _muon([one for one in moving if one.by_muon], learning_rate)
        by_adamax = [one for one in moving if not one.by_muon]
        for one in by_adamax:
            one.steps += 1
        rates = [learning_rate / (1 - BETA1**one.steps) for one in by_adamax]
        if self.compiled and by_adamax and one_pass.takes(self.model):
            _in_one_pass(by_adamax, rates, share)
            _follow([one for one in self.moments if one.by_muon or one.weights.grad is None], share)
        else:
            _adamax(by_adamax, rates)
            _follow(self.moments, share)

    def state_dict(self) -> dict[str, Any]:
        """All of it but the model."""
        moments = [(one.mean, one.maximum, one.steps) for one in self.moments]
        return {"average": self.average.state_dict(), "moments": moments, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.average.load_state_dict(state["average"])
        self.count = state["count"]
        for one, (mean, maximum, steps) in zip(self.moments, state["moments"], strict=True):
            one.steps = steps
            one.mean.copy_(mean)
            one.maximum.copy_(maximum)


def _adamax(moving: Sequence[Moments], rates: list[float]) -> None:
    """Kingma and Ba (2015), algorithm 2, to the same bits as torch.optim.Adamax.

    That class imports torch's compiler, which takes longer than importing all the rest of torch.
    """
    if not moving:
        return
    weights: list[Tensor] = [one.weights for one in moving]
    gradients = [_gradient(one) for one in moving]
    means, maxima = [one.mean for one in moving], [one.maximum for one in moving]
    torch._foreach_lerp_(means, gradients, 1 - BETA1)
    torch._foreach_mul_(maxima, BETA2)
    sizes = torch._foreach_abs(gradients)
    torch._foreach_add_(sizes, EPSILON)
    torch._foreach_maximum_(maxima, sizes)
    torch._foreach_addcdiv_(weights, means, maxima, [-rate for rate in rates])


def _muon(kernels: Sequence[Moments], learning_rate: float) -> None:
    if kernels:
        gradients = [_gradient(one) for one in kernels]
        move_kernels([one.weights for one in kernels], gradients, [one.mean for one in kernels], learning_rate)


def _follow(moments: Sequence[Moments], share: float) -> None:
    if moments:
        torch._foreach_lerp_([one.average for one in moments], [one.weights for one in moments], share)


def _in_one_pass(moving: Sequence[Moments], rates: list[float], share: float) -> None:
    sizes = [one.weights.numel() for one in moving]
    rows = [(one.weights, _gradient(one).contiguous(), one.mean, one.maximum, one.average) for one in moving]
    addresses = [[checked(part, *row[0].shape).data_ptr() for part in row] for row in rows]
    pointers = [_array(ctypes.c_void_p, column) for column in zip(*addresses, strict=True)]
    numbers = (BETA1, BETA2, EPSILON, share)
    arguments = (len(rows), _array(ctypes.c_long, sizes), *pointers, _array(ctypes.c_float, rates), *numbers)

    def work(part: slice, number: int) -> None:
        one_pass.call(part.start, part.stop, *arguments)

    in_parts(sum(sizes), work)


def _gradient(one: Moments) -> Tensor:
    assert one.weights.grad is not None
    return one.weights.grad


def _array(kind: Any, values: Sequence[Any]) -> Any:
    return (kind * len(values))(*values)
