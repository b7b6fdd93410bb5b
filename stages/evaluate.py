"""Evaluate a trained model: NLL, ELBO, KL, what its latent carries and keeps, and the pictures of Figures 1 to 4.

python -m stages.evaluate --dataset mnist5k --model vlae
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline import forked
from pipeline.coding.measures import NOTHING, encoded, packed_bits
from pipeline.config import Params, load_params
from pipeline.data.datasets import Dataset, load_dataset
from pipeline.errors import DataError
from pipeline.evaluation.attempts import Attempts
from pipeline.evaluation.latent import (
    MOST_PROBED,
    binarized,
    describe_latent,
    exact_values,
    probe_factors,
    probe_latent,
)
from pipeline.evaluation.likelihood import by_batch, per_dimension, summarize
from pipeline.evaluation.panels import panels
from pipeline.evaluation.quadrature import posterior_gap
from pipeline.evaluation.structure import kept
from pipeline.models.pixelcnn import AutoregressiveModel
from pipeline.models.vlae import LatentVariableModel, Model
from pipeline.saved import SavedModel, load_run
from pipeline.seeding import stream
from pipeline.training.checkpoints import checkpoint_folder
from pipeline.units import nats_to_bits
from stages import file_sha256, run_folder, run_parser, run_stage
from stages.cores import jobs
from stages.launching import launch
from stages.machine import exact_device


def main() -> None:
    """Read weights and prepared data; write metrics, per-image tables, panels and dimensions beside the weights."""
    arguments = run_parser("evaluate", "Evaluate a trained model.").parse_args()
    params = load_params()
    params.model(arguments.model, params.kind(arguments.dataset))
    seed = params.seed(arguments.seed)
    work = partial(_evaluate, params, arguments.dataset, arguments.model, seed)
    name = f"evaluate-{arguments.dataset}-{arguments.model}-seed{seed}"
    launch(work, name, checkpoint_folder() / "jobs")


def _evaluate(params: Params, dataset: str, name: str, seed: int) -> None:
    loaded = load_dataset(Path(f"data/processed/{dataset}.npz"))
    evaluate(params, loaded, run_folder(dataset, name, seed), seed, jobs())


def evaluate(params: Params, dataset: Dataset, folder: Path, seed: int, processes: int = 1) -> None:
    """Evaluate the run in `folder` at the current scale; DataError if it was trained on other data than `dataset`.

    In several processes, which changes no bit, if the device is the CPU.
    """
    device = exact_device(params.training)
    run = load_run(folder)
    if run.config["data_sha256"] != dataset.sha256():
        raise DataError(f"{folder} was trained on other data than are prepared now; train it again")
    model = run.model.to(device)
    budget = params.budget(dataset.name, dataset.kind).evaluation
    test = torch.from_numpy(dataset.test[: budget.test_images]).float().to(device)
    needed = None if budget.train_images is None else max(budget.train_images, MOST_PROBED)
    train = binarized(dataset.train[:needed], dataset.dynamic, stream(seed, "evaluated training images")).to(device)
    measures = _measures(model, load_run(folder), dataset, train, test, seed)  # files are written on the CPU
    of_test, of_train = (
        by_batch(model, images, budget.importance_samples, seed) for images in (test, train[: budget.train_images])
    )
    futures = forked.run([*measures.values(), *of_test, *of_train], processes if device.type == "cpu" else 1)
    taken = {name: future.result for name, future in zip(measures, futures, strict=False)}
    batches = [future.result() for future in futures[len(measures) :]]
    table = pd.concat(batches[: len(of_test)], ignore_index=True).assign(**exact_values(dataset, len(test)))
    on_train = pd.concat(batches[len(of_test) :], ignore_index=True)
    attempts = Attempts()
    pictures: dict[str, np.ndarray] = attempts.take("pictures", taken["pictures"], {})
    exact = isinstance(model, AutoregressiveModel)
    metrics: dict[str, Any] = summarize(table, budget.importance_samples, exact, seed)
    if dataset.kind == "color":
        metrics |= per_dimension(metrics, dataset.image_shape)
    metrics |= {name: float(values.mean()) for name, values in exact_values(dataset, len(test)).items()}
    metrics |= {"train_nll": float(on_train["nll"].mean(skipna=False)), "train_images": len(on_train)}
    metrics["model_sha256"] = file_sha256(folder / "model.safetensors")
    nothing: dict[str, float] = {}
    dimensions = pd.DataFrame(columns=["kl_nats", "activity"])
    if isinstance(model, LatentVariableModel):
        dimensions, numbers = attempts.take("z by dimension", taken["z by dimension"], (dimensions, nothing))
        metrics |= numbers
        if "quadrature over z" in taken:
            metrics |= attempts.take("quadrature over z", taken["quadrature over z"], nothing)
        if pictures:
            kept_parts = partial(kept, pictures["originals"], pictures["decompressions"], seed)
            metrics |= attempts.take("what a decompression keeps", kept_parts, nothing)
        for name in ("the class in z", "the factors in z"):
            metrics |= attempts.take(name, taken[name], nothing)
    metrics |= attempts.take("bits on disk", taken["bits on disk"], nothing)
    if "coded_images" in metrics:
        spent = (table["reconstruction"] + table["kl"])[: metrics["coded_images"]].astype(float)
        metrics["coded_elbo_bits"] = nats_to_bits(float(spent.mean()))
    files = attempts.take("files of single images", taken["files of single images"], NOTHING)
    metrics |= files.metrics
    if attempts.missing:
        metrics["missing"] = "; ".join(attempts.missing)
    dimensions.to_csv(folder / "dimensions.csv", index_label="dimension", float_format="%.6f")
    table.to_csv(folder / "per_image.csv", index_label="image", float_format="%.5f")
    on_train.to_csv(folder / "per_image_train.csv", index_label="image", float_format="%.5f")
    files.curve.to_csv(folder / "encoded.csv", index=False, float_format="%.5f")
    files.book.save(folder)
    np.savez_compressed(folder / "panels.npz", allow_pickle=False, **pictures)
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def _measures(
    model: Model, on_disk: SavedModel, dataset: Dataset, train: Tensor, test: Tensor, seed: int
) -> dict[str, Callable[[], Any]]:
    """Those beside the likelihoods that need the model and not each other, the longest first."""
    images = dataset.test[: len(test)]
    measures: dict[str, Callable[[], Any]] = {
        "bits on disk": partial(packed_bits, on_disk, images),
        "files of single images": partial(encoded, on_disk, dataset.valid, images, seed),
        "pictures": partial(panels, model, test, seed, walks=dataset.kind == "binary"),
    }
    if isinstance(model, LatentVariableModel):
        measures["the class in z"] = partial(probe_latent, model, dataset, train, test, seed)
        measures["the factors in z"] = partial(probe_factors, model, dataset, train, test, seed)
        measures["z by dimension"] = partial(describe_latent, model, test, seed)
        if dataset.exact_nll is not None:
            measures["quadrature over z"] = partial(posterior_gap, model, test)
    return measures


if __name__ == "__main__":
    run_stage(main)
