"""How a run compares with a row of the paper."""

import numpy as np
import pytest

from pipeline import paper
from pipeline.reporting.verdicts import NO_ROW, OTHER_DATA, compare, in_unit, model_deviations, verdict_of

VLAE_STATIC = paper.STATIC_MNIST.rows[-1]
SMALL_MAPS = "maps of z at 0.1 of their scale at first"


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
        ("vlae", "mnist_static", [SMALL_MAPS]),
        ("vlae", "omniglot", [SMALL_MAPS, "masked convolutions tied"]),
        ("vlae_untied", "omniglot", [SMALL_MAPS]),
        ("vlae_untied", "mnist_static", [SMALL_MAPS, "masked convolutions untied"]),
        ("vlae_annealed", "mnist_dynamic", ["KL annealing instead of free bits"]),
        ("context_0", "mnist_static", ["KL annealing instead of free bits"]),
        ("af_vae_annealed", "mnist_static", ["KL annealing instead of free bits"]),
        ("context_full", "mnist_dynamic", ["context full instead of stack", "KL annealing instead of free bits"]),
        (
            "vlae_full_context",
            "omniglot",
            ["context full instead of stack", SMALL_MAPS, "plain ELBO instead of free bits"],
        ),
        ("vae", "omniglot", []),
        ("pixelcnn", "mnist_static", []),
        ("pixelcnn_5x5", "mnist_static", ["kernel size 5 instead of 3"]),
        ("densenet_vlae_grayscale", "cifar10", []),
        (
            "narrow_4x2",
            "cifar10",
            [
                *("channels 16 instead of 48", "blocks 2 instead of 4", "filters 16 instead of 64"),
                *("latent maps 8 instead of 16", "inner channels 32 instead of 96"),
                *("flow maps 32, 32 instead of 128, 128", "flow steps 2 instead of 6"),
            ],
        ),
        (
            "narrow_pixelcnnpp",
            "cifar10",
            ["channels 16 instead of 48", "blocks 2 instead of 4", "filters 16 instead of 64"],
        ),
    ],
)
def test_deviations_of_a_model_from_the_papers(new_run, model, dataset, expected):
    assert model_deviations(new_run(model, dataset)) == expected


def test_sizes_of_a_code_that_is_not_there_are_no_deviation(new_run):
    decoder = new_run("pixelcnn", "mnist_static")
    decoder.config["model_config"] |= {"latent_dim": 8, "flow_steps": 2, "tied": True, "objective": "annealing"}
    assert model_deviations(decoder) == []
