"""What a stage reads is what DVC watches: a stage that is up to date would make the same again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT
from dvc.repo import Repo

UNWATCHED = {
    "stages/__init__.py": "the command line and how errors are told",
    "stages/cores.py": "how many processes",
    "stages/launching.py": "where a stage runs",
    "stages/resumable.py": "where a stage runs",
    "pipeline/__init__.py": "names of the public interface",
    "pipeline/forked.py": "how many processes",
    "pipeline/progress.py": "whether bars are shown",
    "pipeline/errors.py": "names of errors",
    "pipeline/caches.py": "where files are kept from run to run",
    "pipeline/data/__init__.py": "names of the public interface",
    "pipeline/models/__init__.py": "a docstring",
    "pipeline/evaluation/__init__.py": "a docstring",
    "pipeline/training/__init__.py": "a docstring",
    "pipeline/reporting/__init__.py": "a docstring",
    "pipeline/results/__init__.py": "a docstring",
    "pipeline/training/checkpoints.py": "of an evaluation, where its jobs are kept; trainings do watch it",
    "params.yaml": "watched key by key",
}
"""Read by stages that do not depend on it, and what it decides, which is no part of a result."""

FAST = Path("pipeline/fast")
"""Read by trainings, which do not depend on it: it computes what models define, to rounding (tests/fast). So an edit
retrains nothing; the hash of the code in provenance.json covers it. Evaluations, which take minutes, do watch it."""


def source(path: str) -> str:
    """The file that a compiled one was made from."""
    return re.sub(r"__pycache__/(\w+)\.[\w.-]+\.pyc$", r"\1.py", path)


def test_every_file_that_a_stage_reads_is_a_dependency(clone):
    with Repo(str(clone.folder)) as repo:
        stages = {stage.name: stage for stage in repo.index.stages if Path(stage.path).parent == clone.folder}
    traced = {file.name: set(map(source, file.read_text().splitlines())) for file in clone.traced.iterdir()}
    assert set(traced) == set(stages)
    unwatched = {}
    for name, read in traced.items():
        watched = [Path(dep.fs_path).relative_to(clone.folder) for dep in stages[name].deps]
        own = [Path(out.fs_path).relative_to(clone.folder) for out in stages[name].outs]
        if name.startswith("train"):
            assert FAST not in watched
            own.append(FAST)
        for path in sorted(read - set(UNWATCHED)):
            if not any(Path(path).is_relative_to(folder) for folder in (*watched, *own)):
                unwatched.setdefault(path, set()).add(name)
    assert unwatched == {}
    assert any("model.safetensors" in path or "metrics.json" in path for path in traced["plot"])  # it does see reads


@pytest.mark.parametrize("path", sorted(set(UNWATCHED) - {"params.yaml"}))
def test_what_is_not_watched_is_there(path):
    assert (ROOT / path).is_file()


def test_every_variable_that_is_read_is_told_with_what_it_decides():
    told = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    files = [file for part in ("pipeline", "stages") for file in (ROOT / part).rglob("*.py")]
    code = "".join(file.read_text(encoding="utf-8") for file in files)
    read = set(re.findall(r"environ(?:\.get\(|\[)\"(\w+)\"", code)) | {"VLAE_DATA_MIRROR"}
    assert len(read) > 5
    assert {name for name in read if f"`{name}`" not in told} == set()
