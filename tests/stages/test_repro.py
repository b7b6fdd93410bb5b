"""`make repro` on a small pipeline: the same as `dvc repro`, side by side."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from stages.cores import cores

PIPELINE = """
stages:
  train:
    matrix: {model: [a, b, c]}
    cmd: python train.py ${item.model}
    deps: [data, train.py]
    params: [training.polyak]
    outs: ["models/${item.model}"]
  evaluate:
    matrix: {model: [a, b, c]}
    cmd: cat models/${item.model} > metrics/${item.model}
    deps: ["models/${item.model}"]
    outs: ["metrics/${item.model}"]
  plot:
    cmd: cat metrics/* > report.md
    deps: [metrics]
    outs:
      - report.md:
          cache: false
  prepare:
    cmd: echo data > data
    outs: [data]
"""
TRAIN = """
import os, pathlib, sys, yaml
pathlib.Path("log").open("a").write(sys.argv[1] + " ")
pathlib.Path("workers").write_text(os.environ.get("VLAE_WORKERS", ""))
polyak = yaml.safe_load(open("params.yaml"))["training"]["polyak"]
if sys.argv[1] == "b" and polyak == 0.5:
    sys.exit("error: no b today")
pathlib.Path("models", sys.argv[1]).write_text(f"{sys.argv[1]} {polyak}")
"""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    for name in ("models", "metrics"):
        (folder / name).mkdir(parents=True)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "train.py").write_text(TRAIN)
    (folder / ".gitignore").write_text("/models/\n/metrics/\n")  # else DVC writes one in each, in the order of stages
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=lambda *_: ["tmp", "cache", "config.local"])
    call(folder, "git", "init", "-q")
    return folder


def call(folder: Path, *command: str, status: int = 0) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "JOBS": "2"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == status, result.stderr
    return result.stdout + result.stderr


def repro(folder: Path, *arguments: str, status: int = 0) -> str:
    return call(folder, sys.executable, "-m", "stages.repro", *arguments, status=status)


def contents(folder: Path) -> dict[str, bytes]:
    files = [*folder.glob("models/*"), *folder.glob("metrics/*"), folder / "data", folder / "report.md"]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.name != ".gitignore"}


def test_it_ends_with_the_lock_the_outs_and_the_report_of_dvc_repro(project):
    serial = shutil.copytree(project, project.parent / "serial")
    call(serial, "dvc", "repro")
    told = repro(project)
    assert "training 3 of 3: train@" in told
    assert contents(project) == contents(serial)
    assert len(contents(project)) == 8
    locks = [yaml.safe_load((folder / "dvc.lock").read_text()) for folder in (project, serial)]
    assert locks[0]["stages"] == locks[1]["stages"]
    assert (project / "workers").read_text() == str(max(1, cores() // 2))  # no training takes the cores of another
    assert "up to date" in call(project, "dvc", "status")
    assert repro(project) == ""
    assert sorted((project / "log").read_text().split()) == ["a", "b", "c"]


def test_a_change_runs_what_depends_on_it_and_a_failure_is_named_and_mended(project):
    repro(project, "train@a")
    assert (project / "log").read_text().split() == ["a"]
    told = repro(project, "-S", "training.polyak=0.5", status=1)
    assert "\nerror: train@b failed with status 1: error: no b today\n" in told
    assert "Traceback" not in told
    assert not (project / "report.md").exists()
    repro(project, "-S", "training.polyak=0.25")
    assert (project / "report.md").read_text() == "a 0.25b 0.25c 0.25"
    assert "scale: laptop                  # smoke" in (project / "params.yaml").read_text()  # comments stay


def test_a_wrong_parameter_is_refused_before_any_work(project):
    told = repro(project, "-S", "training.polyak=2", status=1)
    assert "training.polyak = 2" in told
    assert not (project / "data").exists()


def test_what_dvc_refuses_is_said_in_a_line(project):
    assert repro(project, "nonsense", status=1).startswith("error: Stage 'nonsense' not found")
    (project / "train.py").unlink()
    told = repro(project, status=1)
    assert "error: train@" in told
    assert "train.py: No such file" in told
    assert "Traceback" not in told
