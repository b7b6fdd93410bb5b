"""Records as text: the tables of the report with headers and cells, which both templates print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline import paper
from pipeline.reporting.claims import judge_claims
from pipeline.reporting.differences import difference_records
from pipeline.reporting.published import Published
from pipeline.reporting.runs import Run, Training
from pipeline.reporting.tables import (
    Record,
    bound_records,
    code_length_records,
    information_records,
    seed_records,
    table_records,
)


@dataclass(frozen=True)
class View:
    """A table to print: `rows` are (kind, cells), the kind being the CSS classes of the row."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, list[str]]]
    file: str = ""
    notes: list[str] = field(default_factory=list)


def claims_view(trainings: Sequence[Training]) -> View:
    """The paper's claims whose models and data are there; the kind of a row is the first word of its verdict."""
    claims = judge_claims(training for training in trainings if training.metrics)
    rows: list[tuple[str, list[str]]] = []
    topic = ""
    for claim in claims:
        if not claim.possible:
            continue
        if claim.topic != topic:
            topic = claim.topic
            evidence = "" if isinstance(trainings[0], Published) else f" (see {claim.evidence})"
            rows.append(("group", [topic + evidence, "", "", ""]))
        cells = [claim.statement, claim.measured, number(claim.paper, "+.2f"), claim.outcome]
        rows.append((f"claim {claim.outcome.split()[0]}", cells))
    absent = sum(not claim.possible for claim in claims)
    notes = [f"Left out: {absent} more, whose models are not there or which are about other data."] if absent else []
    return View("", ("claim", "measured", "difference in the paper", "verdict"), rows, notes=notes)


def verdicts_view(groups: Mapping[str, Sequence[Training]]) -> View:
    """The verdicts alone, a row a claim, a column a group of trainings; no rows if there are no models to judge."""
    found: dict[str, dict[str, str]] = {}
    for name, trainings in groups.items():
        for claim in judge_claims(training for training in trainings if training.metrics):
            outcomes = found.setdefault(claim.statement, {})
            if claim.possible:
                outcomes[name] = claim.outcome
    names = [name for name in groups if any(name in outcomes for outcomes in found.values())]
    rows = [("", [statement, *(said.get(name, "") for name in names)]) for statement, said in found.items() if said]
    return View("", ("claim", *names), rows)


def paper_view(table: paper.Table, results: Sequence[Training]) -> View:
    """A table of the paper with ours beside it, published and of this run."""
    best = {row.label for row in table.rows if row.best}
    groups = {row.label: row.group for row in table.rows}
    others = "Not in the paper's table" if any(groups.values()) else ""
    header: tuple[str, ...] = ("model", "paper", "ours", "95 % interval", "difference", "verdict", "from", "our run")
    if table.has_kl:
        header = (*header, "KL, paper", "KL, ours")
    rows: list[tuple[str, list[str]]] = []
    group = ""
    for record in table_records(table, results):
        if (new := groups.get(record["row"], others)) not in ("", group):
            group = new
            rows.append(("group", [group] + [""] * (len(header) - 1)))
        kind = f"{record['kind']} best" if record["row"] in best else record["kind"]
        if record["ours"] is not None:
            kind += f" {record['source'].split()[-1]}"
        rows.append((kind, _paper_cells(record, table)))
    present = {result.dataset for result in results}
    notes = [note for dataset, note in table.footnotes.items() if dataset in present]
    name = "Appendix D" if table.number == "D" else f"Table {table.number}"
    title = f"{name}: {table.title}, test NLL in {table.unit}"
    notes.insert(
        0,
        "Lower is better. The NLL of the paper's own models with a latent is importance-sampled with "
        f"K = {table.importance_samples}.",
    )
    return View(title, header, rows, f"tables/{table_file(table)}", notes)


def table_file(table: paper.Table) -> str:
    """The CSV file of a table."""
    return f"table{table.number.lower()}.csv"


def code_length_view(runs: Sequence[Run]) -> View:
    """Code length of every model: total and parts in bits, KL and NLL in nats, and the paper's KL."""
    header = (
        "model",
        "−ELBO, bits",
        "reconstruction, bits",
        "KL, bits",
        "KL, nats",
        "KL in the paper",
        "NLL, nats",
    )
    rows = []
    for run, record in zip(runs, code_length_records(runs), strict=True):
        known = record["paper_kl_nats"] is not None
        cells = [
            run.name,
            *(f"{record[key]:.1f}" for key in ("code_length_bits", "reconstruction_bits", "kl_bits")),
            f"{record['kl_nats']:.2f}",
            f"{record['paper_kl_nats']:.1f} nats = {record['paper_kl_bits']:.1f} bits" if known else "",
            f"{record['nll']:.2f}",
        ]
        rows.append(("", cells))
    return View("", header, rows, "tables/code_length.csv")


def information_view(runs: Sequence[Training], file: str = "tables/information.csv") -> View:
    """What z carries (nats, units) and keeps (correlations with the original, classes), a row a model with a latent."""
    header = ("model", "context, pixels", "KL, nats", "KL, bits", "cost of z, nats", "I(x; z) ≥, nats", "active units",
              "coarse structure kept", "fine structure kept", "class from z")  # fmt: skip
    names = {run.model: run.name for run in runs}
    rows, notes = [], []
    for record in information_records(runs):
        cells = [
            names[record["model"]],
            number(record["context_pixels"], "d"),
            number(record["kl_nats"]),
            number(record["kl_bits"]),
            number(record["cost_nats"]),
            number(record["information_nats"]),
            number(record["active_units"], "d"),
            interval(record, "kept_coarse"),
            interval(record, "kept_fine"),
            number(record["probe_z"], ".1%"),
        ]
        rows.append(("", cells))
        if record["probe_z"] is not None:
            notes = [
                f"Class from z: accuracy of a linear classifier on one z an image, {record['probe_train_images']:,} "
                f"training and {record['probe_test_images']:,} test images of {record['probe_classes']} classes. The "
                f"same classifier on the pixels: {record['probe_pixels']:.1%}; always the largest class: "
                f"{record['probe_majority']:.1%}."
            ]
    return View("", header, rows, file, notes)


def bounds_view(runs: Sequence[Run]) -> View:
    """The bound on NLL with ever more importance samples, a row a model, a column a K."""
    records = bound_records(runs)
    samples = sorted({record["K"] for record in records})
    cells = {(record["model"], record["K"]): f"{record['nll']:.2f} ± {record['nll_se']:.2f}" for record in records}
    rows = [
        ("", [run.name, *(cells.get((run.model, k), "") for k in samples)]) for run in runs if not run.metrics["exact"]
    ]
    return View("", ("model", *(f"K = {k}" for k in samples)), rows, "tables/bounds.csv")


def differences_view(runs: Sequence[Run]) -> View:
    """Differences of NLL between models on the same images."""
    header = ("difference of NLL, nats", "test", "paper, test", "training", "paper, training", "paper's data set")
    rows = []
    for record in difference_records(runs):
        said = [number(record[f"paper_{split}"], "+.2f") for split in ("test", "train")]
        measured = [interval(record, f"{split}", f"{split}_nll", "+.2f") for split in ("test", "train")]
        cells = [record["difference"], measured[0], said[0], measured[1], said[1], record["paper_dataset"]]
        rows.append(("", cells))
    return View("", header, rows, "tables/differences.csv")


def seeds_view(runs: Sequence[Run]) -> View:
    """Mean and standard deviation over seeds; no rows where there is one seed."""
    rows = [
        ("", [record["model"], str(record["seeds"]), f"{record['nll_mean']:.2f} ± {record['nll_sd']:.2f}",
              f"{record['kl_mean']:.2f} ± {record['kl_sd']:.2f}"])
        for record in seed_records(runs)
    ]  # fmt: skip
    return View("", ("model", "seeds", "NLL, nats: mean ± s.d.", "KL, nats: mean ± s.d."), rows, "tables/seeds.csv")


def models_view(runs: Sequence[Run]) -> View:
    """What each run is: parts, size, how long it was trained and on what."""
    header = ("data set", "model", "made of", "weights", "steps", "epochs", "precision", "seed", "scale")
    rows = []
    for run in runs:
        config = run.config
        cells = [run.dataset, run.model, run.parts, f"{config['parameters']:,}", f"{config['steps']:,}"]
        cells += [f"{config['epochs']:.1f}", config["precision"], str(config["seed"]), config["scale"]]
        rows.append(("", cells))
    return View("", header, rows)


def _paper_cells(record: Record, table: paper.Table) -> list[str]:
    unit = next(key for key in record if key.startswith("paper_"))
    value = record[unit]
    cells = [record["row"], "" if value is None else f"{record['paper_bound']} {value:.2f}".strip()]
    if record["ours"] is None:
        cells += [""] * 6
    else:
        difference = record["difference"]
        exact = f"K = {record['K']}" if record["K"] else "exact"
        deviations = f"; {record['deviations']}" if record["deviations"] else ""
        cells += [
            f"{record['ours']:.2f}",
            f"{record['ci_low']:.2f} to {record['ci_high']:.2f}",
            "" if difference is None else f"{difference:+.2f}".replace("-", "−"),
            record["verdict"],
            record["source"],
            f"{record['model']} on {record['dataset']}, {record['images']:,} images, {exact}, seed {record['seed']}, "
            f"{record['steps']:,} steps ({record['epochs']:.1f} epochs){deviations}",
        ]
    if table.has_kl:
        cells += ["" if record[key] is None else f"{record[key]:.2f}" for key in ("paper_kl_nats", "kl_nats")]
    return cells


def number(value: float | None, form: str = ".2f") -> str:
    """With a minus sign as in print; empty for None."""
    return "" if value is None else format(value, form).replace("-", "−")


def interval(record: Record, stem: str, key: str = "", form: str = ".2f") -> str:
    """A value and its 95 % interval: `key` or `stem`, `stem`_low, `stem`_high of a record."""
    value = record[key or stem]
    if value is None:
        return ""
    low, high = (number(record[f"{stem}_{end}"], form) for end in ("low", "high"))
    return f"{number(value, form)} [{low}, {high}]"
