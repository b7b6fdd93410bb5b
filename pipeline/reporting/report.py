"""The report: every figure, table and number, as Markdown and as one HTML file that opens offline.

Nothing written here depends on when, where or how fast it ran: the same runs give the same bytes.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from pipeline.config import Params
from pipeline.data.datasets import Dataset
from pipeline.reporting import charts, panels, prose
from pipeline.reporting.runs import METRIC_KEYS, Run
from pipeline.reporting.tables import code_length_records, shown_tables, table_records, write_csv
from pipeline.reporting.verdicts import judge_claims
from pipeline.reporting.views import code_length_view, models_view, paper_view, table_file

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "mlxtend", "safetensors", "matplotlib", "dvc")


def write_report(params: Params, runs: Sequence[Run], datasets: Sequence[Dataset], folder: Path) -> None:
    """Write metrics.json, tables/, figures/, report.md and index.html under `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_metrics(runs, folder / "metrics.json")
    write_tables(runs, folder / "tables")
    draw_figures(runs, datasets, folder / "figures")
    content = _content(params, runs, datasets)
    for template, name in (("report.md.j2", "report.md"), ("index.html.j2", "index.html")):
        text = _environment(folder).get_template(template).render(content)
        (folder / name).write_text(text, encoding="utf-8")


def write_metrics(runs: Sequence[Run], path: Path) -> None:
    """{data set: {model: metrics}}, the shape `dvc metrics diff` reads."""
    nested: dict[str, dict[str, Any]] = {}
    for run in runs:
        nested.setdefault(run.dataset, {})[run.model] = {key: run.metrics[key] for key in METRIC_KEYS}
    path.write_text(json.dumps(nested, indent=2) + "\n", encoding="utf-8")


def write_tables(runs: Sequence[Run], folder: Path) -> None:
    """One CSV for each table of the paper that is shown, and the code lengths."""
    for table in shown_tables(runs):
        write_csv(table_records(table, runs), folder / table_file(table))
    if runs:
        write_csv(code_length_records(runs), folder / "code_length.csv")


def draw_figures(runs: Sequence[Run], datasets: Sequence[Dataset], folder: Path) -> None:
    """Figure 1's panels of each run, the charts of its data set, and a sheet of each data set."""
    for run in runs:
        stem = f"{run.dataset}-{run.model}"
        if "decompressions" in run.panels:
            pairs = panels.pairs_sheet(run.panels["originals"], run.panels["decompressions"])
            panels.save_sheet(pairs, folder / f"{stem}-reconstructions.png")
        panels.save_sheet(panels.samples_sheet(run.panels["samples"]), folder / f"{stem}-samples.png")
    for name, group in _by_dataset(runs).items():
        charts.learning_curves(group, folder / f"{name}-learning-curves.png")
        charts.code_length_bars(group, folder / f"{name}-code-length.png")
    for dataset in datasets:
        chosen = np.linspace(0, len(dataset.train) - 1, min(64, len(dataset.train))).astype(int)
        panels.save_sheet(panels.data_sheet(dataset.train[chosen]), folder / f"data-{dataset.name}.png")


def _content(params: Params, runs: Sequence[Run], datasets: Sequence[Dataset]) -> dict[str, Any]:
    """Everything the templates print."""
    return {
        "prose": prose,
        "smoke": params.scale == "smoke",
        "tables": [paper_view(table, runs) for table in shown_tables(runs)],
        "groups": [
            {"name": name, "runs": group, "claims": judge_claims(group), "lengths": code_length_view(group)}
            for name, group in _by_dataset(runs).items()
        ],
        "datasets": datasets,
        "models": models_view(runs),
        "limits": prose.limits(runs),
        "provenance": _provenance(params, runs, datasets),
    }


def _provenance(params: Params, runs: Sequence[Run], datasets: Sequence[Dataset]) -> list[tuple[str, str]]:
    budget = dataclasses.asdict(params.budget)
    training = dataclasses.asdict(params.training)
    hashes = {dataset.name: dataset.sha256() for dataset in datasets}
    hashes |= {run.dataset: run.config["data_sha256"] for run in runs}
    versions = [f"{name} {metadata.version(name)}" for name in LIBRARIES]
    return [
        ("code", "the commit that holds this file, with its params.yaml"),
        ("scale", f"{params.scale}: {_flat(budget)}"),
        ("training", _flat(training)),
        ("seed", f"{params.seed}; binarization {params.data.binarization_seed}"),
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


def _by_dataset(runs: Sequence[Run]) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = {}
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
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode("ascii")
