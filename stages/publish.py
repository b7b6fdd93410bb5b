"""Publish a trained and evaluated run: fill published/<dataset>/<model>/, which is committed, from runs/.

Weights are kept of one seed, the first that is published; of others, what was measured, in seeds/<seed>/.

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
from pipeline.publishing.checks import code_faults, config_faults, history_faults, metrics_faults, recipe_faults
from pipeline.publishing.verification import column
from pipeline.publishing.weights import store
from pipeline.results.published import SEEDS, read_published, seed_folders, write_per_image
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
    config = run.config | provenance
    if _kept_seed(target) in (None, seed):
        _publish_kept(run, config, source, target, dataset, exact_device(params.training))
    else:
        _publish_seed(run, config, target, seed)
    write_card(target)
    if (target / "notes.md").exists():
        print(f"{target}/notes.md was written before: read whether it is still true", file=sys.stderr)


def _kept_seed(target: Path) -> int | None:
    """The seed whose weights are in a published model's folder."""
    return read_file(target, "config.json", ("seed",))["seed"] if (target / "config.json").exists() else None


def _publish_kept(
    run: Run, config: dict[str, Any], source: Path, target: Path, dataset: Dataset, device: torch.device
) -> None:
    """With weights; further seeds of another training are removed."""
    if seed_folders(target) and recipe_faults(run, read_published(target)):
        shutil.rmtree(target / SEEDS)
        print(f"{target / SEEDS} was of another training, and is removed", file=sys.stderr)
    test = torch.from_numpy(dataset.test).float().to(device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = store(folder, load_run(source, device).model, config, test)
        write_results(folder, run, config, file_sha256(folder / "model.safetensors"))
        for file in ("history.csv", "codebook.json"):
            shutil.copy(source / file, folder)
        for sheet_name, sheet in model_sheets(run.panels).items():
            save_sheet(sheet, folder / f"{sheet_name}.png")
        _move(folder, target)
    print(f"{target}: NLL {run.metrics['nll']:.2f}, weights in {config['stored_precision']}")


def _publish_seed(run: Run, config: dict[str, Any], target: Path, seed: int) -> None:
    """Without weights, beside those of another seed; ParamError unless the seed alone differs."""
    if faults := recipe_faults(run, read_published(target)):
        raise ParamError(f"seed {seed} cannot be published beside {target}: {'; '.join(faults)}")
    with tempfile.TemporaryDirectory() as folder:
        write_results(Path(folder), run, config, run.metrics["model_sha256"])
        _move(Path(folder), target / SEEDS / str(seed))
    print(f"{target / SEEDS / str(seed)}: NLL {run.metrics['nll']:.2f}, no weights")


def _move(folder: Path, target: Path) -> None:
    """All files; the metrics last: they hold the hash of the weights."""
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(folder.iterdir(), key=lambda file: (file.name == "metrics.json", file.name)):
        shutil.move(file, target / file.name)


def write_results(folder: Path, run: Run, config: dict[str, Any], model_sha256: str) -> None:
    """metrics.json with its origin, and per_image.csv.gz: NLL at the published and the verification's K, KL, truths."""
    origin = {key: config[key] for key in ("epochs", "train_minutes", "device", "processor", "commit", "data_sha256")}
    metrics = run.metrics | origin | {"model_sha256": model_sha256}
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    columns = ["nll", column(run.metrics)[0], *(() if run.metrics["exact"] else ("kl",))]
    columns += [name for name in run.per_image if name.startswith("exact_")]
    write_per_image(folder, {name: run.per_image[name] for name in columns})


if __name__ == "__main__":
    run_stage(main)
