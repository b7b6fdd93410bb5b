"""Publishing further seeds: their numbers beside the weights of one, in the card, in the tables and in verification."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest
import yaml
from tiny_project import binary_dataset

from pipeline.config import ParamError, load_params
from pipeline.data.datasets import save
from pipeline.results.published import PER_IMAGE, read_published
from pipeline.results.runs import read_run
from pipeline.saved import load_run
from stages import evaluate, publish, reevaluate, run_stage, training, verify
from stages.machine import exact_device

KEPT, SEED = Path("published/mnist5k/vlae"), Path("published/mnist5k/vlae/seeds/1")
RUNS = Path("runs/mnist5k/vlae")


def publish_run(seed: int, model: str = "vlae") -> None:
    publish.publish(load_params(), binary_dataset(), model, seed)


def change_json(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_steps(steps: int) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["scales"]["smoke"]["binary"]["steps"]["vlae"] = steps
    Path("params.yaml").write_text(yaml.safe_dump(params))


def train(seed: int) -> None:
    params = load_params()
    training.run(params, params.model("vlae", "binary"), binary_dataset(), "vlae", seed, None)
    evaluate.evaluate(params, binary_dataset(), RUNS / f"seed{seed}", seed)


def make_published(folder: Path, repository: Path) -> None:
    """With seed 0 of vlae published whole, and seed 1 beside it."""
    shutil.copytree(repository, folder, dirs_exist_ok=True)
    with contextlib.chdir(folder):
        train(1)
        publish_run(0)
        publish_run(1)
        save(binary_dataset(), Path("data/published/processed/mnist5k.npz"))


@pytest.fixture
def published(made_once, repository, tmp_path, monkeypatch):
    """A copy of its own for each test, which is the current folder."""
    made = made_once("published-seeds", lambda folder: make_published(folder, repository))
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "published"))
    monkeypatch.setenv("JOBS", "1")


def errors(capsys) -> str:
    """What the verification, which must fail, says of it."""
    with pytest.raises(SystemExit) as exit_:
        run_stage(verify.main)
    return f"{exit_.value.code} {capsys.readouterr().err}"


def test_a_further_seed_leaves_its_numbers_and_no_weights(published, capsys):
    runs = [read_run(RUNS / f"seed{seed}", "mnist5k", "vlae") for seed in (0, 1)]
    assert sorted(path.name for path in SEED.iterdir()) == ["metrics.json", PER_IMAGE]
    found = read_published(KEPT)
    assert [one["nll"] for one in found.seeds] == [one.metrics["nll"] for one in runs]
    assert found.metrics == found.seeds[0]
    assert load_run(KEPT).config["seed"] == 0
    nll = [one.metrics["nll"] for one in runs]
    card = (KEPT / "README.md").read_text(encoding="utf-8")
    assert f"| NLL over 2 seeds | {mean(nll):.2f} ± {stdev(nll):.2f} nats, mean ± s.d. |" in card
    assert "seeds 0, 1; weights" in card
    verify.main()
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_one_seed_alone_has_no_spread(repository):
    publish_run(0)
    assert read_published(KEPT).seeds == ()
    assert "seeds" not in (KEPT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("seed", 2, "seed is 2, not 1"),
        ("importance_samples", 4096, "importance_samples is 4096, not 70"),
        ("images", 39, "cut"),
        ("data_sha256", "0", "data_sha256 is '0'"),
        ("epochs", 1.0, "epochs is 1.0"),
        ("nll", 20.0, "nll 20.0000 is not the mean"),
        ("kl_nats", 20.0, "kl_nats 20.0000 is not the mean"),
        ("nll_low", 20.0, "nll_low 20.0000 should be"),
        ("elbo", 20.0, "elbo 20.0000 should be"),
    ],
)
def test_numbers_of_a_seed_that_are_not_those_of_its_images_are_found(published, capsys, key, value, fault):
    change_json(SEED / "metrics.json", **{key: value})
    message = errors(capsys)
    assert "vlae" in message
    assert fault in message


def test_another_seeds_images_under_a_new_name_are_found(published, capsys):
    shutil.copytree(SEED, SEED.with_name("2"))
    change_json(SEED.with_name("2") / "metrics.json", seed=2)
    assert "seed 2: " in (message := errors(capsys))
    assert "the NLL of each image is that of another seed" in message


def test_numbers_of_other_images_are_found(published, capsys):
    table = read_published(SEED.parents[1])
    text = {name: np.roll(values, 1) for name, values in table.per_image.items()}
    publish.write_per_image(SEED, text)
    metrics = table.metrics | {"seed": 1}
    nll = verify.derived_faults(metrics, text["nll"], (1, 8, 8))
    (SEED / "metrics.json").write_text(
        json.dumps(metrics | {key: float(told) for key, _, _, _, told in map(str.split, nll)})
    )
    assert "the published NLLs are not of these images" in errors(capsys)


def test_a_run_that_differs_in_more_than_the_seed_is_refused(repository):
    publish_run(0)
    change_steps(80)
    train(1)
    with pytest.raises(ParamError, match=r"seed 1 cannot be published beside .*vlae: steps is 80, not 60"):
        publish_run(1)
    assert not SEED.exists()


def test_keys_that_there_were_not_yet_are_compared_by_their_defaults(repository):
    publish_run(0)
    block = json.loads((KEPT / "config.json").read_text())["model_config"]
    change_json(KEPT / "config.json", model_config={key: block[key] for key in block if key != "optimizer"})
    train(1)
    publish_run(1)
    shutil.rmtree(SEED)
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["models"]["vlae"]["optimizer"] = "muon"
    Path("params.yaml").write_text(yaml.safe_dump(params))
    train(1)
    with pytest.raises(ParamError, match="optimizer is 'muon', not 'adamax'"):
        publish_run(1)


def test_another_training_of_the_kept_seed_ends_the_further_ones(published, capsys):
    publish_run(0)
    assert SEED.exists()
    change_steps(80)
    train(0)
    publish_run(0)
    assert not SEED.parent.exists()
    assert "of another training, and is removed" in capsys.readouterr().err


def test_no_k_is_changed_of_one_seed_alone(published):
    with pytest.raises(ParamError, match="has no weights"):
        reevaluate.reevaluate(KEPT, 80, exact_device(load_params().training))
