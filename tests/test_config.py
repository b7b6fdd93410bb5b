"""params.yaml is refused by name, value and what is allowed; and reading it costs no torch."""

import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from dvc.utils.serialize import load_yaml

from pipeline.config import ModelConfig, load_params
from pipeline.schema import ParamError, from_mapping


def params_with(tmp_path: Path, changes: dict) -> Path:
    """The project's params.yaml with dotted keys set; a value of `...` deletes the key."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key, value in changes.items():
        *parents, last = key.split(".")
        block = raw
        for parent in parents:
            block = block[parent]
        if value is ...:
            del block[last]
        else:
            block[last] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"models.vlae.latent_dim": "abc"}, ["models.vlae.latent_dim", "'abc'", "an integer"]),
        ({"models.vlae.latent_dim": 0}, ["models.vlae.latent_dim", "0", "from 1 to 4096"]),
        ({"models.vlae.latent_dim": 2.5}, ["models.vlae.latent_dim", "2.5", "an integer"]),
        ({"models.vlae.latent_dim": True}, ["models.vlae.latent_dim", "True"]),
        ({"models.vlae.latentdim": 64}, ["models.vlae.latentdim", "unknown key", "latent_dim"]),
        ({"models.vlae.prior": "iaf"}, ["models.vlae.prior", "'iaf'", "gaussian, af, none"]),
        ({"models.vlae.prior": "none"}, ["models.vlae.prior", "none if and only if posterior is none"]),
        ({"models.vlae.tied": 1}, ["models.vlae.tied", "1", "true or false"]),
        ({"models.vlae.free_bits": -0.1}, ["models.vlae.free_bits", "-0.1", "at least 0"]),
        ({"models.vlae.free_bits": float("nan")}, ["models.vlae.free_bits", "nan"]),
        ({"models.vlae.free_bits": float("inf")}, ["models.vlae.free_bits", "inf", "a finite number"]),
        ({"checkpoint_seconds": float("inf")}, ["checkpoint_seconds", "inf", "a finite number"]),
        ({"models.vlae.first_kernel_size": 4}, ["models.vlae.first_kernel_size", "4", "3, 5, 7"]),
        ({"models.vae.optimizer": "muon"}, ["models.vae.optimizer", "'muon'", "adamax"]),
        ({"color_models.narrow_pixelcnnpp.luma_map": True}, ["color_models.narrow_pixelcnnpp.luma_map", "no z"]),
        ({"models.vlae.free_bits": "1e"}, ["models.vlae.free_bits", "'1e'", "a finite number"]),
        ({"models.vlae.latent_dim": 1e1}, ["models.vlae.latent_dim", "10.0", "an integer"]),
        ({"models.vlae.kernel_size": 3.0}, ["models.vlae.kernel_size", "3.0", "3, 5, 7"]),
        ({"models.vlae.encoder_channels": []}, ["models.vlae.encoder_channels", "not empty"]),
        ({"models.vlae.kernel_size": 4}, ["models.vlae.kernel_size", "4", "3, 5, 7"]),
        ({"models.vlae.posterior": ...}, ["models.vlae.posterior", "missing"]),
        ({"models.pixelcnn.decoder": "factorized"}, ["models.pixelcnn.decoder", "pixelcnn"]),
        ({"binary_datasets": ["mnist"]}, ["binary_datasets[0]", "'mnist'", "mnist5k", "caltech101"]),
        ({"binary_datasets": "mnist5k"}, ["binary_datasets", "'mnist5k'", "a list"]),
        ({"vlae_models": ["vlea"]}, ["vlae_models", "'vlea'", "vlae, vlae_untied"]),
        ({"models.vlae.context": "4by2"}, ["models.vlae.context", "'4by2'", "stack, full, downsampled", "4x2"]),
        ({"models.vlae.context": "0x2"}, ["models.vlae.context", "'0x2'"]),
        ({"models.vlae.objective": "none"}, ["models.vlae.objective", "'none'", "soft_free_bits", "annealing"]),
        ({"color_models.narrow_vae.network": ...}, ["color_models.narrow_vae.network", "missing"]),
        ({"color_models.narrow_vae.context": "4x4"}, ["color_models.narrow_vae.context", "'4x4'", "7x4"]),
        ({"color_models.vlae": {}}, ["color_models.vlae.network", "missing"]),
        ({"color_vlae_models": ["narrow_vae"]}, ["color_vlae_models", "'narrow_vae'", "densenet_vlae"]),
        ({"training.images": "test"}, ["training.images", "'test'", "train, train+valid"]),
        ({"seeds": []}, ["seeds", "not empty"]),
        ({"own_datasets": {"cifar10": {"loader": "pipeline.data.a:b"}}}, ["own_datasets.cifar10", "built-in"]),
        (
            {"own_datasets": {"mine": {"loader": "a.b"}}},
            ["own_datasets.mine.loader", "'a.b'", "pipeline.data.module:function"],
        ),
        ({"vlae_models": ["vae"]}, ["vlae_models", "'vae'"]),
        ({"texture_models": ["narrow_4x2"]}, ["texture_models", "'narrow_4x2'", "textures_window"]),
        (
            {"texture_models": ["vlae"], "released_texture_models": ["vlae"], "released_from": "vlae"},
            ["the models of textures", "['vlae', 'vlae']", "without duplicates"],
        ),
        ({"released_texture_models": ["vae"]}, ["released_texture_models", "'vae'", "textures_released"]),
        (
            {"released_texture_models": ["textures_released"], "released_from": "vlae"},
            ["released_from", "'vlae'", "textures_window"],
        ),
        ({"models.context_4x2.base": "vlea"}, ["models.context_4x2.base", "'vlea'", "vlae"]),
        ({"models.context_4x2.base": "context_1x1"}, ["models.context_4x2.base", "'context_1x1'", "context_stack"]),
        ({"models.context_4x2.base": ["vlae"]}, ["models.context_4x2.base", "['vlae']", "context_stack"]),
        ({"models.context_4x2.filters": 0}, ["models.context_4x2.filters", "0", "from 1 to 4096"]),
        ({"color_models.narrow_4x2.base": "vlae"}, ["color_models.narrow_4x2.base", "'vlae'", "narrow_7x4"]),
        ({"color_texture_models": ["vlae"]}, ["color_texture_models", "'vlae'", "narrow_4x2"]),
        ({"own_datasets": {"textures": {"loader": "pipeline.data.a:b"}}}, ["own_datasets.textures", "built-in"]),
        ({"scale": "huge"}, ["scale", "'huge'", "smoke, laptop, hours, paper"]),
        ({"training.polyak": 1.5}, ["training.polyak", "1.5", "from 0 to 1"]),
        ({"scales.laptop.binary.steps.vlae": 0}, ["scales.laptop.binary.steps.vlae", "0", "at least 1"]),
        ({"seeds": [None]}, ["seeds[0]", "None", "an integer"]),
        ({"models": []}, ["models", "a mapping"]),
        ({"scales.laptop.binary.training.max_epochs": 64}, ["binary.training.max_epochs", "64", "a mapping"]),
        (
            {"scales.laptop.binary.training.max_epochs": {"mnist": 64}},
            ["laptop.binary.training.max_epochs", "'mnist'", "mnist5k"],
        ),
        (
            {"scales.hours.color.training.max_epochs": {"mnist5k": 64}},
            ["hours.color.training.max_epochs", "'mnist5k'", "cifar10"],
        ),
        ({"surprise": 1}, ["surprise", "unknown key"]),
    ],
)
def test_a_wrong_parameter_is_named(tmp_path, changes, parts):
    with pytest.raises(ParamError) as error:
        load_params(params_with(tmp_path, changes))
    for part in parts:
        assert part in str(error.value)


def test_broken_yaml_is_named(tmp_path):
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(ParamError, match=r"not valid YAML"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("scale: laptop ", "scale: laptop\nscale: smoke ", ["line", "duplicate key", "scale"]),
        ("    latent_dim: 64\n", "    latent_dim: 64\n    latent_dim: 32\n", ["line", "duplicate key", "latent_dim"]),
        ("- 0\ncheckpoint", "- 0\n- 1\n- 0\ncheckpoint", ["seeds", "without duplicates"]),
        ("- 0\ncheckpoint", "- 010\n- 10\ncheckpoint", ["seeds", "without duplicates"]),
        ("- 0\ncheckpoint", "- '010'\ncheckpoint", ["seeds[0]", "'010'", "an integer"]),
        ("# Every knob", "# \x00", ["not valid YAML", "characters"]),
    ],
)
def test_what_a_yaml_file_can_say_twice_or_in_two_ways_is_refused(tmp_path, old, new, parts):
    """After reports of a seed trained twice ("± 0.00 over 2 seeds"), and of the last of two equal keys that won."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "params.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ParamError) as error:
        load_params(tmp_path / "params.yaml")
    for part in parts:
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_in_utf_8_is_named(tmp_path):
    (tmp_path / "params.yaml").write_bytes("# 5×5".encode("latin-1"))
    with pytest.raises(ParamError, match=r"params\.yaml is not valid YAML: "):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("text", ["010", "0o12", "on", "1:30", "1_0", "0x10", "1e1", "2.0e+1", "~", "yes"])
def test_a_value_means_the_same_to_dvc_as_here(tmp_path, text):
    """After reports of 010, which is eight to YAML 1.1 and ten to 1.2, and of `on`, which is a truth value to 1.1."""
    path = tmp_path / "params.yaml"
    path.write_text(f"seeds:\n- {text}\n", encoding="utf-8")
    (seen,) = load_yaml(str(path))["seeds"]
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    path.write_text(params.replace("- 0\ncheckpoint", f"- {text}\ncheckpoint"), encoding="utf-8")
    if type(seen) is int:
        assert load_params(path).seeds == (seen,)
    else:
        with pytest.raises(ParamError, match=re.escape(f"seeds[0] = {seen!r}: must be an integer")):
            load_params(path)


@pytest.mark.parametrize("text", ["2e-3", "2.e-3", ".02e-1", "0.2E-2"])
def test_a_number_with_an_exponent_is_one(tmp_path, text):
    path = params_with(tmp_path, {})
    path.write_text(path.read_text().replace("learning_rate: 0.002", f"learning_rate: {text}"))
    assert load_params(path).training.learning_rate == 0.002


def test_defaults_are_the_papers():
    block = from_mapping(ModelConfig, {"posterior": "gaussian", "prior": "af", "decoder": "pixelcnn"})
    assert (block.latent_dim, block.encoder_channels, block.hidden_units) == (64, (16, 32, 32), 450)
    assert (block.flow_steps, block.flow_hidden_units) == (4, (640, 640))
    assert (block.masked_layers, block.kernel_size, block.filters, block.conditioning_maps) == (6, 3, 12, 4)
    assert block.free_bits * 784 == pytest.approx(7.84)


def test_a_training_ends_early_on_the_data_sets_named_alone():
    budget = load_params(ROOT / "params.yaml").scales["paper"].binary
    assert budget.planned_steps("vlae", "caltech101", 128) == 64 * 128
    assert budget.planned_steps("vlae", "caltech101", 4000) == budget.steps.vlae == 200_000
    assert budget.planned_steps("vlae", "omniglot", 128) == 200_000


def test_null_means_all_images():
    assert load_params(ROOT / "params.yaml").scales["paper"].binary.evaluation.test_images is None


def test_a_model_is_found_by_name_or_refused():
    params = load_params(ROOT / "params.yaml")
    assert params.model("vlae", "binary").stage == "vlae"
    with pytest.raises(ParamError, match=r"--model = 'vlea'.*vlae_full_context"):
        params.model("vlea", "binary")
    with pytest.raises(ParamError, match=r"--model = 'vlae'.*densenet_vlae.*color_models"):
        params.model("vlae", "color")


@pytest.mark.parametrize("module", ["pipeline.config", "pipeline.data.datasets", "pipeline.reporting.report"])
def test_reading_parameters_imports_no_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def commands() -> list[list[str]]:
    """The words of every `dvc exp run` and `stages.repro` in the README, docs/ and the Makefile."""
    made = subprocess.run(
        ["make", "-n", "paper", "context"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))]
    text = "\n".join([*pages, made]).replace("\\\n", " ")
    found = re.findall(r"^ *\S*((?:dvc exp run|python -m stages.repro) .*?)(?:&&|$)", text, re.M)
    return [shlex.split(line, comments=True) for line in found]


def test_the_overrides_of_every_documented_command_are_accepted(tmp_path):
    found = commands()
    assert len(found) >= 8
    for words in found:
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        for flag, override in itertools.pairwise(words):
            if flag == "-S":
                name, _, value = override.partition("=")
                *path, last = name.removeprefix("+").split(".")
                inner = params
                for key in path:
                    inner = inner[key]
                one = value if value.startswith("[") else value.split(",")[0]  # without brackets: one run for each
                assert (last in inner) != name.startswith("+"), override  # +: Hydra's word for a key not there yet
                inner[last] = yaml.safe_load(one)
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
        load_params(tmp_path / "params.yaml")


def test_textures_have_models_and_budgets_of_their_own_and_are_prepared_if_they_have_models(tmp_path):
    path = params_with(tmp_path, {"texture_models": ["vae"], "color_texture_models": []})
    params = load_params(path)
    assert params.datasets == (*params.binary_datasets, *params.color_datasets, "textures")
    assert params.kind("textures") == "binary"
    assert params.evaluated("textures") == ("vae",)
    assert params.evaluated(params.binary_datasets[0]) == ("vae", "pixelcnn", "vlae")
    assert params.budget("textures", "binary") is params.scales[params.scale].textures
    assert params.budget(params.binary_datasets[0], "binary") is params.scales[params.scale].binary
    with pytest.raises(ParamError, match="color_textures"):
        params.kind("color_textures")
