"""What a report is made of: trained models, and those of this run as they lie in `runs/<dataset>/<model>/seed<n>/`."""

from __future__ import annotations

import dataclasses
import json
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from pipeline.results.context import context_pixels
from pipeline.results.names import NAMES, TITLES, composition
from pipeline.units import bits_per_dim, nats_to_bits

METRIC_KEYS = (
    "nll", "nll_se", "nll_low", "nll_high", "elbo", "elbo_se", "kl_nats", "kl_bits", "reconstruction_nats",
    "code_length_bits", "importance_samples", "images", "seed", "exact", "train_nll", "train_images",
)  # fmt: skip
CONFIG_KEYS = (
    "model_config", "scale", "seed", "image_shape", "data_sha256", "steps", "epochs", "precision",
    "parameters",
)  # fmt: skip
HISTORY_COLUMNS = ("step", "epoch", "train_elbo", "train_kl", "valid_elbo", "valid_kl", "kl_weight")
MEND = "`dvc repro` trains and evaluates a run, `git restore` brings back what is published"


class RunError(OSError):
    """A run folder that lacks a file or holds a damaged one; the message names it and what to do."""


@dataclass(frozen=True, eq=False)
class Training:
    """One trained model: `history` maps a column of history.csv to its values.

    `metrics`, and `per_image`, which maps a column of its CSV file to nats of each test image, are empty before
    evaluation. `origin` says where it comes from, `commit` by which code it was trained; `seeds` are the metrics under
    each seed, this one first, if there are several.
    """

    origin: ClassVar[str] = ""

    dataset: str
    model: str
    config: dict[str, Any]
    history: dict[str, np.ndarray]
    metrics: dict[str, Any]
    per_image: dict[str, np.ndarray]
    seeds: tuple[dict[str, Any], ...] = field(default=(), kw_only=True)

    @property
    def commit(self) -> str:
        """Of the code that trained it; empty if not recorded."""
        return self.config.get("commit") or ""

    @property
    def title(self) -> str:
        """What the data set is called."""
        return TITLES.get(self.dataset, self.dataset)

    def in_unit(self, nats: float) -> float:
        """Nats per image in the unit of its images: the same, or bits per dimension of colour."""
        return bits_per_dim(nats, self.config["image_shape"]) if self.color else nats

    @property
    def nll(self) -> float:
        """NLL in that unit."""
        return self.in_unit(self.metrics["nll"])

    def under_seeds(self, key: str) -> np.ndarray:
        """A number of metrics.json under each seed (n,); n is 1 if there are no others."""
        return np.array([one[key] for one in self.seeds or (self.metrics,)])

    @property
    def kl(self) -> float:
        """KL in nats: the mean of what is told of each image, so that both are of the same weights."""
        return float(self.per_image["kl"].mean()) if "kl" in self.per_image else 0.0

    @property
    def kl_bits(self) -> float:
        """The same in bits."""
        return nats_to_bits(self.kl)

    @property
    def coded(self) -> bool:
        """Whether it has a latent code, and was evaluated."""
        return bool(self.metrics) and not self.metrics["exact"]

    @property
    def name(self) -> str:
        """What the paper calls the model, or the name of its block where it has none."""
        return NAMES.get(self.model, self.model.replace("_", " "))

    @property
    def color(self) -> bool:
        """Whether it is a model of colour images, whose unit is bits per dimension."""
        return self.config["image_shape"][0] == 3

    @property
    def block(self) -> dict[str, Any]:
        """The model's block of params.yaml, resolved."""
        return self.config["model_config"]

    @property
    def parts(self) -> str:
        """What the model is composed of, in words."""
        return composition(self.block)

    @property
    def cost_nats(self) -> float:
        """−ELBO − NLL: what using z costs, KL(q(z|x) ‖ p(z|x)), from below, since a finite K overstates NLL."""
        return -self.metrics["elbo"] - self.metrics["nll"]

    @property
    def test_minus_train(self) -> float:
        """By how many nats test images cost more than training images, both with the same K."""
        samples = self.metrics.get("train_importance_samples")
        nll = float(self.per_image[f"nll_k{samples}"].mean()) if samples else self.metrics["nll"]
        return nll - self.metrics["train_nll"]

    @property
    def on_context_curve(self) -> bool:
        """Whether it can be compared by what its decoder sees: Gaussian posterior, and a context counted in pixels."""
        return self.block["posterior"] == "gaussian" and self.context_pixels is not None

    @property
    def context_pixels(self) -> int | None:
        """The most earlier pixels that the decoder sees of one; None if it does not see pixels."""
        return context_pixels(self.block, self.config["image_shape"])


@dataclass(frozen=True, eq=False)
class Run(Training):
    """One trained and evaluated model of this run.

    `per_image_train`, nats of each training image, `dimensions`, and `encoded`, what files of single images took, map a
    column of the CSV file to its values;
    `panels` holds uint8 images (N, C, H, W).
    """

    origin: ClassVar[str] = "this run"
    per_image_train: dict[str, np.ndarray]
    dimensions: dict[str, np.ndarray]
    encoded: dict[str, np.ndarray]
    panels: dict[str, np.ndarray]


def collect_runs(root: Path, datasets: Iterable[str], models: Iterable[str], seeds: Iterable[int]) -> list[Run]:
    """Every run of `datasets` × `models` under `root`, in that order, the first seed's; RunError if one is missing."""
    models, seeds = tuple(models), tuple(seeds)
    return [_read_seeds(root / dataset / model, seeds) for dataset in datasets for model in models]


def _read_seeds(folder: Path, seeds: tuple[int, ...]) -> Run:
    runs = [read_run(folder / f"seed{seed}", folder.parent.name, folder.name) for seed in seeds]
    return dataclasses.replace(runs[0], seeds=tuple(run.metrics for run in runs) if len(runs) > 1 else ())


def read_run(folder: Path, dataset: str, model: str) -> Run:
    """Everything in a folder; RunError names what is missing or damaged."""
    config, metrics = read_file(folder, "config.json", CONFIG_KEYS), read_file(folder, "metrics.json", METRIC_KEYS)
    config |= {"commit": read_file(folder, "provenance.json", ("commit",))["commit"]}
    return Run(
        dataset,
        model,
        config=config,
        history=read_file(folder, "history.csv", HISTORY_COLUMNS),
        metrics=metrics,
        per_image=read_per_image(folder, "per_image.csv", metrics, ("nll", "kl")),
        per_image_train=read_file(folder, "per_image_train.csv", ("nll",)),
        dimensions=read_file(folder, "dimensions.csv", ()),
        encoded=read_file(folder, "encoded.csv", ()),
        panels=read_file(folder, "panels.npz", ()),
    )


def read_per_image(folder: Path, file: str, metrics: dict[str, Any], columns: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The columns of a file, nats of each image; RunError unless there is a row for each image that was evaluated."""
    per_image = read_file(folder, file, columns)
    if len(per_image["nll"]) != metrics["images"] or np.isnan([*per_image.values()]).any():
        raise RunError(f"run {folder}: {file} is cut; delete it, then {MEND}")
    return per_image


def read_file(folder: Path, file: str, keys: Iterable[str]) -> dict[str, Any]:
    """A file as a mapping that has `keys`."""
    try:
        content = _READERS[Path(file).suffix](folder / file)
    except FileNotFoundError as error:
        raise RunError(f"run {folder}: {file} is missing; {MEND}") from error
    except (ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise RunError(f"run {folder}: {file} is damaged ({error}); delete it, then {MEND}") from error
    missing = [key for key in keys if key not in content]
    if missing:
        raise RunError(f"run {folder}: {file} lacks {', '.join(missing)}; delete it, then {MEND}")
    return content


def _read_columns(path: Path) -> dict[str, np.ndarray]:
    table = pd.read_csv(path)
    return {str(name): np.array(column, float) for name, column in table.items() if len(table)}


def _read_panels(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


_READERS = {
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".csv": _read_columns,
    ".gz": _read_columns,
    ".npz": _read_panels,
}
