"""A finished training is not lost for a measure that cannot be taken of it, and needs no optional program."""

import json

import numpy as np
import pytest
import torch
from conftest import PIXELCNN, VLAE, binary_images
from tiny_project import write_project

from pipeline import build_model
from pipeline.config import load_params
from pipeline.data.datasets import Dataset
from pipeline.saved import save_run
from stages import evaluate, machine

SHAPE = (1, 5, 3)
OPTIONAL = {
    "panels": "pictures", "describe_latent": "z by dimension", "kept": "what a decompression keeps",
    "packed_bits": "bits on disk", "encoded": "files of single images",
    "probe_latent": "the class in z", "probe_factors": "the factors in z",
}  # fmt: skip


def evaluated(folder, monkeypatch, block, test_images, processes=1):
    """metrics.json of an untrained model."""
    write_project(folder)
    monkeypatch.chdir(folder)
    images = binary_images(30, SHAPE).numpy().astype(np.uint8)
    labels = np.arange(30) % 2
    data = Dataset("mnist5k", "binary", False, images, images, images[:test_images], labels, labels,
                   labels[:test_images])  # fmt: skip
    config = {"model_config": block, "image_shape": SHAPE, "data_sha256": data.sha256()}
    save_run(folder, build_model(block, SHAPE), config)
    evaluate.evaluate(load_params(), data, folder, 0, processes)
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.parametrize("broken", OPTIONAL)
def test_a_measure_that_cannot_be_taken_says_so_and_lets_the_others_through(tmp_path, monkeypatch, broken):
    def fail(*arguments, **options):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(evaluate, broken, fail)
    metrics = evaluated(tmp_path, monkeypatch, VLAE, 6)
    assert metrics["missing"] == f"{OPTIONAL[broken]} (RuntimeError: no such luck)"
    assert np.isfinite(metrics["nll"])
    assert ("kept_fine" in metrics) == (broken not in ("panels", "kept"))
    assert ("active_units" in metrics) == (broken != "describe_latent")


@pytest.mark.parametrize("block", [VLAE, PIXELCNN])
def test_nothing_is_missing_from_a_usual_evaluation(tmp_path, monkeypatch, block):
    assert "missing" not in evaluated(tmp_path, monkeypatch, block, 6)


def test_several_processes_write_the_same_bytes_as_one(tmp_path, monkeypatch):
    written = []
    for processes in (1, 3):
        torch.manual_seed(0)  # the weights are the same
        folder = tmp_path / str(processes)
        folder.mkdir()
        evaluated(folder, monkeypatch, VLAE, 6, processes)
        written.append({path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})
    assert {"metrics.json", "per_image.csv", "panels.npz", "encoded.csv"} <= set(written[0])
    assert written[0] == written[1]


@pytest.mark.filterwarnings("ignore")
def test_one_test_image_is_enough_for_a_likelihood(tmp_path, monkeypatch):
    metrics = evaluated(tmp_path, monkeypatch, VLAE, 1)
    assert np.isfinite(metrics["nll"])
    assert "z by dimension" in metrics["missing"]


def test_the_commit_is_unknown_without_a_git_program(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.commit() is None
