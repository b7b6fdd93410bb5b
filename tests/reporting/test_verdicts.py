"""The yardstick: three kinds of verdict, and whether a model is the paper's."""

import dataclasses
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from pipeline import paper
from pipeline.reporting.verdicts import NOISE, allowed, architecture_deviations, compare, deviations, is_papers
from pipeline.results.published import collect_published

SMALL_MAPS = "maps of z at 0.1 of their scale at first"
TRAINED_LESS = "not trained on validation images"
VLAE = {table.datasets[0]: next(row for row in table.rows if row.label == "VLAE") for table in paper.TABLES[:4]}
PUBLISHED = Path(__file__).parents[2] / "published"


@pytest.mark.parametrize(("dataset", "width"), [("mnist_static", 0.08), ("mnist_dynamic", 0.19), ("omniglot", 0.187)])
def test_the_rule_is_the_same_upward_and_downward(new_run, dataset, width):
    row = VLAE[dataset]
    run = new_run("vlae", dataset)
    assert allowed(run) == pytest.approx(width, abs=0.005)
    for sign, words in ((1, "above by 0.50"), (-1, "at or below the paper, by 0.50")):
        run.metrics["nll"] = row.value + sign * 0.5
        assert compare(run, row).words == words
        run.metrics["nll"] = row.value + sign * 0.95 * width
        assert compare(run, row).words == "within what seeds and binarization explain"


def test_a_spread_over_seeds_widens_it_and_their_mean_is_judged(new_run):
    run = new_run("vlae", "mnist_static")
    several = dataclasses.replace(run, seeds=tuple(run.metrics | {"nll": nll} for nll in (79.5, 79.6, 79.7)))
    assert allowed(several) == pytest.approx(1.96 * (0.04**2 + 0.1**2 * (1 + 1 / 3)) ** 0.5)
    assert compare(several, VLAE["mnist_static"]).difference == pytest.approx(79.6 - 79.03)


def test_the_noise_of_images_is_that_of_similar_published_models():
    measured = {}
    for first, second in combinations(collect_published(PUBLISHED), 2):
        if first.dataset == second.dataset in NOISE and first.metrics and second.metrics:
            difference = first.per_image["nll"] - second.per_image["nll"]
            if abs(difference.mean()) < 1:
                measured.setdefault(first.dataset, []).append(difference.std(ddof=1) / len(difference) ** 0.5)
    assert measured
    for dataset, errors in measured.items():
        assert 0.5 * NOISE[dataset].images < max(errors) <= NOISE[dataset].images + 0.005, dataset


@pytest.mark.parametrize(
    ("model", "dataset", "architecture", "others"),
    [
        ("vlae", "mnist_static", [], [SMALL_MAPS]),
        ("vlae", "omniglot", ["masked convolutions tied"], [SMALL_MAPS]),
        ("vlae_untied", "omniglot", [], [SMALL_MAPS]),
        ("vlae_annealed", "mnist_static", ["masked convolutions untied"], ["KL annealing instead of free bits"]),
        ("af_vae_annealed", "mnist_static", [], ["KL annealing instead of free bits"]),
        ("context_full", "mnist_dynamic", ["context full instead of stack"], ["KL annealing instead of free bits"]),
        ("vae", "omniglot", [], []),
        ("pixelcnn", "mnist_static", [], []),
        ("pixelcnn_5x5", "mnist_static", ["kernel size 5 instead of 3"], []),
        ("pixelcnn_first_7x7", "mnist_static", ["first mask 7×7"], []),
        ("vlae_5x5", "omniglot", ["kernel size 5 instead of 3", "filters 16 instead of 12"], [SMALL_MAPS]),
        ("densenet_vlae_grayscale", "cifar10", [], []),
        ("medium_7x4", "cifar10",
         ["channels 24 instead of 48", "filters 32 instead of 64", "inner channels 48 instead of 96",
          "flow maps 64, 64 instead of 128, 128", "flow steps 2 instead of 6"], ["trained by Muon instead of Adamax"]),
        ("narrow_pixelcnnpp", "cifar10",
         ["channels 16 instead of 48", "blocks 2 instead of 4", "filters 16 instead of 64"], []),
    ],
)  # fmt: skip
def test_deviations_of_a_model_from_the_papers(new_run, model, dataset, architecture, others):
    run = new_run(model, dataset, importance_samples=4096)
    assert architecture_deviations(run) == architecture
    assert is_papers(run) == (not architecture)
    assert deviations(run) == [*architecture, *others, TRAINED_LESS]


@pytest.mark.parametrize(
    ("config", "metrics", "expected"),
    [
        ({"steps": 900}, {}, ["stopped after 900 of 1,200 steps"]),
        ({"starts": [{"steps": 80}, {"steps": 90}]}, {}, ["continued from the averaged weights of step 80 and 90"]),
        ({}, {"importance_samples": 256}, ["K = 256 instead of 4,096"]),
    ],
)
def test_deviations_of_the_training_are_told(new_run, config, metrics, expected):
    run = new_run("vae", "mnist_static", **{"importance_samples": 4096} | metrics)
    run.config.update(config)
    run.config["training"]["images"] = "train+valid"
    assert deviations(run) == expected


def test_sizes_of_a_code_that_is_not_there_are_no_deviation(new_run):
    decoder = new_run("pixelcnn", "mnist_static")
    decoder.config["model_config"] |= {"latent_dim": 8, "flow_steps": 2, "tied": True, "objective": "annealing"}
    assert deviations(decoder) == [TRAINED_LESS]


def test_kl_comes_from_what_is_told_of_each_image(new_run):
    run = new_run("vlae", kl_nats=99.0)
    assert run.kl == pytest.approx(np.mean(run.per_image["kl"])) == pytest.approx(11.6)
