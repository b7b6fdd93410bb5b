"""How measured numbers become words."""

import numpy as np
import pytest

from pipeline import paper
from pipeline.reporting.runs import read_run
from pipeline.reporting.verdicts import NO_ROW, OTHER_DATA, compare, in_unit, judge_claims, verdict_of

VLAE_STATIC = paper.STATIC_MNIST.rows[-1]


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.3, 0.4, "reproduced within the interval"),
        (0.0, 0.4, "reproduced within the interval"),
        (0.5, 1.25, "worse by 0.50 to 1.25"),
        (-1.5, -0.2, "better by 0.20 to 1.50"),
    ],
)
def test_verdict_follows_the_interval(low, high, verdict):
    assert verdict_of(low, high) == verdict


def test_verdict_only_on_the_tables_own_data(make_run):
    numbers = {"nll": 79.5, "nll_low": 79.0, "nll_high": 80.0}
    ours = read_run(make_run("mnist_static", **numbers))
    assert compare(ours, VLAE_STATIC, paper.STATIC_MNIST).verdict == "reproduced within the interval"
    assert compare(ours, VLAE_STATIC, paper.STATIC_MNIST).difference == pytest.approx(0.47)
    assert compare(ours, None, paper.STATIC_MNIST).verdict == NO_ROW
    stand_in = read_run(make_run("mnist5k", **numbers))
    assert compare(stand_in, VLAE_STATIC, paper.STATIC_MNIST).verdict == OTHER_DATA


def test_bits_per_dimension(make_run):
    run = read_run(make_run())
    assert in_unit(784 * np.log(2), run, "bits/dim") == pytest.approx(1)


def outcomes(runs) -> list[str]:
    return [claim.outcome for claim in judge_claims(runs)]


def test_claims_on_numbers_that_bear_them_out(make_run):
    runs = [read_run(make_run(model=model)) for model in ("vae", "pixelcnn", "vlae", "vlae_full_context")]
    assert outcomes(runs) == ["holds"] * 5
    assert "5.70" in judge_claims(runs)[0].measured
    assert "lower" in judge_claims(runs)[0].measured


def test_collapse_under_another_objective_is_said_to_be_no_proof(make_run):
    vlae, full = (read_run(make_run(model=model)) for model in ("vlae", "vlae_full_context"))
    for free_bits, confounded in ((0.0, True), (0.01, False)):
        vlae.config["model_config"]["free_bits"] = 0.01
        full.config["model_config"]["free_bits"] = free_bits
        assert ("differ in free bits" in judge_claims([vlae, full])[-1].statement) == confounded


def test_claims_on_numbers_that_contradict_them(make_run):
    vae, vlae = (read_run(make_run(model=model)) for model in ("vae", "vlae"))
    vlae.per_image["nll"] = vae.per_image["nll"] + 1
    vlae.per_image["kl"] = vae.per_image["kl"]
    first, _, _, lossy, _ = judge_claims([vae, vlae])
    assert first.outcome == "does not hold"
    assert "higher" in first.measured
    assert lossy.outcome == "does not hold"


def test_claim_is_undecided_when_the_paired_interval_holds_zero(make_run):
    vae, vlae = (read_run(make_run(model=model)) for model in ("vae", "vlae"))
    sign = np.where(np.arange(500) % 2, 1.0, -1.0)
    vlae.per_image["nll"] = vae.per_image["nll"] + sign - 0.01
    assert outcomes([vae, vlae])[0] == "undecided"


def test_claims_without_their_models_or_at_smoke_scale_are_not_judged(make_run):
    assert outcomes([read_run(make_run())]) == ["not judged"] * 5
    smoke = [read_run(make_run("omniglot", model, scale="smoke")) for model in ("vae", "vlae")]
    assert outcomes(smoke)[0] == "not judged"
