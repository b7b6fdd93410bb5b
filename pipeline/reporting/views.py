"""Records as text: the tables of the report with headers and cells, which both templates print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline import paper
from pipeline.reporting.runs import Run
from pipeline.reporting.tables import Record, code_length_records, table_records


@dataclass(frozen=True)
class View:
    """A table to print: `rows` are (kind, cells), the kind being the CSS classes of the row."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, list[str]]]
    file: str = ""
    notes: list[str] = field(default_factory=list)


def paper_view(table: paper.Table, runs: Sequence[Run]) -> View:
    """A table of the paper with our runs beside it."""
    best = {row.label for row in table.rows if row.best}
    groups = {row.label: row.group for row in table.rows}
    header: tuple[str, ...] = ("model", "paper", "ours", "95 % interval", "difference", "verdict", "our run")
    if table.has_kl:
        header = (*header, "KL, paper", "KL, ours")
    rows: list[tuple[str, list[str]]] = []
    group = ""
    for record in table_records(table, runs):
        if groups.get(record["row"], "") not in ("", group):
            group = groups[record["row"]]
            rows.append(("group", [group] + [""] * (len(header) - 1)))
        kind = f"{record['kind']} best" if record["row"] in best else record["kind"]
        if record["ours"] is not None:
            kind += " run"
        rows.append((kind, _paper_cells(record, table)))
    present = {run.dataset for run in runs}
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
        cells += ["", "", "", "", ""]
    else:
        difference = record["difference"]
        exact = f"K = {record['K']}" if record["K"] else "exact"
        cells += [
            f"{record['ours']:.2f}",
            f"{record['ci_low']:.2f} to {record['ci_high']:.2f}",
            "" if difference is None else f"{difference:+.2f}".replace("-", "−"),
            record["verdict"],
            f"{record['dataset']}, {record['images']:,} images, {exact}, seed {record['seed']}, "
            f"{record['steps']:,} steps ({record['epochs']:.1f} epochs)",
        ]
    if table.has_kl:
        cells += ["" if record[key] is None else f"{record[key]:.2f}" for key in ("paper_kl_nats", "kl_nats")]
    return cells
