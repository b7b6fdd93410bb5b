"""The weights of a published model: in half the bytes where that does not move its likelihood."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from pipeline.evaluation.likelihood import per_image
from pipeline.models.vlae import LatentVariableModel, Model
from pipeline.saved import load_run, save_run
from pipeline.units import bits_to_nats

MOST_MOVED = 0.005
"""Nats by which rounding to float16 may move mean NLL and KL: half of the last digit reported of binary images."""
MOST_MOVED_BITS = 5e-5
"""The same of colour images, in bits/dim (0.11 nats of CIFAR-10): a tenth of half of their last digit."""
LARGE = 1024
"""The fewest weights of a tensor that is rounded. The smaller ones, a twentieth of `narrow_7x4`, are gains, biases and
what sees the image first: they would move its NLL by 0.74 nats, all the rest moves it by 0.04."""
IMAGES, SAMPLES = 250, 64
"""Test images and importance samples by which that is measured."""


def store(folder: Path, model: Model, config: dict[str, Any], test: Tensor) -> dict[str, Any]:
    """Write weights and configuration, and return the latter: in float16 if NLL and KL allow it, else in float32.

    `test` (N, C, H, W) float, as the model takes images, on its device. A model without latent stays in float32: it is
    small, and its NLL is exact, so that each image can be verified to the last digit.
    """
    halved = _halved(model)
    holds = all(values.isfinite().all() for values in halved.state_dict().values())
    if holds and isinstance(model, LatentVariableModel):
        save_run(folder, halved, config)
        rounded = load_run(folder, test.device).model
        moved = _means(rounded, test) - _means(model, test)
        if (moved.abs() < most_moved(model.image_shape)).all():  # false where one is NaN
            return _save(folder, halved, config, "float16", float(moved["nll"]))
    return _save(folder, model, config, "float32", 0.0)


def most_moved(image_shape: tuple[int, ...]) -> float:
    """Nats by which rounding may move NLL and KL of images (C, H, W)."""
    return MOST_MOVED if image_shape[0] == 1 else bits_to_nats(MOST_MOVED_BITS * math.prod(image_shape))


def _halved(model: Model) -> Model:
    """A copy whose LARGE tensors are in float16."""
    halved = copy.deepcopy(model)
    for values in halved.parameters():
        if values.numel() >= LARGE:
            values.data = values.data.half()
    return halved


def _save(folder: Path, model: Model, config: dict[str, Any], precision: str, moved: float) -> dict[str, Any]:
    config = config | {"stored_precision": precision, "stored_nll_change": moved}
    save_run(folder, model, config)
    return config


def _means(model: Model, test: Tensor) -> pd.Series:
    """NLL and KL with the same noise at every call, nats per image."""
    return per_image(model, test[:IMAGES], SAMPLES, seed=0)[["nll", "kl"]].mean(skipna=False)
