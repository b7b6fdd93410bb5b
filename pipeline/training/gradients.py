"""Gradients of one shard of a batch, in two halves; on a GPU each half is captured once as a CUDA graph."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from pipeline.models.vlae import Model

log = logging.getLogger(__name__)

WARM_UP = 3
"""Passes before the capture, in which libraries choose their algorithms."""


class Gradients:
    """Of the mean losses of some images. What a nat of KL costs may depend on others, and is said between the halves.

    Leaves the model as it is, so that threads can share it.
    """

    means: Tensor

    def __init__(self, model: Model, bfloat16: bool) -> None:
        self.model, self.bfloat16 = model, bfloat16
        self.parameters = list(model.parameters())

    def forward(self, x: Tensor, noise_seed: int) -> Tensor:
        """x (B, C, H, W) to the means of reconstruction and KL, nats per image: (2,)."""
        self.means = self._means(x, torch.Generator(x.device).manual_seed(noise_seed))
        return self.means.detach()

    def backward(self, prices: Tensor) -> Tensor:
        """The gradient of prices (2,) · means by all parameters, one after another in a row."""
        means = self.means
        del self.means  # and with it the activations
        return self._gradient(means, prices)

    def _means(self, x: Tensor, noise: torch.Generator) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bfloat16, cache_enabled=False):
            parts = self.model.parts(x, noise)
        return torch.stack([parts[name].mean() for name in ("reconstruction", "kl")])

    def _gradient(self, means: Tensor, prices: Tensor) -> Tensor:
        parts = torch.autograd.grad(means.dot(prices), self.parameters, allow_unused=True, materialize_grads=True)
        return torch.cat([part.flatten() for part in parts])


class CapturedGradients(Gradients):
    """One launch a half, of a CUDA graph of all its kernels, if one can be made; the batches have one size.

    A network this small otherwise waits for its launches.
    """

    graphs: tuple[torch.cuda.CUDAGraph, torch.cuda.CUDAGraph] | None = None
    failed = False

    def forward(self, x: Tensor, noise_seed: int) -> Tensor:
        if self.graphs is None and not self.failed:
            try:
                self._capture(x)
            except RuntimeError as error:
                self.failed = True
                log.warning("training goes on without a CUDA graph: %s", error)
        if self.graphs is None:
            return super().forward(x, noise_seed)
        self.x.copy_(x)
        self.noise.manual_seed(noise_seed)
        self.graphs[0].replay()
        return self.means

    def backward(self, prices: Tensor) -> Tensor:
        if self.graphs is None:
            return super().backward(prices)
        self.prices.copy_(prices)
        self.graphs[1].replay()
        return self.gradient

    def _capture(self, x: Tensor) -> None:
        self.x, self.prices = x.clone(), torch.ones(2, device=x.device)
        self.noise = torch.Generator(x.device)
        side = torch.cuda.Stream(x.device)
        side.wait_stream(torch.cuda.current_stream(x.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self._gradient(self._means(self.x, self.noise), self.prices)
        torch.cuda.current_stream(x.device).wait_stream(side)
        first, second = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        first.register_generator_state(self.noise)
        with torch.cuda.graph(first):
            means = self._means(self.x, self.noise)
        with torch.cuda.graph(second, pool=first.pool()):  # they are replayed in this order, and share memory
            self.gradient = self._gradient(means, self.prices)
        self.means, self.graphs = means.detach(), (first, second)


def gradients_of(model: Model, bfloat16: bool) -> Gradients:
    """The kind that suits the model's device."""
    on_gpu = next(model.parameters()).device.type == "cuda"
    return (CapturedGradients if on_gpu else Gradients)(model, bfloat16)
