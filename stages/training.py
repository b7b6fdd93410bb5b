"""From params.yaml and a data set to a trained model in runs/."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import torch

from pipeline.config import Block, Params
from pipeline.data.datasets import Dataset
from pipeline.fast import accelerate
from pipeline.models.build import build_model
from pipeline.models.vlae import Model
from pipeline.saved import load_run, save_run
from pipeline.schema import ParamError, from_mapping, refusal
from pipeline.training.batches import Batches
from pipeline.training.checkpoints import checkpoint_path, code_sha256, require_writable
from pipeline.training.history import read_history, write_history
from pipeline.training.loop import Earlier, Plan, State, initialize_from, train
from pipeline.training.objectives import Objective
from pipeline.training.updates import NETWORK, one_pass
from stages import PUBLISHED, file_sha256, run_folder
from stages.machine import commit, processor, resolve_bfloat16, resolve_device
from stages.stopping import stop_signals
from stages.workers import resolve_workers


def run(params: Params, block: Block, dataset: Dataset, name: str, seed: int, minutes: float | None) -> None:
    """Train or go on training one model, and write weights, configuration and history so far to runs/."""
    training, budget = params.training, params.budget(dataset.name, dataset.kind)
    torch.set_num_threads(1)
    device, workers = resolve_workers(resolve_device(training.device), training.shards)
    images = torch.from_numpy(dataset.training_images(training.images)).to(device)
    batches = Batches(images, dataset.dynamic, budget.training.batch_size, seed)
    if batches.batch_size % training.shards:
        raise ParamError(refusal("training.shards", training.shards, f"a divisor of the batch of {batches.batch_size}"))
    steps = budget.planned_steps(block.stage, dataset.name, batches.per_epoch)
    plan = Plan(
        steps=steps,
        learning_rate=training.learning_rate,
        decay_fraction=training.decay_fraction,
        polyak=training.polyak,
        objective=Objective(
            block.objective, block.free_bits * dataset.train[0].size, max(1, round(block.annealing_fraction * steps))
        ),
        bfloat16=resolve_bfloat16(training.precision, device),
        validate_every=budget.training.validate_every,
        seed=seed,
        shards=training.shards,
        optimizer=block.optimizer,
        checkpoint_seconds=params.checkpoint_seconds,
        seconds=None if minutes is None else 60 * minutes,
    )
    validation = torch.from_numpy(dataset.valid[: budget.training.validate_images]).float().to(device)
    model = accelerate(build_model(block, dataset.image_shape)).to(device)
    config = _config(params, block, dataset, name, device.type, plan)
    earlier = None
    if training.start == "published":
        earlier, before = _earlier(PUBLISHED / dataset.name / name, config, block)
        config |= before
    elif name in params.released_texture_models:
        folder = run_folder(dataset.name, params.released_from, seed)
        initialize_from(batches, model, seed)
        earlier, config["begins_with"] = _with_the_code_of(folder, model)
    origin = _origin(device)
    checkpoint = checkpoint_path(config | {"plan": plan.identity(), "compiled": origin["compiled"]})
    require_writable(checkpoint)
    with stop_signals() as stop:
        state = train(model, batches, validation, plan, checkpoint, earlier, stop, workers)
    done = state.step == plan.steps
    if workers.first:
        progress = {"steps": state.step, "epochs": state.step / batches.per_epoch}
        _write(run_folder(dataset.name, name, seed), state, config | progress, origin)
        if done:
            checkpoint.unlink(missing_ok=True)
        else:
            stopped = f"stopped at step {state.step:,} of {plan.steps:,}, saved; the same command goes on"
            print(stopped, file=sys.stderr)
    workers.leave()  # together: once one has failed, torchrun ends the others
    if stop() and not done:
        sys.exit(128 + stop.number)  # DVC must not take the files for results


def _config(params: Params, block: Block, dataset: Dataset, name: str, device: str, plan: Plan) -> dict[str, Any]:
    """What the run was trained with, resolved: its config.json."""
    budget = params.budget(dataset.name, dataset.kind)
    return {
        "dataset": dataset.name,
        "model": name,
        "model_config": dataclasses.asdict(block),
        "image_shape": list(dataset.image_shape),
        "data_sha256": dataset.sha256(),
        "scale": params.scale,
        "seed": plan.seed,
        "batch_size": budget.training.batch_size,
        "validate_every": plan.validate_every,
        "validate_images": budget.training.validate_images,
        "training": dataclasses.asdict(params.training),
        "precision": "bfloat16" if plan.bfloat16 else "float32",
        "device": device,
        "torch": torch.__version__,
        "steps_planned": plan.steps,
    }


def _earlier(folder: Path, config: dict[str, Any], block: Block) -> tuple[Earlier, dict[str, Any]]:
    """A published training to go on with; and for config.json its origin, after those of what it went on with itself.

    ParamError if there is none or it is not the beginning of the training that `config` plans, OSError if damaged.
    """
    if not (folder / "config.json").is_file():
        raise ParamError(f"training.start = 'published': {folder}/ has no model to go on with; 'scratch' starts anew")
    earlier = load_run(folder)
    steps = earlier.config["steps"]
    same = ("data_sha256", "seed", "batch_size", "validate_every", "validate_images")
    differing = [key for key in same if earlier.config[key] != config[key]]
    if earlier.config["training"]["images"] != config["training"]["images"]:
        differing.append("training.images")
    if from_mapping(type(block), earlier.config["model_config"]) != block:
        differing.append(f"the block {config['model']}")
    if steps >= config["steps_planned"]:
        differing.append(f"steps: {steps} are made, {config['steps_planned']} wanted")
    if differing:
        raise ParamError(f"training.start: {folder} is not a beginning of this training ({'; '.join(differing)})")
    origin = {key: earlier.config[key] for key in ("steps", "train_minutes", "precision", "commit", "processor")}
    origin["model_sha256"] = file_sha256(folder / "model.safetensors")
    seconds = 60 * earlier.config["train_minutes"]
    history = read_history(folder / "history.csv")
    before = {key: earlier.config[key] for key in ("begins_with",) if key in earlier.config}
    before["starts"] = [*earlier.config.get("starts", []), origin]
    return Earlier(earlier.model, steps, history, seconds), before


def _with_the_code_of(folder: Path, model: Model) -> tuple[Earlier, dict[str, str]]:
    """A start of an initialized `model` with a code in use: all but the network behind the maps is that of a run.

    ParamError if the run has no such parts, OSError if it is not there.
    """
    weights = load_run(folder).model.state_dict()
    given = {name: values for name, values in weights.items() if not name.startswith(NETWORK)}
    own = {name: values.shape for name, values in model.state_dict().items() if not name.startswith(NETWORK)}
    if {name: values.shape for name, values in given.items()} != own:
        raise ParamError(f"released_from: encoder, prior and generator of {folder} are others than this model's")
    model.load_state_dict(given, strict=False)
    return Earlier(model, 0, [], 0.0), {"model": str(folder), "model_sha256": file_sha256(folder / "model.safetensors")}


def _origin(device: torch.device) -> dict[str, Any]:
    """By what the run is made, as long as that is what runs: files may change while it trains.

    `compiled`: whether the optimizer is C++, and with it the decoder of a binary PixelCNN, which then computes in
    float32 whatever the precision.
    """
    return {
        "commit": commit(),
        "code_sha256": code_sha256(),
        "processor": torch.cuda.get_device_name() if device.type == "cuda" else processor(),
        "compiled": device.type == "cpu" and one_pass.function is not None,
    }


def _write(folder: Path, state: State, config: dict[str, Any], origin: dict[str, Any]) -> None:
    parameters = sum(parameter.numel() for parameter in state.model.parameters())
    save_run(folder, state.averaged, config | {"parameters": parameters})
    write_history(folder / "history.csv", state.history)
    provenance = origin | {"train_minutes": round(state.seconds / 60, 2)}
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")
