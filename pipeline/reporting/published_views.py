"""Published results as text: tables with headers and cells, which both templates print."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.reporting.color import color_view
from pipeline.reporting.published import Published
from pipeline.reporting.published_tables import published_records, text_records
from pipeline.reporting.tables import Record
from pipeline.reporting.verdicts import in_unit
from pipeline.reporting.views import View, information_view, number

CODES, COLOR_CODES = "published_information.csv", "published_color.csv"
"""Files under tables/: what the codes of the published models carry and keep."""


def results_view(trainings: Sequence[Published]) -> View:
    """What came out: the last point of the learning curves, the test figures, deviations; the notes below."""
    unit = "bits/dim" if trainings[0].color else "nats"
    header = ("model", "made of", "trained on", "epochs", f"valid. −ELBO, {unit}", "valid. KL, nats",
              f"test NLL, {unit}", "95 % interval", "test KL, nats", "K", "test images", "seed",
              "deviations")  # fmt: skip
    rows = []
    for training, record in zip(trainings, published_records(trainings), strict=True):
        cells = [training.name, training.parts, record["trained_on"], f"{record['epochs']:.1f}"]
        cells += [_likelihood(-record["valid_elbo"], training), f"{record['valid_kl']:.2f}"]
        cells += [*_test_cells(record, training), str(record["seed"]), record["deviations"]]
        rows.append(("", cells))
    return View("", header, rows, "tables/published.csv", [one.remark for one in trainings if one.note])


def fit_view(trainings: Sequence[Published]) -> View:
    """Whether a training was too short, or fits its images too closely, a row a model."""
    unit = "bits/dim" if trainings[0].color else "nats"
    header = ("model", f"−ELBO fell in the last quarter of the steps, {unit}", "KL rose, nats",
              f"test − training NLL, {unit}", "beyond that of the Unconditional Decoder, nats",
              "NLL with K = 64 − NLL, nats")  # fmt: skip
    rows = []
    for training, record in zip(trainings, published_records(trainings), strict=True):
        evaluated = record["nll"] is not None
        changes = (record["late_elbo"], record["nll"] - record["train_nll"] if evaluated else None)
        late, gap = (_likelihood(nats, training) for nats in changes)
        beyond = " ± ".join(number(record[key]) for key in ("overfitting", "overfitting_se") if record[key] is not None)
        samples = None if record["nll_k64"] is None else record["nll_k64"] - record["nll"]
        rows.append(("", [training.name, late, number(record["late_kl"]), gap, beyond, number(samples)]))
    return View("", header, rows)


def code_view(trainings: Sequence[Published]) -> View:
    """What the codes carry and keep, of the models that were evaluated; no rows if none has a code."""
    coded = with_code(trainings)
    if trainings[0].color:
        return color_view(coded, f"tables/{COLOR_CODES}")
    return information_view(coded, f"tables/{CODES}")


def with_code(trainings: Sequence[Published]) -> list[Published]:
    """Those that were evaluated and have a latent."""
    return [training for training in trainings if training.metrics and not training.metrics["exact"]]


def with_contexts(trainings: Sequence[Published]) -> list[Published]:
    """Those on the curve over contexts, of binary images, if there are more than two contexts; else none."""
    shown = [training for training in with_code(trainings) if not training.color and training.on_context_curve]
    return shown if len({training.context_pixels for training in shown}) > 2 else []


def compute_view(trainings: Sequence[Published]) -> View:
    """What it took, a row a model."""
    header = ("model", "images/s", "epochs", "steps", "minutes", "device", "processor", "precision",
              "weights, masked too", "stored as", "commit")  # fmt: skip
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


def _likelihood(nats: float | None, training: Published) -> str:
    """In the unit of its table; empty for None."""
    if nats is None or not training.color:
        return number(nats)
    return number(in_unit(nats, training, "bits/dim"), ".3f")


def _test_cells(record: Record, training: Published) -> list[str]:
    if record["nll"] is None:
        return ["not evaluated", "", "", "", ""]
    samples = "exact" if record["exact"] else f"{record['K']:,}"
    nll, low, high = (_likelihood(record[key], training) for key in ("nll", "nll_low", "nll_high"))
    return [nll, f"{low} to {high}", f"{record['kl_nats']:.2f}", samples, f"{record['images']:,}"]


def _nats_and_bits(record: Record, whose: str, form: str) -> str:
    values = {unit: record[f"{whose}_{unit}"] for unit in ("nats", "bits")}
    return " = ".join(f"{number(value, form)} {unit}" for unit, value in values.items() if value is not None)
