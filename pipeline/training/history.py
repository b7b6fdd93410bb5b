"""The learning curve of a training: a row at every validation, kept as a CSV file of exact numbers."""

from __future__ import annotations

import csv
from pathlib import Path

from pipeline.errors import DataError

COLUMNS = (
    "step", "epoch", "learning_rate", "train_elbo", "train_kl", "valid_elbo", "valid_kl", "kl_weight"
)  # fmt: skip
"""ELBO and KL in nats per image."""


def write_history(path: Path, rows: list[dict[str, float]]) -> None:
    """A line a row, below the names of the columns."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_history(path: Path) -> list[dict[str, float]]:
    """The rows that `write_history` wrote; OSError if there is no file, DataError if it is damaged."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, restval=""))
    try:
        return [{name: float(row[name]) for name in COLUMNS} | {"step": int(row["step"])} for row in rows]
    except (KeyError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
