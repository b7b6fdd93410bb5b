"""Short trainings in shards; as a script, those of `CASES` by the processes that torchrun starts.

Every process writes <its number>.json into the folder given: SHA-256 of weights and history, by case.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import torch
from conftest import COLOR_VLAE, VLAE, binary_images, color_images

from pipeline import build_model
from pipeline.training.batches import Batches
from pipeline.training.loop import Plan, State, train
from pipeline.training.objectives import Objective
from pipeline.training.workers import Workers
from stages.workers import resolve_workers

SHALLOW = VLAE | {"flow_steps": 1, "masked_layers": 2}
SHALLOW_COLOR = COLOR_VLAE | {"flow_steps": 1, "flow_maps": [8], "blocks": 1}
KINDS = {
    "binary": (SHALLOW, binary_images, 255, (1, 6, 6), 0.3),
    "color": (SHALLOW_COLOR, color_images, 1, (3, 4, 4), 8.0),
}
CASES = [f"{kind} {rule}" for kind in KINDS for rule in ("free_bits", "soft_free_bits", "annealing")]
SHARDS = {"binary": 4, "color": 2}


def trained(case: str, workers: Workers, folder: Path) -> State:
    """After 50 steps; the KL is at times below its target and at times above."""
    kind, rule = case.split()
    block, images, level, shape, target = KINDS[kind]
    plan = Plan(
        steps=50, learning_rate=0.01, decay_fraction=0.5, polyak=0.9, objective=Objective(rule, target, 40),
        bfloat16=False, validate_every=25, seed=0, shards=SHARDS[kind], checkpoint_seconds=1e9,
        optimizer="muon" if kind == "color" else "adamax",
    )  # fmt: skip
    batches = Batches((images(64, shape) * level).to(torch.uint8), kind == "binary", 16, plan.seed)
    torch.manual_seed(0)
    return train(build_model(block, shape), batches, images(8, shape, 1), plan, folder / case, workers=workers)


def sha256(state: State) -> str:
    """Of the weights, the averaged ones, and the history."""
    values = [*state.model.state_dict().values(), *state.averaged.state_dict().values()]
    history = json.dumps(state.history).encode()
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in values) + history).hexdigest()


if __name__ == "__main__":
    torch.set_num_threads(1)
    _, processes = resolve_workers("cpu", 4)
    folder = Path(sys.argv[1])
    hashes = {case: sha256(trained(case, processes, folder)) for case in CASES}
    (folder / f"{os.environ['RANK']}.json").write_text(json.dumps(hashes), encoding="utf-8")
    processes.leave()  # or one that exits while the other talks to it may abort
