"""The update of the weights: Adamax, then Polyak averaging (Appendix A); the averaged weights are those evaluated."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from pipeline.models.native import Compiled, in_parts

one_pass = Compiled("adamax.cpp")


class Updates:
    """Of `model` by its gradients, and of `average`, a copy: average ← d·average + (1 − d)·weights.

    d = min(`decay`, (1 + t) / (10 + t)) at update t = 1, 2, …, so that a run much shorter than the paper's is not an
    average with its random start; with the paper's 0.998 the warm-up ends at update 4,490.

    On a CPU with a C++ compiler all of an update is one pass over memory, unless `compiled` is set to False.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = model, decay
        self.optimizer = torch.optim.Adamax(model.parameters(), foreach=True)
        self.average = AveragedModel(model, multi_avg_fn=self._mix)
        self.average.update_parameters(model)  # the first call copies
        self.compiled = True

    def __call__(self, learning_rate: float) -> None:
        self.optimizer.param_groups[0]["lr"] = learning_rate
        begun = bool(self.optimizer.state)  # torch makes the moments in its first step
        if self.compiled and begun and one_pass.takes(self.model):
            self._in_one_pass()
        else:
            self.optimizer.step()
            self.average.update_parameters(self.model)

    def _share(self, updates: int) -> float:
        """1 − d."""
        return 1 - min(self.decay, (1 + updates) / (10 + updates))

    @torch.no_grad()
    def _mix(self, average: Sequence[Tensor], weights: Sequence[Tensor], updates: Tensor | int) -> None:
        torch._foreach_lerp_(list(average), list(weights), self._share(int(updates)))

    def _in_one_pass(self) -> None:
        group, states = self.optimizer.param_groups[0], self.optimizer.state
        pairs = zip(self.model.parameters(), self.average.parameters(), strict=True)
        rows = [
            (weights, weights.grad.contiguous(), states[weights]["exp_avg"], states[weights]["exp_inf"], average)
            for weights, average in pairs
            if weights.grad is not None
        ]
        steps = [states[row[0]]["step"] for row in rows]
        torch._foreach_add_(steps, 1)
        beta1, beta2 = group["betas"]
        rate = group["lr"] / (1 - beta1 ** steps[0].item())
        numbers = (rate, beta1, beta2, group["eps"], self._share(int(self.average.n_averaged)))
        self.average.n_averaged += 1
        sizes = [row[0].numel() for row in rows]
        columns = zip(*rows, strict=True)
        pointers = [(ctypes.c_void_p * len(rows))(*(part.data_ptr() for part in column)) for column in columns]
        arguments = (len(rows), (ctypes.c_long * len(rows))(*sizes), *pointers, *map(ctypes.c_float, numbers))

        def work(part: slice, number: int) -> None:
            assert one_pass.library is not None
            one_pass.library.update(ctypes.c_long(part.start), ctypes.c_long(part.stop), *arguments)

        in_parts(sum(sizes), work)
