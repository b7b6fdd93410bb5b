"""Importance sampling in portions: what an image alone gives is computed once for all draws of z."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from pipeline.fast.color import FastPixelCNNPP
from pipeline.fast.decoders import FastPixelCNN, repeat
from pipeline.fast.kept import kept_weights
from pipeline.models.vlae import AutoregressiveDecoder, FactorizedDecoder, LatentVariableModel


class FastLatentVariableModel(LatentVariableModel):
    """Many draws in one pass, as many as `rows_at_once` allows: no more than their numbers grows with B or `draws`."""

    @torch.no_grad()
    def code_lengths(self, x: Tensor, draws: int, rng: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        batches = x.split(max(1, self.rows_at_once // draws))
        with kept_weights(self):
            groups = [torch.cat(list(self._portions(batch, draws, rng)), 1) for batch in batches]
        reconstruction, kl = torch.cat(groups, dim=2)
        return reconstruction, kl

    def _portions(self, x: Tensor, draws: int, rng: torch.Generator | None) -> Iterator[Tensor]:
        """`code_lengths` of as many draws as pass at once, (2, some, B)."""
        parameters, log_prob = self.posterior.encode(x), log_prob_of(self.decoder, x)
        at_once = max(1, self.rows_at_once // len(x))
        for start in range(0, draws, at_once):
            count = min(at_once, draws - start)
            z, kl = self.draw(tuple(repeat(part, count * len(x)) for part in parameters), rng)
            yield torch.stack([-log_prob(z), kl.sum(-1)]).view(2, count, len(x))


def log_prob_of(decoder: FactorizedDecoder | AutoregressiveDecoder, x: Tensor) -> Callable[[Tensor], Tensor]:
    """log p(x|z) as a function of z (k·B, D), for which x (B, C, H, W) starts over: to (k·B,)."""
    if isinstance(decoder, FactorizedDecoder):
        return lambda z: decoder.log_prob(repeat(x, len(z)), z)
    network = decoder.network
    assert isinstance(network, FastPixelCNN | FastPixelCNNPP)
    features = network.image_features(x)
    return lambda z: network.log_prob_given(x, features, decoder.generator(z))
