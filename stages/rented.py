"""Train colour models on a rented GPU: for some minutes, side by side, from one folder that is copied there.

    python -m stages.rented pack --dataset cifar10 FOLDER       # here: code, params.yaml and images, under --megabytes
    python -m stages.rented train --minutes 10 MODEL MODEL …    # there, in FOLDER

What `train` leaves in FOLDER/back, copied here and into the next FOLDER as it is, is where the same command goes on:
checkpoints in pieces under 16 MiB, and what is trained of each model. It needs torch, numpy, ruamel.yaml, safetensors
and tqdm, neither network nor DVC. Rows that find no room on the device end, and leave it to those before them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline.config import load_params
from pipeline.data.datasets import load_dataset
from pipeline.data.packed import pack, unpack
from pipeline.schema import ParamError
from pipeline.training.checkpoints import load_checkpoint
from stages import run_folder, run_stage
from stages.training import run

PIECE = 15 * 2**20
"""Bytes of a piece."""
IMAGES, BACK = Path("images"), Path("back")
CODE = ("pipeline", "stages")


def main() -> None:
    """One of the two commands."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.rented", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    packing = commands.add_parser("pack", help="write FOLDER")
    packing.add_argument("folder", type=Path)
    packing.add_argument("--dataset", required=True, help="of colour images, prepared by `dvc repro preprocess`")
    packing.add_argument("--megabytes", type=float, default=48, help="of images, with what is beside them; default 48")
    packing.set_defaults(command=lambda given: _pack(given.folder, given.dataset, given.megabytes))
    training = commands.add_parser("train", help="train in this folder")
    training.add_argument("models", nargs="+", help="blocks of `color_models:` in params.yaml")
    training.add_argument("--minutes", type=float, required=True, help="after which all stop and are saved")
    training.add_argument("--scale", default="paper", help="block of `scales:` in params.yaml; default paper")
    training.set_defaults(command=lambda given: _train(given.models, given.minutes, given.scale))
    given = parser.parse_args()
    given.command(given)


def _pack(folder: Path, dataset: str, megabytes: float) -> None:
    whole = load_dataset(Path(f"data/processed/{dataset}.npz"))
    packed = pack(whole, int(megabytes * 1e6))
    for name in CODE:
        shutil.copytree(name, folder / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    shutil.copy("params.yaml", folder)
    cut(packed, folder / IMAGES, "images")
    count = len(unpack(packed).train)
    print(f"{folder}: {count:,} of {len(whole.train):,} training images in {len(packed) / 1e6:.1f} MB")


def cut(content: bytes, folder: Path, name: str) -> None:
    """Write `content` to `folder` in pieces name.0, name.1, …; those of before are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    for piece in folder.glob(f"{name}.*"):
        piece.unlink()
    for number, start in enumerate(range(0, len(content), PIECE)):
        (folder / f"{name}.{number}").write_bytes(content[start : start + PIECE])


def joined(folder: Path, name: str) -> bytes:
    """What `cut` has cut; empty if there is nothing."""
    pieces = sorted(folder.glob(f"{name}.*"), key=lambda piece: int(piece.suffix[1:]))
    return b"".join(piece.read_bytes() for piece in pieces)


def _train(models: Sequence[str], minutes: float, scale: str) -> None:
    params = load_params()
    for name in models:
        params.model(name, "color")
    until = time.monotonic() + 60 * minutes
    start = multiprocessing.get_context("spawn")
    trainings = [start.Process(target=_one, args=(name, until, scale)) for name in models]
    for training in trainings:
        training.start()
    for training in trainings:
        training.join()
    if failed := [name for name, training in zip(models, trainings, strict=True) if training.exitcode]:
        raise ParamError(f"not trained: {', '.join(failed)}; what they said is above")


def _one(name: str, until: float, scale: str) -> None:
    """A training, in a process of its own with checkpoints of its own."""
    checkpoints, back = Path("checkpoints").absolute() / name, BACK / name
    os.environ["VLAE_CHECKPOINTS"] = str(checkpoints)
    if _done(back):
        print(f"{name}: done, in {back}")
        return
    before = _brought(back, checkpoints)
    dataset = unpack(joined(IMAGES, "images"))
    params = dataclasses.replace(load_params(), scale=scale)
    seed, started = params.seed(None), time.monotonic()
    trained = run_folder(dataset.name, name, seed)
    try:
        run(params, params.model(name, "color"), dataset, name, seed, max(0.0, until - started) / 60)
    finally:  # a signal, too, ends it only once it has saved
        if trained.exists():
            _bring(trained, checkpoints, back)
    seconds = time.monotonic() - started
    config = _config(trained)
    rate = (config["steps"] - before) * config["batch_size"] / seconds
    memory = f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB of the GPU" if torch.cuda.is_available() else "no GPU"
    print(
        f"{name}: steps {before:,} to {config['steps']:,} of {config['steps_planned']:,}; {rate:,.0f} images/s, "
        f"{memory}, {3600 * rate / len(dataset.train):.1f} epochs an hour"
    )


def _config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def _done(folder: Path) -> bool:
    """Whether all steps of what is there are made."""
    return (folder / "config.json").exists() and _config(folder)["steps"] == _config(folder)["steps_planned"]


def _brought(back: Path, checkpoints: Path) -> int:
    """Put together the checkpoint that is brought back, unless a later one is here, and say at which step that is."""
    checkpoints.mkdir(parents=True, exist_ok=True)
    for stem in {piece.stem for piece in back.glob("*.[0-9]*")}:
        path, brought = checkpoints / f"{stem}.pt", checkpoints / f"{stem}.brought"
        brought.write_bytes(joined(back, stem))
        if _step(brought) > _step(path):
            brought.replace(path)
        brought.unlink(missing_ok=True)
    return max(map(_step, checkpoints.glob("*.pt")), default=0)


def _step(checkpoint: Path) -> int:
    """Of the training that is saved there; 0 if none is."""
    return (load_checkpoint(checkpoint) or {"step": 0})["step"]


def _bring(trained: Path, checkpoints: Path, back: Path) -> None:
    """What is to be copied home: the checkpoint, or when all is done the model; configuration and history always."""
    shutil.rmtree(back, ignore_errors=True)
    back.mkdir(parents=True)
    done = _done(trained)
    for file in trained.iterdir():
        if done or file.suffix != ".safetensors":
            shutil.copy(file, back)
    for file in checkpoints.glob("*.pt"):
        cut(file.read_bytes(), back, file.stem)


if __name__ == "__main__":
    run_stage(main)
