"""The Variational Lossy Autoencoder (Chen et al., ICLR 2017, arXiv:1611.02731), from prior to decompression.

A latent-variable model p(x) = ∫ p(x|z) p(z) dz with an approximate posterior q(z|x) (section 2). Its decoder draws
every pixel from z and from a few earlier pixels alone, p(x|z) = ∏ p(x_i | z, x_WindowAround(i)) (section 3.1), so that
z has to say what the window cannot see; its prior is an autoregressive flow, z = f(ε) (section 3.2).

    x (B, C, H, W) → encoder → q(z|x) ∋ z (B, D) → generator → maps (B, M, H, W) ─┬→ p(x|z)
                                                     earlier pixels of x ─────────┘

    −ELBO(x) = E_q [ −log p(x|z)  +  log q(z|x) − log p(z) ]       what `parts` gives, the two of them by name
                    reconstruction            kl

z is a vector: D = 64 for binary images, and 16 maps of 8×8 laid out as 1024 numbers for 32×32 colours. The paper's
models are compositions of the parts below, which build.py makes of a block of params.yaml:

    model                    posterior   prior       decoder
    VLAE                     Gaussian    AF          autoregressive, over a window
    AF VAE                   Gaussian    AF          factorized: pixels independent given z
    IAF VAE                  IAF         Gaussian    factorized
    VAE                      Gaussian    Gaussian    factorized
    Unconditional Decoder    none: `AutoregressiveModel` of pixelcnn.py, whose p(x) is exact

Users call `elbo`, `log_prob`, `sample` of interface.py, which check what they are given and come back here to `bound`
and `draw_images`. Encoder and generator are in binary.py (Appendix A) and color.py (Appendix B), the decoders and what
their windows are in pixelcnn.py and pixelcnnpp.py, flows in flows.py. All densities are in nats per image.

Not implemented: a determinant of the flows, which are shifts alone, as the paper's are (log|det dε/dz| = 0). Elsewhere:
free bits and other objectives (training/objectives.py), and the bits-back coder of section 2.2 (coding/).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pipeline.models.flows import AutoregressiveFlow
from pipeline.models.interface import ImageModel
from pipeline.models.likelihoods import Choose
from pipeline.models.pixelcnn import AutoregressiveModel, AutoregressiveNetwork


def standard_normal_terms(z: Tensor) -> Tensor:
    """log N(z_d; 0, 1) of each dimension in nats: (B, D) to (B, D)."""
    return -0.5 * (z.square() + math.log(2 * math.pi))


class Prior(nn.Module):
    """p(z): the Gaussian N(0, I), or with a `flow` f the AF prior, z = f(ε) with ε ~ N(0, I) (section 3.2).

    log p(z) = log N(ε; 0, I) + log|det dε/dz|, of which the determinant is 1, f being made of shifts. The density takes
    one pass for all dimensions at once, as an IAF posterior on ε would; drawing z goes dimension by dimension.
    """

    def __init__(self, flow: AutoregressiveFlow | None = None) -> None:
        super().__init__()
        self.flow = flow

    def transform(self, noise: Tensor) -> Tensor:
        """ε (B, D), standard normal, to (B, D) draws from the prior."""
        return noise if self.flow is None else self.flow(noise)

    def noise(self, z: Tensor) -> Tensor:
        """z (B, D) to ε (B, D): the inverse of `transform`."""
        return z if self.flow is None else self.flow.inverse(z)

    def log_prob_terms(self, z: Tensor) -> Tensor:
        """(B, D) to (B, D) nats, whose sum over D is log p(z); term i is the density of the ε in z_i's place.

        A term for each dimension, as of all densities of z, so that the KL can be told by dimension.
        """
        terms = standard_normal_terms(self.noise(z))
        reverses = self.flow is not None and len(self.flow.shifts) % 2  # as each step of a flow reverses the order
        return terms.flip(-1) if reverses else terms


class Posterior(nn.Module):
    """q(z|x): a Gaussian N(μ(x), diag σ(x)²), or with a `flow`, whose inverse moves its draws, an IAF posterior.

    The flow is of the AF prior's kind, run the other way, which takes one pass a step, and sees what the encoder has
    computed (Kingma et al., 2016, section 3); with determinant 1 it leaves log q as it was. A subclass encodes.
    """

    def __init__(self, flow: AutoregressiveFlow | None = None) -> None:
        super().__init__()
        self.flow = flow

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) to mean and log standard deviation, (B, D) each, and the features behind them, (B, …)."""
        raise NotImplementedError

    def sample(self, parameters: tuple[Tensor, ...], noise: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, D), without a flow μ + σ·noise, and terms (B, D) whose sum over D is log q(z|x) in nats.

        `parameters` from `encode`, noise ~ N(0, I).
        """
        mean, log_scale, features = parameters
        z = mean + log_scale.exp() * noise
        return z if self.flow is None else self.flow.inverse(z, features), standard_normal_terms(noise) - log_scale


class Decoder(nn.Module):
    """p(x|z) = ∏ p(x_i | z, x_WindowAround(i)) (section 3.1): `network`, given maps that `generator` makes of z.

    The network is a PixelCNN for binary images, a PixelCNN++ for colours, and of a VAE, whose window is empty,
    `IndependentPixels`. A draw is a function of uniform numbers, so that two ways of drawing can be compared. `visit`
    is drawing with the choice left open: the coder of coding/ chooses a pixel's value by reading it from a file.
    """

    def __init__(self, generator: nn.Module, network: AutoregressiveNetwork) -> None:
        super().__init__()
        self.generator, self.network = generator, network

    def log_prob(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) in nats: (B, C, H, W) and (B, D) to (B,)."""
        return self.network.log_prob(x, self.generator(z))

    def sample(self, z: Tensor, uniforms: Tensor) -> Tensor:
        """x ~ p(x|z) from z (B, D) and uniforms (B, n, H, W), n a pixel as the likelihood takes."""
        return self.network.sample(self.generator(z), uniforms)

    def visit(self, z: Tensor, choose: Choose) -> Tensor:
        """The image (B, C, H, W) whose pixels `choose` gives values, told the parameters of each."""
        return self.network.visit(self.generator(z), choose)


class LatentVariableModel(ImageModel):
    """p(x) = ∫ p(x|z) p(z) dz with an approximate posterior q(z|x) (section 2): VAE or VLAE, as the decoder is.

    `rows_at_once` is how many images × samples one pass without gradients has room for.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        posterior: Posterior,
        prior: Prior,
        decoder: Decoder,
        rows_at_once: int,
    ) -> None:
        super().__init__(image_shape, decoder.network.likelihood, rows_at_once)
        self.latent_dim = latent_dim
        self.posterior, self.prior, self.decoder = posterior, prior, decoder

    def parts(self, x: Tensor, rng: torch.Generator | None = None) -> dict[str, Tensor]:
        """−log p(x|z) (`reconstruction`) and log q(z|x) − log p(z) (`kl`) at one z ~ q: (B, C, H, W) to (B,) each.

        Their sum estimates −ELBO(x) without bias: the Bits-Back code length of x (section 2.2).
        """
        z, kl = self.draw(self.posterior.encode(x), rng)
        return {"reconstruction": -self.decoder.log_prob(x, z), "kl": kl.sum(-1)}

    def draw(self, parameters: tuple[Tensor, ...], rng: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """z ~ q(z|x) and the terms of log q(z|x) − log p(z) by dimension, nats: (B, D) each.

        `parameters` are what the posterior's `encode` has made of the images.
        """
        z, log_q = self.posterior.sample(parameters, self._noise(len(parameters[0]), rng))
        return z, log_q - self.prior.log_prob_terms(z)

    def bound(self, x: Tensor, draws: int, rng: torch.Generator | None = None) -> Tensor:
        """log 1/K Σ_k p(x, z_k) / q(z_k|x) with K = `draws`, z_k ~ q(z|x) (Burda et al., 2016): to (B,) nats.

        The ELBO with K = 1; the paper's NLL is its negative with K = 4096, of colours 512 (Appendix A and B).
        """
        reconstruction, kl = self.code_lengths(x, draws, rng)
        log_weights = -(reconstruction + kl)
        return torch.logsumexp(log_weights, dim=0) - math.log(draws)

    @torch.no_grad()
    def code_lengths(self, x: Tensor, draws: int, rng: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """`parts` at several z_k ~ q(z|x) of each image: −log p(x|z_k) and log q(z_k|x) − log p(z_k), (draws, B) nats.

        Their negative sum is the log importance weight of z_k.
        """
        batches = [[self.parts(batch, rng) for _ in range(draws)] for batch in x.split(self.rows_at_once)]
        reconstruction, kl = (
            torch.cat([torch.stack([parts[name] for parts in batch]) for batch in batches], 1)
            for name in ("reconstruction", "kl")
        )
        return reconstruction, kl

    def draw_images(self, n: int, rng: torch.Generator | None = None) -> Tensor:
        """z ~ p(z), x ~ p(x|z): (n, C, H, W)."""
        z = self.prior.transform(self._noise(n, rng))
        return self.drawn_given(z, self.uniforms(n, rng))

    @torch.no_grad()
    def encode(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """z ~ q(z|x), the lossy code: (B, C, H, W) to (B, D).

        >>> from pipeline import load_run
        >>> load_run("published/mnist_static/vlae").model.encode(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 64])
        """
        self.check_images(x, rng)
        return self.draw(self.posterior_parameters(x), rng)[0]

    @torch.no_grad()
    def posterior_parameters(self, x: Tensor) -> tuple[Tensor, ...]:
        """What the posterior's `encode` makes of any number of images, without a check."""
        batches = (self.posterior.encode(batch) for batch in x.split(self.rows_at_once))
        return tuple(torch.cat(part) for part in zip(*batches, strict=True))

    @torch.no_grad()
    def decompress(self, z: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """x ~ p(x|z), the lossy decompression (section 4.1): (B, D) to (B, C, H, W).

        >>> from pipeline import load_run
        >>> model = load_run("published/mnist_static/vlae").model
        >>> model.decompress(model.encode(torch.zeros(2, 1, 28, 28))).shape
        torch.Size([2, 1, 28, 28])
        """
        self.check_latents(z, self.latent_dim, rng)
        return self.drawn_given(z, self.uniforms(len(z), rng))

    @torch.no_grad()
    def drawn_given(self, z: Tensor, uniforms: Tensor) -> Tensor:
        """x ~ p(x|z) from `uniforms` of as many images, without a check: (B, D) to (B, C, H, W)."""
        rows = zip(z.split(self.rows_at_once), uniforms.split(self.rows_at_once), strict=True)
        return torch.cat([self.decoder.sample(*some) for some in rows])

    def _noise(self, count: int, rng: torch.Generator | None) -> Tensor:
        return torch.randn(count, self.latent_dim, generator=rng, device=next(self.parameters()).device)


Model = LatentVariableModel | AutoregressiveModel
