"""Rows of the report's tables."""

import csv
import dataclasses

import numpy as np
import pytest

from pipeline import paper
from pipeline.reporting.runs import collect_runs
from pipeline.reporting.tables import (
    bound_records,
    code_length_records,
    information_records,
    seed_records,
    shown_tables,
    table_records,
    write_csv,
)
from pipeline.reporting.verdicts import OTHER_DATA
from pipeline.reporting.views import bounds_view, information_view, paper_view


def test_every_row_of_the_paper_once_and_our_other_models_below(new_run):
    runs = [new_run(model) for model in ("vae", "pixelcnn", "vlae")]
    records = table_records(paper.DYNAMIC_MNIST, runs)
    assert [record["row"] for record in records] == [*(row.label for row in paper.DYNAMIC_MNIST.rows), "VAE"]
    vlae = next(record for record in records if record["row"] == "VLAE")
    assert vlae["paper_nats"] == 78.53
    assert (vlae["ours"], vlae["ci_low"], vlae["ci_high"]) == pytest.approx((88.5, 86.4, 90.7))
    assert (vlae["difference"], vlae["verdict"]) == (None, OTHER_DATA)
    assert (vlae["K"], vlae["images"], vlae["steps"], vlae["dataset"]) == (64, 100, 1200, "mnist5k")
    assert [r["verdict"] for r in records if r["kind"] == "quoted"] == ["no run"] * 6


def test_one_line_for_each_data_set_beside_a_row(new_run):
    runs = [new_run("vlae", dataset) for dataset in ("mnist5k", "mnist_static", "mnist_dynamic")]
    records = table_records(paper.STATIC_MNIST, runs)
    assert [record["dataset"] for record in records if record["row"] == "VLAE"] == ["mnist5k", "mnist_static"]


def test_the_untied_vlae_stands_beside_both_rows(new_run):
    records = table_records(paper.OMNIGLOT, [new_run(model, "omniglot") for model in ("vlae", "vlae_untied")])
    beside = [(record["model"], record["row"], record["paper_nats"]) for record in records if record["model"]]
    assert beside == [
        ("vlae", "VLAE", 90.98),
        ("vlae_untied", "VLAE", 90.98),
        ("vlae_untied", "VLAE (fine-tuned)", 89.83),
    ]


def test_iaf_baselines_have_runs_of_ours(new_run):
    (record,) = (r for r in table_records(paper.STATIC_MNIST, [new_run("iaf_vae", "mnist_static")]) if r["model"])
    assert (record["row"], record["kind"], record["paper_nats"]) == ("IAF VAE", "quoted", 79.88)


def test_tables_of_binary_images_always_cifar_when_there_is_a_run(new_run):
    always = ["1", "2", "3", "4", "D"]
    assert sorted(table.number for table in shown_tables([])) == always
    assert sorted(table.number for table in shown_tables([new_run("vlae", "omniglot")])) == always
    cifar = dataclasses.replace(new_run(), dataset="cifar10", model="resnet_vlae")
    assert sorted(table.number for table in shown_tables([cifar])) == sorted([*always, "5"])


def test_appendix_d_shows_kl_beside_nll(new_run):
    view = paper_view(paper.ABLATION, [new_run("vlae", "mnist_dynamic")])
    cells = next(cells for _, cells in view.rows if cells[0] == "PixelCNN decoder + AF prior")
    assert cells[-2:] == ["11.73", "11.60"]
    assert {len(cells) for _, cells in view.rows} == {len(view.header)}


def test_quoted_baselines_are_marked_and_our_runs_too(new_run):
    kinds = {cells[0]: kind for kind, cells in paper_view(paper.STATIC_MNIST, [new_run()]).rows}
    assert (kinds["DRAW"], kinds["AF VAE"], kinds["VLAE"]) == ("quoted", "own", "own best run")


def test_rows_end_with_how_the_model_deviates_where_the_data_are_the_papers(new_run):
    models, small = ("vlae", "vlae_untied", "vlae_annealed"), "maps of z at 0.1 of their scale at first"
    runs = [new_run(), *(new_run(model, "mnist_dynamic") for model in models)]
    told = [cells[7] for _, cells in paper_view(paper.DYNAMIC_MNIST, runs).rows if cells[0] == "VLAE"]
    assert [line.partition("epochs)")[2] for line in told] == [
        "", f"; {small}; masked convolutions tied", f"; {small}", "; KL annealing instead of free bits",
    ]  # fmt: skip


def test_code_length_is_the_sum_of_its_parts(new_run):
    runs = [new_run(model) for model in ("vlae", "pixelcnn")]
    for record in code_length_records(runs):
        total = record["reconstruction_bits"] + record["kl_bits"]
        assert record["code_length_bits"] == pytest.approx(total)
    assert code_length_records(runs)[0]["paper_kl_bits"] == 19.2


def test_information_of_models_with_a_latent(new_run):
    runs = [new_run(model) for model in ("vlae", "pixelcnn", "iaf_vae", "vlae_downsampled")]
    vlae, iaf, downsampled = information_records(runs)
    assert [record["model"] for record in (vlae, iaf, downsampled)] == ["vlae", "iaf_vae", "vlae_downsampled"]
    assert (vlae["context_pixels"], vlae["information_nats"], vlae["active_units"]) == (69, 4.1, 2)
    assert (vlae["kept_fine_low"], vlae["kept_fine"], vlae["kept_fine_high"]) == (0.25, 0.3, 0.35)
    assert (iaf["context_pixels"], iaf["information_nats"]) == (0, None)
    assert downsampled["context_pixels"] is None
    (_, cells), *_ = (view := information_view(runs)).rows
    assert cells == [
        "VLAE",
        "69",
        "11.60",
        "16.74",
        "1.50",
        "4.10",
        "2",
        "0.80 [0.75, 0.85]",
        "0.30 [0.25, 0.35]",
        "87.6%",
    ]
    assert [cells[1:4] + cells[5:6] for _, cells in view.rows][1:] == [
        ["0", "14.00", "20.20", ""], ["", "14.00", "20.20", "4.10"],
    ]  # fmt: skip


def test_bounds_fall_to_the_runs_own_k(new_run):
    runs = [new_run("vlae"), new_run("pixelcnn"), new_run("vae", importance_samples=32)]
    records = bound_records(runs)
    assert [(r["model"], r["K"]) for r in records] == [
        *(("vlae", k) for k in (1, 4, 16, 64)), *(("vae", k) for k in (1, 4, 16, 32)),
    ]  # fmt: skip
    assert [r["nll"] for r in records[:4]] == pytest.approx([91.5, 90.0, 89.0, 88.5])
    nll = runs[0].per_image["nll"]
    assert records[3]["nll_se"] == pytest.approx(np.std(nll, ddof=1) / 10)
    view = bounds_view(runs)
    assert view.header == ("model", "K = 1", "K = 4", "K = 16", "K = 32", "K = 64")
    assert [[bool(cell) for cell in cells] for _, cells in view.rows] == [
        [True, True, True, True, False, True],
        [True, True, True, True, True, False],
    ]


def test_several_seeds_are_summarised_by_numpys_mean_and_sample_deviation(make_run, tmp_path):
    nll, kl = [88.5, 89.1, 90.0], [11.0, 12.0, 14.0]
    for seed in range(3):
        make_run("mnist5k", "vlae", seed, nll=nll[seed], kl_nats=kl[seed])
    (run,) = collect_runs(tmp_path / "runs", ["mnist5k"], ["vlae"], range(3))
    (record,) = seed_records([run])
    assert (record["dataset"], record["model"], record["seeds"]) == ("mnist5k", "vlae", 3)
    assert (record["nll_mean"], record["nll_sd"]) == pytest.approx((np.mean(nll), np.std(nll, ddof=1)))
    assert (record["kl_mean"], record["kl_sd"]) == pytest.approx((np.mean(kl), np.std(kl, ddof=1)))
    assert seed_records(collect_runs(tmp_path / "runs", ["mnist5k"], ["vlae"], [1])) == []


def test_csv_can_be_read_back(new_run, tmp_path):
    records = table_records(paper.STATIC_MNIST, [new_run()])
    write_csv(records, tmp_path / "table1.csv")
    with (tmp_path / "table1.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == [record["row"] for record in records]
    assert (rows[1]["paper_bound"], rows[1]["paper_nats"], rows[1]["ours"]) == ("<", "80.97", "")
