"""The report's sections, in order: what stands under each heading, for both templates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipeline import paper
from pipeline.data.datasets import Dataset
from pipeline.reporting import prose
from pipeline.reporting.color import bits_caption, color_view, in_figure_4
from pipeline.reporting.published import PICTURES, Published
from pipeline.reporting.published_views import code_view, compute_view, fit_view, results_view, text_view, with_contexts
from pipeline.reporting.runs import Run, Training
from pipeline.reporting.tables import shown_tables
from pipeline.reporting.views import (
    View,
    bounds_view,
    claims_view,
    code_length_view,
    differences_view,
    information_view,
    paper_view,
    seeds_view,
    verdicts_view,
)

WALKED = "vlae"
"""The model whose latent space is shown."""


@dataclass(frozen=True)
class Picture:
    """A file under figures/ and what it shows; two stand side by side unless they are `wide`."""

    file: str
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class Part:
    """What stands under a heading."""

    heading: str
    pictures: list[Picture] = field(default_factory=list)
    views: list[View] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """A chapter: `anchor` is its link, `short` its name in the table of contents."""

    anchor: str
    title: str
    short: str
    notes: list[str]
    parts: list[Part]


def sections(
    groups: dict[str, list[Run]],
    published: dict[str, list[Published]],
    baselines: Sequence[Training],
    datasets: Sequence[Dataset],
) -> list[Section]:
    """Every section that has something to show; this run's and what is published, by data set."""
    runs = [run for group in groups.values() for run in group]
    results = [*(training for group in published.values() for training in group), *baselines, *runs]
    binary = {name: group for name, group in groups.items() if not group[0].color}
    color = {name: group for name, group in groups.items() if group[0].color}
    tables = [paper_view(table, results) for table in shown_tables(results)]
    found = [
        Section("claims", "Does it hold here?", "Claims", [prose.CLAIMS],
                [*_verdicts(groups, published), *_published_claims(published), *_each(groups, [], claims_view)]),
        Section("tables", "The paper's tables", "Tables", [prose.TABLES],
                [Part(view.title, [], [view]) for view in tables]),
        Section("figures", "Figures 1 and 2", "Figures", [prose.RECONSTRUCTIONS, prose.SAMPLES],
                [*_published_pictures(published, color=False), *_figures(binary)]),
        Section("color-figures", "Figures 3 and 4", "Figures 3, 4", [prose.COLOR_FIGURES],
                [*_published_pictures(published, color=True), *_color_figures(color)]),
        Section("windows", "What each window leaves to z", "Windows", [prose.COLOR_KEPT],
                _each(color, [("kept", "")], color_view)),
        Section("differences", "One change at a time", "Differences", [prose.DIFFERENCES],
                [*_each(binary, [], differences_view), *_each(groups, [], seeds_view)]),
        Section("code", "What the code costs and carries", "Code", [prose.CODE_LENGTH, prose.INFORMATION],
                _each(binary, [("code-length", ""), ("kl-spectrum", prose.SPECTRUM)],
                      code_length_view, information_view)),
        Section("context", "What the decoder sees, and what is left for z", "Context", [prose.CONTEXT],
                [*_published_contexts(published), *_each(binary, [("context", "")])]),
        Section("kept", "What a decompression keeps", "Kept", [prose.KEPT], _each(binary, [("kept", "")])),
        Section("latent", "Walks through the latent space", "Latent space", [prose.WALKS], _walks(binary)),
        Section("rate-distortion", "z as a lossy code, beside image codecs", "Rate and distortion",
                [prose.RATE_DISTORTION], _each(binary, [("rate-distortion", "")])),
        Section("samples-k", "How many importance samples", "K", [prose.BOUNDS],
                [*_each(binary, [("bounds", "")], bounds_view), *_each(color, [], bounds_view)]),
        Section("curves", "Learning curves", "Learning curves", [prose.CURVES],
                _each(binary, [("learning-curves", "")])),
        Section("color-curves", "Learning curves, colour", "Learning curves, colour", [prose.COLOR_CURVES],
                _each(color, [("learning-curves", "")])),
        Section("published", "Published results", "Published",
                [prose.PUBLISHED, prose.FIT, prose.COMPUTE], _published(published)),
        Section("data", "Data", "Data", [prose.SHEET], [_data_part(dataset) for dataset in datasets]),
    ]  # fmt: skip
    return [section for section in found if section.parts]


def _each(
    groups: dict[str, list[Run]], pictures: list[tuple[str, str]], *views: Callable[[Sequence[Run]], View]
) -> list[Part]:
    """A part for each data set: charts by the ends of their names, and tables that have rows."""
    parts = []
    for name, runs in groups.items():
        made = [view for view in (make(runs) for make in views) if view.rows]
        charts = [Picture(f"{name}-{stem}.png", caption, wide=True) for stem, caption in pictures]
        if made or charts:
            parts.append(Part(name, charts, made))
    return parts


def _verdicts(groups: dict[str, list[Run]], published: dict[str, list[Published]]) -> list[Part]:
    here = {f"{name} (this run)": runs for name, runs in groups.items()}
    view = verdicts_view({**published, **here})
    return [Part("At a glance", [], [view])] if view.rows else []


def _published_claims(published: dict[str, list[Published]]) -> list[Part]:
    views = {name: claims_view(trainings) for name, trainings in published.items()}
    return [Part(_published_heading(name), [], [view]) for name, view in views.items() if view.rows]


def _published_contexts(published: dict[str, list[Published]]) -> list[Part]:
    names = [name for name, trainings in published.items() if with_contexts(trainings)]
    return [Part(_published_heading(name), [Picture(f"published-{name}-context.png", "", wide=True)]) for name in names]


def _published_heading(dataset: str) -> str:
    return f"{dataset}, published results"


def _published_pictures(published: dict[str, list[Published]], color: bool) -> list[Part]:
    """A part for each data set: models with two pictures first, so that these stand side by side."""
    pictures = {
        name: [
            Picture(f"published-{name}-{training.model}-{kind}.png", f"{training.name}: {PICTURES[kind]}")
            for training in sorted(trainings, key=lambda training: len(training.pictures), reverse=True)
            for kind in training.pictures
            if training.color == color and (kind != "samples" or not color or in_figure_4(training))
        ]
        for name, trainings in published.items()
    }
    return [Part(_published_heading(name), shown) for name, shown in pictures.items() if shown]


def _figures(groups: dict[str, list[Run]]) -> list[Part]:
    parts = []
    for name, runs in groups.items():
        for run in runs:
            stem = f"{name}-{run.model}"
            pairs = Picture(f"{stem}-reconstructions.png", "Images (black) and their decompressions (blue)")
            pictures = {"decompressions": pairs, "samples": Picture(f"{stem}-samples.png", "64 samples")}
            shown = [picture for name, picture in pictures.items() if name in run.panels]
            parts.append(Part(f"{name}, {run.name}: {run.parts}", shown))
    return parts


def _color_figures(groups: dict[str, list[Run]]) -> list[Part]:
    parts = []
    for name, runs in groups.items():
        pairs = [Picture(f"{name}-{run.model}-reconstructions.png", f"{run.name}: images and decompressions")
                 for run in runs if "decompressions" in run.panels]  # fmt: skip
        samples = [Picture(f"{name}-{run.model}-samples.png", f"{run.name}: {bits_caption(run)}")
                   for run in runs if in_figure_4(run) and "samples" in run.panels]  # fmt: skip
        parts += [Part(heading, pictures) for heading, pictures in
                  ((f"Figure 3, {name}", pairs), (f"Figure 4, {name}", samples)) if pictures]  # fmt: skip
    return parts


def _walks(groups: dict[str, list[Run]]) -> list[Part]:
    return [
        Part(f"{name}, {run.name}", [
            Picture(f"{name}-{WALKED}-interpolations.png", "Between the codes of two test images (black)"),
            Picture(f"{name}-{WALKED}-traversals.png", "One dimension of z at a time, a row each"),
        ])
        for name, runs in groups.items()
        for run in runs
        if run.model == WALKED and "interpolations" in run.panels
    ]  # fmt: skip


def _published(published: dict[str, list[Published]]) -> list[Part]:
    views = (results_view, fit_view, code_view, compute_view)
    parts = [
        Part(name, [Picture(f"published-{name}-learning-curves.png", "", wide=True)],
             [shown for view in views if (shown := view(trainings)).rows])
        for name, trainings in published.items()
    ]  # fmt: skip
    text = text_view(published.get(paper.STATIC, []))
    return [*parts, Part("Figures in the paper's text, statically binarized MNIST", [], [text])] if text.rows else parts


def _data_part(dataset: Dataset) -> Part:
    counts = f"{len(dataset.train):,} training, {len(dataset.valid):,} validation, {len(dataset.test):,} test images"
    shape = "×".join(map(str, dataset.image_shape))
    caption = f"{counts} of {shape}."
    if dataset.dynamic:
        caption += f" {prose.DYNAMIC_SHEET}"
    return Part(dataset.name, [Picture(f"data-{dataset.name}.png", caption)])
