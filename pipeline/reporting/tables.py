"""Tables of a page: which numbers of the records stand in which column, and with what beneath a row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from pipeline import paper
from pipeline.reporting.claims import Claim, Judged, Outcome
from pipeline.reporting.facts import Record
from pipeline.results.names import NAMES, TITLES

MOST_COLUMNS = 6
_KEPT = "{kept_%s:.2f} [{kept_%s_low:.2f}, {kept_%s_high:.2f}]"
_NLL = "{nll:.2f} [{nll_low:.2f}, {nll_high:.2f}]"
_BITS = "{bits_per_dim:.3f} [{bits_per_dim_low:.3f}, {bits_per_dim_high:.3f}]"
COLUMNS: dict[str, dict[str, str]] = {
    "results": {"model": "{name}", "test NLL, nats": _NLL, "KL, nats": "{kl_nats:.2f}", "K": "{K}",
                "epochs": "{epochs:.1f}", "trained on": "{trained_on}"},
    "color_results": {"model": "{name}", "test NLL, bits/dim": _BITS, "−ELBO, bits/dim": "{elbo_bits_per_dim:.3f}",
                      "KL, bits": "{kl_bits:.1f}", "K": "{K}", "last weight of the KL": "{kl_weight:.3f}"},
    "fit": {"model": "{name}", "−ELBO fell late": "{late_elbo:.2f}", "KL rose late": "{late_kl:.2f}",
            "test − training NLL": "{test_minus_train:.2f}",
            "of it overfitting": "{overfitting:.2f} ± {overfitting_se:.2f}", "K = 64 costs": "{k64_minus_nll:.2f}"},
    "code_length": {"model": "{name}", "−ELBO, bits": "{code_length_bits:.1f}", "KL, bits": "{kl_bits:.1f}",
                    "KL, nats": "{kl_nats:.2f}", "reconstruction, nats": "{reconstruction_nats:.2f}",
                    "NLL, nats": "{nll:.2f}"},
    "on_disk": {"model": "{name}", "packed, bits": "{coded_bits:.1f}",
                "without the start": "{coded_bits_after_start:.1f}", "−ELBO, bits": "{coded_elbo_bits:.1f}",
                "NLL, bits": "{nll_bits:.1f}", "of it z, bytes": "{kl_bytes:.1f}"},
    "encoded": {"model": "{name}", "KL, bytes": "{kl_bytes:.1f}", "file, bytes": "{vlae_bytes:.1f}",
                "longest": "{vlae_most_bytes}", "of it z, bits": "{vlae_code_bits:.1f}",
                "−log p(x|z), bits": "{vlae_image_bits:.1f}"},
    "lossless": {"codec": "{codec}", "file, bits": "{bits:.1f}", "without its header": "{payload_bits:.1f}"},
    "code": {"model": "{name}", "KL, nats": "{kl_nats:.2f}", "cost of z, nats": "{cost_nats:.2f}",
             "I(x; z) at least, nats": "{information_nats:.2f}", "active units": "{active_units}",
             "class from z": "{probe_z:.1%} (pixels {probe_pixels:.1%})"},
    "kept": {"model": "{name}", "sees": "{sees}",
             **{head: _KEPT.replace("%s", part) for head, part in
                (("coarse kept", "coarse"), ("fine kept", "fine"), ("contrast kept", "contrast"),
                 ("colour kept", "color"))}},
    "seeds": {"model": "{name}", "seeds": "{seeds}", "NLL, nats: mean ± s.d.": "{nll_over_seeds:.2f} ± {nll_sd:.2f}",
              "KL, nats: mean ± s.d.": "{kl_nats_over_seeds:.2f} ± {kl_nats_sd:.2f}"},
    "compute": {"model": "{name}", "steps": "{steps:,}", "minutes": "{minutes:.0f}",
                "images a second": "{images_per_second:,.0f}", "processor": "{processor}", "weights": "{parameters:,}"},
    "models": {"model": "{model}", "made of": "{made_of}", "steps": "{steps:,}", "epochs": "{epochs:.1f}",
               "seed": "{seed}", "scale": "{scale}"},
    "known": {"model": "{name}", "sees": "{sees}", "NLL, nats": "{nll:.2f}", "KL, nats": "{kl_nats:.2f}",
              "KL(q(z|x) ‖ p(z|x)), nats": "{posterior_gap_nats:.3f}", "g read off z, R²": "{factors_r2:.2f}"},
    "densities": {"density": "{name}", "test NLL, bits/dim": _BITS, "images": "{images}"},
    "sources": {"model": "{name}", "origin": "{origin}", "stage": "{stage}", "data, SHA-256": "{data}",
                "commit": "{commit}", "made of": "{made_of}"},
    "text": {"figure in the text": "{figure}", "paper": "{paper_nats:.1f} nats", "published": "{ours_nats:.2f} nats",
             "paper, bits": "{paper_bits:.1f}", "published, bits": "{ours_bits:.2f}", "model": "{model}"},
}  # fmt: skip
"""By table the columns: header and how a record fills the cell; what a record does not know leaves it empty."""


@dataclass(frozen=True)
class Row:
    """A row of text; `kind` is its CSS class, `notes` stand beneath it over all columns."""

    cells: tuple[str, ...]
    kind: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """At most six columns of text; `file` under tables/ holds its numbers, `datasets` say whose sources are linked."""

    header: tuple[str, ...]
    rows: tuple[Row, ...]
    file: str
    datasets: tuple[str, ...] = field(default=())


def cell(form: str, record: Mapping[str, Any]) -> str:
    """`form` with the record's numbers, minus signs as in print; empty if one of them is missing."""
    names = re.findall(r"{(\w+)", form)
    if any(record.get(name) is None or pd.isna(record[name]) for name in names):
        return ""
    return re.sub(r"(?<![\w\d])-(?=\d)", "−", form.format_map(record))


def table(kind: str, records: Iterable[Record], file: str = "results.csv") -> Table | None:
    """The table `kind` of some records: no column without a number, no row without one either, None if nothing is left.

    Deviations from the paper stand beneath the rows of results.
    """
    records = list(records)
    cells = [{head: cell(form, one) for head, form in COLUMNS[kind].items()} for one in records]
    frame = pd.DataFrame(cells, dtype=object)
    notes = [_note(one) if kind.endswith("results") else "" for one in records]
    if frame.empty or not (filled := frame.loc[:, (frame != "").any()]).shape[1] > 1:
        return None
    kept = (filled.iloc[:, 1 + ("sees" in filled) :] != "").any(axis=1)
    rows = [
        Row(tuple(texts), notes=(note,) if note else ())
        for texts, note, shown in zip(filled.to_numpy().tolist(), notes, kept, strict=True)
        if shown
    ]
    datasets = tuple(dict.fromkeys(one["dataset"] for one in records if "dataset" in one))
    return Table(tuple(filled.columns), tuple(rows), file, datasets) if rows else None


def _note(record: Record) -> str:
    """Deviations from the paper, or of other data what the model is made of; and what could not be measured."""
    papers = any(record["dataset"] in source.datasets for source in paper.TABLES)
    missing = f"not measured: {record['missing']}" if record.get("missing") else ""
    return "; ".join(filter(None, (record["deviations" if papers else "made_of"], missing)))


def paper_table(source: paper.Table, records: Sequence[Record]) -> Table:
    """A table of the paper: its rows, ours with the paper's model, verdict, and apart from these another model's."""
    rows, group = [], ""
    for one in records:
        if one["group"] and one["group"] != group:
            group = one["group"]
            rows.append(Row((group, *[""] * 5), "group"))
        notes = []
        if one["model"]:
            name = NAMES.get(one["model"], one["model"])
            notes = [f"Ours: {name}" + (f"; {one['deviations']}" if one["deviations"] else "")]
            notes += [f"Others of the paper's models: {one['rest']}"] if one["rest"] else []
        if one["other_model"]:
            name = NAMES.get(one["other_model"], one["other_model"])
            notes.append(f"Another model: {name}; {one['other_deviations']}")
            notes += [f"Further models: {one['other_rest']}"] if one["other_rest"] else []
        kind = " ".join(["own" if one["own"] else "quoted", *(["best"] if one["best"] else [])])
        kind += f" {one['verdict'].split()[0]}" if one["verdict"] else ""
        paper_kl, kl, other_kl = (
            cell(f" (KL {{{key}:.2f}})", one) if source.has_kl else "" for key in ("paper_kl", "kl", "other_kl")
        )
        ours, other = (cell(f"{{{key}:.2f}}", one) + cell(f" ± {{{key}_sd:.2f}}", one) for key in ("ours", "other"))
        cells = (one["row"], cell("{bound} {paper:.2f}", one).strip() + paper_kl, ours + kl,
                 cell("{difference:+.2f} (± {allowance:.2f})", one), one["verdict"] or "",
                 other + (other_kl if one["other_model"] else ""))  # fmt: skip
        rows.append(Row(cells, kind, tuple(notes)))
    header = ("model", f"paper, {source.unit}", "ours", "difference", "verdict", "another model")
    file = f"table{source.number.lower()}.csv"
    shown = tuple(dict.fromkeys(one["dataset"] for one in records if one["dataset"]))
    return Table(header, tuple(rows), file, shown)


def claims_table(section: str, claims: Mapping[Claim, tuple[Outcome, list[Judged]]]) -> Table | None:
    """The claims of a section: verdict, what was measured on each data set, and the paper's difference of NLL."""
    rows = []
    for claim, (outcome, judged) in claims.items():
        if claim.section == section:
            measured = [f"{_place(one, judged)}: {one.measured} ({one.outcome})" for one in judged]
            said = [cell("{paper:+.2f}", {"paper": one.paper}) for one in judged if one.paper is not None]
            statement = claim.statement + (" (expected by us; no claim of the paper)" if claim.ours else "")
            cells = (statement, outcome, "; ".join(measured), "; ".join(dict.fromkeys(said)))
            rows.append(Row(cells, outcome))
    datasets = tuple(dict.fromkeys(one.dataset for claim, (_, all_) in claims.items() if claim.section == section
                                   for one in all_))  # fmt: skip
    header = ("claim", "verdict", "measured", "difference in the paper")
    return Table(header, tuple(rows), "claims.csv", datasets) if rows else None


def _place(one: Judged, judged: Iterable[Judged]) -> str:
    """The data set; of two results on it the published one is named alone."""
    twice = one.origin != "published" and [each.dataset for each in judged].count(one.dataset) > 1
    return TITLES.get(one.dataset, one.dataset) + ", this run" * twice


def bounds_table(records: Sequence[Record], dataset: str) -> Table | None:
    """NLL with ever more samples: a row a model, a column a K, the largest that fit."""
    of = pd.DataFrame([one for one in records if one["dataset"] == dataset])
    if of.empty:
        return None
    of["cell"] = [cell("{nll:.2f} ± {nll_se:.2f}", dict(one)) for _, one in of.iterrows()]
    wide = of.pivot(index="model", columns="K", values="cell").fillna("").iloc[:, 1 - MOST_COLUMNS :]
    rows = [Row((NAMES.get(model, model), *cells)) for model, *cells in wide.itertuples()]
    return Table(("model", *(f"K = {k:,}" for k in wide.columns)), tuple(rows), "bounds.csv", (dataset,))
