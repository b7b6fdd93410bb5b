"""The finished runs of a report: `runs/<dataset>/<model>/` as training and evaluation leave it."""

from __future__ import annotations

import csv
import json
import zipfile
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

METRIC_KEYS = (
    "nll", "nll_se", "nll_low", "nll_high", "elbo", "elbo_se", "kl_nats", "kl_bits", "reconstruction_nats",
    "code_length_bits", "importance_samples", "images", "seed", "exact",
)  # fmt: skip
CONFIG_KEYS = (
    "model_config", "scale", "seed", "image_shape", "data_sha256", "steps", "epochs", "precision",
    "parameters",
)  # fmt: skip
HISTORY_COLUMNS = ("step", "train_elbo", "train_kl", "valid_elbo", "valid_kl")
_NAMES = {
    "vae": "VAE",
    "pixelcnn": "Unconditional Decoder",
    "vlae": "VLAE",
    "vlae_full_context": "VLAE, full context",
    "af_vae": "AF VAE",
    "iaf_vae": "IAF VAE",
}


class RunError(OSError):
    """A run folder that lacks a file or holds a damaged one; the message names it and what to do."""


@dataclass(frozen=True)
class Run:
    """One trained and evaluated model.

    `history` and `per_image` map a column of the CSV file to its values, the latter nats of each test image;
    `panels` holds uint8 images (N, C, H, W) in {0, 1}.
    """

    dataset: str
    model: str
    config: dict[str, Any]
    metrics: dict[str, Any]
    history: dict[str, np.ndarray]
    per_image: dict[str, np.ndarray]
    panels: dict[str, np.ndarray]

    @property
    def name(self) -> str:
        """What the paper calls the model, or the name of its block where it has none."""
        return _NAMES.get(self.model, self.model)

    @property
    def parts(self) -> str:
        """What the model is composed of, in words."""
        block = self.config["model_config"]
        decoder = "independent pixels"
        if block["decoder"] == "pixelcnn":
            seen = "every earlier pixel" if block["context"] == "full" else "a small context"
            decoder = f"PixelCNN that sees {seen}"
        if block["posterior"] == "none":
            return f"no latent code; {decoder}"
        prior = f"{block['prior']} prior"
        if block["prior"] == "af":
            prior = f"AF prior of {block['flow_steps']} steps"
        return f"{block['latent_dim']}-d {block['posterior']} posterior; {prior}; {decoder}"


def collect_runs(root: Path, datasets: Iterable[str], models: Iterable[str]) -> list[Run]:
    """Every run of `datasets` × `models` under `root`, in that order; RunError if one is missing."""
    models = tuple(models)
    return [read_run(root / dataset / model) for dataset in datasets for model in models]


def read_run(folder: Path) -> Run:
    """Read one run folder; RunError names it when something is missing or damaged."""
    try:
        config = json.loads((folder / "config.json").read_text())
        metrics = json.loads((folder / "metrics.json").read_text())
        history = _read_columns(folder / "history.csv")
        per_image = _read_columns(folder / "per_image.csv")
        panels = _read_panels(folder / "panels.npz")
    except FileNotFoundError as error:
        advice = "train and evaluate this model first (`dvc repro`)"
        raise RunError(f"run {folder}: {Path(error.filename).name} is missing; {advice}") from error
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise RunError(f"run {folder}: damaged ({error}); delete the folder and run `dvc repro`") from error
    _require(folder, "config.json", config, CONFIG_KEYS)
    _require(folder, "metrics.json", metrics, METRIC_KEYS)
    _require(folder, "history.csv", history, HISTORY_COLUMNS)
    _require(folder, "per_image.csv", per_image, ("nll", "kl"))
    _require(folder, "panels.npz", panels, ("samples",))
    return Run(folder.parent.name, folder.name, config, metrics, history, per_image, panels)


def _require(folder: Path, file: str, content: Collection[str], keys: Iterable[str]) -> None:
    missing = [key for key in keys if key not in content]
    if missing:
        raise RunError(f"run {folder}: {file} lacks {', '.join(missing)}; delete the folder and run `dvc repro`")


def _read_columns(path: Path) -> dict[str, np.ndarray]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{path.name} has no rows")
    return {column: np.array([float(row[column] or "nan") for row in rows]) for column in rows[0]}


def _read_panels(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
