"""The stages download and preprocess as a user runs them, without network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARAMS = (ROOT / "params.yaml").read_text()


@pytest.fixture
def run(tmp_path):
    """Run a stage in an empty folder with a changed params.yaml."""

    def call(stage: str, change: tuple[str, str] = ("", ""), *arguments: str) -> subprocess.CompletedProcess[str]:
        assert change[0] in PARAMS
        text = PARAMS.replace(*change, 1).replace("retries: 2", "retries: 0")
        (tmp_path / "params.yaml").write_text(text)
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "VLAE_DATA_MIRROR": "nowhere",
            "http_proxy": "http://127.0.0.1:9",  # a port that refuses: no network
            "https_proxy": "http://127.0.0.1:9",
        }
        command = [sys.executable, "-m", f"stages.{stage}", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)

    return call


def test_embedded_data_sets_need_no_network(run, tmp_path):
    photos = ("color_datasets: []", "color_datasets: [photos]")
    first = run("download", photos)
    assert (first.returncode, first.stderr) == (0, "")
    second = run("preprocess", photos)
    assert (second.returncode, second.stderr) == (0, "")
    names = sorted(path.name for path in (tmp_path / "data" / "processed").iterdir())
    assert names == ["color_textures.npz", "mnist5k.npz", "photos.npz", "textures.npz"]
    before = [(tmp_path / "data" / "processed" / name).read_bytes() for name in names]
    run("preprocess", photos)
    assert [(tmp_path / "data" / "processed" / name).read_bytes() for name in names] == before


def test_damaged_raw_file_is_named_then_fetched_again(run, tmp_path):
    run("download")
    path = tmp_path / "data" / "raw" / "mnist5k" / "mnist_5k.csv"
    path.write_bytes(path.read_bytes()[:1000])
    refused = run("preprocess")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: data/raw/mnist5k/mnist_5k.csv: ")
    mended = run("download")
    assert mended.returncode == 0
    assert "mnist_5k.csv: the sha256 of its content is" in mended.stderr
    assert run("preprocess").returncode == 0


def test_offline_message(run):
    result = run("download", ("- mnist5k", "- mnist_static"))
    assert result.returncode == 1
    assert "error: mnist_static: binarized_mnist_train.amat could not be fetched" in result.stderr
    for part in (
        "http://www.cs.toronto.edu/",
        "Connection refused",
        "nowhere: no such folder",
        "mnist5k, photos, textures, color_textures",
    ):
        assert part in result.stderr
    assert "Traceback" not in result.stderr


def publish(folder: Path, dataset: str, model: str = "vlae") -> None:
    """As much of a published model as these stages look at."""
    (folder / "published" / dataset / model).mkdir(parents=True)
    (folder / "published" / dataset / model / "metrics.json").touch()


def test_the_published_data_sets_have_their_own_place(run, tmp_path):
    publish(tmp_path, "mnist5k", "vlae")
    publish(tmp_path, "mnist5k", "vae")
    (tmp_path / "published" / "mnist_static" / "curve_only").mkdir(parents=True)
    for stage in ("download", "preprocess"):
        result = run(stage, ("", ""), "--published")
        assert (result.returncode, result.stderr) == (0, "")
    places = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "data").glob("*/*/*"))
    assert places == ["data/published/processed/mnist5k.npz", "data/published/raw/mnist5k"]


def test_offline_message_for_published_data(run, tmp_path):
    publish(tmp_path, "mnist_static")
    result = run("download", ("", ""), "--published")
    assert result.returncode == 1
    assert "error: mnist_static: binarized_mnist_train.amat could not be fetched" in result.stderr
    assert "Traceback" not in result.stderr


def test_nothing_published_is_said(run):
    result = run("download", ("", ""), "--published")
    assert (result.returncode, result.stderr.startswith("error: published/ holds no evaluated model")) == (1, True)


@pytest.mark.parametrize("stage", ["download", "preprocess"])
def test_wrong_parameter_is_refused_before_any_work(run, tmp_path, stage):
    result = run(stage, ("- mnist5k", "- mnist6k"))
    assert result.returncode == 1
    assert result.stderr.startswith("error: binary_datasets[0] = 'mnist6k': must be one of mnist5k")
    assert not (tmp_path / "data").exists()


def test_missing_params(run, tmp_path):
    run("preprocess")
    (tmp_path / "params.yaml").unlink()
    command = [sys.executable, "-m", "stages.download"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (1, "error: params.yaml: No such file or directory\n")


def test_torch_is_not_imported():
    code = "import sys, stages.download, stages.preprocess; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0
