"""Train a model: a VAE, a VLAE, or an Unconditional Decoder.

python -m stages.train --dataset mnist5k --model vlae [--minutes 10]
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

from pipeline.config import Block, Params, load_params
from pipeline.data.datasets import load_dataset
from pipeline.training.checkpoints import checkpoint_folder
from stages import run_parser, run_stage
from stages.launching import launch
from stages.training import run


def main() -> None:
    """Read params.yaml and the prepared data; write weights, config and history of a run to runs/."""
    parser = run_parser("train", "Train a model.")
    parser.add_argument("--minutes", type=minutes, help="stop after so long; the same command goes on where it stopped")
    arguments = parser.parse_args()
    params = load_params()
    block = params.model(arguments.model, params.kind(arguments.dataset))
    seed = params.seed(arguments.seed)
    work = partial(_run, params, block, arguments.dataset, arguments.model, seed, arguments.minutes)
    launch(work, f"train-{arguments.dataset}-{arguments.model}-seed{seed}", checkpoint_folder() / "jobs")


def _run(params: Params, block: Block, dataset: str, name: str, seed: int, minutes: float | None) -> None:
    run(params, block, load_dataset(Path(f"data/processed/{dataset}.npz")), name, seed, minutes)


def minutes(text: str) -> float:
    """The time limit of the command line; ValueError if it is not finite or negative."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError(text)
    return value


if __name__ == "__main__":
    run_stage(main)
