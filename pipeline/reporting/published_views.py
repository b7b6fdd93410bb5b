"""Published results as text: tables with headers and cells, which both templates print."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.reporting.published import Published
from pipeline.reporting.published_tables import published_records, text_records
from pipeline.reporting.tables import Record
from pipeline.reporting.views import View, number


def results_view(trainings: Sequence[Published]) -> View:
    """What came out: the last point of the learning curves, the test figures, deviations; the notes below."""
    header = ("model", "made of", "trained on", "epochs", "valid. −ELBO, nats", "valid. KL, nats", "test NLL, nats",
              "95 % interval", "test KL, nats", "K", "test images", "seed", "deviations")  # fmt: skip
    rows = []
    for training, record in zip(trainings, published_records(trainings), strict=True):
        cells = [training.name, training.parts, record["trained_on"], f"{record['epochs']:.1f}"]
        cells += [f"{-record['valid_elbo']:.2f}", f"{record['valid_kl']:.2f}", *_test_cells(record)]
        cells += [str(record["seed"]), record["deviations"]]
        rows.append(("", cells))
    return View("", header, rows, "tables/published.csv", [one.remark for one in trainings if one.note])


def compute_view(trainings: Sequence[Published]) -> View:
    """What it took, a row a model."""
    header = ("model", "images/s", "epochs", "steps", "minutes", "device", "processor", "precision", "weights",
              "stored as", "commit")  # fmt: skip
    rows = []
    for training, record in zip(trainings, published_records(trainings), strict=True):
        cells = [
            training.name,
            number(record["images_per_second"], ",.0f"),
            f"{record['epochs']:.1f}",
            f"{record['steps']:,}",
            f"{record['train_minutes']:.0f}",
            record["device"],
            record["processor"],
            record["precision"],
            f"{record['parameters']:,}",
            record["stored_precision"],
            record["commit"][:12],
        ]
        rows.append(("", cells))
    return View("", header, rows)


def text_view(published: Sequence[Published]) -> View:
    """The figures in the paper's text beside ours; no rows if none of their models is published."""
    rows = []
    for record in text_records(published):
        known = record["published_nats"] is not None
        ours = _nats_and_bits(record, "published", ".2f") if known else "not published"
        ends = [number(record[f"{end}_nats"]) for end in ("low", "high")]
        rows.append(
            ("", [record["figure"], _nats_and_bits(record, "paper", ".1f"), ours, " to ".join(filter(None, ends))])
        )
    header = ("figure in the text", "paper", "published", "95 % interval, nats")
    return View("", header, rows, "tables/text_figures.csv")


def _test_cells(record: Record) -> list[str]:
    if record["nll"] is None:
        return ["not evaluated", "", "", "", ""]
    samples = "exact" if record["exact"] else f"{record['K']:,}"
    interval = f"{record['nll_low']:.2f} to {record['nll_high']:.2f}"
    return [f"{record['nll']:.2f}", interval, f"{record['kl_nats']:.2f}", samples, f"{record['images']:,}"]


def _nats_and_bits(record: Record, whose: str, form: str) -> str:
    values = {unit: record[f"{whose}_{unit}"] for unit in ("nats", "bits")}
    return " = ".join(f"{number(value, form)} {unit}" for unit, value in values.items() if value is not None)
