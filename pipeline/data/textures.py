"""The data set whose answer is known: binary textures, drawn from a source with two global factors.

g ~ N(0, I₂), then pixel by pixel in raster order

    x_ij ~ Bernoulli(σ(density · g₁ + board · g₂ · c_ij + left · l_ij + up · u_ij)),

l_ij and u_ij being ±1 for an inked or empty neighbour to the left and above, 0 outside the image, and c_ij = ±1 in a
checkerboard of 2×2 blocks. g is global (how much ink, and how strong the board is), the rest is local: a decoder that
sees the two neighbours lacks exactly g. Since g has two dimensions, p(x) = ∫ p(x|g) p(g) dg is a sum over a grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.errors import DataError

SIZES = {"train": 40_000, "valid": 2_000, "test": 2_000}
SEED = 2017
BLOCK = 2
NEIGHBOURS = np.array([-1, 0, 1])
"""Empty, outside the image, ink."""
LIMIT, STEP = 6.0, 0.15
"""The grid over each factor. A sum over an even grid is as good as exact while the step is below the posterior's
standard deviation, about 0.25 here: half the step changes log p(x) by less than 1e-9 nats."""
STEEPEST, STRONGEST = 12.0, 3.0
"""Of a factor, pixels a side × weight, above which that deviation is too small; of a neighbour, the weight."""
AT_ONCE = 500
"""Images of which the densities at all grid points are held in memory: 26 MB a table."""


class Exact(NamedTuple):
    """What the best code of each of N images would cost and say; −log p(x) = E[−log p(x|g)] + KL under p(g|x).

    nll           −log p(x), nats: (N,)
    information   KL(p(g|x) ‖ p(g)), nats: (N,); its mean over images is I(x; g)
    factors       E[g|x]: (N, 2)
    """

    nll: np.ndarray
    information: np.ndarray
    factors: np.ndarray


@dataclass(frozen=True)
class TextureSource:
    """Images of `size` × `size` pixels; the others are the weights above. DataError, by name, if one is unfit."""

    size: int = 12
    density: float = 0.9
    board: float = 0.9
    left: float = 0.8
    up: float = 0.8

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or not 1 <= self.size <= 64:
            raise DataError(f"size = {self.size!r}: must be an integer from 1 to 64")
        limits = dict.fromkeys(("density", "board"), STEEPEST / self.size) | dict.fromkeys(("left", "up"), STRONGEST)
        for name, limit in limits.items():
            value = getattr(self, name)
            if not abs(value) <= limit:
                raise DataError(
                    f"{name} = {value!r}: must be a number from {-limit:g} to {limit:g} at size {self.size}"
                )

    def draw(self, count: int, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Images (count, 1, H, W) uint8 and their factors g (count, 2) float32."""
        factors = random.standard_normal((count, 2)).astype(np.float32)
        uniforms = random.random_sample((self.size, self.size, count))
        signs = np.zeros((self.size + 1, self.size + 1, count), np.int8)  # the first row and column are outside
        for i, j in np.ndindex(self.size, self.size):
            logits = self.logits(factors.astype(np.float64), self.squares[i, j], signs[i + 1, j], signs[i, j + 1])
            signs[i + 1, j + 1] = np.where(uniforms[i, j] < _sigmoid(logits), 1, -1)
        return (signs[1:, 1:] > 0).astype(np.uint8).transpose(2, 0, 1)[:, None], factors

    def logits(self, factors: np.ndarray, square: np.ndarray, left: np.ndarray, up: np.ndarray) -> np.ndarray:
        """log P(ink) / P(no ink) given g (…, 2), the square's sign and the neighbours, −1, 0 or 1, of (…) each."""
        return self.density * factors[..., 0] + self.board * factors[..., 1] * square + self.left * left + self.up * up

    @property
    def squares(self) -> np.ndarray:
        """c (H, W): 1 in the squares of the board that the first pixel's is one of, −1 in the others."""
        row = np.arange(self.size) // BLOCK
        return 1 - 2 * ((row[:, None] + row) % 2)

    def log_prob_given(self, images: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """log p(x|g) in nats of images (N, 1, H, W) for each of G factors (G, 2): (N, G).

        A pixel's term depends on g and on one of 36 situations, so that counting these turns it into one product.
        """
        ink, square, left, up = np.meshgrid([0, 1], [-1, 1], NEIGHBOURS, NEIGHBOURS, indexing="ij")
        logits = self.logits(factors[:, None], square.ravel(), left.ravel(), up.ravel())
        return self._counts(images) @ _log_sigmoid(np.where(ink.ravel(), logits, -logits)).T

    def exact(self, images: np.ndarray) -> Exact:
        """By quadrature over g, for images (N, 1, H, W)."""
        parts = [self._exact(images[start : start + AT_ONCE]) for start in range(0, len(images), AT_ONCE)]
        return Exact(*map(np.concatenate, zip(*parts, strict=True)))

    def _exact(self, images: np.ndarray) -> Exact:
        factors, prior = grid()
        given = self.log_prob_given(images, factors)
        joint = given + np.log(prior)
        highest = joint.max(1, keepdims=True)
        posterior = np.exp(joint - highest)
        total = posterior.sum(1, keepdims=True)
        posterior /= total
        nll = -(highest + np.log(total))[:, 0]
        return Exact(nll, nll + (posterior * given).sum(1), posterior @ factors)

    def _counts(self, images: np.ndarray) -> np.ndarray:
        """(N, 36): in how many pixels of each image (N, 1, H, W) each situation occurs."""
        signs = np.zeros((len(images), self.size + 1, self.size + 1), np.int64)
        signs[:, 1:, 1:] = 2 * images[:, 0].astype(np.int64) - 1
        neighbours = 3 * (signs[:, 1:, :-1] + 1) + signs[:, :-1, 1:] + 1
        situations = 18 * images[:, 0] + 9 * (self.squares > 0) + neighbours
        offsets = 36 * np.arange(len(images))[:, None, None]
        return np.bincount((situations + offsets).ravel(), minlength=36 * len(images)).reshape(-1, 36).astype(float)


def generate(folder: Path) -> None:
    """Write the raw files of `textures`: images.npy (N, 1, H, W) uint8 and factors.npy (N, 2) float32."""
    images, factors = TextureSource().draw(sum(SIZES.values()), np.random.RandomState(SEED))
    np.save(folder / "images.npy", images)
    np.save(folder / "factors.npy", factors)


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Points (G, 2) of the quadrature over g, and their weights (G,), which add up to 1: the prior N(0, I)."""
    axis = np.linspace(-LIMIT, LIMIT, round(2 * LIMIT / STEP) + 1)
    density = np.exp(-(axis**2) / 2)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    weights = np.outer(density, density).ravel()
    return points, weights / weights.sum()


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def _log_sigmoid(logits: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0, -logits)
