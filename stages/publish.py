"""Publish a trained and evaluated run: fill published/<dataset>/<model>/, which is committed, from runs/.

python -m stages.publish --dataset mnist_static --model vlae
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from pipeline.config import ParamError, Params, load_params
from pipeline.data.datasets import Dataset, load_dataset
from pipeline.publishing.card import write_card
from pipeline.publishing.checks import code_faults, config_faults, history_faults, metrics_faults
from pipeline.publishing.verification import column
from pipeline.publishing.weights import store
from pipeline.results.published import write_per_image
from pipeline.results.runs import Run, read_file, read_run
from pipeline.results.sheets import model_sheets, save_sheet
from pipeline.saved import load_run
from stages import PUBLISHED, file_sha256, run_folder, run_parser, run_stage
from stages.commits import code_sha256_at
from stages.machine import exact_device


def main() -> None:
    """Read a run, params.yaml, the prepared data and git; write published/<dataset>/<model>/."""
    arguments = run_parser("publish", "Publish an evaluated run.").parse_args()
    params = load_params()
    dataset = load_dataset(Path(f"data/processed/{arguments.dataset}.npz"))
    publish(params, dataset, arguments.model, params.seed(arguments.seed))


def publish(params: Params, dataset: Dataset, model: str, seed: int) -> None:
    """Publish one run; ParamError says what speaks against it, OSError what is missing or damaged."""
    source, target = run_folder(dataset.name, model, seed), PUBLISHED / dataset.name / model
    run = read_run(source, dataset.name, model)
    provenance = read_file(source, "provenance.json", ("commit", "code_sha256", "processor", "train_minutes"))
    faults = config_faults(run, params, dataset, seed) or history_faults(run)
    faults += metrics_faults(run, file_sha256(source / "model.safetensors"), len(dataset.test))
    faults += code_faults(provenance, code_sha256_at(provenance["commit"]))
    if faults:
        raise ParamError(f"{source} cannot be published: {'; '.join(faults)}")
    device = exact_device(params.training)
    test = torch.from_numpy(dataset.test).float().to(device)
    with tempfile.TemporaryDirectory() as folder:
        config = store(Path(folder), load_run(source, device).model, run.config | provenance, test)
        write_results(Path(folder), run, config)
        for name in ("history.csv", "codebook.json"):
            shutil.copy(source / name, folder)
        for name, sheet in model_sheets(run.panels).items():
            save_sheet(sheet, Path(folder) / f"{name}.png")
        target.mkdir(parents=True, exist_ok=True)
        metrics = Path(folder) / "metrics.json"
        for file in [*(file for file in sorted(Path(folder).iterdir()) if file != metrics), metrics]:
            shutil.move(file, target / file.name)  # the metrics last: they hold the hash of the weights
    write_card(target)
    print(f"{target}: NLL {run.metrics['nll']:.2f}, weights in {config['stored_precision']}")
    if (target / "notes.md").exists():
        print(f"{target}/notes.md was written before: read whether it is still true", file=sys.stderr)


def write_results(folder: Path, run: Run, config: dict[str, Any]) -> None:
    """metrics.json with its origin, and per_image.csv.gz: NLL at the published and the verification's K, KL, truths."""
    origin = {key: config[key] for key in ("epochs", "train_minutes", "device", "processor", "commit", "data_sha256")}
    metrics = run.metrics | origin | {"model_sha256": file_sha256(folder / "model.safetensors")}
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    columns = ["nll", column(run.metrics)[0], *(() if run.metrics["exact"] else ("kl",))]
    columns += [name for name in run.per_image if name.startswith("exact_")]
    write_per_image(folder, {name: run.per_image[name] for name in columns})


if __name__ == "__main__":
    run_stage(main)
