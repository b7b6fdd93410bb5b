"""What a run must be for its numbers to be published: of the current params and data, evaluated whole.

Each function returns what is wrong, a phrase each; none if nothing is.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import torch

from pipeline.config import Block, ColorModelConfig, ModelConfig, Params
from pipeline.data.datasets import Dataset
from pipeline.results.runs import Run, Training
from pipeline.schema import from_mapping
from pipeline.training.batches import Batches

OF_THE_MACHINE = ("precision", "device", "threads")
"""Training settings that may differ from params.yaml: they say what computed, and are recorded (`threads` by runs from
before each training had one)."""
MEANS = {"nll": "nll", "kl_nats": "kl"}
"""Keys of metrics.json that are the means of columns of per_image.csv."""
ROUNDING = 1e-3
"""Nats: per_image.csv has 5 decimals."""


def config_faults(run: Run, params: Params, dataset: Dataset, seed: int) -> list[str]:
    """What config.json says otherwise than params.yaml and the prepared data, and metrics.json of K.

    ParamError if there is no such model.
    """
    block, scales = params.model(run.model, dataset.kind), params.scales.get(run.config["scale"])
    if scales is None:
        return [f"scale is {run.config['scale']!r}, and params.yaml has only {', '.join(params.scales)}"]
    budget = scales.of(dataset.name, dataset.kind)
    training = {key: value for key, value in dataclasses.asdict(params.training).items() if key not in OF_THE_MACHINE}
    images = torch.from_numpy(dataset.training_images(params.training.images))
    per_epoch = Batches(images, dataset.dynamic, budget.training.batch_size, seed=0).per_epoch
    wanted = {
        "dataset": dataset.name,
        "model": run.model,
        "seed": seed,
        "data_sha256": dataset.sha256(),
        "batch_size": budget.training.batch_size,
        "validate_every": budget.training.validate_every,
        "validate_images": budget.training.validate_images,
        "steps_planned": budget.planned_steps(block.stage, dataset.name, per_epoch),
        "model_config": dataclasses.asdict(block),
        "training": training,
        "importance_samples": 0 if run.metrics["exact"] else budget.evaluation.importance_samples,
    }
    told = run.config | {"importance_samples": run.metrics["importance_samples"]}
    found = {key: told.get(key) for key in wanted}
    found["training"] = {key: value for key, value in (found["training"] or {}).items() if key not in OF_THE_MACHINE}
    return _differences(found, json.loads(json.dumps(wanted)))


def recipe_faults(run: Training, kept: Training) -> list[str]:
    """In what, beside the seed, two trainings of a model and their evaluations differ, of what both have recorded."""
    one, other = _recipe(run), _recipe(kept)
    return [f"{key} is {one[key]!r}, not {other[key]!r}" for key in one if key in other and one[key] != other[key]]


def _recipe(one: Training) -> dict[str, Any]:
    config = one.config
    training = {key: value for key, value in config["training"].items() if key not in OF_THE_MACHINE}
    recipe = {key: config[key] for key in ("data_sha256", "batch_size", "steps", "steps_planned")}
    recipe["starts"] = [start["steps"] for start in config.get("starts", ())]
    recipe["importance_samples"] = one.metrics.get("importance_samples")
    kind: type[Block] = ColorModelConfig if config["image_shape"][0] == 3 else ModelConfig
    block = from_mapping(kind, config["model_config"])  # with the keys that there were not when it was trained
    return recipe | training | dataclasses.asdict(block)


def history_faults(run: Run) -> list[str]:
    """Whether history.csv has its row at every validation of the steps that were made, and the rows are whole."""
    steps, every = run.config["steps"], run.config["validate_every"]
    expected = [*range(every, steps + 1, every)]
    if steps == run.config["steps_planned"] and steps % every:
        expected.append(steps)
    whole = run.history["step"].tolist() == expected and not np.isnan([*run.history.values()]).any()
    return [] if whole else ["history.csv is cut, or of another training"]


def metrics_faults(run: Run, model_sha256: str, test_images: int) -> list[str]:
    """Why metrics.json is not the evaluation of these weights on the whole test set."""
    faults = []
    if run.metrics.get("model_sha256") != model_sha256:
        faults.append("metrics.json is of other weights than model.safetensors; evaluate them (stages.evaluate)")
    if run.metrics["images"] != test_images:
        faults.append(f"evaluated on {run.metrics['images']:,} of {test_images:,} test images")
    if not all(abs(run.metrics[key] - run.per_image[name].mean()) <= ROUNDING for key, name in MEANS.items()):
        faults.append("metrics.json and per_image.csv are of different evaluations")
    return faults


def code_faults(provenance: dict[str, Any], committed_sha256: str | None) -> list[str]:
    """Whether the training code was that of the recorded commit; `committed_sha256` is None if there is none."""
    commit = provenance["commit"]
    if commit is None:
        return ["trained outside a repository: no commit is known"]
    if committed_sha256 is None:
        return [f"commit {commit} is not in the history of this checkout"]
    if committed_sha256 != provenance["code_sha256"]:
        return [f"trained with code that differs from commit {commit[:7]}: edits were not committed"]
    return []


def _differences(found: Any, wanted: Any, key: str = "") -> list[str]:
    """`found` beside `wanted`, both JSON, key by key."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = dict.fromkeys([*wanted, *found])
        nested = (_differences(found.get(name), wanted.get(name), f"{key}.{name}" if key else name) for name in names)
        return [fault for faults in nested for fault in faults]
    return [] if found == wanted else [f"{key} is {found!r}, not {wanted!r}"]
