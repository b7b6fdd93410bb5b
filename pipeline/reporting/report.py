"""The report: two pages, each as Markdown and as HTML that opens offline, with every table and figure behind them.

Nothing written here depends on when, where or how fast it ran: the same runs give the same bytes.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from pipeline import paper
from pipeline.config import Params
from pipeline.data.datasets import Dataset
from pipeline.reporting.claims import decided, judge, tally
from pipeline.reporting.facts import (
    Record,
    bound_records,
    claim_records,
    dimension_records,
    paper_records,
    result_records,
    text_records,
    write_csv,
)
from pipeline.reporting.figures import draw_all
from pipeline.reporting.known_charts import ordered
from pipeline.reporting.metrics import write_metrics
from pipeline.reporting.pages import write_pages
from pipeline.reporting.tables import claims_table, paper_table
from pipeline.results.published import Published
from pipeline.results.runs import Run, Training

T = TypeVar("T", bound=Training)
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "mlxtend", "safetensors", "matplotlib", "pillow", "dvc")


@dataclass(frozen=True)
class Group:
    """The trainings of one data set and origin, as a page shows them; files of their pictures begin with `stem`."""

    trainings: Sequence[Training]
    records: Sequence[Record]
    stem: str

    def __getattr__(self, name: str) -> Any:
        """What all have in common: data set, title, origin, color."""
        return getattr(self.trainings[0], name)

    def sheets(self, kind: str) -> list[str]:
        """The stems of the models' pictures of a kind."""
        return [f"{self.stem}-{one.model}-{kind}" for one in self.trainings]

    def exact(self, key: str) -> str:
        """A known value of the data set."""
        return next((f"{one.metrics[key]:.2f}" for one in self.trainings if key in one.metrics), "unknown")


def write_report(
    params: Params,
    runs: Sequence[Run],
    published: Sequence[Published],
    datasets: Sequence[Dataset],
    baselines: Mapping[str, pd.DataFrame],
    folder: Path,
    processes: int = 1,
) -> None:
    """Write metrics, tables/, figures/ and the pages under `folder`; charts are drawn in so many processes.

    `baselines` are what `evaluate_data` measured by data set without a model: codecs, or densities of colour images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    here, longer = _by_dataset(runs), _by_dataset(published)
    facts = result_records([*published, *runs])
    groups = [_group(longer[name], facts, f"published-{name}") for name in longer]
    groups += [_group(here[name], facts, name) for name in here]
    judged = [one for group in groups for one in judge(group.trainings)]
    tables = {table.number: paper_records(table, published) for table in paper.TABLES}
    write_metrics(runs, folder)
    files = {"results": facts, "claims": claim_records(judged), "text_figures": text_records(published)}
    files |= {f"table{number.lower()}": records for number, records in tables.items()}
    files |= {"bounds": bound_records(runs), "dimensions": dimension_records(runs)}
    for name, records in files.items():
        write_csv(records, folder / "tables" / f"{name}.csv")
    for name, frame in baselines.items():
        write_csv(frame, folder / "tables" / f"baselines-{name}.csv")
    pictures = draw_all(here, longer, datasets, tables, baselines, folder / "figures", processes)
    claims = decided(judged)
    shown = [one for records in tables.values() for one in records if one["own"] and one["ours"] is not None]
    sections = dict.fromkeys(claim.section for claim in claims)
    content = {
        "smoke": params.scale == "smoke",
        "count": tally(claims),
        "kinds": Counter(one["verdict"].split()[0] for one in shown),
        "farthest": max(shown, key=lambda one: one["difference"], default=None),
        "nearest": min(shown, key=lambda one: one["difference"], default=None),
        "dots": [f"table{number.lower()}" for number in tables],
        "groups": groups,
        "by_dataset": [_group(of, facts, name) for name, of in _by_dataset([*published, *runs]).items()],
        "known": [group for group in groups if any("exact_information" in one.metrics for one in group.trainings)],
        "paper_tables": [(table, paper_table(table, tables[table.number])) for table in paper.TABLES],
        "claim_tables": [(section, claims_table(section, claims)) for section in sections],
        "text": files["text_figures"],
        "footnotes": [note for table in paper.TABLES for name, note in table.footnotes.items() if name in longer],
        "lossless": {name: frame[frame["lossless"]] for name, frame in baselines.items() if "codec" in frame},
        "densities": {name: frame for name, frame in baselines.items() if "codec" not in frame},
        "bound_records": files["bounds"],
        "data_sheets": [f"data-{dataset.name}" for dataset in datasets],
        "data_counts": "; ".join(map(_counts, datasets)),
        "provenance": _provenance(params, runs, datasets),
    }
    write_pages(content, pictures, folder)


def _group(trainings: Sequence[Training], facts: Sequence[Record], stem: str) -> Group:
    """With their records, in the order of the charts where the answer is known."""
    known = any("exact_information" in one.metrics for one in trainings)
    shown = ordered(trainings, coded=False) if known else trainings
    records = {(one["dataset"], one["model"], one["origin"]): one for one in facts}
    return Group(shown, [records[one.dataset, one.model, one.origin] for one in shown], stem)


def _by_dataset(trainings: Sequence[T]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = {}
    for one in trainings:
        groups.setdefault(one.dataset, []).append(one)
    return groups


def _counts(dataset: Dataset) -> str:
    counts = " / ".join(f"{len(split):,}" for split in (dataset.train, dataset.valid, dataset.test))
    drawn = ", grey levels drawn black or white anew at every visit" if dataset.dynamic else ""
    shape = "×".join(map(str, dataset.image_shape))
    return f"{dataset.name}, {counts} images of {shape} for training, validation and test{drawn}"


def _provenance(params: Params, runs: Sequence[Run], datasets: Sequence[Dataset]) -> list[tuple[str, str]]:
    hashes = {dataset.name: dataset.sha256() for dataset in datasets}
    hashes |= {run.dataset: run.config["data_sha256"] for run in runs}
    versions = [f"{name} {metadata.version(name)}" for name in LIBRARIES]
    return [
        ("parameters", f"scale {params.scale} of params.yaml at that commit"),
        ("seeds", f"{', '.join(map(str, params.seeds))}; binarization {params.data.binarization_seed}"),
        *((f"data {name}", f"SHA-256 {digest}") for name, digest in hashes.items()),
        ("libraries", ", ".join([f"Python {platform.python_version()}", *versions])),
    ]
