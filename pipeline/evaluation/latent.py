"""What is in the latent z of a trained model: by dimension, in nats, and in what can be read off it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.data.datasets import Dataset
from pipeline.evaluation.information import active_units, activity, mutual_information_bound
from pipeline.evaluation.probe import linear_map, probe_report, r_squared
from pipeline.models.vlae import LatentVariableModel
from pipeline.seeding import stream

DRAWS = 32
AT_ONCE = 500
"""Images that are encoded in one pass, at most; of large ones as many as a model can hold, `rows_at_once`."""
MOST_PROBED = 2000
"""Training images that a linear classifier is fitted to, at most."""
MOST_FITTED, MOST_CLASSIFIED = 6_250_000, 50_000_000
"""Numbers in the images that it is fitted to, and tested on: of 2,000 and 16,000 images of 32×32 colours."""
MOST_NUMBERS = 50_000_000
"""Of all draws of all latents, held in memory: 10,000 images of 64 dimensions are 20 million."""


def describe_latent(model: LatentVariableModel, images: Tensor, seed: int) -> tuple[pd.DataFrame, dict[str, float]]:
    """The dimensions of z over `images` (N, C, H, W), of which the first that memory allows, and numbers for all of z.

    A row a dimension: `kl_nats`, the mean of log q(z|x) − log p(z) by dimension, and `activity`. With an AF prior or
    an IAF posterior the terms add up to the KL, but one alone is no divergence and may be negative. The numbers are
    `active_units` and, where q has the closed form that takes, `information_nats`, a lower bound on I(x; z).
    """
    images = images[: max(2, MOST_NUMBERS // (DRAWS * model.latent_dim))]
    latents, terms = draw_latents(model, images, DRAWS, stream(seed, "codes", device=images.device))
    table = pd.DataFrame({"kl_nats": terms.mean((0, 1)).cpu().numpy(), "activity": activity(latents).cpu().numpy()})
    numbers: dict[str, float] = {"active_units": active_units(latents)}
    if model.posterior.flow is None:
        mean, log_scale, _ = model.posterior_parameters(images)
        numbers["information_nats"] = mutual_information_bound(latents[0], mean, log_scale)
    return table, numbers


@torch.no_grad()
def draw_latents(model: LatentVariableModel, images: Tensor, draws: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """`draws` latents z ~ q(z|x) of each image and their KL terms by dimension: (draws, N, D) each."""
    rows = []
    for batch in images.split(min(AT_ONCE, model.rows_at_once)):
        parameters = model.posterior.encode(batch)
        rows.append([model.draw(parameters, rng) for _ in range(draws)])
    latents, terms = (torch.cat([torch.stack([draw[part] for draw in row]) for row in rows], dim=1) for part in (0, 1))
    return latents, terms


def probe_latent(
    model: LatentVariableModel, dataset: Dataset, train: Tensor, test: Tensor, seed: int
) -> dict[str, float]:
    """How well the class can be read off z by a linear classifier; nothing where the data set has no labels.

    `train` and `test` (N, C, H, W) are the first images of the splits. z is one draw an image: what a
    receiver of z would have.
    """
    if dataset.train_labels is None or dataset.test_labels is None:
        return {}
    size = train[0].numel()
    train, test = train[: min(MOST_PROBED, max(1, MOST_FITTED // size))], test[: max(1, MOST_CLASSIFIED // size)]
    rng = stream(seed, "probe", device=train.device)
    train_z, test_z = (draw_latents(model, images, 1, rng)[0][0].cpu().numpy() for images in (train, test))
    train_pixels, test_pixels = (images.flatten(1).cpu().numpy() for images in (train, test))
    labels = dataset.train_labels[: len(train)], dataset.test_labels[: len(test)]
    return probe_report(train_z, train_pixels, labels[0], test_z, test_pixels, labels[1], seed)


def probe_factors(
    model: LatentVariableModel, dataset: Dataset, train: Tensor, test: Tensor, seed: int
) -> dict[str, float]:
    """How well a linear map reads the global factors off z, and how well the exact posterior mean knows them.

    Both as R², `factors_r2` and `exact_factors_r2`; nothing where the data set has none. `train`, `test` and z are as
    in `probe_latent`.
    """
    if dataset.train_factors is None or dataset.test_factors is None or dataset.exact_factors is None:
        return {}
    train = train[:MOST_PROBED]
    rng = stream(seed, "probe", device=train.device)
    train_z, test_z = (draw_latents(model, images, 1, rng)[0][0].cpu().numpy() for images in (train, test))
    factors = dataset.test_factors[: len(test)]
    return {
        "factors_r2": r_squared(linear_map(train_z, dataset.train_factors[: len(train)], test_z), factors),
        "exact_factors_r2": r_squared(dataset.exact_factors[: len(test)], factors),
    }


def exact_values(dataset: Dataset, images: int) -> dict[str, np.ndarray]:
    """−log p(x) and KL(p(g|x) ‖ p(g)) of the first test images, nats, where the data set knows them: (images,) each."""
    values = {"exact_nll": dataset.exact_nll, "exact_information": dataset.exact_information}
    return {name: value[:images] for name, value in values.items() if value is not None}


def binarized(levels: np.ndarray, dynamic: bool, rng: torch.Generator) -> Tensor:
    """Training images (N, C, H, W) uint8 as float; grey levels of a `dynamic` data set are drawn once, in {0, 1}."""
    images = torch.from_numpy(levels).float()
    if not dynamic:
        return images
    return (torch.rand(images.shape, generator=rng) * 255 < images).float()
