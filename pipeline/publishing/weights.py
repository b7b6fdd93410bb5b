"""The weights of a published model: in half the bytes where that does not move its likelihood."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from pipeline.evaluation.likelihood import per_image
from pipeline.models.vlae import LatentVariableModel, Model
from pipeline.saved import load_run, save_run

MOST_MOVED = 0.005
"""Nats by which rounding to float16 may move mean NLL and KL: half of the last digit reported of binary images."""
IMAGES, SAMPLES = 250, 64
"""Test images and importance samples by which that is measured."""


def store(folder: Path, model: Model, config: dict[str, Any], test: Tensor) -> dict[str, Any]:
    """Write weights and configuration, and return the latter: in float16 if NLL and KL allow it, else in float32.

    `test` (N, C, H, W) float, as the model takes images, on its device. A model without latent stays in float32: it is
    small, and its NLL is exact, so that each image can be verified to the last digit.
    """
    halved = copy.deepcopy(model).half()
    holds = all(values.isfinite().all() for values in halved.state_dict().values())
    if holds and isinstance(model, LatentVariableModel):
        save_run(folder, halved, config)
        rounded = load_run(folder, test.device).model
        moved = _means(rounded, test) - _means(model, test)
        if (moved.abs() < MOST_MOVED).all():  # false where one is NaN
            return _save(folder, halved, config, "float16", float(moved["nll"]))
    return _save(folder, model, config, "float32", 0.0)


def _save(folder: Path, model: Model, config: dict[str, Any], precision: str, moved: float) -> dict[str, Any]:
    config = config | {"stored_precision": precision, "stored_nll_change": moved}
    save_run(folder, model, config)
    return config


def _means(model: Model, test: Tensor) -> pd.Series:
    """NLL and KL with the same noise at every call, nats per image."""
    return per_image(model, test[:IMAGES], SAMPLES, seed=0)[["nll", "kl"]].mean(skipna=False)
