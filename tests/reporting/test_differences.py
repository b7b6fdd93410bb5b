"""Differences of two models on the same images, beside the paper's."""

import numpy as np
import pytest

from pipeline.reporting.differences import PAIRS, difference_records, paired, paired_on_training

PAPER = {
    ("vlae", "vlae_iaf_posterior"): (-0.6, -0.8, "mnist_static"),
    ("af_vae", "iaf_vae"): (79.30 - 79.88, None, "mnist_static"),
    ("vlae", "vlae_gaussian_prior"): (78.94 - 79.48, None, "mnist_dynamic"),
    ("vlae_untied", "vlae_gaussian_prior_untied"): (78.94 - 79.48, None, "mnist_dynamic"),
    ("vlae", "pixelcnn"): (78.53 - 87.55, None, "mnist_dynamic"),
    ("vlae", "af_vae"): (79.03 - 79.30, None, "mnist_static"),
}
NOT_IN_THE_PAPER = (None, None, "")


@pytest.fixture
def two(new_run):
    """vlae and vae with NLLs of four images on each split, first − second −2, −2, −1, +1 and 0, 1, 2, 3."""
    first, second = new_run("vlae"), new_run("vae")
    first.per_image["nll"], second.per_image["nll"] = np.array([80.0, 90, 100, 111]), np.array([82.0, 92, 101, 110])
    first.per_image_train["nll"], second.per_image_train["nll"] = np.array([1.0, 2, 3, 4]), np.ones(4)
    return first, second


def test_mean_of_first_minus_second(two):
    interval = paired(*two)
    assert interval.mean == -1.0
    assert interval.se == pytest.approx(np.std([-2, -2, -1, 1], ddof=1) / 2)
    assert -2 <= interval.low < -1 < interval.high <= 1
    assert paired(*reversed(two)).mean == 1.0
    assert paired_on_training(*two).mean == 1.5


def test_factor_and_column(two):
    first, second = two
    first.per_image["kl"], second.per_image["kl"] = np.array([6.0, 7, 8, 9]), np.full(4, 10.0)
    assert paired(first, second, "kl", factor=0.5).mean == 2.5


def test_what_is_hard_in_both_drops_out(new_run):
    interval = paired(new_run("vlae"), new_run("vae"))
    assert interval.mean == pytest.approx(88.5 - 94.2)
    assert interval.high - interval.low < 1e-9


def test_interval_covers_the_mean_of_many_draws(two):
    """19 of 20 intervals of 400 images hold the mean they are drawn around; fewer than 16 would be a one in 10³."""
    first, second = two
    held = 0
    for seed in range(20):
        first.per_image["nll"], second.per_image["nll"] = np.random.default_rng(seed).normal([[-1], [0]], 2, (2, 400))
        interval = paired(first, second)
        held += interval.low <= -1 <= interval.high
    assert held >= 16


def test_no_difference_between_other_images(two):
    first, second = two
    first.per_image["nll"] = first.per_image["nll"][:3]
    assert paired(first, second) is None
    assert paired_on_training(first, second).mean == 1.5
    second.config["data_sha256"] = "cd" * 32
    assert paired_on_training(first, second) is None


def test_the_papers_numbers():
    assert len({(pair.first, pair.second) for pair in PAIRS}) == len(PAIRS)
    for pair in PAIRS:
        test, train, dataset = PAPER.get((pair.first, pair.second), NOT_IN_THE_PAPER)
        assert pair.paper_test == (None if test is None else pytest.approx(test))
        assert (pair.paper_train, pair.paper_dataset) == (train, dataset)
    assert set(PAPER) <= {(pair.first, pair.second) for pair in PAIRS}


def test_a_record_for_each_pair_at_hand(new_run):
    runs = [new_run(model) for model in ("vlae", "vlae_iaf_posterior", "vlae_downsampled")]
    (record,) = difference_records(runs)
    assert record["difference"] == "AF prior − IAF posterior, PixelCNN decoder"
    assert (record["dataset"], record["paper_test"], record["paper_train"]) == ("mnist5k", -0.6, -0.8)
    for split in ("test", "train"):
        measured = [record[f"{split}_{end}"] for end in ("nll", "low", "high")]
        assert measured == pytest.approx([88.5 - 91] * 3)
    runs[0].config["data_sha256"] = "cd" * 32
    (record,) = difference_records(runs)
    assert record["test_nll"] is record["train_low"] is None
