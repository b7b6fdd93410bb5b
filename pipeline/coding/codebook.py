"""How z becomes a few whole numbers: of each dimension of the prior's noise ε a mean, a cell's width, and prices.

Made once from validation images and kept beside the weights, as codebook.json: a dimension that says nothing has cells
far wider than its means spread, and costs nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from pipeline.errors import DataError
from pipeline.fast.kept import kept_weights
from pipeline.models.vlae import LatentVariableModel

FILE = "codebook.json"
FARTHEST = 15
"""Cells from the mean, at most."""
PRECISION = 16
PARTS = 2**PRECISION
CELLS = np.array([0, *(sign * far for far in range(1, FARTHEST + 1) for sign in (1, -1))])
"""0, 1, −1, 2, …: the parts of the most probable come first, so that a code of zeros is the number 0, in no bytes."""


@dataclass(frozen=True)
class Codebook:
    """Of each dimension of ε: mean and standard deviation of what q(z|x)'s means give, and the width of a cell."""

    mean: list[float]
    deviation: list[float]
    width: list[float]

    @cached_property
    def sizes(self) -> np.ndarray:
        """How many parts each of CELLS has: (D, 31), every row PARTS in all."""
        deviation, width = (np.maximum(values, 1e-6) for values in (self.deviation, self.width))
        ends = np.multiply.outer(width / deviation, [CELLS - 0.5, CELLS + 0.5])
        sizes = 1 + np.floor((PARTS - len(CELLS)) * (ndtr(ends[:, 1]) - ndtr(ends[:, 0]))).astype(np.int64)
        sizes[:, 0] += PARTS - sizes.sum(1)
        return sizes

    @cached_property
    def prices(self) -> np.ndarray:
        """Bits of the cells −FARTHEST … FARTHEST: (D, 31)."""
        return (PRECISION - np.log2(self.sizes))[:, np.argsort(CELLS)]

    def noise(self, cells: np.ndarray) -> Tensor:
        """The middles of cells (…, D): ε, float32."""
        return torch.from_numpy(self.mean + cells * np.array(self.width)).float()

    def nearest(self, noise: Tensor) -> np.ndarray:
        """The cells (…, D) that ε lies in."""
        cells = (noise.double().numpy() - self.mean) / self.width
        return np.round(cells).clip(-FARTHEST, FARTHEST).astype(np.int64)

    def bits(self, cells: np.ndarray) -> np.ndarray:
        """What cells (N, D) cost: (N,)."""
        return self.prices[np.arange(len(self.mean)), cells + FARTHEST].sum(1)

    def save(self, folder: Path) -> None:
        """Write codebook.json."""
        rounded = {name: [float(f"{value:.6g}") for value in values] for name, values in asdict(self).items()}
        (folder / FILE).write_text(json.dumps(rounded) + "\n", encoding="utf-8")


def load_codebook(folder: Path) -> Codebook:
    """The codebook beside a model's weights; DataError if there is none, or it is damaged."""
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        values = np.array([content[name] for name in ("mean", "deviation", "width")], dtype=np.float64)
        if values.ndim != 2 or not np.isfinite(values).all() or (values[2] <= 0).any():
            raise ValueError("not three rows of numbers")
        if not values.size:
            raise DataError(f"{path}: is empty, as only models with z of binary images encode single images")
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: `evaluate` writes it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error})") from error
    return Codebook(*values.tolist())


@torch.no_grad()
def learn(model: LatentVariableModel, images: Tensor, step: float) -> Codebook:
    """From images (N, C, H, W): cells as wide as `step` times what q(z|x) leaves open."""
    noise, scales = means(model, images)
    open_ = scales.square().mean(0).sqrt()
    parts = (noise.mean(0), noise.std(0, correction=0), step * open_)
    return Codebook(*(part.double().tolist() for part in parts))


@torch.no_grad()
def means(model: LatentVariableModel, images: Tensor) -> tuple[Tensor, Tensor]:
    """What the means of q(z|x) are in the prior's noise, and q's standard deviations: (N, D) each."""
    with kept_weights(model):
        parameters = model.posterior_parameters(images)
        z, _ = model.posterior.sample(parameters, torch.zeros_like(parameters[0]))
        return model.prior.noise(z), parameters[1].exp()
