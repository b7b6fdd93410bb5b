"""The Makefile's targets start what they should, wherever the project lies."""

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT


def stand_in(path: Path) -> None:
    """A program that tells how it was called, and nothing else."""
    path.write_text('#!/bin/sh\necho "$(basename "$0") $@"\n', encoding="utf-8")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("target", "called"),
    [
        ("repro", "python -m stages.repro"),
        ("paper", "python -m stages.repro -n paper"),
        ("demo", "python -m stages.demo"),
        ("verify", "python -m stages.verify"),
        ("bench", "python -m stages.bench"),
        ("lint", "ruff check ."),
    ],
)
def test_a_folder_with_a_blank_in_its_name_is_as_good_as_any(tmp_path, target, called):
    """After reports of Makefiles that put $(CURDIR) before a program without quotes."""
    folder = tmp_path / "my own project"
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "Makefile"):  # older than what they make
        shutil.copy(ROOT / name, folder)
    for name in ("dvc", "python", "ruff", "mypy"):
        stand_in(folder / ".venv/bin" / name)
    for name in ("installed", "installed-dev"):
        (folder / ".venv" / name).touch()
    made = subprocess.run(["make", target], cwd=folder, capture_output=True, encoding="utf-8", timeout=60)
    assert made.returncode == 0, made.stderr
    assert any(line.startswith(called) for line in made.stdout.splitlines()), made.stdout


def test_bare_make_names_every_target():
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60).stdout
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    (phony,) = (line for line in lines if line.startswith(".PHONY"))
    targets = set(phony.split()[1:]) - {"help"}
    assert {line.split()[1] for line in told.splitlines() if line.startswith("make ")} == targets
