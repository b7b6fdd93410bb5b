"""The report: every figure, table and number, as Markdown and as one HTML file that opens offline.

Nothing written here depends on when, where or how fast it ran: the same runs give the same bytes.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from PIL import Image, features

from pipeline.config import Params
from pipeline.data.datasets import Dataset
from pipeline.evaluation.codecs import codec_curve
from pipeline.reporting import charts, code_charts, prose, sheets
from pipeline.reporting.color import baseline_results, color_records
from pipeline.reporting.differences import difference_records
from pipeline.reporting.published import Published
from pipeline.reporting.published_tables import published_records, text_records
from pipeline.reporting.published_views import CODES, COLOR_CODES, with_code, with_contexts
from pipeline.reporting.runs import Run, Training
from pipeline.reporting.sections import WALKED, sections
from pipeline.reporting.tables import (
    bound_records,
    code_length_records,
    information_records,
    seed_records,
    shown_tables,
    table_records,
    write_csv,
)
from pipeline.reporting.views import models_view, table_file

T = TypeVar("T", bound=Training)

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "mlxtend", "safetensors", "matplotlib", "pillow", "dvc")
CODEC_IMAGES = 200
"""Test images that the codecs compress; more would move their means little and take longer."""


def write_report(
    params: Params, runs: Sequence[Run], published: Sequence[Published], datasets: Sequence[Dataset], folder: Path
) -> None:
    """Write metrics.json, tables/, figures/, report.md and index.html under `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    groups, longer = _by_dataset(runs), _by_dataset(published)
    baselines = [
        result
        for dataset in datasets
        if dataset.kind == "color" and dataset.name in groups
        for result in baseline_results(dataset, groups[dataset.name][0].metrics["images"], params.seeds[0])
    ]
    write_metrics(runs, folder / "metrics.json")
    write_tables(groups, published, baselines, folder / "tables")
    draw_panels(runs, published, datasets, folder / "figures")
    draw_charts(groups, longer, datasets, folder / "figures")
    content = {
        "prose": prose,
        "smoke": params.scale == "smoke",
        "sections": sections(groups, longer, baselines, datasets),
        "models": models_view(runs),
        "limits": prose.limits(runs),
        "provenance": _provenance(params, runs, datasets),
    }
    for template, name in (("report.md.j2", "report.md"), ("index.html.j2", "index.html")):
        text = _environment(folder).get_template(template).render(content)
        (folder / name).write_text(text, encoding="utf-8")


def write_metrics(runs: Sequence[Run], path: Path) -> None:
    """{data set: {model: metrics}}, the shape `dvc metrics diff` reads; several seeds add their means and s.d."""
    nested: dict[str, dict[str, Any]] = {}
    for run in runs:
        over_seeds = {key: value for record in seed_records([run]) for key, value in record.items()}
        over_seeds = {key: value for key, value in over_seeds.items() if key not in ("dataset", "model")}
        numbers = {key: value for key, value in run.metrics.items() if not isinstance(value, str)}
        nested.setdefault(run.dataset, {})[run.model] = numbers | over_seeds
    path.write_text(json.dumps(nested, indent=2) + "\n", encoding="utf-8")


def write_tables(
    groups: dict[str, list[Run]], published: Sequence[Published], baselines: Sequence[Training], folder: Path
) -> None:
    """One CSV for each table of the paper that is shown, and for each of ours."""
    runs = [run for group in groups.values() for run in group]
    results = [*published, *baselines, *runs]
    for table in shown_tables(results):
        write_csv(table_records(table, results), folder / table_file(table))
    write_csv(published_records(published), folder / "published.csv")
    write_csv(text_records(published), folder / "text_figures.csv")
    coded = with_code(published)
    write_csv(information_records([training for training in coded if not training.color]), folder / CODES)
    write_csv(color_records([training for training in coded if training.color]), folder / COLOR_CODES)
    for name, records in (
        ("code_length", code_length_records), ("information", information_records), ("bounds", bound_records),
        ("seeds", seed_records),
    ):  # fmt: skip
        write_csv(records(runs), folder / f"{name}.csv")
    write_csv([record for group in groups.values() for record in difference_records(group)], folder / "differences.csv")
    write_csv(color_records([run for run in runs if run.color]), folder / "color.csv")


def draw_panels(runs: Sequence[Run], published: Sequence[Published], datasets: Sequence[Dataset], folder: Path) -> None:
    """The images each model draws, and a sheet of each data set."""
    for run in runs:
        stem = f"{run.dataset}-{run.model}"
        for name, sheet in sheets.model_sheets(run.panels).items():
            sheets.save_sheet(sheet, folder / f"{stem}-{name}.png")
        if run.model == WALKED and "interpolations" in run.panels:
            for name, ends in (("interpolations", True), ("traversals", False)):
                sheets.save_sheet(sheets.ladder_sheet(run.panels[name], ends), folder / f"{stem}-{name}.png")
    for training in published:
        for name, picture in training.pictures.items():
            (folder / f"published-{training.dataset}-{training.model}-{name}.png").write_bytes(picture)
    for dataset in datasets:
        chosen = np.linspace(0, len(dataset.train) - 1, min(64, len(dataset.train))).astype(int)
        sheets.save_sheet(sheets.data_sheet(dataset.train[chosen]), folder / f"data-{dataset.name}.png")


def draw_charts(
    groups: dict[str, list[Run]], published: dict[str, list[Published]], datasets: Sequence[Dataset], folder: Path
) -> None:
    """The charts of each data set."""
    tests = {dataset.name: dataset.test for dataset in datasets}
    for name, runs in groups.items():
        charts.learning_curves(runs, folder / f"{name}-learning-curves.png")
        code_charts.kept_bars(runs, folder / f"{name}-kept.png")
        if runs[0].color:
            continue
        charts.code_length_bars(runs, folder / f"{name}-code-length.png")
        code_charts.kl_spectrum(runs, folder / f"{name}-kl-spectrum.png")
        code_charts.context_curve(runs, folder / f"{name}-context.png")
        code_charts.bounds_curve(runs, folder / f"{name}-bounds.png")
        codecs = codec_curve(tests[name][:CODEC_IMAGES])
        codecs.to_csv(folder.parent / "tables" / f"codecs-{name}.csv", index=False, float_format="%.4f")
        code_charts.rate_distortion(runs, codecs, folder / f"{name}-rate-distortion.png")
    for name, trainings in published.items():
        charts.learning_curves(trainings, folder / f"published-{name}-learning-curves.png", against="epoch")
        if coded := with_contexts(trainings):
            code_charts.context_curve(coded, folder / f"published-{name}-context.png")


def _provenance(params: Params, runs: Sequence[Run], datasets: Sequence[Dataset]) -> list[tuple[str, str]]:
    budget = dataclasses.asdict(params.scales[params.scale])
    training = dataclasses.asdict(params.training)
    hashes = {dataset.name: dataset.sha256() for dataset in datasets}
    hashes |= {run.dataset: run.config["data_sha256"] for run in runs}
    versions = [f"{name} {metadata.version(name)}" for name in LIBRARIES]
    return [
        ("code", "the commit that holds this file, with its params.yaml"),
        ("scale", f"{params.scale}: {_flat(budget)}"),
        ("training", _flat(training)),
        ("seeds", f"{', '.join(map(str, params.seeds))}; binarization {params.data.binarization_seed}"),
        *((f"data {name}", f"sha256 {digest}") for name, digest in hashes.items()),
        ("libraries", ", ".join([f"Python {platform.python_version()}", *versions])),
    ]


def _flat(block: dict[str, Any]) -> str:
    """A block of parameters on one line, as they would be typed."""
    parts = []
    for key, value in block.items():
        if isinstance(value, dict):
            parts += [f"{key}.{inner} {'all' if item is None else item}" for inner, item in value.items()]
        else:
            parts.append(f"{key} {'all' if value is None else value}")
    return ", ".join(parts)


def _by_dataset(runs: Sequence[T]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = {}
    for run in runs:
        groups.setdefault(run.dataset, []).append(run)
    return groups


def _environment(folder: Path) -> Environment:
    """Templates beside this module; `data_uri` embeds a picture of `folder`/figures."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["data_uri"] = lambda name: _data_uri(folder / "figures" / name)
    return environment


def _data_uri(picture: Path) -> str:
    """As lossless WebP, a third smaller, since the page holds every picture; as it is where Pillow has no WebP."""
    kind, file = "png", picture.read_bytes()
    if features.check("webp"):
        webp = io.BytesIO()
        Image.open(picture).save(webp, "WEBP", lossless=True)
        kind, file = "webp", webp.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(file).decode('ascii')}"
