"""Rows of the report's tables."""

import csv
import shutil

import pytest

from pipeline import paper
from pipeline.reporting.runs import RunError, collect_runs, read_run
from pipeline.reporting.tables import code_length_records, shown_tables, table_records, write_csv
from pipeline.reporting.views import paper_view


def test_every_row_of_the_paper_once_and_our_other_models_below(make_run):
    runs = [read_run(make_run(model=model)) for model in ("vae", "pixelcnn", "vlae")]
    records = table_records(paper.DYNAMIC_MNIST, runs)
    assert [record["row"] for record in records] == [*(row.label for row in paper.DYNAMIC_MNIST.rows), "VAE"]
    vlae = next(record for record in records if record["row"] == "VLAE")
    assert vlae["paper_nats"] == 78.53
    assert (vlae["ours"], vlae["ci_low"], vlae["ci_high"]) == pytest.approx((88.5, 86.4, 90.7))
    assert vlae["difference"] == pytest.approx(9.97)
    assert (vlae["K"], vlae["images"], vlae["steps"], vlae["dataset"]) == (64, 500, 1200, "mnist5k")
    assert [r["verdict"] for r in records if r["kind"] == "quoted"] == ["no run"] * 6


def test_one_line_for_each_data_set_beside_a_row(make_run):
    runs = [read_run(make_run(dataset)) for dataset in ("mnist5k", "mnist_static", "mnist_dynamic")]
    records = table_records(paper.STATIC_MNIST, runs)
    assert [record["dataset"] for record in records if record["row"] == "VLAE"] == ["mnist5k", "mnist_static"]


def test_tables_1_and_2_always_the_others_when_there_is_a_run(make_run):
    assert [table.number for table in shown_tables([])] == ["1", "2"]
    assert [table.number for table in shown_tables([read_run(make_run("omniglot"))])] == ["1", "2", "3"]
    assert [t.number for t in shown_tables([read_run(make_run("mnist_dynamic"))])] == ["1", "2", "D"]


def test_appendix_d_shows_kl_beside_nll(make_run):
    view = paper_view(paper.ABLATION, [read_run(make_run("mnist_dynamic"))])
    cells = next(cells for _, cells in view.rows if cells[0] == "PixelCNN decoder + AF prior")
    assert cells[-2:] == ["11.73", "11.60"]
    assert {len(cells) for _, cells in view.rows} == {len(view.header)}


def test_quoted_baselines_are_marked_and_our_runs_too(make_run):
    kinds = {cells[0]: kind for kind, cells in paper_view(paper.STATIC_MNIST, [read_run(make_run())]).rows}
    assert (kinds["DRAW"], kinds["AF VAE"], kinds["VLAE"]) == ("quoted", "own", "own best run")


def test_code_length_is_the_sum_of_its_parts(make_run):
    runs = [read_run(make_run(model=model)) for model in ("vlae", "pixelcnn")]
    for record in code_length_records(runs):
        total = record["reconstruction_bits"] + record["kl_bits"]
        assert record["code_length_bits"] == pytest.approx(total)
    assert code_length_records(runs)[0]["paper_kl_bits"] == 19.2


def test_csv_can_be_read_back(make_run, tmp_path):
    records = table_records(paper.STATIC_MNIST, [read_run(make_run())])
    write_csv(records, tmp_path / "table1.csv")
    with (tmp_path / "table1.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == [record["row"] for record in records]
    assert (rows[1]["paper_bound"], rows[1]["paper_nats"], rows[1]["ours"]) == ("<", "80.97", "")


def test_a_missing_run_is_named(make_run, tmp_path):
    make_run()
    with pytest.raises(RunError, match=r"mnist5k/vae: config\.json is missing"):
        collect_runs(tmp_path / "runs", ["mnist5k"], ["vlae", "vae"])


@pytest.mark.parametrize(
    "name", ["config.json", "metrics.json", "panels.npz", "history.csv", "per_image.csv"]
)
def test_a_damaged_file_is_refused_by_the_run_it_is_in(make_run, name):
    folder = make_run()
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(b"" if name.endswith("csv") else content[: len(content) // 2])
    with pytest.raises(RunError, match="mnist5k/vlae"):
        read_run(folder)
    shutil.rmtree(folder)


def test_a_lacking_metric_is_named(make_run):
    folder = make_run()
    (folder / "metrics.json").write_text('{"nll": 1}')
    with pytest.raises(RunError, match=r"metrics\.json lacks nll_se"):
        read_run(folder)
