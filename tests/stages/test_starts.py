"""What a training starts from, as the file that it depends on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_project import write_project

from stages import starts


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A project with two published models, which is the current folder."""
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    for model in ("vae", "vlae"):
        folder = Path("published/mnist5k") / model
        folder.mkdir(parents=True)
        for name in (*starts.READ, "notes.md"):
            (folder / name).write_text(f"{model} {name}", encoding="utf-8")
    return tmp_path / "published/mnist5k"


def written(start: str) -> dict[str, str]:
    """What each training of mnist5k depends on with `training.start`."""
    params = Path("params.yaml")
    text = params.read_text(encoding="utf-8")
    params.write_text(text.replace("start: scratch", f"start: {start}"), encoding="utf-8")
    starts.main()
    params.write_text(text, encoding="utf-8")
    return {path.stem: path.read_text(encoding="utf-8") for path in Path("data/starts/mnist5k").iterdir()}


def test_from_scratch_nothing_published_matters(published):
    before = written("scratch")
    (published / "vlae/model.safetensors").write_text("another", encoding="utf-8")
    assert written("scratch") == before
    assert {"vae", "vlae", "pixelcnn"} <= set(before)


@pytest.mark.parametrize("name", starts.READ)
def test_from_what_is_published_another_file_of_that_model_matters(published, name):
    before = written("published")
    (published / "vlae/notes.md").write_text("another", encoding="utf-8")
    assert written("published") == before
    (published / "vlae" / name).write_text("another", encoding="utf-8")
    after = written("published")
    assert [model for model in before if before[model] != after[model]] == ["vlae"]
    assert before["pixelcnn"] == written("scratch")["pixelcnn"]  # nothing to go on from, which its training refuses
