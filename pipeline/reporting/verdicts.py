"""From numbers to words: how a run compares with a row of the paper, and its model with the paper's."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline import paper
from pipeline.reporting.names import OBJECTIVES
from pipeline.reporting.runs import Training
from pipeline.units import bits_per_dim

OTHER_DATA = "not the paper's data set"
NO_ROW = "no such row in the paper"


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
    """The run against one row; no verdict where its data are not the table's, or there is no such row."""
    ours, low, high = (in_unit(run.metrics[key], run, table.unit) for key in ("nll", "nll_low", "nll_high"))
    difference = ours - row.value if row else None
    if run.dataset not in table.datasets:
        return Comparison(ours, low, high, difference, OTHER_DATA)
    verdict = verdict_of(low - row.value, high - row.value) if row else NO_ROW
    return Comparison(ours, low, high, difference, verdict)


def verdict_of(low: float, high: float) -> str:
    """The interval of a difference of NLLs in words, ours minus the paper's: below zero is better."""
    if low <= 0 <= high:
        return "reproduced within the interval"
    return f"worse by {low:.2f} to {high:.2f}" if low > 0 else f"better by {-high:.2f} to {-low:.2f}"


def model_deviations(training: Training) -> list[str]:
    """What differs in tying, masks and objective from the paper's model for the same data set."""
    block, found = training.block, []
    if block["decoder"] == "pixelcnn" and block["context"] in ("stack", "full") and block["kernel_size"] != 3:
        found.append("masks of {0}×{0} instead of 3×3".format(block["kernel_size"]))
    if block["posterior"] == "none":
        return found
    if block["decoder"] == "pixelcnn" and block["tied"] != (training.dataset == paper.STATIC):
        found.append(f"masked convolutions {'tied' if block['tied'] else 'untied'}")
    if "free_bits" not in block["objective"]:
        found.append(f"{OBJECTIVES[block['objective']]} instead of free bits")
    return found
