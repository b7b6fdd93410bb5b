"""The stages that DVC makes of dvc.yaml and params.yaml: a name in one list is a training, its evaluation, a row."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides

from pipeline.config import load_params
from pipeline.config.rules import LISTS
from pipeline.reporting.facts import stage_of

TEXTURES_OF = {
    "texture_models": "textures",
    "released_texture_models": "textures",
    "color_texture_models": "color_textures",
}
PARAMS = load_params(ROOT / "params.yaml")


def index(folder: Path, *overrides: str) -> dict[str, list[str]]:
    """What each stage depends on: files, and keys of params.yaml."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, folder)
    apply_overrides(folder / "params.yaml", list(overrides))
    with Repo.init(str(folder), no_scm=True, force=True) as repo:
        return {stage.name: list(map(depends_on, stage.deps)) for stage in repo.index.stages}


def depends_on(dependency) -> str:
    return ",".join(dependency.params) if hasattr(dependency, "params") else dependency.def_path


def keys(needed: list[str]) -> set[str]:
    """Those of params.yaml."""
    return {key for one in needed if "/" not in one for key in one.split(",")}


def a_model(key: str) -> str:
    """A block that fits into a list and is in none."""
    kind, stages = LISTS[key]
    named = {name for other in LISTS for name in getattr(PARAMS, other)}
    return next(name for name, block in PARAMS.blocks(kind).items() if block.stage in stages and name not in named)


@pytest.mark.parametrize("key", sorted(LISTS))
def test_a_block_in_one_list_is_trained_evaluated_and_reported(tmp_path, monkeypatch, key):
    kind, model = LISTS[key][0], a_model(key)
    overrides = [f"{key}=[{model}]", "binary_datasets=[caltech101]", "color_datasets=[photos]"]
    stages = index(tmp_path, *overrides)
    params = load_params(tmp_path / "params.yaml")
    dataset = TEXTURES_OF.get(key, "photos" if kind == "color" else "caltech101")
    ours = {name.partition("@")[0].partition("-")[0]: name for name in stages if f"-{model}-" in name}
    assert set(ours) == {"train", "evaluate"}
    assert f"runs/{dataset}/{model}/seed0/model.safetensors" in stages[ours["evaluate"]]
    assert model in params.evaluated(dataset)
    block = params.model(model, kind).__dict__
    config = {"seed": 0} | ({"begins_with": {}} if key.startswith("released") else {})
    one = SimpleNamespace(dataset=dataset, model=model, block=block, config=config, color=kind == "color")
    assert ours["train"] == stage_of(one)


def test_a_released_model_waits_for_the_one_it_begins_with(tmp_path):
    overrides = ("released_texture_models=[textures_released]", "released_from=textures_no_pixels", "seeds=[3]")
    needed = index(tmp_path, *overrides)["train-released-textures@textures-textures_released-3"]
    assert "runs/textures/textures_no_pixels/seed3/model.safetensors" in needed


def test_all_that_reads_parameters_waits_for_the_plan(tmp_path):
    stages = index(tmp_path, "color_datasets=[photos]")
    trainings = {name.partition("@")[2]: needs for name, needs in stages.items() if name.startswith("train-")}
    for name, needs in trainings.items():
        dataset, model, _ = name.split("-")
        assert f"data/plan/{dataset}/{model}.json" in needs
    assert len(trainings) > 10
    for stage in ("download", "preprocess", "evaluate-data"):
        assert "data/plan/datasets.json" in stages[stage]
    assert "data/plan" in stages["plot"]


def test_a_training_watches_its_block_and_its_budget_alone(tmp_path):
    stages = index(tmp_path)
    for name in ("vae", "pixelcnn", "vlae"):
        budget = {"scales.laptop.binary.training", f"scales.laptop.binary.steps.{name}"}
        assert keys(stages[f"train-{name}@mnist5k-{name}-0"]) == {"training", f"models.{name}"} | budget
        evaluation = {"training.device", "scales.laptop.binary.evaluation"}
        assert keys(stages[f"evaluate-{name}@mnist5k-{name}-0"]) == evaluation


def test_the_pipeline_is_read_in_three_screens():
    assert len((ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines()) <= 150
