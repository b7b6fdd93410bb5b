"""From numbers to words: how a run compares with a row of the paper, and its model with the paper's."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import paper
from pipeline.config import ColorModelConfig, ModelConfig
from pipeline.reporting.names import OBJECTIVES
from pipeline.reporting.runs import Training
from pipeline.units import bits_per_dim

OTHER_DATA = "not the paper's data set"
NO_ROW = "no such row in the paper"
_DECODER_SIZES = ("masked_layers", "kernel_size", "channels", "blocks", "filters")
_CODE_SIZES = (
    *("latent_dim", "encoder_channels", "hidden_units", "flow_hidden_units", "conditioning_maps"),
    *("latent_maps", "inner_channels", "flow_maps", "flow_steps"),
)
"""Sizes that the paper gives, which are the defaults of pipeline/config.py; these only where there is a code."""


@dataclass(frozen=True)
class Comparison:
    """Our NLL with its 95 % interval and, where the paper has the row, ours minus the paper's."""

    ours: float
    low: float
    high: float
    difference: float | None
    verdict: str


def in_unit(nats: float, run: Training, unit: paper.Unit) -> float:
    """Nats per image in the unit of a table."""
    if unit == "nats per image":
        return nats
    return bits_per_dim(nats, run.config["image_shape"])


def compare(run: Training, row: paper.Row | None, table: paper.Table) -> Comparison:
    """The run against one row; neither difference nor verdict where its data are not the table's, or no row is."""
    ours, low, high = (in_unit(run.metrics[key], run, table.unit) for key in ("nll", "nll_low", "nll_high"))
    if run.dataset not in table.datasets:
        return Comparison(ours, low, high, None, OTHER_DATA)
    if row is None:
        return Comparison(ours, low, high, None, NO_ROW)
    return Comparison(ours, low, high, ours - row.value, verdict_of(low - row.value, high - row.value))


def verdict_of(low: float, high: float) -> str:
    """The interval of a difference of NLLs in words, ours minus the paper's: below zero is better."""
    if low <= 0 <= high:
        return "reproduced within the interval"
    return f"worse by {low:.2f} to {high:.2f}" if low > 0 else f"better by {-high:.2f} to {-low:.2f}"


def model_deviations(training: Training) -> list[str]:
    """What differs from the paper's model for the same data set, of what Appendices A and B give."""
    block, coded = training.block, training.block["posterior"] != "none"
    kind = ColorModelConfig if training.color else ModelConfig
    usual: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(kind)}
    keys = [key for key in (*_DECODER_SIZES, *(_CODE_SIZES if coded else ())) if key in block]
    if not training.color:
        keys.append("context")
    sizes = [(key.replace("_", " "), _size(block[key]), _size(usual[key])) for key in keys]
    found = [f"{name} {size} instead of {papers}" for name, size, papers in sizes if size != papers]
    if coded and block["decoder"] == "pixelcnn":
        if block["conditioning_scale"] != 1:
            found.append(f"maps of z at {block['conditioning_scale']} of their scale at first")
        if block["tied"] != (training.dataset == paper.STATIC):
            found.append(f"masked convolutions {'tied' if block['tied'] else 'untied'}")
    if coded and block["objective"] != usual["objective"]:
        found.append(f"{OBJECTIVES[block['objective']]} instead of {OBJECTIVES[usual['objective']]}")
    return found


def _size(value: str | int | Sequence[int]) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
