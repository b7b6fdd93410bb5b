"""Batches as a function of (seed, step): order of the images and, for grey levels, their binarization."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.seeding import stream


class Batches:
    """Training images (N, C, H, W) uint8 on the device; `batch(step)` gives (B, C, H, W) float.

    Every epoch is a new permutation, of which an incomplete last batch is left out. `dynamic` images are grey levels,
    drawn anew as Bernoulli(level / 255) at every visit.
    """

    def __init__(self, images: Tensor, dynamic: bool, batch_size: int, seed: int) -> None:
        self.images, self.dynamic, self.seed = images, dynamic, seed
        self.batch_size = min(batch_size, len(images))
        self.per_epoch = len(images) // self.batch_size
        self._epoch, self._order = -1, torch.empty(0)

    def batch(self, step: int) -> Tensor:
        """The batch of optimiser step `step`, counted from 0."""
        epoch, index = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            order = torch.randperm(len(self.images), generator=stream(self.seed, "order", epoch))
            self._epoch, self._order = epoch, order.to(self.images.device)
        images = self.images[self._order[index * self.batch_size :][: self.batch_size]].float()
        if not self.dynamic:
            return images
        rng = stream(self.seed, "binarization", step, device=images.device)
        return (torch.rand(images.shape, generator=rng, device=images.device) * 255 < images).float()
