"""Gradients of one batch; on a GPU captured once as a CUDA graph, since a network this small waits for its launches."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from pipeline.models.latent import Model
from pipeline.training.objectives import Objective

log = logging.getLogger(__name__)

WARM_UP = 3
"""Passes before the capture, in which libraries choose their algorithms."""


class Gradients:
    """Fills the gradients of `model` for a batch."""

    def __init__(self, model: Model, objective: Objective, bfloat16: bool) -> None:
        self.model, self.objective, self.bfloat16 = model, objective, bfloat16

    def __call__(self, x: Tensor, noise_seed: int, kl_weight: float) -> Tensor:
        """x (B, C, H, W) to the means of reconstruction and KL, nats per image: (2,)."""
        noise = torch.Generator(x.device).manual_seed(noise_seed)
        return self.compute(x, noise, torch.tensor(kl_weight, device=x.device))

    def compute(self, x: Tensor, noise: torch.Generator, kl_weight: Tensor) -> Tensor:
        """The same from a generator, and with w a scalar tensor."""
        self.model.zero_grad()
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bfloat16, cache_enabled=False):
            parts = self.model.parts(x, noise)
        self.objective.loss(parts, kl_weight).backward()
        return torch.stack([parts[name].detach().mean() for name in ("reconstruction", "kl")])


class CapturedGradients(Gradients):
    """One launch a batch, of a CUDA graph of all kernels, if one can be made; the batches have one size."""

    graph: torch.cuda.CUDAGraph | None = None
    failed = False

    def __call__(self, x: Tensor, noise_seed: int, kl_weight: float) -> Tensor:
        if self.graph is None and not self.failed:
            try:
                self._capture(x)
            except RuntimeError as error:
                self.failed = True
                log.warning("training goes on without a CUDA graph: %s", error)
        if self.graph is None:
            return super().__call__(x, noise_seed, kl_weight)
        self.x.copy_(x)
        self.kl_weight.fill_(kl_weight)
        self.noise.manual_seed(noise_seed)
        self.graph.replay()
        return self.means

    def _capture(self, x: Tensor) -> None:
        self.x, self.kl_weight = x.clone(), torch.ones((), device=x.device)
        self.noise = torch.Generator(x.device)
        side = torch.cuda.Stream(x.device)
        side.wait_stream(torch.cuda.current_stream(x.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self.compute(self.x, self.noise, self.kl_weight)
        torch.cuda.current_stream(x.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.noise)
        with torch.cuda.graph(graph):
            self.means = self.compute(self.x, self.noise, self.kl_weight)
        self.graph = graph


def gradients_of(model: Model, objective: Objective, bfloat16: bool) -> Gradients:
    """The kind that suits the model's device."""
    on_gpu = next(model.parameters()).device.type == "cuda"
    return (CapturedGradients if on_gpu else Gradients)(model, objective, bfloat16)
