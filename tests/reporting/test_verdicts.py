"""How a run compares with a row of the paper."""

import numpy as np
import pytest

from pipeline import paper
from pipeline.reporting.verdicts import NO_ROW, OTHER_DATA, compare, in_unit, model_deviations, verdict_of

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


def test_verdict_only_on_the_tables_own_data(new_run):
    numbers = {"nll": 79.5, "nll_low": 79.0, "nll_high": 80.0}
    ours = new_run("vlae", "mnist_static", **numbers)
    assert compare(ours, VLAE_STATIC, paper.STATIC_MNIST).verdict == "reproduced within the interval"
    assert compare(ours, VLAE_STATIC, paper.STATIC_MNIST).difference == pytest.approx(0.47)
    assert compare(ours, None, paper.STATIC_MNIST).verdict == NO_ROW
    stand_in = new_run("vlae", "mnist5k", **numbers)
    assert compare(stand_in, VLAE_STATIC, paper.STATIC_MNIST).verdict == OTHER_DATA


def test_bits_per_dimension(new_run):
    assert in_unit(784 * np.log(2), new_run(), "bits/dim") == pytest.approx(1)


@pytest.mark.parametrize(
    ("model", "dataset", "expected"),
    [
        ("vlae", "mnist_static", []),
        ("vlae", "omniglot", ["masked convolutions tied"]),
        ("vlae_untied", "omniglot", []),
        ("vlae_untied", "mnist_static", ["masked convolutions untied"]),
        ("vlae_annealed", "mnist_dynamic", ["KL annealing instead of free bits"]),
        ("context_0", "mnist_static", ["KL annealing instead of free bits"]),
        ("vlae_full_context", "omniglot", ["plain ELBO instead of free bits"]),
        ("vae", "omniglot", []),
        ("pixelcnn", "mnist_static", []),
        ("pixelcnn_5x5", "mnist_static", ["masks of 5×5 instead of 3×3"]),
        ("narrow_7x4", "cifar10", []),
        ("narrow_pixelcnnpp", "cifar10", []),
    ],
)
def test_deviations_of_a_model_are_in_tying_masks_and_objective(new_run, model, dataset, expected):
    assert model_deviations(new_run(model, dataset)) == expected
