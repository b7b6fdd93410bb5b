"""A published model with another K: its weights stay, its numbers are those of the new K, and can be verified."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_project import binary_dataset

from pipeline import load_run
from pipeline.config import ParamError, load_params
from pipeline.data.datasets import save
from pipeline.evaluation import likelihood
from pipeline.results.published import read_published
from stages import bounds, file_sha256, publish, reevaluate, verify

VLAE, CPU = Path("published/mnist5k/vlae"), torch.device("cpu")


@pytest.fixture(autouse=True)
def _published(repository, monkeypatch):
    for model in ("vlae", "pixelcnn"):
        publish.publish(load_params(), binary_dataset(), model, 0)
    save(binary_dataset(), Path("data/published/processed/mnist5k.npz"))
    for module in (likelihood, reevaluate):
        monkeypatch.setattr(module, "IMAGES_AT_ONCE", 16)


def test_the_numbers_are_of_the_new_k_and_hold(capsys):
    before = read_published(VLAE)
    reevaluate.reevaluate(VLAE, 100, CPU)
    after = read_published(VLAE)
    fresh = likelihood.per_image(load_run(VLAE).model, torch.from_numpy(binary_dataset().test).float(), 100, 0)
    assert after.per_image["nll"] == pytest.approx(fresh["nll"], abs=0.0006)
    assert after.metrics["nll"] == pytest.approx(fresh["nll"].mean())
    assert (after.metrics["importance_samples"], after.metrics["train_importance_samples"]) == (100, 70)
    assert after.per_image["nll_k70"].tolist() == before.per_image["nll"].tolist()
    assert after.test_minus_train == pytest.approx(before.test_minus_train, abs=0.001)
    assert verify.verify(CPU, VLAE).faults == []
    assert "K = 100" in (VLAE / "README.md").read_text()
    assert after.metrics["model_sha256"] == before.metrics["model_sha256"] == file_sha256(VLAE / "model.safetensors")
    assert after.metrics["coded_bits"] == before.metrics["coded_bits"]


def test_a_stopped_evaluation_goes_on_to_the_same_numbers(monkeypatch):
    done, real = [], reevaluate.of_batch

    def stopped_after_two(model, number, *rest):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(number)
        return real(model, number, *rest)

    monkeypatch.setattr(reevaluate, "of_batch", stopped_after_two)
    with pytest.raises(KeyboardInterrupt):
        reevaluate.reevaluate(VLAE, 100, CPU)
    assert read_published(VLAE).metrics["importance_samples"] == 70
    monkeypatch.setattr(reevaluate, "of_batch", lambda *rest: done.append(rest[1]) or real(*rest))
    reevaluate.reevaluate(VLAE, 100, CPU)
    assert done == [0, 1, 2]
    fresh = likelihood.per_image(load_run(VLAE).model, torch.from_numpy(binary_dataset().test).float(), 100, 0)
    assert read_published(VLAE).per_image["nll"] == pytest.approx(fresh["nll"], abs=0.0006)


@pytest.mark.parametrize(("model", "samples"), [("vlae", 70), ("pixelcnn", 100)])
def test_what_gains_nothing_is_refused(model, samples):
    with pytest.raises(ParamError, match="must be more than"):
        reevaluate.reevaluate(VLAE.parent / model, samples, CPU)


def test_bounds_of_drawn_images_enclose_the_estimate(monkeypatch, capsys):
    monkeypatch.setattr(bounds, "IMAGES", 5)
    monkeypatch.setattr(bounds, "AT_ONCE", 3)
    monkeypatch.setattr(bounds, "SCHEDULE", bounds.Schedule(10, 2, 2))
    monkeypatch.setattr(bounds, "SAMPLES", (4, 64))
    monkeypatch.setattr("sys.argv", ["bounds", str(VLAE)])
    bounds.main()
    told = json.loads((VLAE / bounds.FILE).read_text())
    assert told["gap"] == pytest.approx(told["upper"] - told["lower"], abs=0.001)
    assert all(abs(told[name] - told["upper"]) < 1 for name in ("lower", "k4", "k64"))
    assert told["model_sha256"] == file_sha256(VLAE / "model.safetensors")
    assert "at most" in capsys.readouterr().out


def test_a_model_without_a_code_has_no_bounds(monkeypatch):
    monkeypatch.setattr("sys.argv", ["bounds", str(VLAE.parent / "pixelcnn")])
    with pytest.raises(ParamError, match="must have a z"):
        bounds.main()
