"""What is read of a run, and how a damaged one is refused."""

import json

import numpy as np
import pytest

from pipeline.results.runs import HISTORY_COLUMNS, RunError, collect_runs, read_run

FILES = (
    "config.json", "metrics.json", "history.csv", "per_image.csv", "per_image_train.csv", "dimensions.csv",
    "panels.npz", "provenance.json",
)  # fmt: skip


def test_a_run_is_read_whole(new_run):
    run = new_run("vlae")
    assert (run.dataset, run.model, run.name) == ("mnist5k", "vlae", "VLAE")
    assert run.metrics["nll"] == 88.5
    assert run.per_image["nll"].mean() == pytest.approx(88.5)
    assert run.per_image_train["nll"].mean() == pytest.approx(87.5)
    assert run.dimensions["kl_nats"].sum() == pytest.approx(11.6)
    assert set(HISTORY_COLUMNS) < set(run.history)
    assert run.panels["decompressions"].shape == (100, 1, 28, 28)


def test_runs_come_by_data_set_then_model_with_every_seed(make_run, tmp_path):
    for dataset in ("omniglot", "mnist5k"):
        for model in ("vlae", "vae"):
            for seed in (3, 1):
                make_run(dataset, model, seed, nll=90.0 + seed)
    runs = collect_runs(tmp_path / "runs", ["omniglot", "mnist5k"], ["vlae", "vae"], [3, 1])
    assert [(run.dataset, run.model) for run in runs] == [
        ("omniglot", "vlae"), ("omniglot", "vae"), ("mnist5k", "vlae"), ("mnist5k", "vae"),
    ]  # fmt: skip
    for run in runs:
        assert run.metrics["nll"] == run.seeds[0]["nll"] == 93
        assert [metrics["nll"] for metrics in run.seeds] == [93, 91]


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("vae", ["64-d gaussian posterior", "gaussian prior", "independent pixels", "free bits"]),
        ("iaf_vae", ["IAF posterior of 4 steps", "gaussian prior"]),
        ("pixelcnn", ["no latent code", "PixelCNN that sees what 6 masks of 3×3 reach, untied"]),
        ("pixelcnn_5x5", ["what 6 masks of 5×5 reach"]),
        ("vlae", ["AF prior of 4 steps", "what 6 masks of 3×3 reach, tied"]),
        ("vlae_full_context", ["every earlier pixel, untied", "plain ELBO"]),
        ("vlae_downsampled", ["block averages"]),
        ("context_4x2", ["a window of 4x2", "KL annealing"]),
    ],
)
def test_a_model_is_told_by_its_parts(new_run, model, parts):
    told = new_run(model).parts
    for part in parts:
        assert part in told


def test_a_missing_run_is_named(make_run, tmp_path):
    make_run()
    with pytest.raises(RunError, match=r"mnist5k/vae/seed0: config\.json is missing"):
        collect_runs(tmp_path / "runs", ["mnist5k"], ["vlae", "vae"], [0])
    with pytest.raises(RunError, match=r"mnist5k/vlae/seed1: config\.json is missing"):
        collect_runs(tmp_path / "runs", ["mnist5k"], ["vlae"], [0, 1])


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(make_run, name):
    folder = make_run()
    (folder / name).unlink()
    with pytest.raises(RunError, match=rf"mnist5k/vlae/seed0: {name} is missing"):
        read_run(folder, "mnist5k", "vlae")


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(make_run, name):
    folder = make_run()
    content = (folder / name).read_bytes()
    half = content[: len(content) // 2]
    (folder / name).write_bytes(half.replace(b".", b"?") if name.endswith("csv") else half)
    with pytest.raises(RunError, match=rf"mnist5k/vlae/seed0: {name} is damaged"):
        read_run(folder, "mnist5k", "vlae")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("config.json", "data_sha256"),
        ("metrics.json", "nll_se"),
        ("metrics.json", "train_nll"),
        ("history.csv", "kl_weight"),
        ("per_image.csv", "nll"),
        ("per_image_train.csv", "nll"),
    ],
)
def test_what_a_file_lacks_is_named(make_run, name, key):
    folder = make_run()
    path = folder / name
    if name.endswith("json"):
        path.write_text(json.dumps({k: value for k, value in json.loads(path.read_text()).items() if k != key}))
    elif name.endswith("csv"):
        path.write_text(path.read_text().replace(f",{key}", ",other", 1))
    else:
        np.savez(path, other=np.zeros(1))
    with pytest.raises(RunError, match=rf"mnist5k/vlae/seed0: {name} lacks {key}"):
        read_run(folder, "mnist5k", "vlae")


@pytest.mark.parametrize("name", ["history.csv", "per_image.csv", "per_image_train.csv"])
@pytest.mark.parametrize(("content", "fault"), [(b"", "is damaged"), (b"step,nll,kl\n", "lacks")])
def test_a_file_without_rows_is_refused(make_run, name, content, fault):
    folder = make_run()
    (folder / name).write_bytes(content)
    with pytest.raises(RunError, match=rf"mnist5k/vlae/seed0: {name} {fault}"):
        read_run(folder, "mnist5k", "vlae")
