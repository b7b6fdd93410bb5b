"""Every chart and sheet of the report, drawn into a folder; each comes back with its alternative text."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipeline import forked, paper
from pipeline.data.datasets import Dataset
from pipeline.reporting import code_charts, known_charts
from pipeline.reporting.charts import GREY, chart, colours, legend, told
from pipeline.reporting.claims import EMPTY
from pipeline.reporting.facts import Record
from pipeline.results import sheets
from pipeline.results.names import TITLES
from pipeline.results.published import Published
from pipeline.results.runs import Run, Training

WALKED = "vlae"
"""The model whose latent space is shown."""
STRIP = ("vlae", "vae")
PAPER_INK, BESIDE = "#111827", "#6b7280"
VERDICT_COLOURS = {"at": "#0f766e", "within": "#1d4ec4", "above": "#b45309"}


@dataclass(frozen=True)
class Picture:
    """A file under figures/, what it shows in words, the data sets behind it, and whether it holds photographs."""

    file: str
    alt: str
    datasets: tuple[str, ...]
    kind: str = "chart"


class Gallery:
    """The pictures by the stem of their file, and the charts that are still to be drawn."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pictures: dict[str, Picture] = {}
        self.charts: dict[str, tuple[Sequence[str], Callable[[], str]]] = {}

    def chart(self, stem: str, datasets: Sequence[str], draw: Callable[[Path], str]) -> None:
        """Note one; `draw` writes a file and says what it shows, or nothing where there is nothing to draw."""
        self.charts[stem] = tuple(datasets), partial(draw, self.folder / f"{stem}.png")

    def draw_charts(self, processes: int) -> None:
        """Draw those that are noted, in so many processes."""
        told = forked.run([draw for _, draw in self.charts.values()], processes)
        for (stem, (datasets, _)), future in zip(self.charts.items(), told, strict=True):
            if alt := future.result():
                alt = alt.replace("-", "−") if " -" in alt else alt
                self.pictures[stem] = Picture(f"{stem}.png", alt, tuple(datasets))

    def sheet(self, stem: str, dataset: str, sheet: np.ndarray | bytes, alt: str, photo: bool = False) -> None:
        """Store a sheet of images, or a picture as it is."""
        path = self.folder / f"{stem}.png"
        if isinstance(sheet, bytes):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(sheet)
        else:
            sheets.save_sheet(sheet, path)
        self.pictures[stem] = Picture(path.name, alt, (dataset,), "photo" if photo else "sheet")


def draw_all(
    groups: Mapping[str, Sequence[Run]],
    published: Mapping[str, Sequence[Published]],
    datasets: Sequence[Dataset],
    tables: Mapping[str, Sequence[Record]],
    baselines: Mapping[str, pd.DataFrame],
    folder: Path,
    processes: int,
) -> dict[str, Picture]:
    """Draw everything that can be drawn: this run's and what is published by data set, the paper's tables by number."""
    gallery = Gallery(folder)
    for number, records in tables.items():
        source = next(table for table in paper.TABLES if table.number == number)
        gallery.chart(f"table{number.lower()}", source.datasets, partial(dots, source, records))
    if pair := _strip_pair([*published.values(), *groups.values()]):
        gallery.chart("strip", [pair[0].dataset], partial(strip, pair))
    for name, trainings in published.items():
        _draw_common(gallery, f"published-{name}", name, trainings, "epoch")
        for one in trainings:
            for kind, picture in one.pictures.items():
                gallery.sheet(f"published-{name}-{one.model}-{kind}", name, picture, _sheet_alt(one, kind), one.color)
    for name, runs in groups.items():
        _draw_common(gallery, name, name, runs, "step")
        _draw_run(gallery, name, runs, baselines.get(name))
    for dataset in datasets:
        chosen = np.linspace(0, len(dataset.train) - 1, min(64, len(dataset.train))).astype(int)
        alt = f"64 training images of {dataset.name}, in rows of 8"
        sheet = sheets.data_sheet(dataset.train[chosen])
        gallery.sheet(f"data-{dataset.name}", dataset.name, sheet, alt, dataset.kind == "color")
    gallery.draw_charts(processes)
    return gallery.pictures


def _draw_common(gallery: Gallery, stem: str, dataset: str, trainings: Sequence[Training], against: str) -> None:
    gallery.chart(f"{stem}-curves-elbo", [dataset], partial(learning_curves, trainings, "elbo", against))
    gallery.chart(f"{stem}-curves-kl", [dataset], partial(learning_curves, trainings, "kl", against))
    if not trainings[0].color:
        for kind, draw in code_charts.CONTEXT_CHARTS.items():
            gallery.chart(f"{stem}-context-{kind}", [dataset], partial(draw, trainings))
    if any("exact_information" in one.metrics for one in trainings):
        for kind, draw_known in known_charts.CHARTS.items():
            gallery.chart(f"{stem}-{kind}", [dataset], partial(draw_known, trainings))
        if any("begins_with" in one.config for one in trainings):
            gallery.chart(f"{stem}-known-released", [dataset], partial(known_charts.known_released, trainings))


def _draw_run(gallery: Gallery, name: str, runs: Sequence[Run], codecs: pd.DataFrame | None) -> None:
    gallery.chart(f"{name}-kl-spectrum", [name], partial(code_charts.kl_spectrum, runs))
    gallery.chart(f"{name}-encoded", [name], partial(code_charts.encoded, runs))
    if codecs is not None and "codec" in codecs:
        for error, label in (("pixel_error", "share of pixels that differ"), ("coarse_rmse", "RMS error of 4×4 means")):
            draw_codecs = partial(code_charts.beside_codecs, runs, codecs, error, label)
            gallery.chart(f"{name}-codecs-{error}", [name], draw_codecs)
    for run in runs:
        for kind, sheet in sheets.model_sheets(run.panels).items():
            gallery.sheet(f"{name}-{run.model}-{kind}", name, sheet, _sheet_alt(run, kind), run.color)
        if run.model == WALKED and "interpolations" in run.panels:
            for kind, ends in (("interpolations", True), ("traversals", False)):
                sheet, alt = sheets.ladder_sheet(run.panels[kind], ends), f"{kind} in the latent space of {run.name}"
                gallery.sheet(f"{name}-{run.model}-{kind}", name, sheet, alt)


def _sheet_alt(one: Training, kind: str) -> str:
    nll = f", NLL {one.nll:.2f} {'bits/dim' if one.color else 'nats'}" if one.metrics else ""
    if kind == "samples":
        return f"64 samples of {one.name} trained on {one.title}{nll}"
    drawn = ", so a sample" if one.metrics and one.kl < EMPTY else ""
    carried = f", {one.kl_bits:.1f} bits through z{drawn}{nll}" if one.metrics else ""
    given = " (z is given the luma of 4×4 blocks)" if one.block.get("luma_map") else ""
    return f"test images of {one.title}, each with its decompression by {one.name}{given} to its right{carried}"


def dots(source: paper.Table, records: Sequence[Record], path: Path) -> str:
    """Every row of a table of the paper: the paper's number, ours with its allowance, and another model's."""
    height = max(2.6, 0.95 + 0.23 * len(records))
    title = f"{source.name}: {TITLES[source.datasets[0]]}"
    with chart(path, title, f"test NLL, {source.unit}", "", (4.6, height)) as axes:
        for y, one in enumerate(records):
            axes.plot(one["paper"], y, "o", markerfacecolor="white", markeredgecolor=PAPER_INK, label="paper")
            if one["other"] is not None:
                axes.plot(one["other"], y, "D", color=BESIDE, markersize=4, label="ours, another model")
            if one["ours"] is not None:
                colour = VERDICT_COLOURS[one["verdict"].split()[0]]
                label = {"at": "ours, at or below", "within": "ours, within chance", "above": "ours, above"}
                axes.errorbar(one["ours"], y, xerr=one["allowance"], fmt="o", color=colour, capsize=2, markersize=5,
                              label=label[one["verdict"].split()[0]])  # fmt: skip
        axes.set_yticks(range(len(records)), [one["row"] for one in records])
        for tick, one in zip(axes.get_yticklabels(), records, strict=True):
            tick.set_color(PAPER_INK if one["own"] else BESIDE)
        axes.invert_yaxis()
        axes.margins(x=0.08)
        axes.locator_params(axis="x", nbins=6)
        handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        axes.legend(handles.values(), handles, loc="best", fontsize=7)
    compared = {one["row"]: f"{one['ours']:.2f} against {one['paper']:.2f}" for one in records if one["ours"]}
    ours = "; ".join(f"{row}: ours {numbers}" for row, numbers in compared.items())
    return f"Dot plot of {title}, {len(records)} rows. {ours or 'No model of ours is the same as one of its rows'}"


def _strip_pair(groups: Sequence[Sequence[Training]]) -> list[Training]:
    """The first two models of one data set whose decompressions of the same images are at hand; static MNIST first."""
    ordered = sorted(groups, key=lambda group: group[0].dataset != paper.STATIC)
    for group in ordered:
        models = {one.model: one for one in group if one.coded and _pairs_of(one) is not None}
        if set(STRIP) <= set(models):
            return [models[name] for name in STRIP]
    return []


def _pairs_of(one: Training) -> tuple[np.ndarray, np.ndarray] | None:
    """Originals and decompressions as RGB (N, H, W, 3), if there are eight or more of them."""
    if isinstance(one, Run) and "decompressions" in one.panels:
        panels = one.panels
        tiles = sheets.untile(sheets.pairs_sheet(panels["originals"], panels["decompressions"]), *_size(one))
    elif isinstance(one, Published) and "reconstructions" in one.pictures:
        with Image.open(io.BytesIO(one.pictures["reconstructions"])) as picture:
            tiles = sheets.untile(np.asarray(picture.convert("RGB")), *_size(one))
    else:
        return None
    return (tiles[::2], tiles[1::2]) if len(tiles) >= 16 else None


def _size(one: Training) -> tuple[int, int]:
    _, height, width = one.config["image_shape"]
    return height, width


def strip(pair: Sequence[Training], path: Path) -> str:
    """Eight test images, and below them their decompressions by each of two models, with the bits they took."""
    found = [pairs for one in pair if (pairs := _pairs_of(one)) is not None]
    rows = [found[0][0][:8], *(pairs[1][:8] for pairs in found)]
    labels = ["original", *(f"{one.name}\n{one.kl_bits:.0f} bits" for one in pair)]
    height, width = rows[0].shape[1:3]
    picture = np.concatenate([np.concatenate([*row], axis=1) for row in rows])
    with chart(path, "", "", "", (7.2, 6.6 * 3 * height / (8 * width))) as axes:
        axes.imshow(picture, interpolation="nearest", aspect="equal")
        axes.set_yticks([height * (row + 0.5) for row in range(3)], labels)
        axes.set_xticks([])
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(length=0)
    bits = " and ".join(f"{one.name} from {one.kl_bits:.1f} bits" for one in pair)
    return f"Eight test images of {pair[0].title} and below them their decompressions by {bits}"


def learning_curves(trainings: Sequence[Training], what: str, against: str, path: Path) -> str:
    """Validation −ELBO or KL against steps or epochs; dotted the same on training batches.

    Nats per image; the −ELBO of colour images in bits per dimension. The scale is cut above the last values: the first
    steps would hide the rest.
    """
    palette, ends = colours(trainings), {}
    unit = "bits per dimension" if what == "elbo" and trainings[0].color else "nats per image"
    x = "optimiser steps" if against == "step" else "epochs"
    with chart(path, "−ELBO" if what == "elbo" else "KL(q(z|x) ‖ p(z))", x, unit) as axes:
        for one in sorted(trainings, key=lambda one: palette[one.model] != GREY):
            convert = one.in_unit if what == "elbo" else float
            sign, colour = (-1 if what == "elbo" else 1), palette[one.model]
            train, valid = (
                [convert(sign * value) for value in one.history[f"{split}_{what}"]] for split in ("train", "valid")
            )
            axes.plot(one.history[against], train, ":", color=colour, linewidth=0.9)
            axes.plot(one.history[against], valid, color=colour, label=one.name)
            ends[one.name] = valid[-1]
        low, high = min(ends.values()), max(ends.values())
        spread = (high - low + 0.05 * abs(low)) or 1
        axes.set_ylim(low - 0.1 * spread, high + (0.8 if what == "elbo" else 1) * spread)
        legend(axes, "upper right")
    what = axes.get_title("left")
    return f"Learning curves of {trainings[0].title}; validation {what} at the end: {told(ends, unit)}"
