"""The paper's claims as data, and how each is judged on the models at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from pipeline import paper
from pipeline.evaluation.bootstrap import Interval, normal_interval
from pipeline.results.runs import Training

Outcome = Literal["holds", "fails", "open"]
INFINITE = float("inf")
LONGER = 1.1
"""Times the steps of the other that the better of two models may have had for a verdict on their NLL."""
EMPTY, NEAR = 0.05, 0.05
"""Nats: below the first a code is called empty; a decoder so near to H(x) can model the images alone."""


@dataclass(frozen=True)
class Claim:
    """That `column` of the model `first`, minus `factor` times the other value, lies in `band`.

    The other value is that of the model `second`, image by image; or `exact`, a known one in metrics.json, of which the
    band is a share if `relative`; or zero. `column` is one of per_image.csv, or `kept_…` of metrics.json. `ours`:
    expected here, but no claim of the paper or of theory. `not_on`: a data set that it is not about. `premise`: a model
    that must come as near to H(x) as `NEAR`, or the claim cannot fail.
    """

    section: str
    statement: str
    first: str
    second: str = ""
    column: str = "nll"
    factor: float = 1.0
    band: tuple[float, float] = (-INFINITE, 0)
    exact: str = ""
    relative: bool = False
    ours: bool = False
    not_on: str = ""
    premise: str = ""


@dataclass(frozen=True)
class Judged:
    """A claim on one data set: an outcome, what was measured, and the paper's difference of NLL if it gives one."""

    claim: Claim
    dataset: str
    origin: str
    outcome: Outcome
    measured: str
    paper: float | None = None


WHY, KNOWN, LOSSY = "Why a VAE ignores its code", "Where the truth is known", "Lossy codes by design"
PRIOR, HELP = "What an AF prior gains", "Code and decoder help each other"
CLAIMS = (
    Claim(KNOWN, "A decoder that sees what the source itself looks at leaves to z what is global, no more and no less: "
          "KL is I(x; g) within 5 %", "textures_window", column="kl", exact="exact_information",
          band=(-0.05, 0.05), relative=True),
    Claim(KNOWN, "And it models the images as well as they can be: NLL is H(x) within 0.15 nats", "textures_window",
          exact="exact_nll", band=(-0.15, 0.15)),
    Claim(KNOWN, "Collapse: a strong decoder that sees every earlier pixel, from scratch, leaves z empty: KL under "
          "0.05 nats", "textures_full_context", column="kl", band=(-INFINITE, EMPTY), premise="textures_no_latent"),
    Claim(KNOWN, "And loses little by it: NLL is H(x) within 0.2 nats", "textures_full_context",
          exact="exact_nll", band=(-0.2, 0.2)),
    Claim(KNOWN, "Nor beside its twin without z: NLL is the same within 0.2 nats", "textures_full_context",
          "textures_no_latent", band=(-0.2, 0.2)),
    Claim(KNOWN, "A decoder that sees no pixels sends what is local through z as well: KL over 1.5 times I(x; g)",
          "textures_no_pixels", column="kl", factor=1.5, exact="exact_information",
          band=(0, INFINITE)),
    Claim(KNOWN, "In colour z drops a hue that any neighbour tells; with the same window in grey it carries it: less "
          "goes through z in colour", "color_textures_window", "color_textures_window_grayscale", "kl"),
    Claim(WHY, "With a window of 10 pixels less goes through z than with none", "context_4x2", "context_0", "kl"),
    Claim(WHY, "With the paper's 69 pixels less than with 10", "context_stack", "context_4x2", "kl"),
    Claim(WHY, "With every earlier pixel less than with 69", "context_full", "context_stack", "kl"),
    Claim(LOSSY, "VLAE sends less through z: KL under 0.6 of the VAE's", "vlae", "vae", "kl", 0.6),
    Claim(LOSSY, "The same with one prior: KL under 0.6 of the AF VAE's", "vlae", "af_vae", "kl", 0.6),
    Claim(LOSSY, "Decompressions redraw local detail: the VLAE's keep less fine structure than the VAE's",
          "vlae", "vae", "kept_fine"),
    Claim(LOSSY, "The opposite split: a decoder that sees block averages leaves detail to z, so the VLAE keeps less",
          "vlae", "vlae_downsampled", "kept_fine"),
    Claim(LOSSY, "With a colour window z drops colour, with a grey one it keeps it", "densenet_vlae",
          "densenet_vlae_grayscale", "kept_color"),
    Claim(LOSSY, "The same at a small size: with a colour window z drops colour", "narrow_7x4",
          "narrow_7x4_grayscale", "kept_color"),
    Claim(PRIOR, "An AF prior beats the same flow as IAF posterior: PixelCNN decoder", "vlae", "vlae_iaf_posterior"),
    Claim(PRIOR, "The same with a factorized decoder", "af_vae", "iaf_vae"),
    Claim(PRIOR, "An AF prior beats a Gaussian prior (Appendix D)", "vlae", "vlae_gaussian_prior"),
    Claim(PRIOR, "The same with untied masked layers", "vlae_untied", "vlae_gaussian_prior_untied"),
    Claim(PRIOR, "The same with a factorized decoder", "af_vae", "vae", ours=True),
    Claim(HELP, "An autoregressive decoder helps: VLAE beats the AF VAE, whose prior is the same", "vlae", "af_vae"),
    Claim(HELP, "The same, both with KL annealing", "vlae_annealed", "af_vae_annealed"),
    Claim(HELP, "Decoder and AF prior help: VLAE beats the VAE with a Gaussian prior", "vlae", "vae"),
    Claim(HELP, "Off static MNIST, masked layers with weights of their own beat tied ones", "vlae_untied", "vlae",
          not_on=paper.STATIC),
    Claim(HELP, "A latent code helps: VLAE beats the Unconditional Decoder", "vlae", "pixelcnn"),
    Claim(HELP, "Even the VAE beats the Unconditional Decoder", "vae", "pixelcnn", ours=True),
    Claim(HELP, "Wider masks help: 5×5 in place of 3×3, and 16 filters in place of 12", "vlae_5x5", "vlae_untied",
          ours=True),
    Claim(HELP, "And without a code: 5×5 in place of 3×3", "pixelcnn_5x5", "pixelcnn", ours=True),
)  # fmt: skip


def judge(trainings: Sequence[Training]) -> list[Judged]:
    """Every claim on the trainings of one data set of one origin whose models are there."""
    models = {training.model: training for training in trainings if training.metrics}
    there = [claim for claim in CLAIMS if {claim.first, claim.second} - {""} <= set(models)]
    measured = [claim for claim in there if _measured(claim, models)]
    return [_judge(claim, models) for claim in measured if models[claim.first].dataset != claim.not_on]


def decided(judged: Iterable[Judged]) -> dict[Claim, tuple[Outcome, list[Judged]]]:
    """Each claim once: by the published results where there are some, else by this run.

    It fails where it fails on any data set, holds where it holds on one, and is open otherwise.
    """
    found: dict[Claim, tuple[Outcome, list[Judged]]] = {}
    for one in judged:
        found.setdefault(one.claim, ("open", []))[1].append(one)
    for claim, (_, of) in found.items():
        outcomes = {one.outcome for one in [each for each in of if each.origin == "published"] or of}
        found[claim] = ("fails" if "fails" in outcomes else "holds" if "holds" in outcomes else "open", of)
    return {claim: found[claim] for claim in CLAIMS if claim in found}


def tally(claims: Mapping[Claim, tuple[Outcome, list[Judged]]]) -> Counter[str]:
    """How many of the paper's and of theory's hold, fail and are open; those that are ours do not count."""
    return Counter(outcome for claim, (outcome, _) in claims.items() if not claim.ours)


@cache
def paired(first: Training, second: Training, column: str = "nll", factor: float = 1) -> Interval | None:
    """Mean over test images of first − factor · second, in nats; None if the two did not see the same images."""
    ours, theirs = _nats(first, second, column)
    same = len(ours) == len(theirs) and first.config["data_sha256"] == second.config["data_sha256"]
    return normal_interval(ours - factor * theirs) if same else None


def _nats(first: Training, second: Training, column: str) -> tuple[np.ndarray, np.ndarray]:
    """A column of both, (N,) each: of NLLs of unlike K those with the smaller K, where that is known of both."""
    fewer = f"nll_k{_fewer(first, second)}" if column == "nll" else column
    ours, theirs = (one.per_image.get(fewer, one.per_image[column]) for one in (first, second))
    return ours, theirs


def _fewer(first: Training, second: Training) -> int:
    """The smaller K of the two; 0 if they have the same, or one is exact."""
    samples = {one.metrics["importance_samples"] for one in (first, second) if one.coded}
    return min(samples) if len(samples) > 1 else 0


def _measured(claim: Claim, models: Mapping[str, Training]) -> bool:
    """Whether metrics.json has what it takes: not all data sets have known values, and a measure may have failed."""
    keys = {claim.exact} - {""} | ({claim.column} if claim.column.startswith("kept_") else set())
    return all(keys <= set(models[model].metrics) for model in {claim.first, claim.second} - {""})


def _judge(claim: Claim, models: Mapping[str, Training]) -> Judged:
    first, second = models[claim.first], models.get(claim.second)
    interval, reason = _interval(claim, first, second), _reason(claim, first, second)
    outcome: Outcome = "open"
    if interval is None:
        measured = "not evaluated on the same images"
    else:
        measured = _told(claim, first, second, interval)
        outcome = "open" if reason else _side(claim, first, interval)
        if outcome == "fails" and (excess := _short_of_premise(claim, models)) > NEAR:
            outcome, reason = "open", f"without z the decoder is {excess:.2f} nats above H(x): it cannot do alone yet"
    measured = "; ".join(filter(None, (measured, reason))).replace("-", "−")
    said = paper.difference(first.dataset, claim.first, claim.second) if claim.column == "nll" else None
    return Judged(claim, first.dataset, first.origin, outcome, measured, said)


def _interval(claim: Claim, first: Training, second: Training | None) -> Interval | None:
    """Of the difference, over test images; correlations do not pair by image, so that of those both intervals count."""
    if claim.column.startswith("kept_") and second:
        ours, theirs = ([one.metrics[claim.column + end] for end in ("", "_low", "_high")] for one in (first, second))
        return Interval(ours[0] - theirs[0], 0.0, ours[1] - theirs[2], ours[2] - theirs[1])
    if second:
        return paired(first, second, claim.column, claim.factor)
    known = first.per_image.get(claim.exact, first.metrics[claim.exact]) if claim.exact else 0.0
    return normal_interval(first.per_image[claim.column] - claim.factor * known)


def _reason(claim: Claim, first: Training, second: Training | None) -> str:
    """Why nothing can be said, whatever was measured: unlike trainings or estimates of NLL, too small a run."""
    if first.config["scale"] == "smoke":
        return "a smoke run judges nothing"
    if claim.column != "nll" or second is None:
        return ""
    fewer = _fewer(first, second)
    if fewer and not any(f"nll_k{fewer}" in one.per_image for one in (first, second)):
        return "evaluated with different K"
    better, other = sorted((first, second), key=lambda one: one.metrics["nll"])
    if better.config["steps"] > LONGER * other.config["steps"]:
        return f"{better.name} had {better.config['steps']:,} steps, {other.name} {other.config['steps']:,}"
    images = [one.config["training"]["images"] for one in (better, other)]
    return f"{better.name} was trained on more images" if images == ["train+valid", "train"] else ""


def _short_of_premise(claim: Claim, models: Mapping[str, Training]) -> float:
    """By how many nats the premise's model misses H(x); 0 if there is no premise, infinite if it is not there."""
    if not claim.premise:
        return 0.0
    alone = models.get(claim.premise)
    return alone.metrics["nll"] - alone.metrics["exact_nll"] if alone else INFINITE


def _side(claim: Claim, first: Training, interval: Interval) -> Outcome:
    scale = first.metrics[claim.exact] if claim.relative else 1
    low, high = (scale * end for end in claim.band)
    if low <= interval.low and interval.high <= high:
        return "holds"
    return "fails" if interval.low > high or interval.high < low else "open"


def _told(claim: Claim, first: Training, second: Training | None, interval: Interval) -> str:
    """Both values, and the difference with its interval, or the ratio where that is claimed."""
    kept = claim.column.startswith("kept_")
    nats = _nats(first, second, claim.column)[0] if second and not kept else first.per_image.get(claim.column)
    ours = first.metrics[claim.column] if nats is None else nats.mean()
    if second is None and not claim.exact:
        return f"{ours:.3f} nats"
    theirs = (ours - interval.mean) / claim.factor
    values = f"{ours:.2f} against {theirs:.2f}"
    if kept or claim.factor != 1:
        return f"{values}" + ("" if kept or theirs <= 0 else f" nats, ratio {ours / theirs:.2f}")
    return f"{values} nats: {interval.mean:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"
