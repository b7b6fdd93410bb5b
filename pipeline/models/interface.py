"""What every model offers to its user, and what it asks of the values it is given.

The public methods look at their arguments once, and a ValueError says what they want. Loops that made the values
themselves, in training and evaluation, call what stands behind: `parts`, `code_lengths` and the like check nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.models.likelihoods import Bernoulli, LogisticMixture


class ImageModel(nn.Module):
    """A density over images (B, C, H, W) float32, binary ones in {0, 1}, colours in levels 0 … 255. In nats per image.

    `likelihood` is what a pixel is drawn from; it says which values an image has. `rows_at_once` is how many images ×
    samples one pass without gradients holds in memory. Every method that draws takes a random generator `rng`, on the
    model's device; without one torch's own is used.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], likelihood: Bernoulli | LogisticMixture, rows_at_once: int
    ) -> None:
        super().__init__()
        self.image_shape, self.likelihood, self.rows_at_once = image_shape, likelihood, rows_at_once

    def parts(self, x: Tensor, rng: torch.Generator | None = None) -> dict[str, Tensor]:
        """`loss` of images that need no check."""
        raise NotImplementedError

    def code_lengths(self, x: Tensor, draws: int, rng: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """`loss` at several draws of each image, or at one if it is exact: (draws, B) nats each, without a check."""
        raise NotImplementedError

    def bound(self, x: Tensor, draws: int, rng: torch.Generator | None = None) -> Tensor:
        """`log_prob` without a check."""
        raise NotImplementedError

    def draw_images(self, n: int, rng: torch.Generator | None = None) -> Tensor:
        """`sample` without a check."""
        raise NotImplementedError

    def loss(self, x: Tensor, rng: torch.Generator | None = None) -> dict[str, Tensor]:
        """`reconstruction` and `kl`, (B,) each, to be minimised: their sum estimates −ELBO(x) without bias.

        For gradients; of many images `elbo` takes less memory.
        """
        self.check_images(x, rng)
        return self.parts(x, rng)

    @torch.no_grad()
    def elbo(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """The ELBO of each image at one draw z ~ q(z|x), without a latent log p(x): (B, C, H, W) to (B,) nats.

        >>> from pipeline import load_run
        >>> model = load_run("published/mnist_static/vlae").model
        >>> model.elbo(torch.zeros(2, 1, 28, 28), torch.Generator().manual_seed(0)).shape
        torch.Size([2])
        """
        return self.log_prob(x, 1, rng)

    @torch.no_grad()
    def log_prob(self, x: Tensor, importance_samples: int = 64, rng: torch.Generator | None = None) -> Tensor:
        """log 1/K Σ_k p(x, z_k) / q(z_k|x), z_k ~ q: a lower bound of log p(x) in expectation, rising with K.

        (B, C, H, W) to (B,) nats; with K = 1 the ELBO. Without a latent it is log p(x), exact, whatever K is.

        >>> from pipeline import load_run
        >>> model = load_run("published/mnist_static/vlae").model
        >>> model.log_prob(torch.zeros(2, 1, 28, 28), importance_samples=16).shape
        torch.Size([2])
        """
        check_count("importance_samples", importance_samples)
        self.check_images(x, rng)
        return self.bound(x, importance_samples, rng)

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator | None = None) -> Tensor:
        """n images (n, C, H, W).

        >>> from pipeline import load_run
        >>> load_run("published/mnist_static/vlae").model.sample(2).unique()
        tensor([0., 1.])
        """
        check_count("n", n)
        self._check_rng(rng)
        return self.draw_images(n, rng)

    def uniforms(self, count: int, rng: torch.Generator | None = None) -> Tensor:
        """The uniform numbers that `count` images are drawn from: (count, n, H, W), n as the likelihood takes."""
        shape = (count, self.likelihood.uniforms, *self.image_shape[1:])
        return torch.rand(shape, generator=rng, device=next(self.parameters()).device)

    def check_images(self, x: Any, rng: torch.Generator | None) -> None:
        """ValueError unless x are images of this model, on its device like the random generator."""
        self._check_tensor("images", x, self.image_shape)
        held = self.likelihood.holds(x)
        if not held.all():
            wrong = x[~held][0].item()
            raise ValueError(f"images hold {wrong:g}: must hold {self.likelihood.values} alone, which this model is of")
        self._check_rng(rng)

    def check_latents(self, z: Any, latent_dim: int, rng: torch.Generator | None) -> None:
        """The same of latents z (B, D)."""
        self._check_tensor("latents", z, (latent_dim,))
        if not z.isfinite().all():
            raise ValueError("latents hold values that are not finite")
        self._check_rng(rng)

    def _check_tensor(self, name: str, values: Any, shape: tuple[int, ...]) -> None:
        """Kind, dtype, device and shape (B, *shape), with at least one row."""
        like = next(self.parameters())
        if not isinstance(values, Tensor):
            raise ValueError(f"{name} are of type {type(values).__name__}: must be a torch tensor")
        if values.dtype != like.dtype:
            raise ValueError(f"{name} are {values.dtype}: must be {like.dtype}, like the model's weights")
        if values.device != like.device:
            raise ValueError(f"{name} are on {values.device}: must be on {like.device}, like the model")
        if values.shape[1:] != shape or not len(values):
            wanted = ", ".join(["B", *map(str, shape)])
            raise ValueError(f"{name} are of shape {tuple(values.shape)}: must be ({wanted}), B at least 1")

    def _check_rng(self, rng: Any) -> None:
        device = next(self.parameters()).device
        if rng is None:
            return
        if not isinstance(rng, torch.Generator):
            raise ValueError(f"rng = {rng!r}: must be a torch.Generator or None")
        if rng.device.type != device.type:
            raise ValueError(f"rng is on {rng.device}: must be on {device}, like the model")


def check_count(name: str, value: Any) -> None:
    """ValueError unless it is a positive integer."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} = {value!r}: must be an integer, at least 1")
