"""When a fresh evaluation agrees with a published one, on invented NLLs."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from pipeline.evaluation.bootstrap import bootstrap
from pipeline.evaluation.likelihood import per_dimension
from pipeline.publishing.verification import (
    IMAGES,
    NOISE_SEED,
    TOLERANCE,
    at_published_k,
    choose,
    column,
    compare,
    derived_faults,
)

COUNT = 3000
HARD = 80 + 20 * np.random.default_rng(0).normal(size=COUNT)
CODE = HARD / 8 + np.random.default_rng(2).normal(size=COUNT)
NOISE = np.random.default_rng(1).normal(size=(3, COUNT))


def published(exact: bool = False) -> tuple[dict, dict]:
    """metrics.json and per_image.csv.gz of 3,000 images: NLL is 1 nat lower at K = 4096 than at 64, 2 than −ELBO."""
    if exact:
        return {"nll": HARD.mean(), "kl_nats": 0, "exact": True, "importance_samples": 0}, {"nll": HARD.round(3)}
    table = {"nll": HARD - 1, "nll_k64": HARD + 0.2 * NOISE[0], "kl": CODE + 0.1 * NOISE[1]}
    metrics = {"nll": HARD.mean() - 1, "elbo": -HARD.mean() - 2, "kl_nats": table["kl"].mean(), "exact": False,
               "importance_samples": 4096}  # fmt: skip
    return metrics, {name: values.round(3) for name, values in table.items()}


def judged(metrics: dict, table: dict, shift: float = 0.0, fresh: np.ndarray | None = None, kl_shift: float = 0.0):
    """Beside a fresh evaluation with K = 64 whose NLL and KL are higher by so many nats."""
    chosen = choose(COUNT, "binary")
    evaluated = HARD + (0 if metrics["exact"] else 0.4) * NOISE[1] if fresh is None else fresh
    kl = np.zeros(COUNT) if metrics["exact"] else CODE + 0.4 * NOISE[2] + kl_shift
    nats = {"nll": evaluated[chosen] + shift, "kl": kl[chosen]}
    nats["reconstruction"] = nats["nll"] + (2 + NOISE[0])[chosen] - nats["kl"]
    if few := at_published_k(metrics):
        nats["at_published_k"] = (HARD - 1 + 0.05 * NOISE[1])[chosen[:few]] + shift
    return compare(metrics, table, chosen, nats)


@pytest.mark.parametrize("exact", [False, True])
def test_the_same_model_is_verified(exact):
    result = judged(*published(exact))
    assert result.faults == []
    assert (result.images, result.samples) == (IMAGES["binary"], 0 if exact else 64)
    assert result.nll.verified.value == pytest.approx(result.nll.published, abs=1.5)
    assert abs(result.nll.difference.value) < 0.03
    assert exact == (result.kl is None)


def test_the_interval_is_the_99_9_percent_one_of_a_normal_mean():
    difference = judged(*published()).nll.difference
    assert difference.value - difference.low == pytest.approx(difference.high - difference.value)
    assert 2 * NormalDist().cdf(-(difference.high - difference.value) / difference.se) == pytest.approx(1e-3, rel=0.01)


@pytest.mark.parametrize("shift", [-0.08, 0.08])
def test_a_small_difference_on_the_same_images_is_found(shift):
    faults = judged(*published(), shift).faults
    assert [fault.split(":")[0] for fault in faults] == ["NLL", "NLL at K = 4096"]
    assert all("the same images give" in fault for fault in faults)


@pytest.mark.parametrize("shift", [-0.08, 0.08])
def test_a_small_difference_of_kl_is_found(shift):
    result = judged(*published(), kl_shift=shift)
    (fault,) = result.faults
    assert fault.startswith("KL: the same images give")
    assert result.kl.difference.value == pytest.approx(shift, abs=0.03)


def test_a_kl_that_is_not_that_of_the_images_is_found():
    metrics, table = published()
    (fault,) = judged(metrics | {"kl_nats": metrics["kl_nats"] + 0.01}, table).faults
    assert fault.startswith("KL ")
    assert "is not the mean of the published images" in fault


@pytest.mark.parametrize("change", [-0.15, 0.15])
def test_an_elbo_that_the_weights_do_not_give_is_found(change):
    metrics, table = published()
    (fault,) = judged(metrics | {"elbo": metrics["elbo"] + change}, table).faults
    assert fault.startswith(f"−ELBO is {2 - change:.2f}")


@pytest.mark.parametrize("better", [-0.2, 0.2, 5])
def test_an_nll_that_is_wrong_at_the_published_k_alone_is_found(better):
    metrics, table = published()
    wrong = metrics | {"nll": metrics["nll"] - better}, table | {"nll": table["nll"] - better}
    (fault,) = judged(*wrong).faults
    assert fault.startswith("NLL at K = 4096: the same images give")


@pytest.mark.parametrize(("exact", "k", "few"), [(True, 0, 0), (False, 64, 0), (False, 256, 40), (False, 4096, 25)])
def test_the_larger_the_published_k_the_fewer_images_are_evaluated_at_it(exact, k, few):
    assert at_published_k({"exact": exact, "importance_samples": k}) == few


def test_interval_and_bits_are_those_of_the_images():
    nll = bootstrap(HARD, 3)
    metrics = {"nll": nll.mean, "nll_low": nll.low, "nll_high": nll.high, "elbo": -90.0, "kl_nats": 10.0,
               "kl_bits": 10 / math.log(2), "reconstruction_nats": 80.0, "code_length_bits": 90 / math.log(2),
               "nll_se": nll.se, "exact": False, "seed": 3}  # fmt: skip
    metrics |= per_dimension(metrics, (3, 4, 4))
    assert derived_faults(metrics, HARD, (3, 4, 4)) == []
    for key in ("nll_low", "nll_high", "kl_bits", "bits_per_dim", "bits_per_dim_low", "kl_bits_per_dim", "elbo",
                "code_length_bits", "nll_se"):  # fmt: skip
        (fault, *_) = derived_faults(metrics | {key: metrics[key] + 0.01}, HARD, (3, 4, 4))
        assert fault.startswith(f"{key} ")
    del metrics["bits_per_dim_high"]
    (fault,) = derived_faults(metrics, HARD, (3, 4, 4))
    assert fault.startswith("bits_per_dim_high nan should be")


def test_of_an_exact_model_all_is_its_nll():
    nll = bootstrap(HARD, 3)
    metrics = {"nll": nll.mean, "nll_low": nll.low, "nll_high": nll.high, "nll_se": nll.se, "elbo": -nll.mean,
               "elbo_se": nll.se, "kl_nats": 0.0, "kl_bits": 0.0, "reconstruction_nats": nll.mean,
               "code_length_bits": nll.mean / math.log(2), "exact": True, "seed": 3}  # fmt: skip
    assert derived_faults(metrics, HARD, (1, 4, 4)) == []
    moved = {"kl_nats": 20.0, "kl_bits": 20 / math.log(2), "reconstruction_nats": nll.mean - 20, "elbo_se": 9.0}
    faults = derived_faults(metrics | moved, HARD, (1, 4, 4))
    assert [fault.split()[0] for fault in faults] == ["reconstruction_nats", "kl_nats", "elbo_se"]


def test_a_difference_within_the_tolerance_is_not_judged():
    metrics, table = published()
    quiet = table["nll_k64"] + 1e-6 * NOISE[1]
    assert judged(metrics, table, 0.9 * TOLERANCE, quiet).faults == []
    assert judged(metrics, table, 1.1 * TOLERANCE, quiet).faults != []


def test_an_exact_nll_is_compared_image_by_image():
    metrics, table = published(exact=True)
    table["nll"][choose(COUNT, "binary")[5]] += 0.01
    table["nll"][choose(COUNT, "binary")[6]] -= 0.01
    (fault,) = judged(metrics, table).faults
    assert "which is exact, is off by 0.01" in fault


def test_a_mean_that_is_not_that_of_the_images_is_found():
    metrics, table = published()
    (fault,) = judged(metrics | {"nll": metrics["nll"] - 0.01}, table).faults
    assert "is not the mean of the published images" in fault


def test_a_mean_far_from_the_evaluated_images_is_found_though_the_difference_is_right():
    metrics, table = published()
    others = np.setdiff1d(np.arange(COUNT), choose(COUNT, "binary"))
    table["nll"][others] -= 10  # images that are not evaluated again
    (fault,) = judged(metrics | {"nll": table["nll"].mean()}, table).faults
    assert "is outside" in fault


def test_rows_of_other_images_are_found_though_their_mean_is_right():
    metrics, table = published()
    mixed = {name: np.roll(values, 1) for name, values in table.items()}
    assert "the published NLLs are not of these images" in judged(metrics, mixed).faults


@pytest.mark.parametrize(
    ("exact", "published_k", "expected"),
    [(True, 0, ("nll", 0)), (False, 16, ("nll", 16)), (False, 64, ("nll", 64)), (False, 256, ("nll_k64", 64))],
)
def test_images_are_compared_at_a_k_that_was_published(exact, published_k, expected):
    assert column({"exact": exact, "importance_samples": published_k}) == expected


def test_the_choice_of_images_is_fixed_and_without_repetition():
    assert np.array_equal(choose(COUNT, "binary"), choose(COUNT, "binary"))
    assert len(np.unique(choose(COUNT, "binary"))) == IMAGES["binary"]
    assert choose(COUNT, "binary").max() >= IMAGES["binary"]
    assert choose(40, "binary").tolist() == list(range(40))


def test_no_run_has_the_noise_of_the_verification():
    assert NOISE_SEED < 0  # seeds of runs are from 0 on (pipeline/config/names.py)
