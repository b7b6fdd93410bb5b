"""Training stages as a user runs them: killed and started again, stopped by a time limit, given wrong arguments."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, binary_images

from pipeline.data.datasets import Dataset, save

TINY = {"latent_dim": 4, "encoder_channels": [4, 4], "hidden_units": 16, "flow_hidden_units": [16], "filters": 4}


@pytest.fixture
def project(tmp_path):
    """A folder with params.yaml (tiny models, 60 steps, a checkpoint at every step) and a tiny mnist5k."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params |= {"scale": "smoke", "checkpoint_seconds": 0}
    params["scales"]["smoke"] |= {"steps": {"vae": 60, "pixelcnn": 60, "vlae": 60}, "validate_every": 20}
    for block in params["models"].values():
        block |= TINY
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    images = (binary_images(96, (1, 8, 8)).numpy() * 200).astype(np.uint8)
    fixed = binary_images(40, (1, 8, 8), 1).numpy().astype(np.uint8)
    save(Dataset("mnist5k", "binary", True, images, fixed, fixed), tmp_path / "data/processed/mnist5k.npz")
    return tmp_path


def start(folder: Path, stage: str, *arguments: str, checkpoints: str = "checkpoints") -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "VLAE_CHECKPOINTS": str(folder / checkpoints)}
    command = [sys.executable, "-m", f"stages.{stage}", "--dataset", "mnist5k", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen) -> str:
    """Wait; the error output of a run that must have succeeded."""
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return errors


def outcome(folder: Path, model: str) -> tuple[bytes, ...]:
    """Then removed, so that the next run cannot pass by leaving it alone."""
    files = [folder / "runs/mnist5k" / model / name for name in ("model.safetensors", "config.json", "history.csv")]
    contents = tuple(file.read_bytes() for file in files)
    for file in files:
        file.unlink()
    return contents


def kill_after(process: subprocess.Popen, checkpoints: Path, saves: int) -> int:
    """SIGKILL once the checkpoint has been replaced `saves` times; the step it is from."""
    seen: set[int] = set()
    while len(seen) < saves:
        assert process.poll() is None, "finished before it could be killed"
        seen |= {file.stat().st_mtime_ns for file in checkpoints.glob("*.pt")}
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (checkpoint,) = checkpoints.glob("*.pt")
    return torch.load(checkpoint, weights_only=True)["step"]


def test_killed_at_several_moments_it_ends_in_the_same_bits(project):
    finish(start(project, "train_vlae", "--model", "vlae", checkpoints="whole"))
    expected = outcome(project, "vlae")
    steps = [0]
    for saves in (1, 7, 12):
        process = start(project, "train_vlae", "--model", "vlae")
        steps.append(kill_after(process, project / "checkpoints", saves))
    assert steps == sorted(set(steps))
    assert f"going on after step {steps[-1]} of 60" in finish(start(project, "train_vlae", "--model", "vlae"))
    assert outcome(project, "vlae") == expected
    assert not list((project / "checkpoints").glob("*.pt"))


def test_a_time_limit_stops_cleanly_and_the_same_command_goes_on(project):
    finish(start(project, "train_pixelcnn", "--model", "pixelcnn", checkpoints="whole"))
    expected = outcome(project, "pixelcnn")
    assert "the same command goes on" in finish(
        start(project, "train_pixelcnn", "--model", "pixelcnn", "--minutes", "0")
    )
    assert yaml.safe_load((project / "runs/mnist5k/pixelcnn/config.json").read_text())["steps"] == 1
    finish(start(project, "train_pixelcnn", "--model", "pixelcnn"))
    assert outcome(project, "pixelcnn") == expected


@pytest.mark.parametrize("change", ["parameter", "data"])
def test_a_checkpoint_of_another_training_is_not_picked_up(project, change):
    finish(start(project, "train_vae", "--model", "vae", "--minutes", "0"))
    before = set((project / "checkpoints").glob("*.pt"))
    if change == "parameter":
        text = (project / "params.yaml").read_text()
        (project / "params.yaml").write_text(text.replace("learning_rate: 0.002", "learning_rate: 0.003"))
    else:
        path = project / "data/processed/mnist5k.npz"
        fixed = binary_images(40, (1, 8, 8), 2).numpy().astype(np.uint8)
        save(Dataset("mnist5k", "binary", False, fixed, fixed, fixed), path)
    finish(start(project, "train_vae", "--model", "vae", "--minutes", "0"))
    assert yaml.safe_load((project / "runs/mnist5k/vae/config.json").read_text())["steps"] == 1
    assert len(before) == 1
    assert before < set((project / "checkpoints").glob("*.pt"))


@pytest.mark.parametrize(
    ("stage", "model", "parts"),
    [
        ("train_vlae", "vlea", ["--model", "'vlea'", "vlae_full_context"]),
        ("train_vlae", "vae", ["'vae'", "stages.train_vae"]),
        ("train_vlae", "vlae --dataset nonsense", ["--dataset", "'nonsense'", "mnist5k", "binary_datasets"]),
        ("evaluate", "vlae", ["runs/mnist5k/vlae", "dvc repro"]),
    ],
)
def test_wrong_arguments_are_refused_without_a_traceback(project, stage, model, parts):
    process = start(project, stage, "--model", *model.split())
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith("error: ")
    assert "Traceback" not in errors
    for part in parts:
        assert part in errors
