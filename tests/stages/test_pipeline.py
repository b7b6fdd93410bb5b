"""The whole pipeline through DVC in a temporary clone, at scale smoke and without network or mirror."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from conftest import ROOT

KEYS = {"nll", "nll_se", "elbo", "kl_nats", "kl_bits", "importance_samples", "images"}
MODELS = ("vae", "pixelcnn", "vlae")


def test_every_run_and_the_report_are_there(clone):
    metrics = json.loads((clone.folder / "reports/all_metrics.json").read_text())
    assert set(metrics["mnist5k"]) == set(MODELS)
    for model in MODELS:
        own = json.loads((clone.folder / f"runs/mnist5k/{model}/seed0/metrics.json").read_text())
        assert set(own) >= KEYS
        del own["model_sha256"]
        assert own == metrics["mnist5k"][model]
    assert set(metrics) == {"mnist5k", "textures", "color_textures"}
    for known in (metrics["textures"]["textures_window"], metrics["color_textures"]["color_textures_window"]):
        assert known["exact_nll"] < known["nll"]
        assert known["exact_information"] > 1
    assert metrics["color_textures"]["color_textures_window"]["bits_per_dim"] > 0
    for page in ("index.html", "details.html"):
        for folder in (clone.folder, ROOT):  # that of the project has all that is published
            assert (folder / "reports" / page).stat().st_size < 3e6
    assert (clone.folder / "reports/figures/mnist5k-vlae-reconstructions.png").is_file()
    assert (clone.folder / "reports/figures/mnist5k-vlae-samples.png").is_file()


def test_loaded_runs_offer_the_public_interface(clone):
    code = """
import torch
from pipeline import load_run
run = load_run("runs/mnist5k/vlae")
x = (torch.rand(3, 1, 28, 28) < 0.2).float()
g = torch.Generator().manual_seed(0)
assert run.model.log_prob(x, importance_samples=5, rng=g).shape == (3,)
z = run.model.encode(x, rng=g)
assert z.shape == (3, 64) and run.model.decompress(z, rng=g).shape == x.shape
assert run.model.sample(2, rng=g).shape == (2, 1, 28, 28)
assert load_run("runs/mnist5k/pixelcnn").model.log_prob(x).shape == (3,)
"""
    clone.run("python", "-c", code)


def test_repro_again_does_nothing(clone):
    assert "up to date" in clone.run("dvc", "repro")


def test_an_experiment_reruns_only_what_depends_on_it(clone):
    before = {model: clone.weights(model) for model in MODELS}
    output = clone.run("dvc", "exp", "run", "-S", "models.vlae.latent_dim=32", "-n", "z32")
    ran = {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}
    assert ran == {"plan", "train-vlae@mnist5k-vlae-0", "evaluate-vlae@mnist5k-vlae-0", "plot"}
    assert {model: clone.weights(model) == before[model] for model in MODELS} == {m: m != "vlae" for m in MODELS}
    assert "models.vlae.latent_dim" in clone.run("dvc", "params", "diff")
    assert "vlae.nll" in clone.run("dvc", "metrics", "diff")
    shown = clone.run("dvc", "exp", "show", "--only-changed", "--no-pager")
    assert max(map(len, shown.splitlines())) <= 120
    row, own = row_of("z32", shown), json.loads((clone.folder / "runs/mnist5k/vlae/seed0/metrics.json").read_text())
    assert row["models.vlae.latent_dim"] == "32"
    assert float(row["vlae.nll"]) == pytest.approx(own["nll"], rel=1e-4)
    assert float(row["vlae.kl"]) == pytest.approx(own["kl_nats"], rel=1e-4)
    back = re.search(r"^(git restore .*?) +#", (ROOT / "docs/experiments.md").read_text(encoding="utf-8"), re.MULTILINE)
    clone.run("sh", "-c", back[1])
    assert clone.weights("vlae") == before["vlae"]
    assert "up to date" in clone.run("dvc", "status")
    clone.run("dvc", "exp", "save", "-n", "again")


def row_of(experiment: str, table: str) -> dict[str, str]:
    """The cells of an experiment in what `dvc exp show` prints, by column."""
    lines = table.splitlines()
    (columns,) = (line.split() for line in lines if line.split()[:1] == ["Experiment"])
    (cells,) = (line.split() for line in lines if f"[{experiment}]" in line)
    return dict(zip(columns[2:], cells[len(cells) - len(columns) + 2 :], strict=True))


def test_killed_through_dvc_and_started_again_it_ends_in_the_same_bits(clone):
    expected = clone.weights("vae")
    stage = "train-vae@mnist5k-vae-0"
    for command in (
        ("dvc", "repro", "-f", "-s", stage),
        ("dvc", "exp", "run", "--temp", "-f", "-s", "-n", "killed", stage),
    ):
        clone.kill_in_training(*command)
        assert list(clone.checkpoints.glob("*.pt"))
        assert "going on after step" in clone.run(*command)
        assert not list(clone.checkpoints.glob("*.pt"))
        if "exp" in command:
            clone.run("dvc", "exp", "apply", "killed")
        assert clone.weights("vae") == expected
    clone.run("git", "checkout", "-q", ".")
    clone.run("dvc", "checkout", "-q")


def test_a_wrong_parameter_is_refused_before_any_work(clone):
    before = clone.weights("vlae")
    output = clone.run("dvc", "exp", "run", "-S", "models.vlae.latent_dim=abc", status=255)
    assert "models.vlae.latent_dim = 'abc': must be an integer" in output
    assert "Traceback" not in output
    clone.run("git", "restore", "-SW", "params.yaml", "dvc.lock", "reports")
    clone.run("dvc", "checkout", "-q")
    assert clone.weights("vlae") == before
    assert yaml.safe_load((clone.folder / "params.yaml").read_text())["models"]["vlae"]["latent_dim"] == 64


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("scale: smoke", "scale: huge", "scale = 'huge': must be one of smoke"),
        ("- mnist5k", "- mnist6k", "binary_datasets[0] = 'mnist6k': must be one of mnist5k"),
        ("- textures_window", "- textures_wind", "texture_models = 'textures_wind': must be one of"),
    ],
)
def test_a_wrong_name_is_refused_by_dvc_repro_before_any_other_stage(clone, old, new, told):
    """After reports of "Parameters are missing" after other stages had run."""
    params = clone.folder / "params.yaml"
    assert old in params.read_text()
    params.write_text(params.read_text().replace(old, new, 1))
    output = clone.run("dvc", "repro", status=255)
    assert f"error: {told}" in output
    assert re.findall(r"^Running stage '(.*)':", output, flags=re.MULTILINE) == ["plan"]


def test_a_run_is_published_and_verified_without_disturbing_the_main_pipeline(clone):
    clone.run("git", "rm", "-rq", *(str(path) for path in (clone.folder / "published").iterdir() if path.is_dir()))
    params, arguments = clone.folder / "params.yaml", ("--dataset", "mnist5k", "--model", "vae")
    text = params.read_text()
    params.write_text(text.replace("test_images: 32", "test_images: null"))
    clone.run("python", "-m", "stages.evaluate", *arguments)
    params.write_text(text)
    clone.run("python", "-m", "stages.publish", *arguments)
    clone.run("dvc", "checkout", "-q", "--force")
    again = re.findall(r"^Running stage '(.*)':", clone.run("dvc", "repro"), flags=re.MULTILINE)
    assert sorted(again) == ["live", "plan", "plot"]  # which read what is published; no training does
    assert re.search(r"^mnist5k/vae .* 500 +4 ", clone.verify(), flags=re.MULTILINE)
    assert "up to date" in clone.run("dvc", "repro")
    metrics = clone.folder / "published/mnist5k/vae/metrics.json"
    metrics.write_text(json.dumps(json.loads(metrics.read_text()) | {"nll": 1.0}))
    assert "mnist5k/vae: NLL 1.000 is not the mean" in clone.verify(status=1)
