"""The report as a whole: complete, self-contained, and the same bytes every time."""

import base64
import csv
import dataclasses
import html
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from pipeline.reporting import prose, sheets
from pipeline.reporting.claims import judge_claims
from pipeline.reporting.published import collect_published
from pipeline.reporting.report import write_report
from pipeline.reporting.runs import METRIC_KEYS, collect_runs
from pipeline.reporting.views import number

ROOT = Path(__file__).parents[2]
MODELS = ("vae", "af_vae", "pixelcnn", "vlae", "vlae_full_context", "context_4x2")
CHARTS = ("learning-curves", "code-length", "kl-spectrum", "context", "kept", "bounds", "rate-distortion")
PAGES = ("report.md", "index.html")


@pytest.fixture(scope="module")
def runs(write_run, tmp_path_factory):
    """Six models, two seeds each."""
    root = tmp_path_factory.mktemp("runs")
    for model in MODELS:
        write_run(root, model=model)
        write_run(root, model=model, seed=1, nll=90.0)
    return collect_runs(root, ["mnist5k"], MODELS, [0, 1])


@pytest.fixture(scope="module")
def published(make_published, tmp_path_factory):
    root = tmp_path_factory.mktemp("published")
    make_published(root)
    make_published(root, model="pixelcnn", evaluated=False)
    for model in ("vlae", "vlae_iaf_posterior"):
        (make_published(root, "mnist_static", model) / "notes.md").write_text(f"About {model}.\n")
    for name in ("samples", "reconstructions"):
        Image.new("RGB", (8, 8), sheets.MODEL_INK).save(root / "mnist_static" / "vlae_iaf_posterior" / f"{name}.png")
    Image.new("RGB", (8, 8), sheets.DATA_INK).save(root / "mnist_static" / "vlae" / "samples.png")
    return collect_published(root)


@pytest.fixture(scope="module")
def report(runs, published, params, datasets, tmp_path_factory):
    """The folder of a report on `runs` and `published`."""
    folder = tmp_path_factory.mktemp("reports")
    write_report(params, runs, published, datasets, folder)
    return folder


def files(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_renders_are_equal_bytes(report, runs, published, params, datasets, tmp_path):
    write_report(params, runs, published, datasets, tmp_path)
    assert files(report) == files(tmp_path)


def test_every_figure_and_table_is_there(report):
    pictures = {f"mnist5k-{model}-samples" for model in MODELS}
    pictures |= {f"mnist5k-{model}-reconstructions" for model in MODELS if model != "pixelcnn"}
    pictures |= {f"mnist5k-{chart}" for chart in CHARTS} | {"data-mnist5k", "data-photos"}
    pictures |= {"mnist5k-vlae-interpolations", "mnist5k-vlae-traversals", "published-omniglot-learning-curves"}
    pictures |= {"published-mnist_static-learning-curves", "published-mnist_static-vlae-samples"}
    pictures |= {f"published-mnist_static-vlae_iaf_posterior-{name}" for name in ("reconstructions", "samples")}
    assert {path.name for path in (report / "figures").iterdir()} == {f"{stem}.png" for stem in pictures}
    tables = {f"table{number}" for number in "1234d"} | {"codecs-mnist5k"}
    tables |= {"code_length", "information", "bounds", "seeds", "differences"}
    tables |= {"published", "published_information", "text_figures"}
    assert {path.name for path in (report / "tables").iterdir()} == {f"{stem}.csv" for stem in tables}


def test_only_interpolations_show_data(report):
    for name, shown in (("interpolations", True), ("traversals", False)):
        sheet = np.asarray(Image.open(report / "figures" / f"mnist5k-vlae-{name}.png").convert("RGB"))
        assert (sheet == sheets.DATA_INK).all(-1).any() == shown
        assert (sheet == sheets.MODEL_INK).all(-1).any()


def test_metrics_have_the_shape_dvc_reads(report):
    metrics = json.loads((report / "metrics.json").read_text())
    assert set(metrics["mnist5k"]) == set(MODELS)
    vlae = metrics["mnist5k"]["vlae"]
    assert set(METRIC_KEYS) < set(vlae)
    assert {type(value) for value in vlae.values()} == {int, float, bool}
    assert vlae["nll"] == 88.5
    assert vlae["nll_mean"] == np.mean([88.5, 90])
    assert vlae["nll_sd"] == pytest.approx(np.std([88.5, 90], ddof=1))


def test_differences_come_with_the_papers(report):
    with (report / "tables" / "differences.csv").open(newline="") as file:
        rows = {row["difference"]: row for row in csv.DictReader(file)}
    assert float(rows["latent code − none"]["test_nll"]) == pytest.approx(88.5 - 97.8)
    assert float(rows["latent code − none"]["paper_test"]) == pytest.approx(78.53 - 87.55)


def test_html_needs_nothing_from_outside_and_shows_the_figures_pixel_for_pixel(report):
    page = (report / "index.html").read_text()
    assert (report / "index.html").stat().st_size < 4_000_000
    assert "<script" not in page
    references = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert not [one for one in references if not one.startswith(("data:", "#"))]
    pictures = re.findall(r'<img src="data:image/webp;base64,([^"]+)"', page)
    assert len(pictures) == page.count("<img")
    embedded = [pixels(io.BytesIO(base64.b64decode(one))) for one in pictures]
    assert sorted(embedded) == sorted(pixels(path) for path in (report / "figures").iterdir())


def test_without_webp_the_page_has_the_figures_themselves(params, datasets, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "check", lambda feature: feature != "webp")
    write_report(params, [], [], datasets, tmp_path)
    pictures = re.findall(r'<img src="data:image/png;base64,([^"]+)"', (tmp_path / "index.html").read_text())
    figures = sorted(path.read_bytes() for path in (tmp_path / "figures").iterdir())
    assert figures
    assert sorted(base64.b64decode(one) for one in pictures) == figures


def test_the_committed_page_is_under_4_megabytes():
    size = subprocess.check_output(["git", "cat-file", "-s", "HEAD:reports/index.html"], cwd=ROOT)
    assert int(size) < 4_000_000


def pixels(picture):
    return Image.open(picture).convert("RGBA").tobytes()


def test_every_anchor_has_its_section_and_claims_name_one(report):
    page = (report / "index.html").read_text()
    contents = dict(re.findall(r'<a\s+href="#([^"]+)">([^<]+)</a>', page))
    assert list(contents) == re.findall(r' id="([^"]+)"', page)
    named = set(re.findall(r"<td[^>]*>[^<]+ \(see ([^<]+)\)</td>", page))
    assert named
    assert named < set(contents.values())


def test_markdown_links_exist_and_tables_are_whole(report):
    text = (report / "report.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    for link in links:
        assert (report / link).is_file()
    assert {link for link in links if link.startswith("figures/")} == {
        f"figures/{path.name}" for path in (report / "figures").iterdir()
    }
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table


@pytest.mark.parametrize("page", PAGES)
def test_every_claim_is_told_with_what_was_measured(report, runs, page):
    text = html.unescape(re.sub("</td><td[^>]*>", " | ", (report / page).read_text()))
    claims = judge_claims(runs)
    for claim in claims:
        row = f"{claim.statement} | {claim.measured} | {number(claim.paper, '+.2f')} | {claim.outcome}"
        assert (row in text and claim.topic in text) == claim.possible
    assert f"Left out: {sum(not claim.possible for claim in claims)} more" in text


@pytest.mark.parametrize("page", PAGES)
def test_claims_that_published_models_decide_are_told(report, published, page):
    text = html.unescape(re.sub("</td><td[^>]*>", " | ", (report / page).read_text()))
    static = [training for training in published if training.dataset == "mnist_static"]
    possible = [claim for claim in judge_claims(static) if claim.possible]
    assert len(possible) == 3
    assert "−0.60" in [number(claim.paper, "+.2f") for claim in possible]
    for claim in possible:
        said = number(claim.paper, "+.2f")
        assert f"{claim.statement} | {claim.measured} | {said} | {claim.outcome}" in text


@pytest.mark.parametrize("page", PAGES)
def test_it_says_that_mnist5k_is_not_the_papers_data(report, page):
    text = (report / page).read_text()
    assert "mnist5k is 5,000 of the real MNIST training digits" in text
    assert "reproduced within" not in text


def test_published_results_have_a_section(report):
    page = (report / "index.html").read_text()
    (section,) = re.findall(r'<section id="published">.*?</section>', page, flags=re.DOTALL)
    assert section.count("NVIDIA H200") == 4
    assert section.count("<img") == 2
    section = (report / "report.md").read_text().split("\n## Published results\n")[1].split("\n## ")[0]
    assert section.count("NVIDIA H200") == 4
    for dataset in ("omniglot", "mnist_static"):
        assert section.count(f"(figures/published-{dataset}-learning-curves.png)") == 1
    assert section.count("| not evaluated |") == 1
    assert section.count("| −ELBO fell in the last quarter of the steps, nats |") == 2
    assert prose.FIT in section
    assert "| KL of VLAE | 13.3 nats = 19.2 bits | 11.60 nats = 16.74 bits |" in section
    assert "VLAE on mnist_static: About vlae." in section


def test_published_pictures_stand_among_the_figures_pairs_first(report, published):
    section = (report / "report.md").read_text().split("\n## Figures 1 and 2\n")[1].split("\n## ")[0]
    shown = re.findall(r"\(figures/(published-.*?)\)", section)
    assert shown == [
        *(f"published-mnist_static-vlae_iaf_posterior-{name}.png" for name in ("reconstructions", "samples")),
        "published-mnist_static-vlae-samples.png",
    ]
    for training in published:
        for name, picture in training.pictures.items():
            file = report / "figures" / f"published-{training.dataset}-{training.model}-{name}.png"
            assert file.read_bytes() == picture
    assert section.count("\n### mnist_static") == 1
    assert section.index("### mnist_static, published results") < section.index("### mnist5k")


def test_published_rows_stand_in_the_papers_tables(report):
    text = (report / "report.md").read_text()
    table = text.split("\n### Table 1: ")[1].split("\n### ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| **VLAE** |")]
    assert [(row[5], row[6]) for row in rows] == [
        ("worse by 7.37 to 11.67", "published"), ("not the paper's data set", "this run"),
    ]  # fmt: skip
    assert rows[0][7].startswith("vlae on mnist_static, 100 images, K = 64, seed 0, 1,200 steps (38.4 epochs)")
    assert 'class="own best published"' in (report / "index.html").read_text()
    with (report / "tables" / "table1.csv").open(newline="") as file:
        assert {row["source"] for row in csv.DictReader(file)} == {"", "published", "this run"}


def test_provenance_names_every_data_set_by_its_hash(report):
    text = (report / "report.md").read_text()
    hashes = dict(re.findall(r"\*\*data (\w+):\*\* sha256 ([0-9a-f]{64})$", text, flags=re.MULTILINE))
    assert set(hashes) == {"mnist5k", "photos"}


def test_limits_name_what_holds_a_code_up_and_what_is_not_measured(new_run):
    lines = "\n".join(prose.limits([new_run("vlae"), new_run("context_4x2")]))
    assert "VLAE on mnist5k 7.84 (measured 11.60)." in lines
    assert "the AF prior in place of the IAF posterior" in lines
    assert "the AF prior in place of the IAF posterior" not in "".join(prose.limits([new_run("iaf_vae")]))


def test_a_smoke_run_says_that_it_shows_nothing(new_run, params, datasets, tmp_path):
    smoke = dataclasses.replace(params, scale="smoke")
    write_report(smoke, [new_run(scale="smoke")], [], datasets, tmp_path)
    for page in PAGES:
        text = (tmp_path / page).read_text()
        assert "nothing about the models" in text
        assert "Published results" not in text
    assert "nll_mean" not in (tmp_path / "metrics.json").read_text()


def test_the_papers_own_data_get_a_verdict(new_run, params, datasets, tmp_path):
    run = new_run("pixelcnn", "mnist_dynamic", nll=87.6, nll_low=87.3, nll_high=87.9)
    write_report(params, [run], [], [dataclasses.replace(datasets[0], name="mnist_dynamic")], tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "reproduced within the interval" in text
    assert "mnist5k is 5,000" not in text


@pytest.mark.parametrize(
    ("models", "drawn"),
    [
        (("vlae", "vlae_untied", "vae"), False),
        (("vlae", "context_4x2", "vae"), True),
        (("vlae", "context_4x2", "iaf_vae"), False),
    ],
)
def test_published_contexts_are_drawn_where_there_are_more_than_two(
    make_published, params, datasets, tmp_path, models, drawn
):
    for model in models:
        make_published(tmp_path / "published", "mnist_static", model)
    write_report(params, [], collect_published(tmp_path / "published"), datasets, tmp_path / "reports")
    name = "published-mnist_static-context.png"
    assert (tmp_path / "reports/figures" / name).exists() == drawn
    assert (f"(figures/{name})" in (tmp_path / "reports/report.md").read_text()) == drawn


def test_a_report_without_runs_still_shows_the_data(params, datasets, tmp_path):
    write_report(params, [], [], datasets, tmp_path)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"data-mnist5k.png", "data-photos.png"}


def test_the_stage_imports_no_torch():
    command = "import sys, stages.plot; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
