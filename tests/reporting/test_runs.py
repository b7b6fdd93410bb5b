"""What is read of a run, and how a damaged one is refused."""

import dataclasses
import json

import numpy as np
import pytest

from pipeline.reporting.runs import HISTORY_COLUMNS, RunError, Training, collect_runs, read_run

FILES = (
    "config.json", "metrics.json", "history.csv", "per_image.csv", "per_image_train.csv", "dimensions.csv",
    "panels.npz",
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


@pytest.mark.parametrize(
    ("model", "changes", "side", "pixels"),
    [
        ("context_0", {}, 40, 0),
        ("context_1x1", {}, 40, 1),
        ("context_4x2", {}, 40, 10),
        ("context_7x4", {}, 40, 31),
        ("vlae", {}, 40, 69),
        ("vlae", {"kernel_size": 5, "masked_layers": 3}, 40, 78),
        ("vlae", {"masked_layers": 1}, 40, 4),
        ("vlae_first_7x7", {}, 40, 129),
        ("vlae_full_context", {}, 28, 783),
    ],
)
def test_context_pixels_are_those_with_a_gradient(params, model, changes, side, pixels):
    small = {"latent_dim": 2, "encoder_channels": (2,), "hidden_units": 4, "flow_hidden_units": (4,), "filters": 3}
    block = dataclasses.replace(params.models[model], **small | changes)
    full = block.context == "full"
    assert _training(block, side).context_pixels == _pixels_with_gradient(block, side, -1 if full else 20) == pixels


def test_block_averages_are_no_pixels(params):
    assert _training(params.models["vlae_downsampled"], 28).context_pixels is None


def _training(block, side: int) -> Training:
    config = {"model_config": dataclasses.asdict(block), "image_shape": [1, side, side]}
    return Training("mnist5k", "model", config, {}, {}, {})


def _pixels_with_gradient(block, side: int, at: int) -> int:
    """Pixels of a side × side image on which the logit of pixel (at, at) depends."""
    import torch

    from pipeline.models.build import build_model

    decoder = build_model(block, (1, side, side)).decoder
    image = torch.rand(1, 1, side, side, requires_grad=True)
    if block.decoder == "factorized":
        return 0
    logits = decoder.network(image, decoder.generator(torch.randn(1, 2)))
    logits[0, 0, at, at].backward()
    return int((image.grad != 0).sum())


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
        ("panels.npz", "samples"),
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
def test_a_file_without_rows_is_refused(make_run, name):
    folder = make_run()
    (folder / name).write_bytes(b"")
    with pytest.raises(RunError, match=rf"mnist5k/vlae/seed0: {name} lacks"):
        read_run(folder, "mnist5k", "vlae")
