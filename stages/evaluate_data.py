"""Measure what needs no model: how far image codecs shrink the test images, and what plain densities pay for them.

python -m stages.evaluate_data
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.config import load_params
from pipeline.data.datasets import Dataset, load_dataset
from pipeline.evaluation.attempts import Attempts
from pipeline.evaluation.baselines import density_table
from pipeline.evaluation.codecs import codec_curve
from stages import no_options, run_stage

CODEC_IMAGES = 200
"""Test images that the codecs compress; more would move their means little and take longer."""
BASELINES = Path("data/baselines")


def main() -> None:
    """Read data/processed/; write a CSV file a data set."""
    params = load_params()
    shutil.rmtree(BASELINES, ignore_errors=True)
    BASELINES.mkdir(parents=True)
    for name in params.datasets:
        dataset = load_dataset(Path(f"data/processed/{name}.npz"))
        images = params.budget(name, params.kind(name)).evaluation.test_images
        attempts = Attempts()
        measure = partial(measured, dataset, images, params.seeds[0])
        table = attempts.take(f"baselines of {name}", measure, pd.DataFrame())
        table = table if len(table) else pd.DataFrame({"missing": attempts.missing})
        table.to_csv(BASELINES / f"{name}.csv", index=False, float_format="%.6f")


def measured(dataset: Dataset, images: int | None, seed: int) -> pd.DataFrame:
    """Codecs of binary images, densities of colour images."""
    if dataset.kind == "color":
        return density_table(dataset.train, dataset.test[:images], seed)
    return codec_curve(dataset.test[:CODEC_IMAGES])


if __name__ == "__main__":
    no_options(__doc__)
    run_stage(main)
