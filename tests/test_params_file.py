"""`dvc exp run -S` changes the line it is told to change, and loses no comment."""

import difflib
import shutil

import pytest
from conftest import ROOT
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import load_yaml

LISTS = [key for key, value in load_yaml(ROOT / "params.yaml").items() if isinstance(value, list)]


@pytest.mark.parametrize("key", LISTS)
def test_a_list_that_is_emptied_takes_nothing_with_it(key, tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    apply_overrides(tmp_path / "params.yaml", [f"{key}=[]"])
    assert load_yaml(tmp_path / "params.yaml") == load_yaml(ROOT / "params.yaml") | {key: []}


@pytest.mark.parametrize(
    ("override", "lines"),
    [
        ("models.vlae.latent_dim=32", 1),
        ("scale=smoke", 1),
        ("training.learning_rate=0.001", 1),
        ("scales.laptop.binary.steps.vlae=5", 1),
        ("scales.paper.binary.evaluation.test_images=100", 1),  # in place of all
        ("color_models.narrow_7x4.mixtures=3", 1),
        ("+color_models.narrow_4x2.mixtures=3", 1),  # which its base has
        ("seeds=[0,1]", 1),
        ("vlae_models=[vlae,vlae_untied]", 1),
    ],
)
def test_an_override_changes_one_line(override, lines, tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    before = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines()
    apply_overrides(tmp_path / "params.yaml", [override])
    after = (tmp_path / "params.yaml").read_text(encoding="utf-8").splitlines()
    changed = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
    assert len([line for line in changed if line[0] == "+"]) <= lines
    assert len([line for line in changed if line[0] == "-"]) <= lines
    assert changed
