"""Training stages as a user runs them: killed and started again, stopped by a time limit, given wrong arguments."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, binary_images
from tiny_project import binary_dataset, color_dataset, known_dataset, write_project

from pipeline.config import load_params
from pipeline.config.budgets import StepsConfig
from pipeline.data.datasets import Dataset, load_dataset, save
from pipeline.fast import library as native
from pipeline.results.runs import read_run
from pipeline.saved import load_run
from pipeline.schema import ParamError
from stages import evaluate, file_sha256, run_stage, train, training

OF_THE_CODE = {"factors_r2", "exact_factors_r2"}
KNOWN = {"exact_nll", "exact_information"} | OF_THE_CODE


@pytest.fixture
def project(made_once, tmp_path):
    return shutil.copytree(made_once("project", write_project), tmp_path, dirs_exist_ok=True)


def start(
    folder: Path, stage: str, *arguments: str, checkpoints: str = "checkpoints", dataset: str = "mnist5k",
    shown: bool = False,
) -> subprocess.Popen:  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT), "VLAE_CHECKPOINTS": str(folder / checkpoints)}
    environment |= {"VLAE_PROGRESS": "shown"} if shown else {}
    data = ["--dataset", dataset] if arguments else []
    command = [sys.executable, "-m", f"stages.{stage}", *data, *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def fork(folder: Path, model: str, *arguments: str) -> subprocess.Popen:
    """What `start(folder, "train", "--model", model, …)` does, in a copy of this process, which has imported torch."""

    def run() -> None:
        os.closerange(3, 1024)  # Popen waits until the last of them is closed, as a new program would do
        sys.stderr, sys.argv = os.fdopen(2, "w"), ["train", "--dataset", "mnist5k", "--model", model, *arguments]
        os.environ["VLAE_CHECKPOINTS"] = str(folder / "checkpoints")
        status = 1
        try:
            run_stage(train.main)
            status = 0
        except SystemExit as ended:
            status = ended.code
        finally:
            sys.stderr.flush()
            os._exit(status)

    return subprocess.Popen(["never run"], preexec_fn=run, cwd=folder, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> str:
    """Wait; the error output of a run that must have succeeded."""
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return errors


def train_here(folder: Path, model: str, dataset: str = "mnist5k", minutes: float | None = None) -> None:
    """What `start(folder, "train", …)` does, in this process, which has imported torch already."""
    with contextlib.chdir(folder):
        params, loaded = load_params(), load_dataset(Path(f"data/processed/{dataset}.npz"))
        training.run(params, params.model(model, "binary"), loaded, model, 0, minutes)


def outcome(folder: Path, model: str) -> tuple[bytes, ...]:
    """Then removed, so that the next run cannot pass by leaving it alone."""
    files = [
        folder / "runs/mnist5k" / model / "seed0" / name for name in ("model.safetensors", "config.json", "history.csv")
    ]
    contents = tuple(file.read_bytes() for file in files)
    for file in files:
        file.unlink()
    return contents


def kill_after(process: subprocess.Popen, checkpoints: Path, saves: int) -> int:
    """SIGKILL once the checkpoint has been replaced `saves` times; the step it is from."""
    seen: set[int] = set()
    while len(seen) < saves:
        assert process.poll() is None, "finished before it could be killed"
        seen |= {file.stat().st_mtime_ns for file in checkpoints.glob("*.pt")}
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (checkpoint,) = checkpoints.glob("*.pt")
    return torch.load(checkpoint, weights_only=True)["step"]


def test_killed_at_several_moments_it_ends_in_the_same_bits(project):
    train_here(project, "vlae")
    expected = outcome(project, "vlae")
    steps = [0]
    for saves in (1, 12):
        process = fork(project, "vlae")
        steps.append(kill_after(process, project / "checkpoints", saves))
    assert steps == sorted(set(steps))
    assert f"going on after step {steps[-1]} of 60" in finish(fork(project, "vlae"))
    assert outcome(project, "vlae") == expected
    assert not list((project / "checkpoints").glob("*.pt"))


def test_a_time_limit_stops_cleanly_and_the_same_command_goes_on(project):
    train_here(project, "pixelcnn")
    expected = outcome(project, "pixelcnn")
    assert "the same command goes on" in finish(fork(project, "pixelcnn", "--minutes", "0"))
    assert yaml.safe_load((project / "runs/mnist5k/pixelcnn/seed0/config.json").read_text())["steps"] == 1
    finish(fork(project, "pixelcnn"))
    assert outcome(project, "pixelcnn") == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_at_once_and_the_same_command_goes_on(project, number):
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("checkpoint_seconds: 0", "checkpoint_seconds: 1000"))
    train_here(project, "pixelcnn")
    expected = outcome(project, "pixelcnn")
    process = start(project, "train", "--model", "pixelcnn", shown=True)
    while "step/s" not in (read := os.read(process.stderr.fileno(), 1000).decode()):
        assert read, "finished before it could be stopped"
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    (checkpoint,) = (project / "checkpoints").glob("*.pt")
    step = torch.load(checkpoint, weights_only=True)["step"]
    assert f"stopped at step {step} of 60, saved; the same command goes on" in errors
    assert f"going on after step {step} of 60" in finish(fork(project, "pixelcnn"))
    assert outcome(project, "pixelcnn") == expected


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e400", "soon"])
def test_a_time_limit_that_is_none_is_refused(monkeypatch, capsys, text):
    """After reports of trainings that a limit of nan never stopped."""
    monkeypatch.setattr(sys, "argv", ["train", "--dataset", "mnist5k", "--model", "vae", f"--minutes={text}"])
    with pytest.raises(SystemExit):
        train.main()
    assert f"--minutes: invalid minutes value: '{text}'" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["parameter", "data"])
def test_a_checkpoint_of_another_training_is_not_picked_up(project, change):
    train_here(project, "vae", minutes=0.0)
    before = set((project / "checkpoints").glob("*.pt"))
    if change == "parameter":
        text = (project / "params.yaml").read_text()
        (project / "params.yaml").write_text(text.replace("learning_rate: 0.002", "learning_rate: 0.003"))
    else:
        path = project / "data/processed/mnist5k.npz"
        fixed = binary_images(40, (1, 8, 8), 2).numpy().astype(np.uint8)
        save(Dataset("mnist5k", "binary", False, fixed, fixed, fixed), path)
    train_here(project, "vae", minutes=0.0)
    assert yaml.safe_load((project / "runs/mnist5k/vae/seed0/config.json").read_text())["steps"] == 1
    assert len(before) == 1
    assert before < set((project / "checkpoints").glob("*.pt"))


def test_provenance_is_of_what_ran_not_of_what_lies_there_at_the_end(project, monkeypatch):
    monkeypatch.chdir(project)

    def train(*arguments):
        monkeypatch.setattr(training, "commit", lambda: "later")
        monkeypatch.setattr(training, "code_sha256", lambda: "edited")
        return trained(*arguments)

    trained, params = training.train, dataclasses.replace(load_params(), checkpoint_seconds=60.0)
    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(training, "commit", lambda: "now")
    monkeypatch.setattr(training, "code_sha256", lambda: "as it ran")
    training.run(params, params.model("pixelcnn", "binary"), binary_dataset(), "pixelcnn", 0, None)
    made_by = json.loads((project / "runs/mnist5k/pixelcnn/seed0/provenance.json").read_text())
    assert (made_by["commit"], made_by["code_sha256"]) == ("now", "as it ran")


@pytest.fixture
def compiled_anew():
    native.library.cache_clear()
    yield
    native.library.cache_clear()


@pytest.mark.parametrize("hidden", [False, True])
def test_provenance_tells_whether_a_compiler_was_there(project, monkeypatch, compiled_anew, hidden):
    monkeypatch.chdir(project)
    if hidden:
        monkeypatch.setattr("pipeline.fast.library.shutil.which", lambda name: None)
    params = dataclasses.replace(load_params(), checkpoint_seconds=60.0)
    training.run(params, params.model("pixelcnn", "binary"), binary_dataset(), "pixelcnn", 0, None)
    made_by = json.loads((project / "runs/mnist5k/pixelcnn/seed0/provenance.json").read_text())
    there = any(map(shutil.which, ("c++", "g++", "clang++")))
    assert made_by["compiled"] == (there and not hidden)


@pytest.fixture
def short(project, monkeypatch):
    """The parameters of 10 steps, and 8 images to evaluate; the project is the current folder."""
    monkeypatch.chdir(project)
    params = load_params()
    scale = params.scales["smoke"]
    budgets = {}
    for kind in ("binary", "color"):
        budget = getattr(scale, kind)
        budgets[kind] = dataclasses.replace(
            budget,
            steps=StepsConfig(10, 10, 10),
            training=dataclasses.replace(budget.training, validate_every=2),
            evaluation=dataclasses.replace(budget.evaluation, test_images=8, train_images=8),
        )
    scales = params.scales | {"smoke": dataclasses.replace(scale, **budgets)}
    return dataclasses.replace(params, checkpoint_seconds=60.0, scales=scales)


@pytest.mark.parametrize("model", sorted(load_params(ROOT / "params.yaml").models))
def test_every_model_trains_and_is_evaluated_at_scale_smoke(project, short, model):
    block = short.model(model, "binary")
    training.run(short, block, binary_dataset(), model, 0, None)
    evaluate.evaluate(short, binary_dataset(), training.run_folder("mnist5k", model, 0), 0)
    run = read_run(project / f"runs/mnist5k/{model}/seed0", "mnist5k", model)
    assert run.config["steps"] == 10
    assert run.history["train_elbo"][-1] > run.history["train_elbo"][0]
    assert run.metrics["exact"] == (block.posterior == "none")
    assert not KNOWN & set(run.metrics)
    assert ("active_units" in run.metrics) == ("probe_z" in run.metrics) == ("kept_fine" in run.metrics)
    assert len(run.dimensions.get("kl_nats", ())) == (0 if block.posterior == "none" else 4)


def test_a_released_model_begins_with_encoder_prior_and_generator_of_another(project, monkeypatch):
    monkeypatch.chdir(project)
    slow = dataclasses.replace(load_params().training, learning_rate=1e-8)
    params = dataclasses.replace(load_params(), training=slow, released_texture_models=("textures_released",))
    dataset = known_dataset()
    for model in ("textures_window", "textures_released"):
        training.run(params, params.model(model, "binary"), dataset, model, 0, None)
    window, released = (
        load_run(training.run_folder("textures", model, 0)) for model in ("textures_window", "textures_released")
    )
    given, own = window.model.state_dict(), released.model.state_dict()
    same = {name for name in own if name in given and own[name].shape == given[name].shape
            and torch.allclose(own[name], given[name], atol=1e-4)}  # fmt: skip
    assert {name for name in own if not name.startswith(training.NETWORK)} <= same
    assert not {name for name in same if name.startswith("decoder.network.pointwise") and "direction" in name}
    assert released.config["begins_with"]["model_sha256"] == file_sha256(
        training.run_folder("textures", "textures_window", 0) / "model.safetensors"
    )


def test_a_released_model_needs_a_run_whose_code_is_made_alike(project, monkeypatch):
    monkeypatch.chdir(project)
    params = dataclasses.replace(load_params(), released_texture_models=("textures_released",))
    block, dataset = params.model("textures_released", "binary"), known_dataset()
    with pytest.raises(FileNotFoundError, match="textures_window"):
        training.run(params, block, dataset, "textures_released", 0, None)
    training.run(params, params.model("textures_window", "binary"), dataset, "textures_window", 0, None)
    with pytest.raises(ParamError, match=r"released_from: encoder, prior and generator of .*window.* are others"):
        training.run(params, dataclasses.replace(block, latent_dim=5), dataset, "textures_released", 0, None)


@pytest.mark.parametrize("model", sorted(load_params(ROOT / "params.yaml").color_models))
def test_every_colour_model_trains_and_is_evaluated_at_scale_smoke(project, short, model):
    block = dataclasses.replace(short.model(model, "color"), free_bits=1.0)  # more than the KL of the first steps
    training.run(short, block, color_dataset(), model, 0, None)
    evaluate.evaluate(short, color_dataset(), training.run_folder("photos", model, 0), 0)
    run = read_run(project / f"runs/photos/{model}/seed0", "photos", model)
    assert run.history["train_elbo"][-1] > run.history["train_elbo"][0]
    assert run.metrics["bits_per_dim"] == pytest.approx(run.metrics["nll"] / 192 / np.log(2))
    latent = block.posterior != "none"
    assert ("kept_color" in run.metrics) == ("kept_contrast" in run.metrics) == ("probe_z" in run.metrics) == latent
    assert set(run.panels) == {"samples", *(("originals", "decompressions") if latent else ())}
    assert run.panels["samples"].shape == (64, 3, 8, 8)
    soft = block.objective == "soft_free_bits"
    assert (run.history["kl_weight"] != 1).any() == soft  # its state is in the history


@pytest.mark.parametrize("model", ["textures_window", "textures_no_latent"])
def test_what_is_known_of_textures_stands_beside_what_a_model_of_them_reached(project, monkeypatch, model):
    train_here(project, model, "textures")
    monkeypatch.chdir(project)
    params, dataset = load_params(), known_dataset()
    evaluate.evaluate(params, dataset, training.run_folder("textures", model, 0), 0)
    run = read_run(project / f"runs/textures/{model}/seed0", "textures", model)
    assert KNOWN & set(run.metrics) == (KNOWN if model == "textures_window" else KNOWN - OF_THE_CODE)
    assert run.metrics["images"] == 32
    assert run.metrics["exact_nll"] == pytest.approx(dataset.exact_nll[:32].mean())
    assert run.metrics["exact_information"] == pytest.approx(dataset.exact_information[:32].mean())
    np.testing.assert_allclose(run.per_image["exact_nll"], dataset.exact_nll[:32], atol=1e-5)
    assert run.metrics["exact_nll"] < run.metrics["nll"] + 2


def test_training_on_validation_images_too_makes_longer_epochs_of_grey_levels(project, monkeypatch):
    monkeypatch.chdir(project)
    params = load_params()
    both = dataclasses.replace(params, training=dataclasses.replace(params.training, images="train+valid"))
    epochs = []
    for some in (params, both):
        training.run(some, some.model("vae", "binary"), binary_dataset(), "vae", 0, 0.0)
        epochs.append(yaml.safe_load((project / "runs/mnist5k/vae/seed0/config.json").read_text())["epochs"])
    assert epochs == [1 / (96 // 32), 1 / (136 // 32)]
    assert binary_dataset().training_images("train+valid")[96:].max() == 200


def test_a_data_set_of_ones_own_is_a_block_and_a_loader(project):
    for package in ("pipeline", "stages"):
        shutil.copytree(ROOT / package, project / package, ignore=shutil.ignore_patterns("__pycache__"))
    (project / "pipeline/data/squares.py").write_text(
        "import numpy as np\n"
        "from pipeline.data.preparing import Split\n"
        "def load(folder):\n"
        "    images = np.zeros((50, 1, 8, 8), np.uint8)\n"
        "    images[:, :, 2:6, 2:6] = 1\n"
        "    return Split(images[:30]), Split(images[30:40]), Split(images[40:])\n"
    )
    params = yaml.safe_load((project / "params.yaml").read_text())
    params |= {
        "binary_datasets": ["squares"],
        "color_datasets": [],
        "own_datasets": {"squares": {"loader": "pipeline.data.squares:load"}},
    }
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    for stage, arguments in (("download", ()), ("preprocess", ()), ("train", ("--model", "vae"))):
        finish(start(project, stage, *arguments, dataset="squares"))
    assert (project / "runs/squares/vae/seed0/model.safetensors").is_file()


@pytest.mark.parametrize(
    ("stage", "model", "parts"),
    [
        ("train", "vlea", ["--model", "'vlea'", "vlae_full_context"]),
        ("train", "vlae --dataset nonsense", ["--dataset", "'nonsense'", "mnist5k", "binary_datasets"]),
        ("train", "vlae --seed 7", ["--seed", "7", "[0]"]),
        ("evaluate", "vlae", ["runs/mnist5k/vlae", "dvc repro"]),
    ],
)
def test_wrong_arguments_are_refused_without_a_traceback(project, monkeypatch, capsys, stage, model, parts):
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", [stage, "--dataset", "mnist5k", "--model", *model.split()])
    with pytest.raises(SystemExit) as ended:
        run_stage(importlib.import_module(f"stages.{stage}").main)
    errors = capsys.readouterr().err
    assert ended.value.code == 1
    assert errors.startswith("error: ")
    for part in parts:
        assert part in errors
