"""Polyak averaging of the parameters (Appendix A): the averaged weights are the ones evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def polyak_average(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of `model`; each `update_parameters(model)` moves it by average ← d·average + (1 − d)·weights.

    d = min(`decay`, (1 + t) / (10 + t)) at update t = 1, 2, …, so that a run much shorter than the paper's is not an
    average with its random start; with the paper's 0.998 the warm-up ends at update 4,490.
    """
    average = AveragedModel(model, multi_avg_fn=_update(decay))
    average.update_parameters(model)  # the first call copies
    return average


def _update(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], Any]:
    @torch.no_grad()
    def update(average: Sequence[Tensor], weights: Sequence[Tensor], updates: Tensor | int) -> None:
        count = int(updates)
        torch._foreach_lerp_(list(average), list(weights), 1 - min(decay, (1 + count) / (10 + count)))

    return update
