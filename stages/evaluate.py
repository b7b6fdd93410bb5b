"""Evaluate a trained model on test images: NLL, ELBO, KL, and the pictures of Figures 1 and 2.

python -m stages.evaluate --dataset mnist5k --model vlae
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from pipeline.config import load_params
from pipeline.data.datasets import load_dataset
from pipeline.evaluation.likelihood import per_image, summarize
from pipeline.evaluation.panels import panels
from pipeline.models.latent import AutoregressiveModel
from pipeline.models.runs import load_run
from stages import run_stage
from stages.training import resolve_device


def main() -> None:
    """Read runs/<dataset>/<model>/ weights and the prepared data; write metrics.json, per_image.csv, panels.npz."""
    parser = argparse.ArgumentParser(prog="python -m stages.evaluate", description="Evaluate a trained model.")
    parser.add_argument("--dataset", required=True, help="a data set prepared by `dvc repro preprocess`")
    parser.add_argument("--model", required=True, help="a block of `models:` in params.yaml")
    arguments = parser.parse_args()
    params = load_params()
    params.model(arguments.model)
    params.require_binary(arguments.dataset)
    torch.set_num_threads(params.training.threads)
    torch.backends.cudnn.allow_tf32 = False  # evaluation is float32
    device = resolve_device(params.training.device)
    folder = Path("runs") / arguments.dataset / arguments.model
    model = load_run(folder).model.to(device)
    dataset = load_dataset(Path(f"data/processed/{arguments.dataset}.npz"))
    images = torch.from_numpy(dataset.test[: params.budget.test_images]).float().to(device)
    table = per_image(model, images, params.budget.importance_samples, params.seed)
    exact = isinstance(model, AutoregressiveModel)
    metrics = summarize(table, params.budget.importance_samples, exact, params.seed)
    table.to_csv(folder / "per_image.csv", index_label="image", float_format="%.5f")
    pictures = panels(model, images, params.seed)
    np.savez_compressed(folder / "panels.npz", allow_pickle=False, **pictures)
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")


if __name__ == "__main__":
    run_stage(main)
