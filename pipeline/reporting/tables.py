"""The report's tables as records: the paper's rows beside ours, and the code length of every model."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import paper
from pipeline.reporting.published import Published
from pipeline.reporting.runs import Run, Training
from pipeline.reporting.verdicts import compare, model_deviations
from pipeline.units import nats_to_bits

Record = dict[str, Any]
ALWAYS_SHOWN = ("1", "2", "3", "4", "D")


def shown_tables(results: Sequence[Training]) -> list[paper.Table]:
    """The tables of binary images, and those with a data set of ours beside them."""
    present = {result.dataset for result in results}
    return [
        table
        for table in paper.TABLES
        if table.number in ALWAYS_SHOWN or present.intersection(table.datasets + table.stand_ins)
    ]


def table_records(table: paper.Table, results: Sequence[Training]) -> list[Record]:
    """Every row of the paper's table, once for each result of ours beside it, then our models it has no row for.

    A row without one has None in our columns; `kind` is "quoted", "own" (the paper's model) or "ours". Results that
    were not evaluated are left out.
    """
    comparable = [run for run in results if run.metrics and run.dataset in table.datasets + table.stand_ins]
    records = []
    for row in table.rows:
        matching = [run for run in comparable if run.model in row.models]
        records += [_record(table, row, run) for run in matching] or [_record(table, row, None)]
    known = {model for row in table.rows for model in row.models}
    return records + [_record(table, None, run) for run in comparable if run.model not in known]


def code_length_records(runs: Sequence[Run]) -> list[Record]:
    """Bits-back code length of an image under each model: −ELBO = reconstruction + KL, in bits."""
    figures = {figure.model: figure for figure in (paper.KL_VLAE, paper.KL_VAE)}
    return [
        {
            "dataset": run.dataset,
            "model": run.model,
            "code_length_bits": run.metrics["code_length_bits"],
            "reconstruction_bits": nats_to_bits(run.metrics["reconstruction_nats"]),
            "kl_bits": run.metrics["kl_bits"],
            "kl_nats": run.metrics["kl_nats"],
            "nll": run.metrics["nll"],
            "elbo": run.metrics["elbo"],
            "exact": run.metrics["exact"],
            "paper_kl_nats": figures[run.model].nats if run.model in figures else None,
            "paper_kl_bits": figures[run.model].bits if run.model in figures else None,
        }
        for run in runs
    ]


def information_records(runs: Sequence[Training]) -> list[Record]:
    """What the code of every model with a latent costs, carries and keeps; None where a measure does not apply."""
    keys = ("kl_nats", "kl_bits", "information_nats", "active_units", "kept_coarse", "kept_coarse_low",
            "kept_coarse_high", "kept_fine", "kept_fine_low", "kept_fine_high", "probe_z", "probe_pixels",
            "probe_majority", "probe_classes", "probe_train_images", "probe_test_images")  # fmt: skip
    return [
        {"dataset": run.dataset, "model": run.model, "context_pixels": run.context_pixels, "cost_nats": run.cost_nats}
        | {key: run.metrics.get(key) for key in keys}
        for run in runs
        if not run.metrics["exact"]
    ]


def bound_records(runs: Sequence[Run]) -> list[Record]:
    """The importance-sampled NLL with fewer samples than the run's K, with the standard error over images."""
    records = []
    for run in runs:
        if run.metrics["exact"]:
            continue
        samples = [int(column.removeprefix("nll_k")) for column in run.per_image if column.startswith("nll_k")]
        columns = {k: run.per_image[f"nll_k{k}"] for k in samples}
        columns[run.metrics["importance_samples"]] = run.per_image["nll"]
        records += [
            {"dataset": run.dataset, "model": run.model, "K": k, "nll": float(values.mean()),
             "nll_se": float(values.std(ddof=1) / len(values) ** 0.5)}
            for k, values in columns.items()
        ]  # fmt: skip
    return records


def seed_records(runs: Sequence[Run]) -> list[Record]:
    """NLL and KL of every model trained with several seeds: mean and standard deviation over the seeds."""
    records = []
    for run in runs:
        if len(run.seeds) > 1:
            nll, kl = (np.array([metrics[key] for metrics in run.seeds]) for key in ("nll", "kl_nats"))
            records.append(
                {"dataset": run.dataset, "model": run.model, "seeds": len(run.seeds),
                 "nll_mean": float(nll.mean()), "nll_sd": float(nll.std(ddof=1)),
                 "kl_mean": float(kl.mean()), "kl_sd": float(kl.std(ddof=1))}
            )  # fmt: skip
    return records


def write_csv(records: Sequence[Record], path: Path) -> None:
    """Write records that share their keys, if there are any; numbers rounded to 4 decimals, None left empty."""
    if not records:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(records[0]), lineterminator="\n")
        writer.writeheader()
        for record in records:
            writer.writerow({key: _cell(value) for key, value in record.items()})


def _record(table: paper.Table, row: paper.Row | None, run: Training | None) -> Record:
    """One line of a table: what the paper says if it has the row, what we measured if there is a run."""
    unit = table.unit.split()[0].replace("/", "_per_")
    record: Record = {
        "row": row.label if row else run.name if run else "",
        "kind": ("own" if row.own else "quoted") if row else "ours",
        f"paper_{unit}": row.value if row else None,
        "paper_bound": "<" if row and row.bound else "",
        **dict.fromkeys(("ours", "ci_low", "ci_high", "difference", "verdict", "source", "dataset", "model")),
        **dict.fromkeys(("K", "images", "seed", "steps", "epochs", "deviations")),
    }
    if table.has_kl:
        record |= {
            "paper_kl_nats": row.kl if row else None,
            "kl_nats": run.metrics["kl_nats"] if run else None,
        }
    return record | (_measured(table, row, run) if run else {"verdict": "no run"})


def _measured(table: paper.Table, row: paper.Row | None, run: Training) -> Record:
    comparison = compare(run, row, table)
    beside_own = row is not None and row.own and run.dataset in table.datasets
    return {
        "ours": comparison.ours,
        "ci_low": comparison.low,
        "ci_high": comparison.high,
        "difference": comparison.difference,
        "verdict": comparison.verdict,
        "source": "published" if isinstance(run, Published) else "this run",
        "dataset": run.dataset,
        "model": run.model,
        "K": run.metrics["importance_samples"],
        "images": run.metrics["images"],
        "seed": run.metrics["seed"],
        "steps": run.config["steps"],
        "epochs": run.config["epochs"],
        "deviations": "; ".join(model_deviations(run)) if beside_own else None,
    }


def _cell(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
