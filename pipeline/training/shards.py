"""The gradient of a batch as the sum of those of its shards: on a CPU the same bits whoever computes them.

A shard is an equal part of the batch with noise of its own. What a nat of KL costs follows from the mean KL of the
whole batch, so that all shards go forward before any goes backward.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.models.vlae import Model
from pipeline.seeding import stream_seed
from pipeline.training.gradients import gradients_of
from pipeline.training.objectives import Objective
from pipeline.training.workers import Workers


class Shards:
    """Fills the gradients of `model` for a batch in `count` parts, which must divide it."""

    def __init__(self, model: Model, objective: Objective, bfloat16: bool, count: int, workers: Workers) -> None:
        self.objective, self.count, self.workers = objective, count, workers
        self.parameters = list(model.parameters())
        self.gradients = {shard: gradients_of(model, bfloat16) for shard in workers.share(count)}

    def __call__(self, x: Tensor, noise_seeds: list[int], kl_weight: float) -> Tensor:
        """x (B, C, H, W) to the means of reconstruction and KL, nats per image: (2,)."""
        images = x.chunk(self.count)

        def forward(shard: int) -> Tensor:
            return self.gradients[shard].forward(images[shard], noise_seeds[shard])

        means = self.workers.total(self.workers.map(forward, self.gradients)) / self.count
        price = self.objective.price(means[1], kl_weight)
        prices = torch.stack([torch.ones_like(price), price]) / self.count

        def backward(shard: int) -> Tensor:
            return self.gradients[shard].backward(prices)

        self._fill(self.workers.total(self.workers.map(backward, self.gradients)))
        return means

    def _fill(self, gradient: Tensor) -> None:
        sizes = [parameter.numel() for parameter in self.parameters]
        for parameter, part in zip(self.parameters, gradient.split(sizes), strict=True):
            parameter.grad = part.view_as(parameter)


def noise_seeds(seed: int, step: int, shards: int) -> list[int]:
    """What each shard's noise is drawn from: of (seed, step, shard), or of (seed, step) where there is only one."""
    if shards == 1:
        return [stream_seed(seed, "noise", step)]
    return [stream_seed(seed, "noise", step, shard) for shard in range(shards)]
