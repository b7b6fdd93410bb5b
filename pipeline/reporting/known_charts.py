"""The experiment whose answer is known: KL and NLL beside the exact values, and the two in one plane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pipeline.evaluation.bootstrap import normal_interval
from pipeline.reporting.charts import INK, chart, colours, told
from pipeline.results.runs import Training
from pipeline.units import nats_to_bits


def known_kl(runs: Sequence[Training], path: Path) -> str:
    """KL in bits, a bar a model, with the lines of I(x; g) and of an empty code."""
    shown = ordered(runs)
    exact = nats_to_bits(shown[0].metrics["exact_information"])
    with chart(path, "What goes through z", "", "KL, bits per image") as axes:
        _bars(axes, shown, [nats_to_bits(run.per_image["kl"]) for run in shown])
        axes.axhline(exact, color=INK, linestyle="--", linewidth=1.2, label=f"all that is global: {exact:.1f} bits")
        axes.axhline(0, color=INK, linewidth=1.2)
        axes.legend(loc="upper right")
    bits = told({short(run): run.kl_bits for run in shown}, "bits", ".1f")
    return f"KL against what the decoder sees: {bits}; the global information is {exact:.1f} bits"


def known_nll(runs: Sequence[Training], path: Path) -> str:
    """NLL, a point a model, with the line of the source's entropy."""
    shown = ordered(runs, coded=False)
    exact = shown[0].metrics["exact_nll"]
    with chart(path, "How well images are modelled", "", "NLL − H(x), nats per image") as axes:
        values = [run.per_image["nll"] - run.per_image.get("exact_nll", exact) for run in shown]
        _bars(axes, shown, values)
        axes.axhline(0, color=INK, linestyle="--", linewidth=1.2, label=f"as well as can be: H(x) = {exact:.1f} nats")
        axes.legend(loc="upper right")
    nats = told({short(run): run.metrics["nll"] for run in shown}, "nats")
    return f"NLL against what the decoder sees: {nats}; the entropy of the source is {exact:.2f} nats"


def known_plane(runs: Sequence[Training], path: Path) -> str:
    """Rate and distortion: KL against reconstruction, with the line of all whose −ELBO is H(x) (Alemi et al., 2018)."""
    shown, palette = ordered(runs), colours(runs)
    exact = shown[0].metrics["exact_nll"]
    places = {short(run): (run.kl, run.metrics["reconstruction_nats"]) for run in shown}
    with chart(path, "Rate and distortion", "KL, nats: what goes through z", "reconstruction, nats: the rest") as axes:
        most = 1.15 * max(kl for kl, _ in places.values()) + 0.5
        axes.plot([0, most], [exact, exact - most], "--", color=INK, linewidth=1.2, label="−ELBO = H(x)")
        for run, (name, place) in zip(shown, places.items(), strict=True):
            axes.plot(*place, "o", color=palette[run.model], markersize=7, label=name)
        axes.legend(loc="lower left")
    told_places = "; ".join(f"{name} KL {kl:.2f}, reconstruction {rest:.2f}" for name, (kl, rest) in places.items())
    return f"Rate–distortion plane with the line −ELBO = H(x) = {exact:.2f} nats: {told_places}"


def known_released(runs: Sequence[Training], path: Path) -> str:
    """KL while training: of a decoder that was given a code in full use, and of the same one from scratch."""
    given, palette, ends = [run for run in runs if "begins_with" in run.config], colours(runs), {}
    blocks = [run.block for run in given]
    exact = ordered(runs)[0].metrics["exact_information"]
    with chart(path, "Given a code in full use", "optimiser steps", "KL, nats per image") as axes:
        for run in [run for run in runs if run.block in blocks]:
            name = short(run) if run in given else f"{short(run)}, from scratch"
            axes.plot(run.history["step"], run.history["valid_kl"], color=palette[run.model], label=name)
            ends[name] = run.history["valid_kl"][-1]
        axes.axhline(exact, color=INK, linestyle="--", linewidth=1.2, label=f"all that is global: {exact:.2f} nats")
        axes.set_ylim(-0.1 * exact, 1.5 * exact)
        axes.legend(loc="upper right")
    return f"KL while training, at the end {told(ends, 'nats')}; the global information is {exact:.2f} nats"


CHARTS = {"known-kl": known_kl, "known-nll": known_nll, "known-plane": known_plane}


def ordered(runs: Sequence[Training], coded: bool = True) -> list[Training]:
    """Those with a code, or all, by how much the decoder sees and its filters; what has no code comes last."""
    shown = [run for run in runs if run.coded or not coded]
    return sorted(shown, key=lambda run: (not run.coded, run.context_pixels or 0, run.block.get("filters", 0)))


def short(run: Training) -> str:
    """The name without the data set's."""
    return run.name.removeprefix(run.dataset).strip(" ,") or run.name


def _bars(axes: Axes, shown: Sequence[Training], values: Sequence[np.ndarray]) -> None:
    palette = colours(shown)
    for at, (run, each) in enumerate(zip(shown, values, strict=True)):
        mean = normal_interval(np.asarray(each, float))
        axes.bar(at, mean.mean, 0.55, color=palette[run.model])
        axes.errorbar(at, mean.mean, [[mean.mean - mean.low], [mean.high - mean.mean]], color=INK, capsize=3)
        axes.annotate(f"{mean.mean:.2f}", (at, mean.high), (0, 3), textcoords="offset points", ha="center", fontsize=8)
    axes.set_xticks(range(len(shown)), [short(run) for run in shown], rotation=20, ha="right")
    axes.grid(visible=False, axis="x")
    axes.margins(y=0.3)
