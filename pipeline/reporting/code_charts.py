"""Charts of what goes through the code: against the decoder's context, by dimension, and as a lossy code."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.evaluation.structure import distortion
from pipeline.reporting.charts import PALETTE, STYLE, colours, save
from pipeline.reporting.runs import Run, Training

MARKERS = {"annealing": "o", "elbo": "s", "free_bits": "^", "soft_free_bits": "D"}
CODEC_COLOUR = "#6b7280"
CURVE = "context_"
"""How blocks of params.yaml are called that differ in the context alone: a line joins them."""


def context_curve(runs: Sequence[Training], path: Path) -> None:
    """KL, NLL and what a decompression keeps against how many earlier pixels the decoder sees.

    A marker a run, its form the objective, hollow for a Gaussian prior; the line joins those between which only the
    context differs. Bars are 95 % intervals over images.
    """
    shown = sorted((run for run in runs if run.on_context_curve), key=lambda run: run.context_pixels or 0)
    with mpl.rc_context(rc=STYLE):
        figure = Figure(figsize=(11, 3.7), layout="constrained")
        panels = figure.subplots(1, 3)
        series = (("kl_bits", "", ""), ("nll", "nll_low", "nll_high"))
        for axes, (key, low, high) in zip(panels, series, strict=False):
            _context_series(axes, shown, key, low, high, PALETTE[2], "")
        kept = [run for run in shown if "kept_coarse" in run.metrics]
        _context_series(panels[2], kept, "kept_coarse", "kept_coarse_low", "kept_coarse_high", PALETTE[2], "coarse")
        _context_series(panels[2], kept, "kept_fine", "kept_fine_low", "kept_fine_high", PALETTE[1], "fine")
        panels[2].legend(loc="best", title="structure")
        panels[0].set_ylim(bottom=0)
        titles = ("Code: KL", "NLL", "Kept by a decompression")
        units = ("bits per image", "nats per image", "correlation with the original")
        for axes, title, unit in zip(panels, titles, units, strict=True):
            axes.set_title(title)
            axes.set_ylabel(unit)
            axes.set_xlabel("earlier pixels the decoder sees")
            axes.set_xscale("symlog", linthresh=1, linscale=0.5)
            ticks = sorted({run.context_pixels or 0 for run in shown})
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.set_xticks([], minor=True)
            axes.set_xlim(-0.4, 2 * max([1, *ticks]))
        objectives = {run.block["objective"]: None for run in shown}
        handles = [
            mpl.lines.Line2D([], [], linestyle="", marker=MARKERS[name], color=PALETTE[0], label=name.replace("_", " "))
            for name in objectives
        ]
        panels[0].legend(handles=handles, loc="best")
        save(figure, path)


def kl_spectrum(runs: Sequence[Run], path: Path) -> None:
    """The KL's terms by dimension of z, largest first, and Burda's activity of the same dimensions."""
    shown = [run for run in runs if len(run.dimensions)]
    with mpl.rc_context(rc=STYLE):
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        terms, activity = figure.subplots(1, 2)
        for run, colour in zip(runs, colours(runs), strict=True):
            if run in shown:
                rank = np.arange(1, len(run.dimensions["kl_nats"]) + 1)
                terms.plot(rank, np.sort(run.dimensions["kl_nats"])[::-1], color=colour, label=run.name)
                activity.plot(rank, np.sort(run.dimensions["activity"].clip(1e-5))[::-1], color=colour)
        terms.set_title("KL by dimension of z")
        terms.set_ylabel("nats")
        activity.set_title("Activity: variance over images of E[z | x]")
        activity.set_yscale("log")
        activity.axhline(0.01, color="#6b7280", linewidth=1, linestyle=":")
        for axes in (terms, activity):
            axes.set_xlabel("dimensions, largest first")
        terms.legend(loc="upper right")
        save(figure, path)


def kept_bars(runs: Sequence[Run], path: Path) -> None:
    """What each model's decompressions keep of their originals, part by part, with 95 % intervals."""
    shown = [run for run in runs if "kept_coarse" in run.metrics]
    colours = {"coarse": PALETTE[2], "fine": PALETTE[1], "contrast": PALETTE[3], "color": PALETTE[4]}
    parts = [part for part in colours if all(f"kept_{part}" in run.metrics for run in shown)]
    width = 0.76 / len(parts)
    with mpl.rc_context(rc=STYLE):
        figure = Figure(figsize=(9, 1.1 + 0.5 * len(shown)), layout="constrained")
        axes = figure.subplots()
        for i, scale in enumerate(parts):
            values, low, high = (
                np.array([run.metrics[f"kept_{scale}{end}"] for run in shown]) for end in ("", "_low", "_high")
            )
            error = np.stack([values - low, high - values]).clip(0)
            at = np.arange(len(shown)) + (i - (len(parts) - 1) / 2) * width
            axes.barh(at, values, 0.95 * width, color=colours[scale], label={"color": "colour"}.get(scale, scale),
                      xerr=error, error_kw={"ecolor": "#1f2937", "elinewidth": 1, "capsize": 2})  # fmt: skip
        axes.set_yticks(range(len(shown)), [run.name for run in shown])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("correlation of the decompression with its original")
        figure.legend(loc="outside upper right", ncols=4)
        save(figure, path)


def rate_distortion(runs: Sequence[Run], codecs: pd.DataFrame, path: Path) -> None:
    """z as a lossy code, KL in bits, beside image codecs: errors of the copy against bits per image.

    Left: share of wrong pixels; right: error of the 4×4 block means. Dashed: the same files without their headers.
    """
    with mpl.rc_context(rc=STYLE):
        figure = Figure(figsize=(10.5, 4.2), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, key in zip(panels, ("pixel_error", "coarse_rmse"), strict=True):
            for (name, rows), marker in zip(codecs.groupby("codec", sort=False), cycle("osv^Dx+1P"), strict=False):
                drawn: Any = {"color": CODEC_COLOUR, "marker": marker, "markersize": 4, "linewidth": 1}
                rows = rows.sort_values("bits")
                axes.plot(rows["bits"], rows[key], label=name, **drawn)
                payload = rows.sort_values("payload_bits")
                axes.plot(payload["payload_bits"], payload[key], linestyle="--", **drawn)
            for run, colour in zip(runs, colours(runs), strict=True):
                if "decompressions" not in run.panels:
                    continue
                errors = distortion(run.panels["originals"], run.panels["decompressions"])
                axes.plot(run.metrics["kl_bits"], errors[key], color=colour, marker="*", markersize=12, linestyle="",
                          markeredgecolor="white", label=run.name)  # fmt: skip
            axes.set_xscale("log")
            axes.set_ylim(bottom=0)
            axes.set_xlabel("bits per image")
        panels[0].set_ylabel("share of pixels that differ")
        panels[1].set_ylabel("RMS error of 4×4 block means")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", fontsize=8)
        save(figure, path)


def bounds_curve(runs: Sequence[Run], path: Path) -> None:
    """How far the bound on NLL with K samples is above that with the run's own K."""
    with mpl.rc_context(rc=STYLE):
        figure = Figure(figsize=(6.5, 3.6), layout="constrained")
        axes = figure.subplots()
        for run, colour in zip(runs, colours(runs), strict=True):
            columns = [column for column in run.per_image if column.startswith("nll_k")]
            samples = [int(column.removeprefix("nll_k")) for column in columns]
            excess = [(run.per_image[column] - run.per_image["nll"]).mean() for column in columns]
            if columns:
                axes.plot([*samples, run.metrics["importance_samples"]], [*excess, 0], color=colour, marker="o",
                          markersize=4, label=run.name)  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("importance samples K")
        axes.set_ylabel("nats above the run's bound")
        axes.legend(loc="upper right")
        save(figure, path)


def joined(runs: Sequence[Training]) -> list[Training]:
    """Those that the line joins: they differ in the context alone, and in what layers it takes."""
    return [run for run in runs if run.model.startswith(CURVE)]


def _context_series(
    axes: mpl.axes.Axes, runs: Sequence[Training], key: str, low: str, high: str, colour: str, label: str
) -> None:
    line = joined(runs)
    axes.plot([run.context_pixels or 0 for run in line], [run.metrics[key] for run in line], color=colour, label=label)
    for run in runs:
        value = run.metrics[key]
        ends = [[value - run.metrics[low]], [run.metrics[high] - value]] if low else None
        face = colour if run.block["prior"] == "af" else "white"
        axes.errorbar([run.context_pixels or 0], [value], yerr=ends, color=colour, markerfacecolor=face,
                      marker=MARKERS[run.block["objective"]], markersize=5, linestyle="", capsize=2,
                      elinewidth=1)  # fmt: skip
