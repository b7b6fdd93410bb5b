"""The transcription of the paper's tables, against facts read off the paper independently."""

import pytest

from pipeline import paper
from pipeline.units import nats_to_bits

TABLES = {table.number: table for table in paper.TABLES}


@pytest.mark.parametrize(("number", "rows"), [("1", 7), ("2", 8), ("3", 8), ("4", 7), ("5", 14), ("D", 3)])
def test_every_row_is_there(number, rows):
    assert len(TABLES[number].rows) == rows
    assert len({row.label for row in TABLES[number].rows}) == rows


@pytest.mark.parametrize(
    ("number", "label", "value"),
    [
        ("1", "VLAE", 79.03),
        ("2", "VLAE", 78.53),
        ("3", "VLAE (fine-tuned)", 89.83),
        ("4", "VLAE", 77.36),
        ("5", "DenseNet VLAE", 2.95),
    ],
)
def test_bold_rows_are_the_papers_best_own_model(number, label, value):
    (best,) = [row for row in TABLES[number].rows if row.best]
    assert (best.label, best.value) == (label, value)
    assert best.own
    assert best.value == min(row.value for row in TABLES[number].rows if row.own)


@pytest.mark.parametrize(
    ("number", "total"), [("1", 564.49), ("2", 651.68), ("3", 773.48), ("4", 673.80), ("5", 54.84)]
)
def test_values_add_up_to_those_of_the_paper(number, total):
    assert sum(row.value for row in TABLES[number].rows) == pytest.approx(total, abs=0.005)


def test_upper_bounds_are_the_draw_rows():
    bounds = {(table.number, row.label) for table in paper.TABLES for row in table.rows if row.bound}
    assert bounds == {("1", "DRAW"), ("2", "DRAW + VGP"), ("3", "DRAW"), ("3", "Conv DRAW")}


def test_prose_figures_agree_in_nats_and_bits():
    assert nats_to_bits(paper.KL_VLAE.nats) == pytest.approx(paper.KL_VLAE.bits, abs=0.05)
    assert paper.KL_VAE.bits == 37.3
    assert paper.KL_VAE.nats == pytest.approx(25.9, abs=0.05)


def test_appendix_d_and_table_2_share_the_unconditional_decoder():
    ablation, table = TABLES["D"].rows[0], TABLES["2"].rows[6]
    assert ablation.models == table.models
    assert {"pixelcnn", "pixelcnn_first_5x5", "pixelcnn_first_7x7", "pixelcnn_5x5"} == {*table.models}
    assert ablation.value == table.value == 87.55


def test_differences_are_of_the_first_table_with_both_rows():
    assert paper.difference("mnist_dynamic", "vlae", "pixelcnn") == pytest.approx(78.53 - 87.55)
    assert paper.difference("mnist_dynamic", "vlae", "vlae_gaussian_prior") == pytest.approx(78.94 - 79.48)
    assert paper.difference("omniglot_rebuilt", "vlae_untied", "pixelcnn") == pytest.approx(90.98 - 95.02)
    assert paper.difference("omniglot_rebuilt", "vlae_untied", "vlae") is None
    assert paper.difference("mnist_static", "vlae", "pixelcnn") is None
    assert paper.difference("mnist5k", "vlae", "pixelcnn") is None
