"""Published trainings: how they are read, and their tables."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from pipeline import paper
from pipeline.reporting.published import PER_IMAGE, collect_published, read_published, write_per_image
from pipeline.reporting.published_tables import deviations, published_records, text_records
from pipeline.reporting.published_views import code_view, compute_view, fit_view, results_view, text_view
from pipeline.reporting.runs import RunError
from pipeline.reporting.tables import shown_tables, table_records
from pipeline.reporting.views import claims_view


@pytest.fixture
def new_published(make_published, tmp_path):
    """Write one published training and read it back; keywords replace metrics."""

    def read(model: str = "vlae", dataset: str = "mnist_static", evaluated: bool = True, **metrics: float):
        return read_published(make_published(tmp_path / "published", dataset, model, evaluated, **metrics))

    return read


def change(folder, **values) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_they_are_found_by_name(make_published, tmp_path):
    assert collect_published(tmp_path / "published") == []
    for dataset, model in (("omniglot", "vlae"), ("mnist5k", "vae"), ("omniglot", "pixelcnn")):
        make_published(tmp_path / "published", dataset, model)
    found = [(training.dataset, training.model) for training in collect_published(tmp_path / "published")]
    assert found == [("mnist5k", "vae"), ("omniglot", "pixelcnn"), ("omniglot", "vlae")]


def test_one_without_metrics_has_a_curve_and_no_row(new_published):
    curve = new_published("af_vae", evaluated=False)
    assert (curve.metrics, curve.per_image) == ({}, {})
    assert len(curve.history["step"]) == 12
    assert all(record["ours"] is None for record in table_records(paper.STATIC_MNIST, [curve]))
    assert results_view([curve]).rows[0][1][6:11] == ["not evaluated", "", "", "", ""]
    assert text_records([curve]) == []


@pytest.mark.parametrize("name", ["metrics.json", "history.csv", "per_image.csv.gz"])
def test_a_damaged_file_is_named_with_the_way_back(make_published, tmp_path, name):
    folder = make_published(tmp_path)
    (folder / name).write_text("?")
    with pytest.raises(RunError, match=rf"omniglot/vlae: {name} .*git restore"):
        read_published(folder)


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[: len(data) // 2], lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:]],
    ids=["cut", "one bit"],
)
def test_damage_inside_the_compressed_file_is_found(make_published, tmp_path, damage):
    path = make_published(tmp_path) / PER_IMAGE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match=r"per_image\.csv\.gz is damaged .*git restore"):
        read_published(path.parent)


def test_per_image_has_a_row_for_every_image(make_published, tmp_path):
    folder = make_published(tmp_path)
    write_per_image(folder, {name: values[:-1] for name, values in read_published(folder).per_image.items()})
    with pytest.raises(RunError, match=r"per_image\.csv\.gz is cut"):
        read_published(folder)


def test_its_row_stands_first_with_a_verdict_beside_this_runs(new_published, new_run):
    near = {"nll": 79.2, "nll_low": 78.9, "nll_high": 79.5, "importance_samples": 4096}
    records = table_records(paper.STATIC_MNIST, [new_published(**near), new_published("vae"), new_run("vlae")])
    ours = [(record["row"], record["source"], record["verdict"]) for record in records if record["ours"]]
    assert ours == [
        ("VLAE", "published", "reproduced within the interval"),
        ("VLAE", "this run", "not the paper's data set"),
        ("VAE", "published", "no such row in the paper"),
    ]
    record = next(record for record in records if record["source"] == "published")
    assert (record["K"], record["images"], record["seed"], record["steps"]) == (4096, 100, 0, 1200)
    assert (record["epochs"], record["difference"]) == (38.4, pytest.approx(0.17))


def test_claims_are_judged_as_far_as_the_published_models_go(new_published):
    published = [new_published("vlae"), new_published("vae"), new_published("af_vae", evaluated=False)]
    view = claims_view(published)
    claims = {cells[0]: cells for kind, cells in view.rows if kind != "group"}
    assert not any("not in this run" in cells[1] for cells in claims.values())
    (helps,) = (cells for statement, cells in claims.items() if statement.startswith("Decoder and AF prior help"))
    assert helps[1:4] == ["88.50 against 94.20 nats: difference −5.70 [−5.70, −5.70]", "", "holds"]
    assert any("its KL is under 0.6 of the VAE's" in statement for statement in claims)
    assert any(statement.startswith("KL of VLAE: 13.3 nats") for statement in claims)
    assert not any("Unconditional" in statement for statement in claims)
    assert claims_view([published[2]]).rows == []


def test_what_codes_carry_is_told_of_the_evaluated_ones_that_have_one(new_published):
    published = [new_published(model) for model in ("vlae", "pixelcnn")] + [new_published("vae", evaluated=False)]
    ((_, cells),) = code_view(published).rows
    assert cells[:3] == ["VLAE", "69", "11.60"]


def test_colour_is_told_in_bits_per_dimension(make_published, tmp_path):
    published = [read_published(make_published(tmp_path, "cifar10", "narrow_7x4"))]
    view = results_view(published)
    cells = dict(zip(view.header, view.rows[0][1], strict=True))
    assert cells["test NLL, bits/dim"] == f"{7900 / 3072 / math.log(2):.3f}"
    assert cells["95 % interval"] == f"{7897.9 / 3072 / math.log(2):.3f} to {7902.2 / 3072 / math.log(2):.3f}"
    assert (cells["valid. −ELBO, bits/dim"], cells["test KL, nats"]) == ("3.710", "60.00")
    ((_, cells),) = code_view(published).rows
    assert cells[2] == "3.710"
    assert cells[-1] == "0.20 [0.15, 0.25]"


def test_a_published_model_brings_its_table_into_view(new_published):
    cifar = new_published("vlae", "cifar10")
    named = type(cifar)(**{**vars(cifar), "model": "resnet_vlae"})
    assert "5" in [table.number for table in shown_tables([named])]


def test_the_images_trained_on_are_told(make_published, tmp_path):
    folder = make_published(tmp_path, "mnist_static")
    for images in ("train", "train+valid"):
        change(folder, training={"images": images})
        view = results_view([read_published(folder)])
        assert dict(zip(view.header, view.rows[0][1], strict=True))["trained on"] == images


def test_notes_stand_under_the_published_results(make_published, tmp_path):
    folder = make_published(tmp_path, "mnist_static")
    (folder / "notes.md").write_text("Two rates were tried;\n0.002 was better.\n")
    note = "VLAE on mnist_static: Two rates were tried; 0.002 was better."
    published = [read_published(folder)]
    assert note in results_view(published).notes


def test_compute_is_images_a_second_of_the_whole_training(new_published):
    training = new_published()
    (record,) = published_records([training])
    assert record["images_per_second"] == pytest.approx(1200 * 64 / (41.7 * 60))
    (_, cells), *_ = (view := compute_view([training])).rows
    assert cells == ["VLAE", "31", "38.4", "1,200", "42", "cuda", "NVIDIA H200", "bfloat16", "2,345,678", "float16",
                     "c0ffeec0ffee"]  # fmt: skip
    assert len(view.header) == len(cells)
    assert {len(cells) for _, cells in results_view([training]).rows} == {len(results_view([training]).header)}


def test_under_and_overfitting_are_told_from_the_curve_and_from_the_decoder_alone(new_published):
    decoder = new_published("pixelcnn", train_nll=96.0, nll=97.5, train_images=25)
    vlae = new_published("vlae", train_nll=80.0, nll=83.0, train_images=25)
    curve = {"step": [0, 400, 800, 1200], "valid_elbo": [-99.0, -90.0, -88.0, -87.0], "valid_kl": [0.0, 9.0, 9.0, 8.5]}
    nll = vlae.per_image["nll"] - vlae.per_image["nll"].mean() + 83 + np.arange(100) / 50
    per_image = {"nll": nll, "nll_k64": nll + 0.25 - nll.mean() + 83}
    history = {name: np.array(values) for name, values in curve.items()}
    vlae = dataclasses.replace(vlae, history=history, per_image=per_image)
    record = published_records([vlae, decoder])[0]
    assert (record["late_elbo"], record["late_kl"]) == pytest.approx((0.75, -0.375))
    assert record["overfitting"] == pytest.approx(1.5)
    error = np.std(np.arange(100) / 50, ddof=1) * (1 / 100 + 1 / 25) ** 0.5
    assert record["overfitting_se"] == pytest.approx(error)
    cells = {cells[0]: cells[1:] for _, cells in fit_view([vlae, decoder]).rows}
    assert cells["VLAE"] == ["0.75", "−0.38", "3.00", f"1.50 ± {error:.2f}", "0.25"]
    assert cells["Unconditional Decoder"][2:] == ["1.50", "", ""]


def test_no_overfitting_is_told_without_the_decoder_alone_on_the_same_images(new_published):
    vlae, curve = new_published(), new_published("vae", evaluated=False)
    decoder = new_published("pixelcnn")
    others = [dataclasses.replace(decoder, config=decoder.config | changed) for changed in (
        {"data_sha256": "ef" * 32}, {"seed": 1})]  # fmt: skip
    few = dataclasses.replace(decoder, metrics=decoder.metrics | {"train_images": 50})
    assert published_records([vlae, decoder])[0]["overfitting"] is not None
    for other in (*others, few, dataclasses.replace(decoder, dataset="omniglot")):
        assert published_records([vlae, other])[0]["overfitting"] is None
    assert published_records([curve])[0]["overfitting"] is None
    assert fit_view([curve]).rows[0][1][3:] == ["", "", ""]
    short = dataclasses.replace(vlae, history={name: values[-1:] for name, values in vlae.history.items()})
    assert published_records([short])[0]["late_elbo"] is None


def test_a_training_too_short_to_time_has_no_rate(make_published, tmp_path):
    folder = make_published(tmp_path, "mnist_static")
    change(folder, train_minutes=0)
    (_, cells), *_ = compute_view([read_published(folder)]).rows
    assert cells[1] == ""


@pytest.mark.parametrize(
    ("config", "metrics", "expected"),
    [
        ({"steps": 900}, {}, ["stopped after 900 of 1,200 steps", "K = 64 instead of 4,096"]),
        ({}, {"importance_samples": 4096}, []),
        ({"training": {"images": "train"}}, {"exact": True, "importance_samples": 0},
         ["not trained on validation images"]),
    ],
)  # fmt: skip
def test_deviations_are_those_that_are_there(make_published, tmp_path, config, metrics, expected):
    folder = make_published(tmp_path, "mnist_static", **metrics)
    change(folder, **({"training": {"images": "train+valid"}} | config))
    change(folder, model_config=read_published(folder).block | {"conditioning_scale": 1.0})
    assert deviations(read_published(folder)) == expected


def test_deviations_of_the_model_stand_among_them(new_published):
    assert deviations(new_published("vlae_annealed"))[1:3] == [
        "masked convolutions untied", "KL annealing instead of free bits"
    ]  # fmt: skip


def test_figures_of_the_text_stand_beside_the_published_ones(new_published):
    prior, posterior = new_published("vlae", nll=79.4), new_published("vlae_iaf_posterior", train_nll=80.1)
    prior.per_image["nll"] = posterior.per_image["nll"] - np.linspace(0.4, 0.6, 100)
    others = [new_published("af_vae", kl_nats=25.0), new_published("vae", "omniglot")]
    vlae, vae, af_vae, test, train = text_records([prior, posterior, *others])
    assert (vlae["paper_nats"], vlae["published_nats"]) == (13.3, 11.6)
    assert (vae["paper_bits"], vae["published_nats"]) == (pytest.approx(37.3), None)
    assert (af_vae["paper_bits"], af_vae["published_nats"]) == (pytest.approx(37.3), 25.0)
    assert (test["paper_nats"], test["published_nats"]) == (-0.6, pytest.approx(-0.5))
    assert -0.52 < test["low_nats"] < -0.5 < test["high_nats"] < -0.48
    assert (train["paper_nats"], train["published_nats"]) == (-0.8, pytest.approx(87.5 - 80.1))
    cells = [cells for _, cells in text_view([prior, posterior]).rows]
    assert cells[1][2] == "not published"
    assert cells[3][1:3] == ["−0.6 nats", "−0.50 nats"]


def test_no_gain_is_told_of_trainings_on_other_data(new_published):
    prior, posterior = new_published("vlae"), new_published("vlae_iaf_posterior")
    assert [record["published_nats"] is None for record in text_records([prior, posterior])[3:]] == [False, False]
    posterior.config["data_sha256"] = "cd" * 32
    assert [record["published_nats"] for record in text_records([prior, posterior])[3:]] == [None, None]


def test_likelihoods_at_different_k_are_not_subtracted(new_published):
    records = text_records([new_published("vlae"), new_published("vlae_iaf_posterior", importance_samples=128)])
    assert [record["published_nats"] for record in records[-2:]] == [None, None]


def test_the_committed_results_are_under_100_megabytes():
    sizes = [path.stat().st_size for path in (Path(__file__).parents[2] / "published").rglob("*") if path.is_file()]
    assert 0 < sum(sizes) < 100_000_000
