"""Names of models, scales and data sets: folders, words of commands and parts of DVC's names; and no name twice."""

import copy
import re
import subprocess

import pytest
import yaml
from conftest import ROOT

from pipeline.config import params_from
from pipeline.schema import ParamError

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def raw() -> dict:
    """The content of params.yaml, to be changed."""
    return copy.deepcopy(PARAMS)


NO_NAMES = [
    "vlae;echo X", "$(echo X)", "`echo X`", "'; echo X; '", "my vlae", "../../out", "/tmp/out", "a.b", "a-b", "-v", "",
    ".", "on", "Yes", "null", "nan", "5", "1e5", "vlaé", "a\nb", "a" * 65, 5, 1.5, True, None,
]  # fmt: skip


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize("key", ["models", "color_models", "own_datasets", "scales"])
def test_a_name_that_is_a_path_a_shell_word_or_no_word_to_yaml_is_refused(raw, key, name):
    """After reports of experiments whose names were run by the shell, left their folder, or came back as numbers."""
    raw[key][name] = next(iter(raw[key].values()), {"loader": "pipeline.data.a:b"})
    with pytest.raises(ParamError, match=re.escape(f"a name in {key} = {name!r}: must be ")):
        params_from(raw)


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize("key", ["binary_datasets", "vlae_models", "color_vae_models", "texture_models"])
def test_such_a_name_in_a_list_is_refused_too(raw, key, name):
    raw[key].insert(0, name)
    with pytest.raises(ParamError, match=re.escape(f"{key}[0] = {name!r}: must be ")):
        params_from(raw)


@pytest.mark.parametrize("name", ["vlae2", "a", "A_b", "mine_28x28", "once", "yes_men", "a" * 64])
def test_other_names_are_taken(raw, name):
    raw["models"][name] = raw["models"]["vlae"]
    assert name in params_from(raw).models


@pytest.mark.parametrize("key", [key for key, value in PARAMS.items() if isinstance(value, list) and value])
def test_no_list_has_an_item_twice(raw, key):
    """After reports of interval estimates from one run counted as several."""
    raw[key].append(raw[key][0])
    with pytest.raises(ParamError, match=rf"^{key} = .*: must be a list without duplicates"):
        params_from(raw)


def test_names_that_differ_in_capitals_alone_would_be_one_folder(raw):
    """After reports from macOS and Windows, whose file systems take VLAE and vlae for the same name."""
    raw["models"]["VLAE"] = raw["models"]["vlae"]
    raw["vlae_models"].append("VLAE")
    with pytest.raises(ParamError, match="without duplicates"):
        params_from(raw)


def stages_of_one_run() -> list[str]:
    """The commands of dvc.yaml that name a data set and a model."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    return [stage["cmd"] for stage in stages if "${item." in stage["cmd"]]


@pytest.mark.parametrize("name", ["vlae;echo X", "$(echo X)", "`echo X`", "my vlae", "a|b", "*"])
def test_the_shell_gives_a_stage_each_name_as_one_word(name):
    """A stage can only refuse a wrong name once the shell has passed it on."""
    assert len(stages_of_one_run()) >= 8
    for command in stages_of_one_run():
        for part, value in (("dataset", name), ("model", name), ("seed", "0")):
            command = command.replace(f"${{item.{part}}}", value)
        words = subprocess.run(
            ["sh", "-c", command.replace("python -m ", "printf '%s\\n' ")], capture_output=True, encoding="utf-8"
        ).stdout.splitlines()
        assert words[1:] == ["--dataset", name, "--model", name, "--seed", "0"]
