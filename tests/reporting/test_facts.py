"""Records: what is known of each training, and the paper's rows beside ours."""

import dataclasses

import numpy as np
import pytest

from pipeline import paper
from pipeline.reporting.facts import bound_records, paper_records, result_records, text_records


def row(records, label):
    (found,) = (one for one in records if one["row"] == label)
    return found


@pytest.mark.parametrize("table", paper.TABLES, ids=[table.number for table in paper.TABLES])
def test_every_row_of_the_paper_stands_once(table, new_published):
    records = paper_records(table, [new_published("vlae", dataset) for dataset in ("mnist_static", "omniglot")])
    assert [one["row"] for one in records] == [line.label for line in table.rows]
    assert [one["paper"] for one in records] == [line.value for line in table.rows]


def test_another_model_never_stands_where_the_papers_does(new_published):
    published = [new_published("vlae_untied", "omniglot", nll=91.5), new_published("vlae_5x5", "omniglot", nll=90.0)]
    one = row(paper_records(paper.OMNIGLOT, published), "VLAE")
    assert (one["model"], one["ours"], one["verdict"]) == ("vlae_untied", 91.5, "above by 0.52")
    assert (one["other_model"], one["other"]) == ("vlae_5x5", 90.0)
    tuned = row(paper_records(paper.OMNIGLOT, published), "VLAE (fine-tuned)")
    assert (tuned["ours"], tuned["verdict"], tuned["other"]) == (None, None, 90.0)
    alone = row(paper_records(paper.OMNIGLOT, published[1:]), "VLAE")
    assert (alone["ours"], alone["verdict"]) == (None, None)


def test_of_several_trainings_of_the_papers_model_the_best_is_shown_and_the_others_named(new_published):
    published = [new_published("af_vae", nll=80.0), new_published("af_vae_annealed", nll=79.3)]
    one = row(paper_records(paper.STATIC_MNIST, published), "AF VAE")
    assert (one["model"], one["rest"]) == ("af_vae_annealed", "AF VAE 80.00")
    assert "KL annealing instead of free bits" in one["deviations"]


def test_of_several_other_models_the_best_is_shown_and_the_rest_named(new_published):
    widths = {"pixelcnn_first_7x7": 86.25, "pixelcnn_5x5": 85.5, "pixelcnn_first_5x5": 87.65}
    published = [new_published(model, "mnist_dynamic", nll=nll) for model, nll in widths.items()]
    one = row(paper_records(paper.DYNAMIC_MNIST, published), "Unconditional Decoder")
    assert (one["ours"], one["other_model"]) == (None, "pixelcnn_5x5")
    rest = [f"Unconditional Decoder, first mask {width}" for width in ("7×7 86.25", "5×5 87.65")]
    assert one["other_rest"] == "; ".join(rest)


def test_this_runs_numbers_are_not_asked_for(new_published):
    assert row(paper_records(paper.STATIC_MNIST, [new_published("vlae", "mnist5k")]), "VLAE")["ours"] is None


def test_under_and_overfitting_are_told_from_the_curve_and_from_the_decoder_alone(new_published):
    decoder = new_published("pixelcnn", train_nll=96.0, nll=97.5, train_images=25)
    vlae = new_published("vlae", train_nll=80.0, nll=83.0, train_images=25)
    curve = {"step": [0, 400, 800, 1200], "valid_elbo": [-99.0, -90.0, -88.0, -87.0], "valid_kl": [0.0, 9.0, 9.0, 8.5]}
    nll = vlae.per_image["nll"] - vlae.per_image["nll"].mean() + 83 + np.arange(100) / 50
    per_image = {"nll": nll, "nll_k64": nll + 0.25}
    history = vlae.history | {name: np.array(values) for name, values in curve.items()}
    vlae = dataclasses.replace(vlae, history=history, per_image=per_image)
    record = result_records([vlae, decoder])[0]
    assert (record["late_elbo"], record["late_kl"]) == pytest.approx((0.75, -0.375))
    assert (record["overfitting"], record["k64_minus_nll"]) == pytest.approx((1.5, 0.25))
    assert record["overfitting_se"] == pytest.approx(np.std(np.arange(100) / 50, ddof=1) * (1 / 100 + 1 / 25) ** 0.5)


def test_no_overfitting_is_told_without_the_decoder_alone_on_the_same_images(new_published):
    vlae, decoder = new_published(), new_published("pixelcnn")
    others = [dataclasses.replace(decoder, config=decoder.config | changed) for changed in (
        {"data_sha256": "ef" * 32}, {"seed": 1})]  # fmt: skip
    few = dataclasses.replace(decoder, metrics=decoder.metrics | {"train_images": 50})
    assert result_records([vlae, decoder])[0]["overfitting"] is not None
    for other in (*others, few, dataclasses.replace(decoder, dataset="omniglot")):
        assert result_records([vlae, other])[0]["overfitting"] is None
    short = dataclasses.replace(vlae, history={name: values[-1:] for name, values in vlae.history.items()})
    assert result_records([short])[0]["late_elbo"] is None


def test_what_a_training_took_and_who_made_it(new_published, new_run):
    record = result_records([new_published()])[0]
    assert record["images_per_second"] == pytest.approx(1200 * 64 / (41.7 * 60))
    assert (record["stage"], record["commit"]) == ("train-vlae@mnist_static-vlae-0", "c0ffeec0ffee")
    for model, dataset, stage in (
        ("vae", "mnist5k", "train-vae@mnist5k-vae-0"),
        ("pixelcnn", "mnist5k", "train-pixelcnn@mnist5k-pixelcnn-0"),
        ("textures_window", "textures", "train-textures@textures-textures_window-0"),
        ("narrow_7x4", "photos", "train-vlae-color@photos-narrow_7x4-0"),
    ):
        assert result_records([new_run(model, dataset)])[0]["stage"] == stage


def test_bounds_end_with_the_runs_own_k(new_run):
    records = bound_records([new_run("vlae"), new_run("pixelcnn")])
    assert [one["K"] for one in records] == [1, 4, 16, 64]
    assert records[-1]["nll"] == pytest.approx(88.5)


def test_figures_of_the_text_stand_beside_the_published_ones(new_published):
    prior, posterior = new_published("vlae", nll=79.4), new_published("vlae_iaf_posterior", nll=79.9, train_nll=80.1)
    others = [new_published("af_vae"), new_published("vae", "omniglot")]
    test, train, vlae, af_vae = text_records([prior, posterior, *others])
    assert (vlae["paper_nats"], vlae["ours_nats"]) == (13.3, pytest.approx(11.6, abs=1e-3))
    assert (af_vae["paper_bits"], af_vae["ours_nats"]) == (pytest.approx(37.3), pytest.approx(14.0, abs=1e-3))
    assert (test["paper_nats"], test["ours_nats"]) == (-0.6, pytest.approx(-0.5))
    assert (train["paper_nats"], train["ours_nats"]) == (-0.8, pytest.approx(87.5 - 80.1))


@pytest.mark.parametrize("unlike", [{"data_sha256": "cd" * 32}, {"importance_samples": 128}])
def test_no_gain_is_told_of_trainings_on_other_data_or_with_another_k(new_published, unlike):
    prior, posterior = new_published("vlae"), new_published("vlae_iaf_posterior")
    assert len(text_records([prior, posterior])) == 3
    posterior.config.update(unlike)
    posterior.metrics.update(unlike)
    posterior = dataclasses.replace(posterior)
    assert len(text_records([prior, posterior])) == 1
