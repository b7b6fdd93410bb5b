"""The two kinds of model: with a latent z (VAE, VLAE) and without (the Unconditional Decoder). All in nats per image.

Both offer what interface.py says; the latent model also `encode` and `decompress`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn

from pipeline.models.decoders import AutoregressiveDecoder, FactorizedDecoder, PixelCNN, start_over
from pipeline.models.interface import ImageModel
from pipeline.models.latent_parts import AutoregressivePrior, GaussianPrior, Posterior
from pipeline.models.layers import kept_weights
from pipeline.models.likelihoods import Bernoulli, LogisticMixture
from pipeline.models.pixelcnnpp import PixelCNNPP


class LatentVariableModel(ImageModel):
    """p(x) = ∫ p(x|z) p(z) dz with an approximate posterior q(z|x) (section 2)."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        posterior: Posterior,
        prior: GaussianPrior | AutoregressivePrior,
        decoder: FactorizedDecoder | AutoregressiveDecoder,
        rows_at_once: int,
    ) -> None:
        super().__init__(image_shape, rows_at_once)
        self.latent_dim = latent_dim
        self.posterior, self.prior, self.decoder = posterior, prior, decoder

    @property
    def likelihood(self) -> Bernoulli | LogisticMixture:
        """Of the decoder."""
        return self.decoder.likelihood

    def parts(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        """−log p(x|z) (`reconstruction`) and log q(z|x) − log p(z) (`kl`) at one z ~ q: (B, C, H, W) to (B,) each.

        Their sum is an unbiased estimate of −ELBO(x), the Bits-Back code length of x (equation 2).
        """
        z, kl = self.draw(self.posterior.encode(x), generator)
        return {"reconstruction": -self.decoder.log_prob(x, z), "kl": kl.sum(-1)}

    def draw(self, parameters: tuple[Tensor, ...], generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """z ~ q(z|x) and the terms of log q(z|x) − log p(z) by dimension, nats: (B, D) each.

        `parameters` are what the posterior's `encode` has made of the images.
        """
        z, log_q = self.posterior.sample(parameters, self._noise(len(parameters[0]), parameters[0], generator))
        return z, log_q - self.prior.log_prob_terms(z)

    @torch.no_grad()
    def code_lengths(self, x: Tensor, draws: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """`loss` at several z_k ~ q(z|x) of each image: −log p(x|z_k) and log q(z_k|x) − log p(z_k), (draws, B) nats.

        Their negative sum is the log importance weight of z_k. No more than these numbers grows with B or `draws`.
        """
        batches = x.split(max(1, self.rows_at_once // draws))
        with kept_weights(self):
            groups = [torch.cat(list(self._portions(batch, draws, generator)), 1) for batch in batches]
        reconstruction, kl = torch.cat(groups, dim=2)
        return reconstruction, kl

    def _portions(self, x: Tensor, draws: int, generator: Generator | None) -> Iterator[Tensor]:
        """`code_lengths` of as many draws as pass at once, (2, some, B)."""
        parameters, features = self.posterior.encode(x), self.decoder.image_features(x)
        at_once = max(1, self.rows_at_once // len(x))
        for start in range(0, draws, at_once):
            count = min(at_once, draws - start)
            z, kl = self.draw(tuple(start_over(part, count * len(x)) for part in parameters), generator)
            log_prob = self.decoder.log_prob(x, z, features)
            yield torch.stack([-log_prob, kl.sum(-1)]).view(2, count, len(x))

    @torch.no_grad()
    def encode(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """z ~ q(z|x): (B, C, H, W) to (B, D)."""
        self.check_images(x, generator)
        return self.draw(self.encoded(x), generator)[0]

    @torch.no_grad()
    def encoded(self, x: Tensor) -> tuple[Tensor, ...]:
        """What the posterior's `encode` makes of any number of images, without a check."""
        batches = (self.posterior.encode(batch) for batch in x.split(self.rows_at_once))
        return tuple(torch.cat(part) for part in zip(*batches, strict=True))

    @torch.no_grad()
    def decompress(self, z: Tensor, generator: Generator | None = None) -> Tensor:
        """x ~ p(x|z), the lossy decompression (section 4.1): (B, D) to (B, C, H, W)."""
        self.check_codes(z, self.latent_dim, generator)
        return self.decoded(z, self.uniforms(len(z), generator))

    @torch.no_grad()
    def decoded(self, z: Tensor, uniforms: Tensor) -> Tensor:
        """x ~ p(x|z) from `uniforms` of as many images, without a check: (B, D) to (B, C, H, W)."""
        rows = zip(z.split(self.rows_at_once), uniforms.split(self.rows_at_once), strict=True)
        return torch.cat([self.decoder.sample(*some) for some in rows])

    def uniforms(self, count: int, generator: Generator | None = None) -> Tensor:
        """The uniform numbers that `count` images are drawn from: (count, n, H, W), n as the likelihood takes."""
        shape = (count, self.decoder.uniforms, *self.image_shape[1:])
        return torch.rand(shape, generator=generator, device=next(self.parameters()).device)

    def draw_images(self, n: int, generator: Generator | None = None) -> Tensor:
        """z ~ p(z), x ~ p(x|z): (n, C, H, W)."""
        z = self.prior.transform(self._noise(n, next(self.parameters()), generator))
        return self.decoded(z, self.uniforms(n, generator))

    def _noise(self, count: int, like: Tensor, generator: Generator | None) -> Tensor:
        return torch.randn(count, self.latent_dim, generator=generator, device=like.device, dtype=torch.float32)


class AutoregressiveModel(ImageModel):
    """The Unconditional Decoder: a PixelCNN or PixelCNN++ with learned constants for conditioning maps; p(x) is exact.

    The paper does not say what stands in for z's maps; constants let a pixel know where it is.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], maps: int, network: PixelCNN | PixelCNNPP, rows_at_once: int
    ) -> None:
        super().__init__(image_shape, rows_at_once)
        self.network = network
        self.maps = nn.Parameter(torch.zeros(1, maps, *image_shape[1:]))

    @property
    def likelihood(self) -> Bernoulli | LogisticMixture:
        """Of the network."""
        return self.network.likelihood

    def parts(self, x: Tensor, generator: Generator | None = None) -> dict[str, Tensor]:
        """−log p(x) as `reconstruction`, and a `kl` of zero: (B, C, H, W) to (B,) each."""
        reconstruction = -self.network.log_prob(x, self.maps)
        return {"reconstruction": reconstruction, "kl": torch.zeros_like(reconstruction)}

    @torch.no_grad()
    def code_lengths(self, x: Tensor, draws: int = 1, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """−log p(x) and zeros, (1, B) nats each; the other arguments are not needed."""
        exact = torch.cat([self.parts(batch)["reconstruction"] for batch in x.split(self.rows_at_once)])[None]
        return exact, torch.zeros_like(exact)

    @torch.no_grad()
    def draw_images(self, n: int, generator: Generator | None = None) -> Tensor:
        """n images (n, C, H, W)."""
        shape = (n, self.network.uniforms, *self.image_shape[1:])
        uniforms = torch.rand(shape, generator=generator, device=self.maps.device).split(self.rows_at_once)
        return torch.cat([self.network.sample(self.maps.expand(len(some), -1, -1, -1), some) for some in uniforms])


Model = LatentVariableModel | AutoregressiveModel
