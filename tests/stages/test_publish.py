"""Publishing a run: what it leaves under published/, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import binary_images
from safetensors.torch import load_file
from tiny_project import binary_dataset

from pipeline import load_run
from pipeline.config import ParamError, load_params
from pipeline.data.datasets import Dataset
from pipeline.errors import DataError
from pipeline.publishing import weights
from pipeline.reporting.verdicts import deviations
from pipeline.results.published import PER_IMAGE, read_published, write_per_image
from pipeline.results.runs import read_run
from pipeline.results.sheets import pairs_sheet, samples_sheet, save_sheet
from pipeline.units import bits_per_dim
from stages import evaluate, file_sha256, publish, run_stage, training
from stages.commits import code_sha256_at

RUN, TARGET = Path("runs/mnist5k/vlae/seed0"), Path("published/mnist5k/vlae")
FILES = ("config.json", "metrics.json", "history.csv", "per_image.csv", "provenance.json", "model.safetensors")


def publish_run(model: str = "vlae", dataset: Dataset | None = None) -> Path:
    publish.publish(load_params(), dataset or binary_dataset(), model, 0)
    return Path("published/mnist5k") / model


def change_json(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_params(change) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    change(params)
    Path("params.yaml").write_text(yaml.safe_dump(params))


def test_a_published_model_is_the_run_and_says_where_it_comes_from(repository):
    target, run = publish_run(), read_run(RUN, "mnist5k", "vlae")
    published = read_published(target)
    assert (target / "history.csv").read_bytes() == (RUN / "history.csv").read_bytes()
    assert set(run.config) < set(published.config)
    provenance = json.loads((RUN / "provenance.json").read_text())
    assert {key: published.config[key] for key in provenance} == provenance
    assert published.metrics["model_sha256"] == file_sha256(target / "model.safetensors")
    same = set(run.metrics) - {"model_sha256"}
    assert {key: published.metrics[key] for key in same} == {key: run.metrics[key] for key in same}
    assert published.metrics["epochs"] == run.config["epochs"] == 20
    assert published.metrics["data_sha256"] == binary_dataset().sha256()
    assert {key: published.metrics[key] for key in ("commit", "processor", "train_minutes")} == {
        key: provenance[key] for key in ("commit", "processor", "train_minutes")
    }
    assert published.metrics["device"] == "cpu"


def test_every_image_is_there_at_the_published_k_and_at_that_of_the_verification(repository):
    run, published = read_run(RUN, "mnist5k", "vlae"), read_published(publish_run())
    assert list(published.per_image) == ["nll", "nll_k64", "kl"]
    for name, values in published.per_image.items():
        assert values == pytest.approx(run.per_image[name], abs=0.0005)
    assert list(read_published(publish_run("pixelcnn")).per_image) == ["nll"]


def test_what_is_known_of_each_image_is_published_with_it(repository):
    table = pd.read_csv(RUN / "per_image.csv").assign(exact_nll=lambda each: each["nll"] - 0.25)
    table.to_csv(RUN / "per_image.csv", index=False)
    per_image = read_published(publish_run()).per_image
    np.testing.assert_allclose(per_image["nll"] - per_image["exact_nll"], 0.25, atol=1e-3)


def test_the_pictures_are_those_of_the_run(repository, tmp_path):
    panels = read_run(RUN, "mnist5k", "vlae").panels
    save_sheet(samples_sheet(panels["samples"]), tmp_path / "samples.png")
    save_sheet(pairs_sheet(panels["originals"], panels["decompressions"]), tmp_path / "reconstructions.png")
    expected = {name: (tmp_path / f"{name}.png").read_bytes() for name in ("reconstructions", "samples")}
    assert read_published(publish_run()).pictures == expected
    assert list(read_published(publish_run("pixelcnn")).pictures) == ["samples"]


def longer_training(steps: int = 80) -> None:
    def change(params):
        params["training"]["start"] = "published"
        params["scales"]["smoke"]["binary"]["steps"]["vlae"] = steps

    change_params(change)
    params = load_params()
    training.run(params, params.model("vlae", "binary"), binary_dataset(), "vlae", 0, None)


def test_a_published_training_can_be_gone_on_with_and_published_again(repository):
    first = read_published(publish_run())
    change_json(TARGET / "config.json", train_minutes=5.0, processor="another", begins_with={"model": "a third"})
    longer_training()
    evaluate.evaluate(load_params(), binary_dataset(), RUN, 0)
    second = read_published(publish_run())
    assert (second.config["steps"], second.config["epochs"]) == (80, 80 / 3)
    (start,) = second.config["starts"]
    assert second.config["begins_with"] == {"model": "a third"}
    assert start == {
        "steps": 60, "train_minutes": 5.0, "precision": first.config["precision"], "commit": first.config["commit"],
        "processor": "another", "model_sha256": first.metrics["model_sha256"],
    }  # fmt: skip
    for name, values in first.history.items():
        assert second.history[name].tolist() == [*values, second.history[name][-1]]
    assert 5 <= second.config["train_minutes"] < 6
    longer_training(100)
    assert [start["steps"] for start in json.loads((RUN / "config.json").read_text())["starts"]] == [60, 80]
    assert "continued from the averaged weights of step 60" in deviations(second)


@pytest.mark.parametrize(
    ("published", "fault"),
    [
        ({"data_sha256": "other"}, "(data_sha256)"),
        ({"seed": 1}, "(seed)"),
        ({"batch_size": 16}, "(batch_size)"),
        ({"validate_every": 10}, "(validate_every)"),
        ({"validate_images": 16}, "(validate_images)"),
        ({"training": {"images": "train+valid"}}, "(training.images)"),
        ({"steps": 80, "steps_planned": 80}, "(steps: 80 are made, 80 wanted)"),
    ],
)
def test_only_the_same_training_is_gone_on_with(repository, published, fault):
    change_json(publish_run() / "config.json", **published)
    with pytest.raises(ParamError) as error:
        longer_training()
    assert fault in str(error.value)


def test_a_training_that_was_stopped_is_gone_on_with_by_another_schedule(repository):
    change_json(publish_run() / "config.json", steps_planned=1000)
    longer_training(63)
    assert [start["steps"] for start in json.loads((RUN / "config.json").read_text())["starts"]] == [60]


def test_only_the_same_model_is_gone_on_with(repository):
    publish_run()
    change_params(lambda params: params["models"]["vlae"].update(latent_dim=5))
    with pytest.raises(ParamError, match=r"\(the block vlae\)"):
        longer_training()


def test_what_is_not_published_cannot_be_gone_on_with(repository):
    with pytest.raises(ParamError, match=r"training\.start = 'published': published/mnist5k/vlae/ has no model"):
        longer_training()


def test_ten_thousand_images_stay_under_100_kilobytes(tmp_path):
    nll = np.random.default_rng(0).normal(80, 20, 10_000)
    write_per_image(tmp_path, {"nll": nll, "nll_k64": nll + 0.05, "kl": nll / 8})
    assert (tmp_path / PER_IMAGE).stat().st_size < 100_000


def test_the_same_numbers_are_the_same_bytes_at_any_time(tmp_path, monkeypatch):
    written = []
    for moment in (0.0, 1e9):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        write_per_image(tmp_path, {"nll": np.arange(3)})
        written.append((tmp_path / PER_IMAGE).read_bytes())
    assert written[0] == written[1]


@pytest.fixture
def large(monkeypatch):
    """Some of the tiny model's tensors count as large."""
    monkeypatch.setattr(weights, "LARGE", 4)


def test_large_tensors_are_float16_if_that_leaves_the_nll_and_load_as_float32(repository, large):
    target = publish_run()
    trained, sizes = load_file(RUN / "model.safetensors"), load_run(RUN).model.state_dict()
    stored = load_file(target / "model.safetensors")
    for name, values in stored.items():
        assert torch.equal(values, trained[name].half() if sizes[name].numel() >= weights.LARGE else trained[name])
    assert {values.dtype for values in stored.values()} == {torch.float16, torch.float32}
    assert {value.dtype for value in load_run(target).model.parameters()} == {torch.float32}
    config = json.loads((target / "config.json").read_text())
    assert config["stored_precision"] == "float16"
    images = torch.from_numpy(binary_dataset().test).float()
    stored, trained = (weights._means(load_run(folder).model, images)["nll"] for folder in (target, RUN))
    assert config["stored_nll_change"] == pytest.approx(stored - trained)
    assert 0 < abs(config["stored_nll_change"]) < weights.MOST_MOVED


def test_weights_that_float16_cannot_hold_stay_float32(repository, large, tmp_path):
    run = load_run(RUN)
    run.model.decoder.network.head.direction.mul_(1e7)  # the norm divides it out, in float32
    config = weights.store(tmp_path, run.model, run.config, torch.from_numpy(binary_dataset().test).float())
    assert config["stored_precision"] == "float32"


def test_rounding_moves_no_digit_of_the_tables_by_more_than_half():
    assert weights.most_moved((1, 28, 28)) == 0.005
    assert bits_per_dim(weights.most_moved((3, 32, 32)), (3, 32, 32)) == pytest.approx(0.00005)


@pytest.mark.parametrize("model", ["vlae", "pixelcnn"])
def test_weights_stay_float32_if_rounding_would_move_the_nll_or_it_is_exact(repository, large, monkeypatch, model):
    if model == "vlae":
        monkeypatch.setattr(weights, "MOST_MOVED", 1e-9)
    target = publish_run(model)
    trained, stored = (load_file(folder / "model.safetensors") for folder in (RUN.parents[1] / model / "seed0", target))
    assert all(torch.equal(trained[name], stored[name]) for name in trained)
    config = json.loads((target / "config.json").read_text())
    assert (config["stored_precision"], config["stored_nll_change"]) == ("float32", 0)


def test_an_unfinished_training_is_published_with_its_epochs(repository):
    rows = (RUN / "history.csv").read_text().splitlines(keepends=True)
    (RUN / "history.csv").write_text("".join(rows[:3]))
    change_json(RUN / "config.json", steps=50, epochs=50 / 3)
    assert read_published(publish_run()).metrics["epochs"] == 50 / 3


def test_what_differs_only_by_the_machine_is_published(repository):
    change_params(lambda params: params["training"].update(precision="float32", device="cpu"))
    assert publish_run().is_dir()


def test_a_run_that_recorded_its_threads_is_published_and_gone_on_with(repository):
    recorded = json.loads((RUN / "config.json").read_text())["training"]
    change_json(RUN / "config.json", training=recorded | {"threads": 7})
    publish_run()
    longer_training()
    assert json.loads((RUN / "config.json").read_text())["starts"]


def test_the_code_of_an_earlier_commit_is_read_from_that_commit(repository, git):
    commit = git("rev-parse", "HEAD")
    for changed, name in ((False, "models/nested/file.py"), (False, "config.py"), (True, "training/loop.py")):
        file = Path("pipeline") / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("# another\n")
        git("add", str(file))
        git("commit", "-q", "-m", name)
        assert (code_sha256_at(git("rev-parse", "HEAD")) != code_sha256_at(commit)) == changed
    assert read_published(publish_run()).config["commit"] == commit


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"commit": None}, "no commit is known"),
        ({"commit": "0" * 40}, "commit 0{40} is not in the history"),
        ({"code_sha256": "1" * 64}, "differs from commit [0-9a-f]{7}: edits were not committed"),
    ],
)
def test_code_that_is_not_a_commits_is_refused(repository, changes, message):
    change_json(RUN / "provenance.json", **changes)
    with pytest.raises(ParamError, match=message):
        publish_run()
    assert not Path("published").exists()


def test_a_commit_that_no_branch_holds_is_refused(repository, git):
    git("commit", "-q", "--amend", "-m", "amended")
    with pytest.raises(ParamError, match="is not in the history"):
        publish_run()


@pytest.mark.parametrize(
    ("block", "key", "value", "message"),
    [
        ("models.vlae", "free_bits", 0.5, r"model_config\.free_bits is 0\.01, not 0\.5"),
        ("models.vlae", "flow_hidden_units", [17], r"model_config\.flow_hidden_units is \[16\], not \[17\]"),
        ("training", "learning_rate", 0.1, r"training\.learning_rate is 0\.002, not 0\.1"),
        ("training", "images", "train+valid", "training.images is 'train', not 'train.valid'"),
        ("scales.smoke.binary.training", "batch_size", 31, "batch_size is 32, not 31"),
        ("scales.smoke.binary.training", "validate_every", 21, "validate_every is 20, not 21"),
        ("scales.smoke.binary.training", "validate_images", None, "validate_images is 32, not None"),
        ("scales.smoke.binary.training", "max_epochs", {"mnist5k": 10}, "steps_planned is 60, not 30"),
        ("scales.smoke.binary", "steps", {"vae": 60, "pixelcnn": 60, "vlae": 61}, "steps_planned is 60, not 61"),
    ],
)
def test_a_run_of_other_params_is_refused(repository, block, key, value, message):
    def change(params):
        for name in block.split("."):
            params = params[name]
        params[key] = value

    change_params(change)
    with pytest.raises(ParamError, match=message):
        publish_run()
    assert not Path("published").exists()


def test_a_run_of_an_unknown_scale_is_refused(repository):
    change_json(RUN / "config.json", scale="enormous")
    with pytest.raises(ParamError, match=r"scale is 'enormous', and params\.yaml has only .*smoke"):
        publish_run()


def test_a_run_on_other_data_is_refused(repository):
    images = binary_images(40, (1, 8, 8), 3).numpy().astype(np.uint8)
    other = Dataset("mnist5k", "binary", True, binary_dataset().train, images, images)
    with pytest.raises(ParamError, match=r"data_sha256 is '[0-9a-f]{64}', not"):
        publish_run(dataset=other)


def test_a_run_is_not_evaluated_on_other_data(repository):
    other = dataclasses.replace(binary_dataset(), test=1 - binary_dataset().test)
    with pytest.raises(DataError, match="was trained on other data"):
        evaluate.evaluate(load_params(), other, RUN, 0)


def test_metrics_of_other_weights_are_refused(repository):
    other = Path("runs/mnist5k/pixelcnn/seed0/metrics.json").read_text()
    change_json(RUN / "metrics.json", model_sha256=json.loads(other)["model_sha256"])
    with pytest.raises(ParamError, match=r"metrics\.json is of other weights"):
        publish_run()


def test_an_evaluation_of_a_part_of_the_test_set_is_refused(repository):
    rows = (RUN / "per_image.csv").read_text().splitlines(keepends=True)
    (RUN / "per_image.csv").write_text("".join(rows[:33]))
    change_json(RUN / "metrics.json", images=32)
    with pytest.raises(ParamError, match="evaluated on 32 of 40 test images"):
        publish_run()


def test_an_evaluation_with_fewer_samples_and_a_run_of_another_seed_are_refused(repository):
    change_params(lambda params: params["scales"]["smoke"]["binary"]["evaluation"].update(importance_samples=71))
    change_json(RUN / "config.json", seed=7)
    with pytest.raises(ParamError, match="seed is 7, not 0; importance_samples is 70, not 71"):
        publish_run()


@pytest.mark.parametrize("key", ["nll", "kl_nats"])
@pytest.mark.parametrize("change", [-0.01, math.nan])
def test_images_of_another_evaluation_are_refused(repository, key, change):
    change_json(RUN / "metrics.json", **{key: json.loads((RUN / "metrics.json").read_text())[key] + change})
    with pytest.raises(ParamError, match="different evaluations"):
        publish_run()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_missing_and_damaged_files_are_refused(repository, name, damage):
    content = (RUN / name).read_bytes()
    (RUN / name).unlink()
    if damage == "cut":
        (RUN / name).write_bytes(content[: len(content) // 2])
        if name == "model.safetensors":
            change_json(RUN / "metrics.json", model_sha256=file_sha256(RUN / name))
    with pytest.raises((OSError, ParamError), match="runs/mnist5k/vlae/seed0") as caught:
        publish_run()
    assert name in str(caught.value) or name == "model.safetensors"
    assert not Path("published").exists()


def test_a_history_without_its_last_row_is_refused(repository):
    rows = (RUN / "history.csv").read_text().splitlines(keepends=True)
    (RUN / "history.csv").write_text("".join(rows[:-1]))
    with pytest.raises(ParamError, match=r"history\.csv is cut"):
        publish_run()


def test_the_command_refuses_in_one_line(repository, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["publish", "--dataset", "mnist5k", "--model", "vlae", "--seed", "0"])
    run_stage(publish.main)
    assert capsys.readouterr().out.startswith("published/mnist5k/vlae: NLL ")
    change_json(RUN / "provenance.json", commit=None)
    change_params(lambda params: params["training"].update(polyak=0.5))
    with pytest.raises(SystemExit) as exit_:
        run_stage(publish.main)
    assert exit_.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: runs/mnist5k/vlae/seed0 cannot be published: training.polyak is 0.998, not 0.5; ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("moved", range(6))
def test_an_interrupted_publication_keeps_the_old_metrics_to_the_end(repository, monkeypatch, moved):
    before, done = (publish_run() / "metrics.json").read_bytes(), []

    def move(source, target):
        if len(done) == moved:
            raise KeyboardInterrupt
        done.append(shutil.copy(source, target))

    monkeypatch.setattr(publish.shutil, "move", move)
    change_json(RUN / "provenance.json", train_minutes=99.0)
    with pytest.raises(KeyboardInterrupt):
        publish_run()
    assert len(done) == moved
    assert Path("published/mnist5k/vlae/metrics.json").read_bytes() == before


def test_publishing_again_replaces_what_was_there_and_keeps_the_note(repository, capsys):
    target = publish_run()
    assert "notes.md" not in capsys.readouterr().err
    (target / "notes.md").write_text("Tried twice.\n")
    write_per_image(target, {"nll": np.zeros(1)})
    publish_run()
    assert "notes.md was written before" in capsys.readouterr().err
    assert read_published(target).note == "Tried twice."
    assert len(read_published(target).per_image["nll"]) == 40
