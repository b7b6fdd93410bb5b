"""What the report shows of colour images: figures, Table 5 with baselines, the windows in numbers, the claim."""

import csv

import numpy as np
import pytest
from PIL import Image

from pipeline.reporting.claims import judge_claims
from pipeline.reporting.color import baseline_results, bits_caption
from pipeline.reporting.published import collect_published
from pipeline.reporting.report import write_report
from pipeline.reporting.runs import collect_runs

MODELS = ("narrow_7x4", "narrow_7x4_grayscale", "narrow_pixelcnnpp")


@pytest.fixture(scope="module")
def runs(write_run, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    write_run(root)
    for model in MODELS:
        kept = {f"kept_color{end}": 0.6 + more for end, more in (("_low", -0.05), ("", 0.0), ("_high", 0.05))}
        write_run(root, "photos", model, **(kept if "grayscale" in model else {}))
    return [*collect_runs(root, ["mnist5k"], ["vlae"], [0]), *collect_runs(root, ["photos"], MODELS, [0])]


@pytest.fixture(scope="module")
def report(runs, make_published, params, datasets, tmp_path_factory):
    folder, root = tmp_path_factory.mktemp("reports"), tmp_path_factory.mktemp("published")
    for model in MODELS:
        make_published(root, "cifar10", model)
    write_report(params, runs, collect_published(root), datasets, folder)
    return folder


def rows(path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_models_the_paper_has_no_row_for_stand_under_a_heading_of_their_own(report):
    table = (report / "report.md").read_text().split("### Table 5")[1].split("### ")[0]
    before, after = table.split("| **Not in the paper's table** |")
    assert "narrow" not in before
    assert "narrow PixelCNN++" in after


def test_table_5_has_every_row_of_the_paper_our_baselines_and_our_models(report):
    table = {row["row"]: row for row in rows(report / "tables/table5.csv")}
    assert float(table["DenseNet VLAE"]["paper_bits_per_dim"]) == 2.95
    assert len([row for row in table.values() if row["kind"] != "ours"]) == 14
    assert float(table["Uniform"]["ours"]) == 8.0
    assert float(table["Multivariate Gaussian"]["ours"]) > 0
    ours = table["narrow VLAE, 7x4"]
    assert float(ours["ours"]) == pytest.approx(7900 / 3072 / np.log(2), abs=1e-4)
    assert ours["verdict"] == table["Uniform"]["verdict"] == "not the paper's data set"


def test_figures_3_and_4_stand_in_the_report_with_their_bits_per_dimension(report, runs):
    pages = [(report / name).read_text() for name in ("report.md", "index.html")]
    for page in pages:
        assert "Figure 3, photos" in page
        assert "Figure 4, photos" in page
        assert "3.71 bits/dim" in page
        assert "narrow VLAE, 7x4 grayscale: images and decompressions" in page
    assert "3.71 bits/dim (" in bits_caption(runs[1])
    pairs = np.asarray(Image.open(report / "figures/photos-narrow_7x4-reconstructions.png").convert("RGB"))
    assert {tuple(colour) for colour in pairs.reshape(-1, 3)} >= {(200, 200, 0), (0, 0, 200)}


def test_charts_of_binary_images_alone_are_not_drawn_of_colour(report):
    names = {path.name for path in (report / "figures").glob("photos-*")}
    assert {"photos-learning-curves.png", "photos-kept.png"} <= names
    assert not {"photos-code-length.png", "photos-rate-distortion.png", "photos-context.png"} & names


def test_windows_in_numbers(report):
    table = {row["model"]: row for row in rows(report / "tables/color.csv")}
    assert set(table) == set(MODELS)
    assert table["narrow_7x4"]["context_pixels"] == "31"
    assert float(table["narrow_7x4"]["kept_color"]) == 0.2
    assert table["narrow_pixelcnnpp"]["kept_color"] == ""


def test_published_windows_and_their_claim_stand_in_the_report(report):
    table = {row["model"]: row for row in rows(report / "tables/published_color.csv")}
    assert {model: row["kept_color"] for model, row in table.items()} == dict.fromkeys(MODELS[:2], "0.2")
    assert {row["cost_bits"] for row in table.values()} == {"2.164"}  # 1.5 nats
    assert {row["kl_weight"] for row in table.values()} == {"1.0"}
    text = (report / "report.md").read_text()
    claims = text.split("\n### cifar10, published results\n")[1].split("\n### ")[0]
    assert "correlation 0.20 [0.15, 0.25] against 0.20 [0.15, 0.25] |  | undecided |" in claims


@pytest.mark.parametrize(("colour", "outcome"), [(0.2, "holds"), (0.62, "undecided"), (0.9, "does not hold")])
def test_the_claim_of_figure_3_is_judged_by_the_colour_kept(write_run, tmp_path, colour, outcome):
    for model, value in (("narrow_7x4", colour), ("narrow_7x4_grayscale", 0.6)):
        ends = (("_low", -0.05), ("", 0.0), ("_high", 0.05))
        write_run(tmp_path, "photos", model, **{f"kept_color{end}": value + more for end, more in ends})
    (claim,) = judge_claims(collect_runs(tmp_path, ["photos"], MODELS[:2], [0]))
    assert claim.outcome == outcome


def test_baselines_are_of_as_many_images_as_the_models(datasets):
    uniform, gaussian = baseline_results(datasets[1], 5, seed=0)
    assert (uniform.metrics["images"], gaussian.metrics["images"]) == (5, 5)
    assert uniform.metrics["nll"] == pytest.approx(3072 * np.log(256))
    assert gaussian.metrics["nll_low"] <= gaussian.metrics["nll"] <= gaussian.metrics["nll_high"]
