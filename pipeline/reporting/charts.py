"""The look of all charts: one panel each, so that a page can set them side by side or below each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.results.runs import Training

COLOURS = {
    "vlae": "#1d4ec4",
    "vae": "#b45309",
    "pixelcnn": "#0f766e",
    "vlae_untied": "#a21caf",
    "textures_window": "#1d4ec4",
    "textures_no_pixels": "#b45309",
    "textures_no_latent": "#0f766e",
    "textures_full_context": "#a21caf",
}
"""The same for a model in every chart; the others are grey."""
GREY = "#6b7280"
MOST_COLOURED = 4
DPI = 120
PAD = 0.5
"""Around a chart, in font sizes."""
INK = "#1f2937"
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#6b7280",
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "xtick.color": "#4b5563",
    "ytick.color": "#4b5563",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
}


@contextmanager
def chart(path: Path, title: str, x: str, y: str, size: tuple[float, float] = (4.6, 3.3)) -> Iterator[Axes]:
    """Axes with a title and two units; a PNG whose bytes depend on the drawing alone is written at the end."""
    with mpl.rc_context(rc=STYLE):
        figure = Figure(figsize=size, dpi=DPI)
        axes = figure.subplots()
        axes.set_title(title)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        yield axes
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.tight_layout(pad=PAD)
        FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})  # figure.savefig would draw it twice


def colours(trainings: Sequence[Training]) -> dict[str, str]:
    """A colour a model, the same in every chart; at most four are coloured, the rest is grey."""
    coloured = [one.model for one in trainings if one.model in COLOURS][:MOST_COLOURED]
    return {one.model: COLOURS[one.model] if one.model in coloured else GREY for one in trainings}


def legend(axes: Axes, where: Any = "best") -> None:
    """Each label once; grey lines share one, whatever they are called."""
    named: dict[str, Any] = {}
    for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
        named.setdefault("others" if _colour(handle) == GREY and _is_line(handle) else label, handle)
    if named:
        axes.legend([*named.values()], [*named], loc=where)


def told(values: dict[str, float], unit: str = "", form: str = ".2f") -> str:
    """Names and numbers of a chart, for its alternative text."""
    told = (f"{name} {value:{form}}" for name, value in values.items() if np.isfinite(value))
    return f"{', '.join(told)} {unit}".strip()


def _colour(handle: Any) -> Any:
    return handle.get_color() if hasattr(handle, "get_color") else None


def _is_line(handle: Any) -> bool:
    return isinstance(handle, mpl.lines.Line2D) and handle.get_linestyle() not in ("", "None")
