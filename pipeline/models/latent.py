"""The two kinds of model: with a latent z (VAE, VLAE) and without (the Unconditional Decoder). All in nats per image.

Both offer `loss`, `log_prob`, `elbo` and `sample`; the latent model also `encode` and `decompress`.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

from pipeline.models.decoders import (
    FactorizedDecoder,
    PixelCNN,
    PixelCNNDecoder,
    bernoulli_log_prob,
    sample_pixelcnn,
)
from pipeline.models.latent_parts import AutoregressivePrior, GaussianPosterior, GaussianPrior

ROWS_AT_ONCE = 1024
"""Images × samples that one pass of importance sampling holds in memory."""


class LatentVariableModel(nn.Module):
    """p(x) = ∫ p(x|z) p(z) dz with an approximate posterior q(z|x) (section 2)."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        posterior: GaussianPosterior,
        prior: GaussianPrior | AutoregressivePrior,
        decoder: FactorizedDecoder | PixelCNNDecoder,
    ) -> None:
        super().__init__()
        self.image_shape, self.latent_dim = image_shape, latent_dim
        self.posterior, self.prior, self.decoder = posterior, prior, decoder

    def loss(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        """−log p(x|z) (`reconstruction`) and log q(z|x) − log p(z) (`kl`) at one z ~ q: (B, C, H, W) to (B,) each.

        Their sum is an unbiased estimate of −ELBO(x), the Bits-Back code length of x (equation 2).
        """
        z, log_q = self.posterior.sample(self.posterior.encode(x), self._noise(len(x), x, generator))
        return {"reconstruction": -self.decoder.log_prob(x, z), "kl": log_q - self.prior.log_prob(z)}

    @torch.no_grad()
    def elbo(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """One-sample estimate of the evidence lower bound, nats: (B, C, H, W) to (B,)."""
        parts = self.loss(x, generator)
        return -parts["reconstruction"] - parts["kl"]

    @torch.no_grad()
    def log_prob(self, x: Tensor, importance_samples: int = 64, generator: Generator | None = None) -> Tensor:
        """log 1/K Σ_k p(x, z_k) / q(z_k|x), z_k ~ q: a lower bound of log p(x) in expectation, rising with K.

        (B, C, H, W) to (B,) nats. The sum is streamed, so that memory does not grow with B or K.
        """
        if importance_samples < 1:
            raise ValueError(f"importance_samples = {importance_samples}: must be at least 1")
        images = max(1, ROWS_AT_ONCE // importance_samples)
        return torch.cat([self._log_prob(batch, importance_samples, generator) for batch in x.split(images)])

    def _log_prob(self, x: Tensor, importance_samples: int, generator: Generator | None) -> Tensor:
        parameters, features = self.posterior.encode(x), self.decoder.image_features(x)
        total = x.new_full((len(x),), -math.inf)
        at_once = max(1, ROWS_AT_ONCE // len(x))
        for start in range(0, importance_samples, at_once):
            samples = min(at_once, importance_samples - start)
            mean, log_scale = (_repeat(part, samples) for part in parameters)
            noise = self._noise(samples * len(x), x, generator)
            z, log_q = self.posterior.sample((mean, log_scale), noise)
            repeated = None if features is None else _repeat(features, samples)
            log_joint = self.decoder.log_prob(_repeat(x, samples), z, repeated) + self.prior.log_prob(z)
            weights = (log_joint - log_q).view(samples, len(x))
            total = torch.logaddexp(total, weights.logsumexp(0))
        return total - math.log(importance_samples)

    @torch.no_grad()
    def encode(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """z ~ q(z|x): (B, C, H, W) to (B, D)."""
        return self.posterior.sample(self.posterior.encode(x), self._noise(len(x), x, generator))[0]

    @torch.no_grad()
    def decompress(self, z: Tensor, generator: Generator | None = None) -> Tensor:
        """x ~ p(x|z), the lossy decompression (section 4.1): (B, D) to (B, C, H, W) in {0, 1}."""
        uniforms = torch.rand((len(z), *self.image_shape), generator=generator, device=z.device)
        return self.decoder.sample(z, uniforms)

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """n images (n, C, H, W) in {0, 1}: z ~ p(z), x ~ p(x|z)."""
        like = next(self.parameters())
        return self.decompress(self.prior.transform(self._noise(n, like, generator)), generator)

    def _noise(self, count: int, like: Tensor, generator: Generator | None) -> Tensor:
        return torch.randn(count, self.latent_dim, generator=generator, device=like.device, dtype=torch.float32)


class AutoregressiveModel(nn.Module):
    """The Unconditional Decoder: a PixelCNN whose conditioning maps are learned constants, so p(x) is exact.

    The paper does not say what stands in for z's maps; constants let a pixel know where it is.
    """

    def __init__(self, image_shape: tuple[int, int, int], maps: int, network: PixelCNN) -> None:
        super().__init__()
        self.image_shape, self.network = image_shape, network
        self.maps = nn.Parameter(torch.zeros(1, maps, *image_shape[1:]))

    def loss(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        """−log p(x) as `reconstruction`, and a `kl` of zero: (B, C, H, W) to (B,) each."""
        reconstruction = -bernoulli_log_prob(self.network(x, self.maps), x)
        return {"reconstruction": reconstruction, "kl": torch.zeros_like(reconstruction)}

    @torch.no_grad()
    def log_prob(self, x: Tensor, importance_samples: int = 1, generator: Generator | None = None) -> Tensor:
        """log p(x), exact: (B, C, H, W) to (B,) nats; the other arguments are not needed."""
        return torch.cat([-self.loss(batch)["reconstruction"] for batch in x.split(ROWS_AT_ONCE)])

    def elbo(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """The same as `log_prob`: without a latent the bound is exact."""
        return self.log_prob(x)

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """n images (n, C, H, W) in {0, 1}."""
        uniforms = torch.rand((n, *self.image_shape), generator=generator, device=self.maps.device)
        return sample_pixelcnn(self.network, self.maps.expand(n, -1, -1, -1), uniforms)


Model = LatentVariableModel | AutoregressiveModel


def _repeat(part: Tensor, samples: int) -> Tensor:
    """(B, …) to (samples · B, …), the whole batch once for each sample."""
    return part.expand(samples, *part.shape).flatten(0, 1)
