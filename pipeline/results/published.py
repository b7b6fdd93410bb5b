"""Trainings whose results are committed, in `published/<dataset>/<model>/`."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipeline.results.runs import (
    CONFIG_KEYS,
    HISTORY_COLUMNS,
    METRIC_KEYS,
    Training,
    read_file,
    read_per_image,
)

TRAINING_KEYS = (
    "batch_size", "training", "steps_planned", "device", "train_minutes", "processor", "stored_precision", "commit"
)  # fmt: skip

PER_IMAGE = "per_image.csv.gz"
"""NLL, and KL if there is a code, of each test image in nats, compressed to under half."""

PICTURES = {"reconstructions": "test images and their decompressions", "samples": "64 samples"}
"""What a published model drew, by the name of the file."""
SEEDS = "seeds"
"""In the folder of a published model: a folder of its metrics.json and PER_IMAGE for each further seed, no weights."""


@dataclass(frozen=True, eq=False)
class Published(Training):
    """A published training.

    `note` says in the publisher's words what was done otherwise than in the paper, or tried. `pictures` are PNGs, those
    of PICTURES that were drawn.
    """

    origin: ClassVar[str] = "published"
    note: str
    pictures: dict[str, bytes]


def collect_published(root: Path) -> list[Published]:
    """Every `<dataset>/<model>/` under `root`, by name."""
    return [read_published(folder) for folder in sorted(path.parent for path in root.glob("*/*/config.json"))]


def read_published(folder: Path) -> Published:
    """One of them; RunError names what is missing or damaged. Without metrics.json it was not evaluated."""
    evaluated, note = (folder / "metrics.json").exists(), folder / "notes.md"
    metrics, per_image = read_evaluation(folder) if evaluated else ({}, {})
    others = [read_file(each, "metrics.json", METRIC_KEYS) for each in seed_folders(folder).values()]
    return Published(
        folder.parent.name,
        folder.name,
        config=read_file(folder, "config.json", (*CONFIG_KEYS, *TRAINING_KEYS)),
        history=read_file(folder, "history.csv", HISTORY_COLUMNS),
        metrics=metrics,
        per_image=per_image,
        seeds=(metrics, *others) if others else (),
        note=" ".join(note.read_text(encoding="utf-8").split()) if note.exists() else "",
        pictures={name: file.read_bytes() for name in PICTURES if (file := folder / f"{name}.png").exists()},
    )


def read_evaluation(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Numbers, and nats of each test image by column; RunError names what is missing or damaged."""
    metrics = read_file(folder, "metrics.json", METRIC_KEYS)
    return metrics, read_per_image(folder, PER_IMAGE, metrics, ("nll",) if metrics["exact"] else ("nll", "kl"))


def seed_folders(folder: Path) -> dict[int, Path]:
    """Those of a published model's further seeds, ascending."""
    return dict(sorted((int(path.name), path) for path in folder.glob(f"{SEEDS}/*") if path.name.isdecimal()))


def write_per_image(folder: Path, columns: dict[str, np.ndarray]) -> None:
    """Nats of each image (n,), to 3 decimals; the same bytes whenever it is written."""
    text = io.BytesIO()
    np.savetxt(text, np.stack([*columns.values()], axis=1), "%.3f", ",", header=",".join(columns), comments="")
    (folder / PER_IMAGE).write_bytes(gzip.compress(text.getvalue(), mtime=0))
