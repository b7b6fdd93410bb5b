"""What train_vae, train_pixelcnn and train_vlae share: from params.yaml and a data set to a folder in runs/."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from pipeline.config import ModelConfig, ParamError, Params, Stage, load_params
from pipeline.data.datasets import Dataset, load_dataset
from pipeline.models.build import build_model
from pipeline.models.runs import save_run
from pipeline.training.batches import Batches
from pipeline.training.checkpoints import checkpoint_path
from pipeline.training.loop import HISTORY_COLUMNS, Plan, State, train
from pipeline.training.objectives import Objective


def train_stage(stage: Stage) -> None:
    """The command line of a training stage."""
    arguments = _arguments(stage)
    params = load_params()
    block = params.model(arguments.model)
    if block.stage != stage:
        raise ParamError(f"--model = {arguments.model!r}: is trained by `python -m stages.train_{block.stage}`")
    params.require_binary(arguments.dataset)
    dataset = load_dataset(Path(f"data/processed/{arguments.dataset}.npz"))
    run(params, block, dataset, arguments.model, params.seed(arguments.seed), arguments.minutes)


def run(params: Params, block: ModelConfig, dataset: Dataset, name: str, seed: int, minutes: float | None) -> None:
    """Train or go on training one model, and write weights, configuration and history so far to runs/."""
    training = params.training
    torch.set_num_threads(training.threads)
    device = torch.device(resolve_device(training.device))
    steps = getattr(params.budget.steps, block.stage)
    plan = Plan(
        steps=steps,
        learning_rate=training.learning_rate,
        decay_fraction=training.decay_fraction,
        polyak=training.polyak,
        objective=Objective(
            block.objective, block.free_bits * dataset.train[0].size, max(1, round(block.annealing_fraction * steps))
        ),
        bfloat16=resolve_bfloat16(training.precision, device),
        validate_every=params.budget.validate_every,
        seed=seed,
        checkpoint_seconds=params.checkpoint_seconds,
        seconds=None if minutes is None else 60 * minutes,
    )
    images = torch.from_numpy(dataset.training_images(training.images)).to(device)
    batches = Batches(images, dataset.dynamic, params.budget.batch_size, seed)
    validation = torch.from_numpy(dataset.valid[: params.budget.validate_images]).float().to(device)
    model = build_model(block, dataset.image_shape).to(device)
    config = _config(params, block, dataset, name, device.type, plan)
    checkpoint = checkpoint_path(config | {"plan": plan.identity()})
    state = train(model, batches, validation, plan, checkpoint)
    progress = {"steps": state.step, "epochs": state.step / batches.per_epoch}
    _write(run_folder(dataset.name, name, seed), state, config | progress)
    if state.step == plan.steps:
        checkpoint.unlink(missing_ok=True)
    else:
        print(f"stopped after {state.step} of {plan.steps} steps; the same command goes on", file=sys.stderr)


def run_folder(dataset: str, model: str, seed: int) -> Path:
    """Where a run is kept."""
    return Path("runs") / dataset / model / f"seed{seed}"


def resolve_device(device: str) -> str:
    """`auto` as what this machine has; ParamError if it has no such device."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ParamError("training.device = 'cuda': must be auto or cpu where no CUDA device is found")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def resolve_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16; `auto`: on a GPU, or where the processor has instructions for it."""
    if precision != "auto" or device.type == "cuda":
        return precision != "float32"
    tell = getattr(torch.cpu, "get_capabilities", dict)  # torch that cannot tell computes in float32
    capabilities: Mapping[str, Any] = tell()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _arguments(stage: Stage) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m stages.train_{stage}", description=f"Train a {stage} model.")
    parser.add_argument("--dataset", required=True, help="a data set prepared by `dvc repro preprocess`")
    parser.add_argument("--model", required=True, help="a block of `models:` in params.yaml")
    parser.add_argument("--seed", type=int, help="one of `seeds` in params.yaml; the first if left out")
    parser.add_argument("--minutes", type=float, help="stop after so long; the same command goes on where it stopped")
    return parser.parse_args()


def _config(params: Params, block: ModelConfig, dataset: Dataset, name: str, device: str, plan: Plan) -> dict[str, Any]:
    """What the run was trained with, resolved: its config.json."""
    return {
        "dataset": dataset.name,
        "model": name,
        "model_config": dataclasses.asdict(block),
        "image_shape": list(dataset.image_shape),
        "data_sha256": dataset.sha256(),
        "scale": params.scale,
        "seed": plan.seed,
        "batch_size": params.budget.batch_size,
        "validate_every": plan.validate_every,
        "validate_images": params.budget.validate_images,
        "training": dataclasses.asdict(params.training),
        "precision": "bfloat16" if plan.bfloat16 else "float32",
        "device": device,
        "torch": torch.__version__,
        "steps_planned": plan.steps,
    }


def _write(folder: Path, state: State, config: dict[str, Any]) -> None:
    parameters = sum(parameter.numel() for parameter in state.model.parameters())
    save_run(folder, state.average.module, config | {"parameters": parameters})
    pd.DataFrame(state.history, columns=HISTORY_COLUMNS).to_csv(folder / "history.csv", index=False)
