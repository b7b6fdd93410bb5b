"""What decides a training, as the file that it depends on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tiny_project import write_project

from pipeline.schema import ParamError
from stages import plan


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A project with two published models, which is the current folder."""
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    for model in ("vae", "vlae"):
        folder = Path("published/mnist5k") / model
        folder.mkdir(parents=True)
        for name in (*plan.READ, "notes.md"):
            (folder / name).write_text(f"{model} {name}", encoding="utf-8")
    return tmp_path / "published/mnist5k"


def written(start: str) -> dict[str, str]:
    """What each training of mnist5k depends on with `training.start`."""
    return planned("start: scratch", f"start: {start}")


def planned(old: str, new: str, dataset: str = "mnist5k") -> dict[str, str]:
    """What each training of a data set depends on with a change of params.yaml."""
    params = Path("params.yaml")
    text = params.read_text(encoding="utf-8")
    assert old in text
    params.write_text(text.replace(old, new), encoding="utf-8")
    plan.main()
    params.write_text(text, encoding="utf-8")
    return {path.stem: path.read_text(encoding="utf-8") for path in (plan.FOLDER / dataset).iterdir()}


def test_from_scratch_nothing_published_matters(published):
    before = written("scratch")
    (published / "vlae/model.safetensors").write_text("another", encoding="utf-8")
    assert written("scratch") == before
    assert {"vae", "vlae", "pixelcnn"} <= set(before)


@pytest.mark.parametrize("name", plan.READ)
def test_from_what_is_published_another_file_of_that_model_matters(published, name):
    before = written("published")
    (published / "vlae/notes.md").write_text("another", encoding="utf-8")
    assert written("published") == before
    (published / "vlae" / name).write_text("another", encoding="utf-8")
    after = written("published")
    assert [model for model in before if before[model] != after[model]] == ["vlae"]
    assert before["pixelcnn"] == written("scratch")["pixelcnn"]  # nothing to go on from, which its training refuses


def test_a_change_of_a_base_is_one_of_every_model_that_names_it_and_of_no_other(published):
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["color_models"] |= {
        "first": {"network": "resnet", "posterior": "gaussian", "prior": "af", "decoder": "pixelcnnpp"},
        "second": {"base": "first", "context": "4x2"},
        "third": {"network": "resnet", "posterior": "gaussian", "prior": "af", "decoder": "pixelcnnpp"},
    }
    params["color_vlae_models"] = ["first", "second", "third"]
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    before = planned("", "", "photos")
    name = "  first:\n    decoder: pixelcnnpp\n"
    after = planned(name, f"{name}    filters: 5\n", "photos")
    assert {model for model in before if before[model] != after[model]} == {"first", "second"}
    assert json.loads(after["second"])["block"]["filters"] == 5


def test_what_is_wrong_anywhere_is_refused_and_nothing_is_written(published):
    with pytest.raises(ParamError, match="scale = 'huge'"):
        planned("scale: smoke", "scale: huge")
    assert not plan.FOLDER.exists()
