"""The yardstick: how far ours may be from the paper's number for chance alone, and whether it is the paper's model.

The paper and we have the same test images, or the same up to how grey pixels were drawn black and white. So an interval
over test images is not what separates the two numbers. What does are the images on which two equally good trainings
differ, a new binarization, and the seed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import paper
from pipeline.config import ColorModelConfig, ModelConfig
from pipeline.evaluation.bootstrap import NORMAL
from pipeline.results.names import OBJECTIVES
from pipeline.results.runs import Training

_SIGHT = ("masked_layers", "kernel_size", "channels", "blocks", "filters")
_CODE_SIZES = (
    *("latent_dim", "encoder_channels", "hidden_units", "flow_hidden_units", "conditioning_maps"),
    *("latent_maps", "inner_channels", "flow_maps", "flow_steps"),
)
"""Sizes that the paper gives, which are the defaults of pipeline/config/blocks.py; these only where there is a code."""


@dataclass(frozen=True)
class Noise:
    """Standard errors in nats: of a difference between two similar models on the same images, and of a binarization.

    Measured on the published models: the first from their NLL of each image, the second by drawing the test images
    anew. A fixed test set has no binarization.
    """

    images: float
    binarization: float = 0.0


NOISE = {
    "mnist_static": Noise(0.04),
    "mnist_dynamic": Noise(0.04, 0.063),
    "omniglot": Noise(0.02, 0.066),
    "omniglot_rebuilt": Noise(0.02, 0.066),
    "caltech101": Noise(0.08),
}


@dataclass(frozen=True)
class Verdict:
    """Ours minus the paper's number in the table's unit, the 95 % allowance for chance, and the two in words."""

    difference: float
    allowance: float
    words: str


def compare(training: Training, row: paper.Row) -> Verdict:
    """A training against a row of the paper: three kinds of verdict, the same rule upward and downward."""
    difference = mean_nll(training) - row.value
    allowance = allowed(training)
    if abs(difference) <= allowance:
        return Verdict(difference, allowance, "within what seeds and binarization explain")
    where = "above by" if difference > 0 else "at or below the paper, by"
    return Verdict(difference, allowance, f"{where} {abs(difference):.2f}")


def allowed(training: Training) -> float:
    """1.96 standard errors of the paper's training beside the mean of ours: images, two binarizations, and seeds.

    The paper's one seed and the mean of our n differ by sd² (1 + 1/n); by nothing that is known where n is 1.
    """
    noise = NOISE.get(training.dataset, Noise(0.0))
    seeds = seed_sd(training) ** 2 * (1 + 1 / len(training.seeds)) if training.seeds else 0.0
    return NORMAL * math.sqrt(noise.images**2 + 2 * noise.binarization**2 + seeds)


def mean_nll(training: Training) -> float:
    """Mean NLL over training seeds, in the table's unit."""
    return training.in_unit(float(training.under_seeds("nll").mean()))


def mean_kl(training: Training) -> float:
    """Mean KL over training seeds, in nats."""
    return float(training.under_seeds("kl_nats").mean()) if training.seeds else training.kl


def seed_sd(training: Training) -> float:
    """Standard deviation of NLL over training seeds, in the table's unit; 0 where there is one seed."""
    return training.in_unit(float(training.under_seeds("nll").std(ddof=1))) if training.seeds else 0.0


def is_papers(training: Training) -> bool:
    """Whether it has the architecture that the paper has for these data: sizes, what the decoder sees, tying."""
    return not architecture_deviations(training)


def architecture_deviations(training: Training) -> list[str]:
    """What differs from the paper's model for the same data set, of the sizes that Appendices A and B give."""
    block, coded, usual = training.block, training.block["posterior"] != "none", _usual(training)
    keys = [key for key in (*_SIGHT, *(_CODE_SIZES if coded else ())) if key in block]
    if not training.color:
        keys.append("context")
    sizes = [(key.replace("_", " "), _size(block[key]), _size(usual[key])) for key in keys]
    found = [f"{name} {size} instead of {papers}" for name, size, papers in sizes if size != papers]
    if block.get("luma_map"):
        found.append("first map of z told the luma of blocks")
    if first := block.get("first_kernel_size"):
        found.append(f"first mask {first}×{first}")
    tied = training.dataset == paper.STATIC
    if coded and block["decoder"] == "pixelcnn" and block["tied"] != tied:
        found.append(f"masked convolutions {'tied' if block['tied'] else 'untied'}")
    return found


def deviations(training: Training) -> list[str]:
    """All that is known to differ from the paper's way: architecture, objective, training, estimate."""
    config, metrics, block, found = training.config, training.metrics, training.block, architecture_deviations(training)
    if block["posterior"] != "none":
        if block["decoder"] == "pixelcnn" and block["conditioning_scale"] != 1:
            found.append(f"maps of z at {block['conditioning_scale']} of their scale at first")
        if block["objective"] != (usual := _usual(training)["objective"]):
            found.append(f"{OBJECTIVES[block['objective']]} instead of {OBJECTIVES[usual]}")
    if block.get("optimizer", "adamax") != "adamax":  # unsaid by trainings before there was a choice
        found.append(f"trained by {block['optimizer'].title()} instead of Adamax")
    if config["steps"] < config["steps_planned"]:
        found.append(f"stopped after {config['steps']:,} of {config['steps_planned']:,} steps")
    if starts := config.get("starts"):
        steps = " and ".join(f"{start['steps']:,}" for start in starts)
        found.append(f"continued from the averaged weights of step {steps}")
    if config["training"]["images"] == "train":
        found.append("not trained on validation images")
    most = next((table.importance_samples for table in paper.TABLES if training.dataset in table.datasets), 0)
    if metrics and not metrics["exact"] and metrics["importance_samples"] < most:
        found.append(f"K = {metrics['importance_samples']:,} instead of {most:,}")
    return found


def _usual(training: Training) -> dict[str, Any]:
    kind = ColorModelConfig if training.color else ModelConfig
    return {field.name: field.default for field in dataclasses.fields(kind)}


def _size(value: str | int | Sequence[int]) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
