"""Charts in one style, learning curves and code lengths: the same numbers give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.reporting.runs import Run, Training
from pipeline.units import bits_per_dim, nats_to_bits

PALETTE = (
    "#7a7f87", "#d97706", "#1d4ec4", "#0f9488", "#a21caf", "#b91c1c", "#4d7c0f", "#475569",
    "#f472b6", "#38bdf8", "#facc15", "#000000", "#84cc16",
)  # fmt: skip
KL_COLOUR = "#1d4ec4"
RECONSTRUCTION_COLOUR = "#c9d3e6"
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#6b7280",
    "axes.labelcolor": "#1f2937",
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "xtick.color": "#4b5563",
    "ytick.color": "#4b5563",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "savefig.dpi": 144,
    "savefig.facecolor": "white",
}


def learning_curves(runs: Sequence[Training], path: Path, against: str = "step") -> None:
    """Validation −ELBO and KL against optimiser steps or epochs, a line for each model of a data set.

    Nats per image; the −ELBO of colour images in bits per dimension. Dotted: the same on training batches. The scales
    are cut above the last values: the first steps would hide the rest.
    """
    with mpl.rc_context(rc=STYLE):
        figure = Figure(figsize=(10.5, 3.9), layout="constrained")
        bound, kl = figure.subplots(1, 2)
        for run, colour in zip(runs, colours(runs), strict=True):
            at, history = run.history[against], run.history
            for split, style in (("train", {"linestyle": ":", "linewidth": 1.1}), ("valid", {"label": run.name})):
                bound.plot(at, code_length(run, history[f"{split}_elbo"]), color=colour, **style)
                kl.plot(at, history[f"{split}_kl"], color=colour, **style)
        last = [code_length(run, run.history["valid_elbo"])[-1] for run in runs]
        spread = max(last) - min(last) + 0.05 * min(last)
        bound.set_ylim(min(last) - 0.1 * spread, max(last) + 0.8 * spread)
        longest = max(run.history["valid_kl"][-1] for run in runs)
        kl.set_ylim(-0.04 * longest, 2 * longest if longest else 1)
        bound.set_title("−ELBO")
        kl.set_title("KL(q(z|x) ‖ p(z))")
        for axes in (bound, kl):
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.set_xlabel("optimiser steps" if against == "step" else "epochs")
            axes.set_ylabel("nats per image")
        if any(run.color for run in runs):
            bound.set_ylabel("bits per dimension")
        figure.legend(*bound.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
        save(figure, path)


def code_length(run: Training, elbo: np.ndarray) -> np.ndarray:
    """−ELBO from nats per image, in the unit of the model's images."""
    return bits_per_dim(-elbo, run.config["image_shape"]) if run.color else -elbo


def code_length_bars(runs: Sequence[Run], path: Path) -> None:
    """Bits to send a test image with each model: the code z (KL), then the image given z (reconstruction)."""
    with mpl.rc_context(rc=STYLE):
        figure = Figure(figsize=(9, 0.9 + 0.52 * len(runs)), layout="constrained")
        axes = figure.subplots()
        code = np.array([run.metrics["kl_bits"] for run in runs])
        rest = nats_to_bits(np.array([run.metrics["reconstruction_nats"] for run in runs]))
        axes.barh(range(len(runs)), code, 0.62, color=KL_COLOUR, label="code z: KL")
        axes.barh(
            range(len(runs)),
            rest,
            0.62,
            left=code,
            color=RECONSTRUCTION_COLOUR,
            label="image given z: reconstruction",
        )
        for y, (kl, remainder) in enumerate(zip(code, rest, strict=True)):
            axes.text(kl + remainder, y, f"  {kl + remainder:.1f}", va="center", weight="bold", color="#1f2937")
            axes.text(kl + remainder / 2, y, f"{remainder:.1f}", va="center", ha="center", color="#374151")
            _label_code(axes, kl, y, (code + rest).max())
        axes.set_yticks(range(len(runs)), [run.name for run in runs])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.1 * (code + rest).max())
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("bits per image")
        figure.legend(loc="outside upper right", ncols=2)
        save(figure, path)


def _label_code(axes: Axes, kl: float, y: float, longest: float) -> None:
    """Write the KL inside its bar, or just right of it where the bar is too short."""
    inside = kl > 0.06 * longest
    where = kl / 2 if inside else kl + 0.008 * longest
    axes.text(
        where,
        y,
        f"{kl:.1f}",
        va="center",
        ha="center" if inside else "left",
        color="white" if inside else KL_COLOUR,
    )


def colours(runs: Sequence[Training]) -> list[str]:
    """A colour a line, in the order of the runs."""
    return [PALETTE[index % len(PALETTE)] for index in range(len(runs))]


def save(figure: Figure, path: Path) -> None:
    """Write a PNG whose bytes depend on the figure alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
