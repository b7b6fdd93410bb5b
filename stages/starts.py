"""Stage `starts`: what each training starts from, a small file that it depends on: data/starts/<data set>/<model>.json.

With `training.start: published` that is the hash of each file of the published model that it goes on from, so that
another one makes the training run again; with `scratch` the file never changes, whatever is published.
"""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.config import load_params
from stages import PUBLISHED, file_sha256, run_stage

FOLDER = Path("data/starts")
READ = ("config.json", "history.csv", "model.safetensors")
"""Files of a published model that a training reads."""


def main() -> None:
    """Write a file for each model of each data set."""
    params = load_params()
    for dataset in params.datasets:
        for model in params.evaluated(dataset):
            start = _published(PUBLISHED / dataset / model) if params.training.start == "published" else {}
            path = FOLDER / dataset / f"{model}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(start, indent=2) + "\n", encoding="utf-8")


def _published(folder: Path) -> dict[str, str]:
    """SHA-256 of its files; of one that is missing none, for the training to refuse."""
    return {name: file_sha256(folder / name) for name in READ if (folder / name).is_file()}


if __name__ == "__main__":
    run_stage(main)
