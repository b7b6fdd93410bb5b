"""What the page knows beside weights: the models by name, digits to pick, and a map of codes."""

from __future__ import annotations

import base64
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.models.vlae import LatentVariableModel, Model
from pipeline.reporting.live.rounding import round_weights
from pipeline.results.context import context_pixels, seen_rows
from pipeline.saved import load_run
from pipeline.seeding import stream

MEASURED = 100
"""Images on which is measured what rounding costs."""
DRAWS = 2


class Shown(NamedTuple):
    """A model of the page: rounded, by which steps, and what the page says of it."""

    model: LatentVariableModel
    steps: dict[str, Tensor]
    facts: dict[str, Any]
    loss: float
    """What rounding costs, nats per image."""


def shown_model(folder: Path, images: Tensor) -> Shown:
    """The model published in `folder`, rounded; images (N, 1, H, W) say what that costs and which dimensions count."""
    run = load_run(folder)
    model = copy.deepcopy(run.model)
    assert isinstance(model, LatentVariableModel)
    steps, block, shape = round_weights(model), run.config["model_config"], run.config["image_shape"]
    kl = model.draw(model.posterior_parameters(images), stream(0, "live"))[1].mean(0)
    seen = context_pixels(block, shape)
    facts = {
        "sees": {0: "no pixels", shape[1] * shape[2] - 1: "every earlier pixel"}.get(seen, f"{seen} earlier pixels"),
        "rows": seen_rows(block, *shape[1:]),
        "shape": shape,
        "config": {key: block[key] for key in ("decoder", "encoder_channels", "latent_dim", "masked_layers")},
        "order": kl.argsort(descending=True).tolist(),
    }
    loss = _length(model, images[:MEASURED]) - _length(run.model, images[:MEASURED])
    return Shown(model, steps, facts, loss)


def _length(model: Model, images: Tensor) -> float:
    """−ELBO in nats per image, on the same noise for every model of that many dimensions."""
    reconstruction, kl = model.code_lengths(images, DRAWS, stream(0, "live"))
    return (reconstruction + kl).mean().item()


def code_map(name: str, model: LatentVariableModel, images: Tensor, labels: Sequence[int]) -> dict[str, Any]:
    """Posterior means of images (N, 1, H, W) in the plane of their two principal components, from −127 to 127 bytes."""
    codes = model.posterior_parameters(images)[0]
    mean = codes.mean(0)
    axes = torch.linalg.svd(codes - mean, full_matrices=False)[2][:2]
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()  # which libraries choose as they like
    places = (codes - mean) @ axes.T
    span = 1.05 * places.abs().amax(0)
    points = (127 * places / span).round().numpy().astype(np.int8)
    return {
        "name": name,
        "mean": _numbers(mean),
        "components": [_numbers(axis) for axis in axes],
        "span": _numbers(span),
        "points": base64.b64encode(points.tobytes()).decode("ascii"),
        "labels": "".join(map(str, labels)),
    }


def spread(model: LatentVariableModel, images: Tensor) -> dict[str, list[float]]:
    """Mean and standard deviation of each dimension over the posterior means of images (N, 1, H, W)."""
    codes = model.posterior_parameters(images)[0]
    return {"mean": _numbers(codes.mean(0)), "deviation": _numbers(codes.std(0))}


def packed_images(images: np.ndarray) -> str:
    """Images of 0 and 1, eight pixels a byte, in base64."""
    return base64.b64encode(np.packbits(images.astype(np.uint8).ravel()).tobytes()).decode("ascii")


def some_of_each(labels: np.ndarray, count: int) -> list[int]:
    """Where the first `count` of each label are, label after label."""
    return [int(i) for label in np.unique(labels) for i in np.flatnonzero(labels == label)[:count]]


def _numbers(values: Tensor) -> list[float]:
    return [round(value, 4) for value in values.tolist()]
