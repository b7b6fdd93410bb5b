"""Stage `plan`: refuses what is wrong in params.yaml before any work, and writes what is to be done to data/plan/.

`datasets.json` are the data sets. `<data set>/<model>.json` is what decides a training beside the parameters that its
stage depends on: its block written out, with what it has from its `base`, so that a base that changes makes it run
again; and with `training.start: published` the hash of each file of the published model that it goes on from.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from pipeline.config import load_params
from stages import PUBLISHED, file_sha256, no_options, run_stage

FOLDER = Path("data/plan")
READ = ("config.json", "history.csv", "model.safetensors")
"""Files of a published model that a training reads."""


def main() -> None:
    """Read params.yaml and published/; write a file for each model of each data set."""
    params = load_params()
    for dataset in params.datasets:
        for model in params.evaluated(dataset):
            start = _published(PUBLISHED / dataset / model) if params.training.start == "published" else {}
            block = dataclasses.asdict(params.model(model, params.kind(dataset)))
            _write(FOLDER / dataset / f"{model}.json", {"block": block, "start": start})
    _write(FOLDER / "datasets.json", params.datasets)


def _published(folder: Path) -> dict[str, str]:
    """SHA-256 of its files; of one that is missing none, for the training to refuse."""
    return {name: file_sha256(folder / name) for name in READ if (folder / name).is_file()}


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    no_options(__doc__)
    run_stage(main)
