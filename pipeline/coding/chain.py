"""Many images in one stack of bits, at the price of −ELBO each: bits-back coding with asymmetric numeral systems.

To push an image: pop z from q(z|x), push x given z, push z under the prior (Townsend et al., 2019, arXiv:1901.04866).
Popping takes −log q(z|x) from what is on the stack already: the images before, and for the first of them bits that are
there for that alone. To pop an image, all in reverse, the bits that q(z|x) took are pushed again. Models without z push
x alone.

Images go in batches, as many at once as the stack has bits for: one at first. Reading computes with the same batches,
so that every float is the same, and stops with what writing began with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from pipeline.coding.grid import Normals, from_noise, pop_noise, push_noise, to_noise, value
from pipeline.coding.pixels import KnownPixels, PoppedPixels
from pipeline.coding.stack import PRECISION, STATE_BITS, Stack, random_words
from pipeline.errors import DataError
from pipeline.fast.kept import kept_weights
from pipeline.models.vlae import LatentVariableModel, Model

AT_ONCE = 512
"""Images in a batch, at most: memory does not grow with their number."""


class Writer:
    """A stack of images of `model`, which must be on the CPU. The last image pushed is the first popped."""

    def __init__(self, model: Model) -> None:
        self.model, self.stack = model, Stack(start_words(model))

    @property
    def fits(self) -> int:
        """Images that the next batch can have: as many as the stack has bits for."""
        needed, most = _most_bits(self.model), min(AT_ONCE, self.model.rows_at_once)
        return min(most, (self.stack.bits - STATE_BITS) // needed) if needed else most

    def push(self, x: Tensor) -> None:
        """A batch (B, C, H, W) of no more than `fits`."""
        pixels = KnownPixels(self.model.likelihood, x)
        with _alike(self.model):
            if isinstance(self.model, LatentVariableModel):
                z = _pop_posterior(self.model, x, self.stack)
                self.model.decoder.visit(value(z), pixels.choose)
                pixels.push(self.stack)
                push_noise(self.stack, z if (flow := self.model.prior.flow) is None else to_noise(flow, z))
            else:
                self.model.network.visit(self.model.maps.expand(len(x), -1, -1, -1), pixels.choose)
                pixels.push(self.stack)
        self.stack.push_uniform(np.array([len(x) - 1]), AT_ONCE)


def read(model: Model, words: np.ndarray, count: int) -> Iterator[Tensor]:
    """Batches (B, C, H, W) of `count` images, the last pushed first; DataError unless words (n,) hold so many."""
    stack = Stack(words)
    while count:
        size = int(stack.pop_uniform(AT_ONCE, 1)[0]) + 1
        if size > min(count, model.rows_at_once):
            raise DataError(f"a batch of {size} images where {count} are left")
        with _alike(model):
            x = _popped(model, stack, size)
        yield x
        count -= size
    if not np.array_equal(stack.words, start_words(model)):
        raise DataError("does not end where writing began")


def _popped(model: Model, stack: Stack, size: int) -> Tensor:
    pixels = PoppedPixels(model.likelihood, stack)
    if not isinstance(model, LatentVariableModel):
        return model.network.visit(model.maps.expand(size, -1, -1, -1), pixels.choose)
    noise = pop_noise(stack, size, model.latent_dim)
    z = noise if (flow := model.prior.flow) is None else from_noise(flow, noise)
    x = model.decoder.visit(value(z), pixels.choose)
    _push_posterior(model, x, z, stack)
    return x


def _pop_posterior(model: LatentVariableModel, x: Tensor, stack: Stack) -> Tensor:
    """z ~ q(z|x) by bits of the stack: (B, C, H, W) to (B, D) cells."""
    mean, log_scale, features = model.posterior.encode(x)
    columns = [
        stack.pop_intervals(len(x), Normals(*parameters).find)
        for parameters in zip(mean.unbind(1), log_scale.unbind(1), strict=True)
    ]
    z = torch.from_numpy(np.stack(columns, 1))
    return z if model.posterior.flow is None else to_noise(model.posterior.flow, z, features)


def _push_posterior(model: LatentVariableModel, x: Tensor, z: Tensor, stack: Stack) -> None:
    """Put back what `_pop_posterior` took."""
    mean, log_scale, features = model.posterior.encode(x)
    z = z if model.posterior.flow is None else from_noise(model.posterior.flow, z, features)
    for i in reversed(range(model.latent_dim)):
        stack.push_intervals(*Normals(mean[:, i], log_scale[:, i]).interval(z[:, i].numpy()))


def _most_bits(model: Model) -> int:
    """What z of one image takes from the stack at most."""
    return model.latent_dim * PRECISION if isinstance(model, LatentVariableModel) else 0


def start_words(model: Model) -> np.ndarray:
    """What the stack begins with: bits for the first image's z."""
    needed = _most_bits(model)
    return random_words(needed) if needed else np.zeros(0, np.uint32)


@contextmanager
def _alike(model: Model) -> Iterator[None]:
    """Inside, floats come out the same in writing and in reading, whatever the number of threads outside."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad(), kept_weights(model):
            yield
    finally:
        torch.set_num_threads(threads)
