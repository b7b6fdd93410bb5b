"""Tables of a page: at most six columns, deviations beneath a row, no number that is not there."""

import dataclasses

import pytest

from pipeline import paper
from pipeline.reporting.claims import decided, judge
from pipeline.reporting.facts import bound_records, dimension_records, paper_records, result_records
from pipeline.reporting.tables import COLUMNS, MOST_COLUMNS, bounds_table, cell, claims_table, paper_table, table


def test_no_table_has_more_than_six_columns():
    assert max(map(len, COLUMNS.values())) <= MOST_COLUMNS


@pytest.mark.parametrize(
    ("form", "record", "text"),
    [
        ("{a:.2f} [{b:+.1f}]", {"a": -1.0, "b": -2.0}, "−1.00 [−2.0]"),
        ("{a:.2f}", {"a": None}, ""),
        ("{a:.2f}", {}, ""),
        ("{a:.2f}", {"a": float("nan")}, ""),
        ("{a}", {"a": "VLAE-like 3-d"}, "VLAE-like 3-d"),
    ],
)
def test_a_cell_is_empty_where_a_number_is_missing(form, record, text):
    assert cell(form, record) == text


def test_deviations_stand_beneath_their_row(new_run):
    found = table("results", result_records([new_run("vlae_5x5", "omniglot"), new_run("pixelcnn", "omniglot")]))
    assert found.rows[0].cells[:3] == ("VLAE, untied, 5×5 masks, 16 filters", "91.00 [88.90, 93.20]", "14.00")
    assert "kernel size 5 instead of 3; filters 16 instead of 12" in found.rows[0].notes[0]
    assert "K" in found.header
    assert found.datasets == ("omniglot",)


def test_what_could_not_be_measured_is_said(new_run):
    run = new_run(missing="pictures (ValueError: no)")
    for key in [key for key in run.metrics if key.startswith(("kept", "probe", "active"))]:
        del run.metrics[key]
    run.panels.clear()
    run.dimensions.clear()
    (row,) = table("results", result_records([run])).rows
    assert row.notes[0].endswith("; not measured: pictures (ValueError: no)")
    assert dimension_records([run]) == []
    assert {one.claim.column for one in judge([run, new_run("vae")])} == {"kl", "nll"}


def test_columns_and_rows_without_a_number_are_left_out(new_run):
    records = result_records([new_run("vlae"), new_run("pixelcnn")])
    kept = table("kept", records)
    assert kept.header == ("model", "sees", "coarse kept", "fine kept")
    assert [row.cells[0] for row in kept.rows] == ["VLAE"]
    assert table("seeds", records) is None
    assert table("known", []) is None


def test_known_values_are_shown(new_run):
    known = {"exact_information": 2.79, "exact_nll": 63.85, "factors_r2": 0.7, "posterior_gap_nats": 0.023}
    found = table("known", result_records([new_run("textures_window", "textures", **known)]))
    assert found.rows[0].cells[1:] == ("a window of 2x1", "63.90", "2.80", "0.023", "0.70")


def test_the_papers_tables_have_a_column_for_other_models(new_run):
    records = [new_run("vlae_untied", "omniglot", nll=91.5), new_run("vlae_5x5", "omniglot", nll=90.0)]
    found = paper_table(paper.OMNIGLOT, paper_records(paper.OMNIGLOT, records))
    vlae = next(row for row in found.rows if row.cells[0] == "VLAE")
    assert vlae.cells == ("VLAE", "90.98", "91.50", "+0.52 (± 0.19)", "above by 0.52", "90.00")
    assert [note.split(";")[0] for note in vlae.notes] == [
        "Ours: VLAE, untied", "Another model: VLAE, untied, 5×5 masks, 16 filters",
    ]  # fmt: skip
    assert len(found.header) == MOST_COLUMNS


def test_appendix_d_tells_kl_as_well(new_run):
    found = paper_table(paper.ABLATION, paper_records(paper.ABLATION, [new_run("vlae_untied", "mnist_dynamic")]))
    assert found.rows[-1].cells[1:3] == ("78.94 (KL 11.73)", "91.00 (KL 14.00)")


def test_several_seeds_are_told_by_their_mean_and_spread(new_run):
    one = new_run("vlae_untied", "mnist_dynamic")
    of_each = ({"nll": 79.1, "kl_nats": 11.0}, {"nll": 79.3, "kl_nats": 12.0})
    several = dataclasses.replace(one, seeds=tuple(one.metrics | changed for changed in of_each))
    found = paper_table(paper.ABLATION, paper_records(paper.ABLATION, [several]))
    assert found.rows[2].cells[2] == "79.20 ± 0.14 (KL 11.50)"


def test_a_claim_tells_what_was_measured_on_each_data_set(new_run):
    judged = [
        one
        for dataset in ("mnist5k", "mnist_dynamic")
        for one in judge([new_run("vlae", dataset), new_run("vae", dataset)])
    ]
    found = claims_table("Code and decoder help each other", decided(judged))
    statement, verdict, measured, said = found.rows[0].cells
    assert statement.startswith("Decoder and AF prior help")
    assert verdict == "holds"
    assert "mnist5k: 88.50 against 94.20 nats: −5.70" in measured
    assert "dynamic MNIST: 88.50" in measured
    assert said == ""
    published, ours = ([dataclasses.replace(one, origin=origin) for one in judged] for origin in ("published", "run"))
    both = [*published, *(one for one in ours if one.dataset == "mnist5k")]
    measured = claims_table("Code and decoder help each other", decided(both)).rows[0].cells[2]
    assert measured.count("mnist5k: ") == measured.count("mnist5k, this run: ") == 1
    assert "dynamic MNIST, this run" not in measured
    assert claims_table("no such section", decided(judged)) is None


def test_bounds_show_the_largest_k(new_run):
    found = bounds_table(bound_records([new_run("vlae"), new_run("vae")]), "mnist5k")
    assert found.header == ("model", "K = 1", "K = 4", "K = 16", "K = 64")
    assert len(found.rows) == 2
    assert bounds_table([], "mnist5k") is None
