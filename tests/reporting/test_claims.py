"""The paper's claims: which models each compares, and how what was measured becomes a verdict."""

import dataclasses

import numpy as np
import pytest

from pipeline.reporting.claims import judge_claims
from pipeline.reporting.views import verdicts_view

ALTERNATING = np.where(np.arange(100) % 2, 1.0, -1.0)
BELOW = [
    ("Collapse", "vlae_full_context", "vlae", "kl", 0.4),
    ("The more of the image", "context_4x2", "context_0", "kl", 1),
    ("KL with the paper's 69", "context_stack", "context_4x2", "kl", 1),
    ("KL with every earlier pixel", "context_full", "context_stack", "kl", 1),
    ("VLAE sends less through z", "vlae", "vae", "kl", 0.6),
    ("The same with one prior", "vlae", "af_vae", "kl", 0.6),
    ("An AF prior gives a lower NLL", "vlae", "vlae_iaf_posterior", "nll", 1),
    ("The same flow with a factorized decoder", "af_vae", "iaf_vae", "nll", 1),
    ("The AF prior gives a lower NLL", "vlae", "vlae_gaussian_prior", "nll", 1),
    ("The same with untied masked layers", "vlae_untied", "vlae_gaussian_prior_untied", "nll", 1),
    ("Not a claim of the paper, but expected: with", "af_vae", "vae", "nll", 1),
    ("An autoregressive decoder helps", "vlae", "af_vae", "nll", 1),
    ("Decoder and AF prior help", "vlae", "vae", "nll", 1),
    ("Off static MNIST masked layers", "vlae_untied", "vlae", "nll", 1),
    ("A latent code helps", "vlae", "pixelcnn", "nll", 1),
    ("Not a claim of the paper, but expected: NLL", "vae", "pixelcnn", "nll", 1),
]
LESS_KEPT = [
    ("The opposite split", ("vlae", "fine"), ("vlae_downsampled", "fine")),
    ("A VLAE's decompression keeps less of the fine structure", ("vlae", "fine"), ("vae", "fine")),
]
FIGURES = [("KL of VLAE: 13.3 nats = 19.2 bits", "vlae"), ("KL of an identical VAE", "vae")]
NEVER_JUDGED = [*(start for start, _ in FIGURES), "A VLAE's decompression keeps less of the fine than", "And less of"]


def claim(runs, start: str):
    """The one claim that starts so."""
    (found,) = (one for one in judge_claims(runs) if one.statement.startswith(start))
    return found


def test_every_claim_is_tested_here():
    starts = [start for start, *_ in BELOW + LESS_KEPT] + NEVER_JUDGED
    claims = judge_claims([])
    assert len(claims) == len(set(starts))
    for one in claims:
        assert one.statement.startswith(tuple(starts))


@pytest.mark.parametrize(("start", "first", "second", "column", "factor"), BELOW)
def test_differences_over_images_decide(new_run, start, first, second, column, factor):
    ours, theirs = new_run(first), new_run(second)
    for run in (ours, theirs):
        run.config["model_config"] |= {"objective": "elbo", "free_bits": 0.0}
    theirs.per_image[column] = 20 + ALTERNATING
    for shift, outcome in ((-0.5, "holds"), (0.5, "does not hold"), (0.01, "undecided")):
        ours.per_image[column] = factor * theirs.per_image[column] + shift - ALTERNATING
        assert claim([theirs, ours], start).outcome == outcome


def test_the_first_pixels_are_judged_beside_the_curves_own_model_without_pixels(new_run):
    window, blind, vae = (new_run(model) for model in ("context_4x2", "context_0", "vae"))
    window.per_image["kl"], blind.per_image["kl"], vae.per_image["kl"] = (kl + ALTERNATING for kl in (15, 20, 10))
    assert claim([window, vae], "The more of the image").outcome == "not judged"
    one = claim([window, blind, vae], "The more of the image")
    assert one.outcome == "holds"
    assert "(same objective)" in one.statement


@pytest.mark.parametrize(("start", "first", "second"), LESS_KEPT)
def test_intervals_that_do_not_overlap_decide(new_run, start, first, second):
    runs = {model: new_run(model) for model in {first[0], second[0]}}
    for ours, theirs, outcome in (
        ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "holds"),
        ((0.4, 0.5, 0.6), (0.1, 0.2, 0.3), "does not hold"),
        ((0.1, 0.2, 0.4), (0.3, 0.5, 0.6), "undecided"),
        ((0.3, 0.5, 0.6), (0.1, 0.2, 0.4), "undecided"),
        ((0.1, 0.2, 0.3), (0.3, 0.4, 0.5), "undecided"),
    ):
        for (model, scale), numbers in ((first, ours), (second, theirs)):
            keys = [f"kept_{scale}{end}" for end in ("_low", "", "_high")]
            runs[model].metrics.update(zip(keys, numbers, strict=True))
        assert claim(runs.values(), start).outcome == outcome
    assert "0.20 [0.10, 0.30] against 0.40 [0.30, 0.50]" in claim(runs.values(), start).measured


def test_verdicts_at_a_glance_are_those_of_the_claims(new_run):
    vae, vlae = new_run("vae"), new_run("vlae")
    view = verdicts_view({"both": [vae, vlae], "decoder": [new_run("pixelcnn")]})
    possible = [one for one in judge_claims([vae, vlae]) if one.possible]
    assert view.header == ("claim", "both")
    assert [cells for _, cells in view.rows] == [[one.statement, one.outcome] for one in possible]
    assert {"holds", "not judged"} < {one.outcome for one in possible}


def test_measured_says_both_means_and_how_they_differ(new_run):
    vae, vlae = new_run("vae"), new_run("vlae")
    assert claim([vae, vlae], "Decoder and AF").measured == (
        "88.50 against 94.20 nats: difference −5.70 [−5.70, −5.70]"
    )
    assert claim([vae, vlae], "VLAE sends").measured == "11.60 against 26.40 nats: ratio 0.44"


@pytest.mark.parametrize(("start", "model"), FIGURES)
def test_figures_in_the_text_are_never_judged_and_name_other_data(new_run, start, model):
    static, stand_in = (claim([new_run(model, dataset)], start) for dataset in ("mnist_static", "mnist5k"))
    assert static.outcome == stand_in.outcome == "not judged"
    assert stand_in.measured == f"{static.measured} on mnist5k, which is not the data set the paper gives it for"
    nats, bits = {"vlae": (11.6, 16.74), "vae": (26.4, 38.09)}[model]
    assert static.measured == f"{nats:.2f} nats = {bits:.2f} bits"


@pytest.mark.parametrize(
    ("changes", "confounded"),
    [
        ({}, False),
        ({"context": "full", "tied": False}, False),
        ({"objective": "elbo"}, True),
        ({"free_bits": 0.02}, True),
    ],
)
def test_collapse_under_another_objective_is_not_judged(new_run, changes, confounded):
    vlae, full = new_run("vlae"), new_run("vlae_full_context")
    full.config["model_config"] = vlae.config["model_config"] | changes
    full.per_image["kl"] = vlae.per_image["kl"] * 0.1
    collapse = claim([vlae, full], "Collapse")
    assert ("differ in objective" in collapse.statement) == confounded
    assert collapse.outcome == ("not judged" if confounded else "holds")
    assert "ratio 0.10" in collapse.measured


def test_the_missing_model_is_named_and_nothing_judged(new_run):
    for one in judge_claims([new_run("vlae")]):
        assert one.outcome == "not judged"
    assert claim([new_run("vae")], "Decoder and AF").measured == "vlae: not in this run"
    assert claim([new_run("iaf_vae")], "The opposite").measured == "vlae and vlae_downsampled: not in this run"
    assert claim([], "KL of VLAE").measured == "vlae: not in this run"


def test_other_images_are_not_compared(new_run):
    vae, vlae = new_run("vae"), new_run("vlae")
    vae.config["data_sha256"] = "cd" * 32
    helps = claim([vae, vlae], "Decoder and AF")
    assert (helps.measured, helps.outcome) == ("the two models were evaluated on different images", "not judged")


def test_likelihoods_at_different_k_are_not_compared(new_run):
    vae, vlae, decoder = new_run("vae"), new_run("vlae", importance_samples=128), new_run("pixelcnn")
    helps = claim([vae, vlae], "Decoder and AF")
    assert (helps.measured, helps.outcome) == ("the two models were evaluated with different K", "not judged")
    assert claim([decoder, vlae], "A latent code").outcome == "holds"
    assert claim([vae, vlae], "VLAE sends").outcome == "holds"  # KL is the same in expectation at any K


def test_other_training_images_are_named(new_run):
    vae, vlae = new_run("vae"), new_run("vlae")
    vlae.config["training"] |= {"images": "train+valid"}
    assert claim([vae, vlae], "Decoder and AF").measured.endswith(
        "; the first trained on train+valid, the second on train"
    )


def test_trainings_of_other_lengths_are_named(new_run):
    vae, vlae = new_run("vae"), new_run("vlae")
    assert "steps" not in claim([vae, vlae], "Decoder and AF").measured
    vlae.config["steps"] = 2400
    assert claim([vae, vlae], "Decoder and AF").measured.endswith("; after 2,400 and 1,200 steps")


@pytest.mark.parametrize(
    ("better", "other", "judged"),
    [
        ({}, {}, True), ({}, {"steps": 2400}, True), ({"steps": 1300}, {}, True), ({"steps": 2400}, {}, False),
        ({"images": "train+valid"}, {}, False), ({}, {"images": "train+valid"}, True),
    ],
)  # fmt: skip
def test_a_better_model_that_trained_more_gets_no_verdict_on_its_nll(new_run, better, other, judged):
    vlae, vae = new_run("vlae"), new_run("vae")
    for first, second, verdict in ((vlae, vae, "holds"), (vae, vlae, "does not hold")):
        for run, changes, nll in ((first, better, 80), (second, other, 90)):
            run.per_image["nll"] = nll + ALTERNATING
            run.config["steps"] = changes.get("steps", 1200)
            run.config["training"]["images"] = changes.get("images", "train")
        assert claim([vlae, vae], "Decoder and AF").outcome == (verdict if judged else "not judged")
        assert claim([vlae, vae], "VLAE sends").outcome == "holds"


def test_a_claim_is_possible_where_its_models_and_data_are_at_hand(new_run):
    vlae = [new_run("vlae", dataset) for dataset in ("mnist_static", "mnist5k")]
    assert [claim([run], "KL of VLAE").possible for run in vlae] == [True, False]
    assert not claim(vlae[:1], "A latent code").possible
    assert claim([new_run("pixelcnn"), vlae[1]], "A latent code").possible


@pytest.mark.parametrize(
    ("dataset", "first", "second", "start", "said"),
    [
        ("mnist_static", "vlae", "af_vae", "An autoregressive decoder helps", 79.03 - 79.30),
        ("mnist_static", "vlae", "vlae_iaf_posterior", "An AF prior gives a lower NLL", -0.6),
        ("mnist_dynamic", "vlae", "vlae_gaussian_prior", "The AF prior gives a lower NLL", 78.94 - 79.48),
        ("mnist_dynamic", "vlae_untied", "vlae_gaussian_prior_untied", "The same with untied", 78.94 - 79.48),
        ("mnist5k", "vlae", "af_vae", "An autoregressive decoder helps", None),
        ("mnist_static", "vlae", "af_vae", "The same with one prior", None),
    ],
)
def test_the_papers_difference_is_told_where_it_is_of_the_same_data(new_run, dataset, first, second, start, said):
    told = claim([new_run(first, dataset), new_run(second, dataset)], start).paper
    assert told == (None if said is None else pytest.approx(said))


def test_untying_is_judged_off_static_mnist_alone(new_run):
    for dataset, outcome in (("mnist_dynamic", "does not hold"), ("mnist_static", "not judged")):
        runs = [new_run("vlae", dataset), new_run("vlae_untied", dataset, nll=89.0)]
        untying = claim(runs, "Off static MNIST")
        assert (untying.outcome, untying.possible) == (outcome, outcome != "not judged")


def test_a_smoke_run_judges_nothing(new_run, params):
    laptop = [new_run(model) for model in params.models]
    assert {one.outcome for one in judge_claims(laptop)} > {"holds", "not judged"}
    smoke = [dataclasses.replace(laptop[0], config=laptop[0].config | {"scale": "smoke"}), *laptop[1:]]
    assert {one.outcome for one in judge_claims(smoke)} == {"not judged"}
