"""From numbers to words: how a run compares with a row of the paper, and which of its claims hold here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipeline import paper
from pipeline.reporting.runs import Run
from pipeline.units import bits_per_dim

OTHER_DATA = "not the paper's data set"
NO_ROW = "no such row in the paper"
Z95 = 1.96
KL_RATIO_VLAE_VAE = 0.6
KL_RATIO_FULL_VLAE = 0.4

Outcome = Literal["holds", "does not hold", "undecided", "not judged"]


@dataclass(frozen=True)
class Comparison:
    """Our NLL with its 95 % interval and, where the paper has the row, ours minus the paper's."""

    ours: float
    low: float
    high: float
    difference: float | None
    verdict: str


@dataclass(frozen=True)
class Claim:
    """One qualitative claim of the paper, what was measured for it, and what that says."""

    statement: str
    measured: str
    outcome: Outcome


def in_unit(nats: float, run: Run, unit: paper.Unit) -> float:
    """Nats per image in the unit of a table."""
    if unit == "nats per image":
        return nats
    return bits_per_dim(nats, run.config["image_shape"])


def compare(run: Run, row: paper.Row | None, table: paper.Table) -> Comparison:
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


def judge_claims(runs: Iterable[Run]) -> list[Claim]:
    """The paper's qualitative claims on the runs of one data set; one about an absent model is not judged."""
    by_name = {run.model: run for run in runs}
    vae, vlae = by_name.get("vae"), by_name.get("vlae")
    pixelcnn, full = by_name.get("pixelcnn"), by_name.get("vlae_full_context")
    paper_ratio = paper.KL_VLAE.nats / paper.KL_VAE.nats
    lossy = (
        "The code is lossy: VLAE leaves local detail out of z, so its KL is under "
        f"{KL_RATIO_VLAE_VAE} of the VAE's (in the paper {paper_ratio:.2f}; the threshold is ours)"
    )
    collapse = (
        "Collapse: with a decoder that sees every earlier pixel, KL is under "
        f"{KL_RATIO_FULL_VLAE} of the VLAE's (in theory, with a strong enough decoder, zero; the threshold is ours)"
    )
    if full and vlae and _free_bits(full) != _free_bits(vlae):
        collapse += (
            ". The two differ in free bits as well as in context: this alone does not show which of them "
            "empties the code"
        )
    return [
        _below("An autoregressive decoder helps: NLL of VLAE below the VAE's", "nll", vlae, vae),
        _below("A latent code helps: NLL of VLAE below the Unconditional Decoder's", "nll", vlae, pixelcnn),
        _below(
            "Not a claim of the paper, but expected: NLL of the VAE below the Unconditional Decoder's",
            "nll",
            vae,
            pixelcnn,
        ),
        _below(lossy, "kl", vlae, vae, KL_RATIO_VLAE_VAE),
        _below(collapse, "kl", full, vlae, KL_RATIO_FULL_VLAE),
    ]


def _free_bits(run: Run) -> float:
    return run.config["model_config"]["free_bits"]


def _below(statement: str, column: str, run: Run | None, other: Run | None, factor: float = 1) -> Claim:
    """Whether `column` of a run is below `factor` times the other's, by differences paired over images."""
    if run is None or other is None:
        return Claim(statement, "a model it needs is not in this run", "not judged")
    ours, theirs = run.per_image[column], other.per_image[column]
    if len(ours) != len(theirs):
        return Claim(statement, "the two models were evaluated on different images", "not judged")
    paired = ours - factor * theirs
    difference, margin = paired.mean(), Z95 * paired.std(ddof=1) / math.sqrt(len(paired))
    measured = f"{ours.mean():.2f} against {theirs.mean():.2f} nats"
    if factor == 1:
        measured += f": {abs(difference):.2f} ± {margin:.2f} {'lower' if difference < 0 else 'higher'}"
    elif theirs.mean() > 0:
        measured += f": ratio {ours.mean() / theirs.mean():.2f}"
    if run.config["scale"] == "smoke":
        return Claim(statement, measured, "not judged")
    return Claim(statement, measured, _outcome(difference, margin))


def _outcome(difference: float, margin: float) -> Outcome:
    """A claim that a difference is negative, given its mean and the half width of its 95 % interval."""
    if difference + margin < 0:
        return "holds"
    return "does not hold" if difference - margin > 0 else "undecided"
