"""A small repository with evaluated runs, to publish and to verify."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
import yaml
from clone import Clone
from tiny_project import binary_dataset, write_project

from pipeline.config import load_params
from pipeline.training.checkpoints import CODE, PACKAGE
from stages import evaluate, run_folder, training

MODELS = ("vlae", "pixelcnn")


def run_git(*arguments: str) -> str:
    """The output of git in the current folder."""
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def make_repository(folder: Path) -> None:
    """Where vlae and pixelcnn are trained by committed code and evaluated on all 40 test images, K = 70."""
    write_project(folder)
    params = yaml.safe_load((folder / "params.yaml").read_text()) | {"checkpoint_seconds": 60}
    params["scales"]["smoke"]["binary"]["evaluation"] |= {"test_images": None, "importance_samples": 70}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    for file in (file for pattern in CODE for file in PACKAGE.glob(pattern)):
        copy = folder / "pipeline" / file.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLAE_CHECKPOINTS", str(folder.parent / "checkpoints-of-repository"))
        torch.manual_seed(0)
        run_git("init", "-q")
        run_git("config", "user.name", "test")
        run_git("config", "user.email", "test@example.org")
        run_git("add", "pipeline")
        run_git("commit", "-q", "-m", "code")
        for model in MODELS:
            loaded = load_params()
            training.run(loaded, loaded.model(model, "binary"), binary_dataset(), model, 0, None)
            evaluate.evaluate(loaded, binary_dataset(), run_folder("mnist5k", model, 0), 0)


@pytest.fixture
def repository(made_once, tmp_path, monkeypatch) -> Path:
    """A copy of its own for each test, which is the current folder."""
    folder = shutil.copytree(made_once("repository", make_repository), tmp_path / "repository")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def git():
    return run_git


@pytest.fixture
def clone(made_once, tmp_path):
    """A clone of its own for each test."""
    made = made_once("clone", lambda folder: Clone(folder / "project").make())
    return Clone(shutil.copytree(made, tmp_path / "clone", symlinks=True) / "project")
