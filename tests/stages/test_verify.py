"""Verifying published models: what passes, what is found, and that nothing is unpickled."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, binary_images
from safetensors.torch import load_file, save_file
from tiny_project import binary_dataset

from pipeline.config import load_params
from pipeline.data.datasets import Dataset, save
from pipeline.evaluation.bootstrap import bootstrap
from pipeline.results.published import read_published, write_per_image
from stages import file_sha256, publish, run_stage, verify

VLAE, PIXELCNN = Path("published/mnist5k/vlae"), Path("published/mnist5k/pixelcnn")


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    monkeypatch.setenv("JOBS", "1")


@pytest.fixture
def published(repository):
    """The repository with both models published, and the data as `make verify` prepares them."""
    for model in ("vlae", "pixelcnn"):
        publish.publish(load_params(), binary_dataset(), model, 0)
    save(binary_dataset(), Path("data/published/processed/mnist5k.npz"))
    return repository


def errors(capsys) -> str:
    """What the stage, which must fail, says of it."""
    with pytest.raises(SystemExit) as exit_:
        run_stage(verify.main)
    assert exit_.value.code not in (None, 0)
    return f"{exit_.value.code} {capsys.readouterr().err}"


def shift(folder: Path, nats: float, rows: slice = slice(None)) -> None:
    """Publish other numbers, in both files."""
    per_image = read_published(folder).per_image
    for name in per_image.keys() - {"kl"}:
        per_image[name][rows] += nats
    write_per_image(folder, per_image)
    nll = bootstrap(per_image["nll"], read_published(folder).metrics["seed"])
    change_metrics(folder, nll=nll.mean, nll_low=nll.low, nll_high=nll.high)


def change_metrics(folder: Path, **values) -> None:
    path = folder / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_weights(folder: Path, add: float) -> None:
    """Other weights, properly recorded."""
    path = folder / "model.safetensors"
    values = {name: value + add * torch.randn(value.shape) for name, value in load_file(path).items()}
    save_file({name: value.to(torch.float32) for name, value in values.items()}, path)
    change_metrics(folder, model_sha256=file_sha256(path))


def test_what_was_published_is_verified_a_line_a_model(published, capsys):
    verify.main()
    header, pixelcnn, vlae = capsys.readouterr().out.splitlines()
    assert header.split()[:5] == ["nats", "per", "image", "NLL", "verified"]
    assert pixelcnn.split()[0] == "mnist5k/pixelcnn"
    assert pixelcnn.split()[-3:-1] == ["40", "exact"]
    assert vlae.split()[0] == "mnist5k/vlae"
    assert vlae.split()[1] == f"{read_published(VLAE).metrics['nll']:.2f}"
    assert vlae.split()[-3:-1] == ["40", "64"]


def test_the_noise_is_not_that_of_the_publication(published):
    cpu = torch.device("cpu")
    assert verify.verify(cpu, VLAE).nll.difference.se > 0.001
    assert verify.verify(cpu, PIXELCNN).nll.difference.se < 0.001


def test_a_number_other_than_the_weights_is_found_and_the_models_named(published, capsys):
    shift(VLAE, 0.5)
    message = errors(capsys)
    assert message.startswith("error: not verified\npublished/mnist5k/vlae: NLL: the same images give")
    assert "pixelcnn" not in message


def test_a_kl_other_than_the_weights_is_found(published, capsys):
    table = {name: values + 0.5 * (name == "kl") for name, values in read_published(VLAE).per_image.items()}
    write_per_image(VLAE, table)
    kl = table["kl"].mean()
    reconstruction = -read_published(VLAE).metrics["elbo"] - kl
    change_metrics(VLAE, kl_nats=kl, kl_bits=kl / math.log(2), reconstruction_nats=reconstruction)
    assert "published/mnist5k/vlae: KL: the same images give" in errors(capsys)


def test_side_by_side_each_is_verified_and_the_stage_ends_with_status_1(published):
    shift(VLAE, 0.5)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JOBS": "2"}
    command = [sys.executable, "-m", "stages.verify"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == ["mnist5k/pixelcnn", "mnist5k/vlae"]
    assert "published/mnist5k/vlae: NLL: the same images give" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_mean_of_no_images_is_found(published, capsys):
    change_metrics(VLAE, nll=read_published(VLAE).metrics["nll"] - 0.02)
    assert "published/mnist5k/vlae: " in (message := errors(capsys))
    assert "is not the mean of the published images" in message


def test_one_image_of_an_exact_model_is_enough(published, capsys):
    shift(PIXELCNN, 0.01, slice(3, 4))
    assert "published/mnist5k/pixelcnn: the NLL of an image, which is exact, is off by 0.0" in errors(capsys)


def test_an_interval_other_than_the_images_say_is_found(published, capsys):
    change_metrics(VLAE, nll_low=read_published(VLAE).metrics["nll_low"] - 0.1)
    assert "published/mnist5k/vlae: metrics.json: nll_low" in errors(capsys)


def test_a_missing_column_is_named(published, capsys):
    table = read_published(VLAE).per_image
    write_per_image(VLAE, {name: table[name] for name in ("nll", "kl")})
    change_metrics(VLAE, importance_samples=256)
    assert "published/mnist5k/vlae: per_image.csv.gz lacks nll_k64" in errors(capsys)


def test_other_weights_are_found(published, capsys):
    change_weights(VLAE, 0.05)
    assert "published/mnist5k/vlae: NLL: the same images give" in errors(capsys)


def test_a_file_that_was_not_published_is_found(published, capsys):
    recorded = read_published(VLAE).metrics["model_sha256"]
    change_weights(VLAE, 1e-6)
    change_metrics(VLAE, model_sha256=recorded)
    assert "published/mnist5k/vlae: model.safetensors is not the file that was published" in errors(capsys)


def test_other_data_are_found(published, capsys):
    images = binary_images(40, (1, 8, 8), 3).numpy().astype(np.uint8)
    save(Dataset("mnist5k", "binary", False, images, images, images), Path("data/published/processed/mnist5k.npz"))
    assert "was not evaluated on the test images of this data set" in errors(capsys)


@pytest.mark.parametrize("name", ["config.json", "per_image.csv.gz", "model.safetensors", "history.csv"])
def test_a_missing_file_is_named_and_the_other_models_verified(published, capsys, name):
    (PIXELCNN / name).unlink()
    with pytest.raises(SystemExit) as exit_:
        run_stage(verify.main)
    assert "published/mnist5k/pixelcnn" in str(exit_.value.code)
    assert name in str(exit_.value.code)
    assert "mnist5k/vlae" in capsys.readouterr().out


def test_pickled_weights_are_not_opened(published, capsys):
    path = VLAE / "model.safetensors"
    torch.save(Trap(), path)
    change_metrics(VLAE, model_sha256=file_sha256(path))
    assert "published/mnist5k/vlae is damaged" in errors(capsys)
    assert not Path("sprung").exists()


class Trap:
    """Creates a file when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("sprung"),))


def test_nothing_published_is_said(repository, capsys):
    assert "published/ holds no evaluated model" in errors(capsys)


def test_an_unevaluated_training_needs_no_verification(published, capsys):
    for name in ("metrics.json", "per_image.csv.gz", "model.safetensors"):
        (PIXELCNN / name).unlink()
    verify.main()
    assert "pixelcnn" not in capsys.readouterr().out
