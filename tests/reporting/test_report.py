"""The report as a whole: complete, self-contained, and the same bytes every time."""

import base64
import dataclasses
import io
import json
import re
import subprocess
import sys

import pytest
from PIL import Image

from pipeline.reporting.report import write_report
from pipeline.reporting.runs import METRIC_KEYS, collect_runs

MODELS = ("vae", "pixelcnn", "vlae", "vlae_full_context")


@pytest.fixture
def report(make_run, params, datasets, tmp_path):
    """The folder of a report on four models."""
    for model in MODELS:
        make_run(model=model)
    write_report(params, collect_runs(tmp_path / "runs", ["mnist5k"], MODELS), datasets, tmp_path / "reports")
    return tmp_path / "reports"


def files(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_renders_are_equal_bytes(report, params, datasets, tmp_path):
    runs = collect_runs(tmp_path / "runs", ["mnist5k"], MODELS)
    write_report(params, runs, datasets, tmp_path / "again")
    assert files(report) == files(tmp_path / "again")


def test_every_figure_and_table_is_there(report):
    pictures = {f"mnist5k-{model}-samples" for model in MODELS}
    pictures |= {f"mnist5k-{model}-reconstructions" for model in MODELS if model != "pixelcnn"}
    pictures |= {"mnist5k-learning-curves", "mnist5k-code-length", "data-mnist5k", "data-photos"}
    assert {path.stem for path in (report / "figures").iterdir()} == pictures
    assert {path.name for path in (report / "tables").iterdir()} == {
        "table1.csv",
        "table2.csv",
        "code_length.csv",
    }


def test_metrics_have_the_shape_dvc_reads(report):
    metrics = json.loads((report / "metrics.json").read_text())
    assert set(metrics["mnist5k"]) == set(MODELS)
    assert set(metrics["mnist5k"]["vlae"]) == set(METRIC_KEYS)
    assert metrics["mnist5k"]["vlae"]["nll"] == 88.5


def test_html_needs_nothing_from_outside_and_its_pictures_decode(report):
    html = (report / "index.html").read_text()
    assert len(html) < 4_000_000
    assert "<script" not in html
    references = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert not [one for one in references if not one.startswith(("data:", "#"))]
    pictures = re.findall(r'<img src="data:image/png;base64,([^"]+)"', html)
    assert len(pictures) == html.count("<img") == len(list((report / "figures").iterdir()))
    for picture in pictures:
        Image.open(io.BytesIO(base64.b64decode(picture))).load()


def test_markdown_links_exist_and_tables_are_whole(report):
    text = (report / "report.md").read_text()
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (report / link).is_file()
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table


def test_it_says_that_mnist5k_is_not_the_papers_data(report):
    for name in ("report.md", "index.html"):
        text = (report / name).read_text()
        assert "mnist5k is 5,000 of the real MNIST training digits" in text
        assert "reproduced within" not in text


def test_provenance_names_every_data_set_by_its_hash(report):
    text = (report / "report.md").read_text()
    hashes = dict(re.findall(r"\*\*data (\w+):\*\* sha256 ([0-9a-f]{64})$", text, flags=re.MULTILINE))
    assert set(hashes) == {"mnist5k", "photos"}


def test_smoke_says_that_it_shows_nothing(make_run, params, datasets, tmp_path):
    make_run(scale="smoke")
    runs = collect_runs(tmp_path / "runs", ["mnist5k"], ["vlae"])
    write_report(dataclasses.replace(params, scale="smoke"), runs, datasets, tmp_path / "reports")
    for name in ("report.md", "index.html"):
        assert "nothing about the models" in (tmp_path / "reports" / name).read_text()


def test_the_papers_own_data_get_a_verdict(make_run, params, datasets, tmp_path):
    make_run("mnist_static", nll=79.1, nll_low=78.9, nll_high=79.3)
    runs = collect_runs(tmp_path / "runs", ["mnist_static"], ["vlae"])
    write_report(params, runs, datasets, tmp_path / "reports")
    text = (tmp_path / "reports" / "report.md").read_text()
    assert "reproduced within the interval" in text
    assert "mnist5k is 5,000" not in text


def test_a_report_without_runs_still_shows_the_data(params, datasets, tmp_path):
    write_report(params, [], datasets, tmp_path)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"data-mnist5k.png", "data-photos.png"}


def test_the_stage_imports_no_torch():
    command = "import sys, stages.plot; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
