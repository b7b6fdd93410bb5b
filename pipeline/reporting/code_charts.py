"""Charts of what goes through the code: by model, by dimension, against the decoder's context, as a lossy code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.evaluation.structure import distortion
from pipeline.reporting.charts import GREY, INK, chart, colours, legend, told
from pipeline.results.runs import Run, Training

CURVE = "context_"
"""How blocks of params.yaml are called that differ in the context alone: a line joins them."""


def kl_spectrum(runs: Sequence[Run], path: Path) -> str:
    """The KL's terms by dimension of z, largest first."""
    shown, palette = [run for run in runs if len(run.dimensions.get("kl_nats", ()))], colours(runs)
    if not shown:
        return ""
    with chart(path, "KL by dimension of z", "dimensions, largest first", "nats") as axes:
        for run in shown:
            terms = np.sort(run.dimensions["kl_nats"])[::-1]
            axes.plot(np.arange(1, len(terms) + 1), terms, color=palette[run.model], label=run.name)
        legend(axes)
    largest = {run.name: float(run.dimensions["kl_nats"].max()) for run in shown}
    return f"KL by dimension of z, the largest term of each model: {told(largest, 'nats')}"


def beside_codecs(runs: Sequence[Run], codecs: pd.DataFrame, error: str, label: str, path: Path) -> str:
    """z as a lossy code, KL in bits, beside image codecs; dashed, the same files without their headers."""
    palette, errors = colours(runs), {}
    with chart(path, "z as a lossy code", "bits per image", label, (4.6, 3.8)) as axes:
        for (name, rows), marker in zip(codecs.groupby("codec", sort=False), cycle("osv^Dx+1P"), strict=False):
            drawn: Any = {"color": GREY, "marker": marker, "markersize": 3, "linewidth": 0.8}
            rows = rows.sort_values("bits")
            axes.plot(rows["bits"], rows[error], **drawn)
            axes.text(rows["bits"].iloc[-1], rows[error].iloc[-1], str(name), fontsize=5.5, color=GREY)
            payload = rows.sort_values("payload_bits")
            axes.plot(payload["payload_bits"], payload[error], linestyle="--", **drawn)
        for run in (run for run in runs if "decompressions" in run.panels):
            errors[run.name] = distortion(run.panels["originals"], run.panels["decompressions"])[error]
            axes.plot(run.kl_bits, errors[run.name], "*", color=palette[run.model], markersize=11,
                      markeredgecolor="white", label=run.name)  # fmt: skip
        for run in (run for run in runs if "vlae_bytes" in run.metrics):
            axes.plot(8 * run.metrics["vlae_bytes"], run.metrics[f"vlae_{error}"], "P", color=palette[run.model],
                      markersize=8, markeredgecolor="white", label=f"{run.name}, files")  # fmt: skip
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        legend(axes)
    return f"{label} against bits per image, models and image codecs; models: {told(errors)}"


def encoded(runs: Sequence[Run], path: Path) -> str:
    """What an image still costs, given z, against the bytes of its file: a line a model, a point a width of a cell."""
    shown, palette = [run for run in runs if len(run.encoded.get("bytes", ()))], colours(runs)
    if not shown:
        return ""
    chosen = {}
    with chart(path, "Files of one image", "bytes on disk", "−log p(x|z), bits", (4.6, 3.0)) as axes:
        for run in shown:
            sizes, bits = run.encoded["bytes"], run.encoded["image_bits"]
            axes.plot(sizes, bits, "o-", color=palette[run.model], markersize=3, label=run.name)
            for size, bit, step in zip(sizes, bits, run.encoded["step"], strict=True):
                axes.annotate(f"{step:g} σ", (size, bit), (3, 3), textcoords="offset points", fontsize=5.5)
            best = int(np.argmin(8 * sizes + bits))
            axes.plot(sizes[best], bits[best], "*", color=palette[run.model], markersize=11, markeredgecolor="white")
            chosen[run.name] = float(sizes[best])
        legend(axes)
    return f"What an image costs given z against the bytes of its file; chosen: {told(chosen, 'bytes')}"


def joined(trainings: Sequence[Training]) -> list[Training]:
    """Those that the line joins: they differ in the context alone, and in what layers it takes."""
    return [one for one in trainings if one.model.startswith(CURVE)]


def context_curve(key: str, title: str, unit: str, trainings: Sequence[Training], path: Path) -> str:
    """A number against how many earlier pixels the decoder sees, if there are over two contexts.

    A marker a model; the line joins those between which only the context differs.
    """
    shown = [one for one in trainings if one.coded and one.on_context_curve and key in one.metrics]
    shown.sort(key=lambda one: one.context_pixels or 0)
    ticks = sorted({one.context_pixels or 0 for one in shown})
    if len(ticks) < 3:
        return ""
    values = {one.name: one.kl_bits if key == "kl_bits" else float(one.metrics[key]) for one in shown}
    with chart(path, title, "earlier pixels the decoder sees", unit) as axes:
        line, palette = joined(shown), colours(shown)
        axes.plot([one.context_pixels or 0 for one in line], [values[one.name] for one in line], color=INK)
        for one in shown:
            on_line = one in line
            axes.plot(one.context_pixels or 0, values[one.name], "o", color=INK if on_line else palette[one.model],
                      label="the context alone differs" if on_line else one.name)  # fmt: skip
        axes.set_xscale("symlog", linthresh=1, linscale=0.5)
        axes.set_xticks(ticks, [str(tick) for tick in ticks], rotation=45)
        axes.set_xticks([], minor=True)
        legend(axes)
    return f"{title} against the pixels the decoder sees: {told(values, unit)}"


CONTEXT_CHARTS = {
    "kl": partial(context_curve, "kl_bits", "Code: KL", "bits per image"),
    "nll": partial(context_curve, "nll", "NLL", "nats per image"),
    "fine": partial(context_curve, "kept_fine", "Fine structure kept", "correlation"),
}
