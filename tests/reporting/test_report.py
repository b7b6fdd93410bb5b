"""The pages as a whole: complete, self-contained, readable, and the same bytes every time."""

import base64
import csv
import dataclasses
import html
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from pipeline import paper
from pipeline.evaluation.baselines import density_table
from pipeline.evaluation.codecs import codec_curve
from pipeline.reporting import figures
from pipeline.reporting.claims import judge
from pipeline.reporting.pages import TEMPLATES, to_html
from pipeline.reporting.report import write_report
from pipeline.results import sheets
from pipeline.results.published import collect_published
from pipeline.results.runs import collect_runs

ROOT = Path(__file__).parents[2]
MODELS = ("vae", "af_vae", "pixelcnn", "vlae", "context_4x2")
TEXTURES = ("textures_window", "textures_full_context", "textures_no_pixels", "textures_no_latent")
COLOR = ("narrow_7x4", "narrow_7x4_grayscale", "narrow_pixelcnnpp")
EXACT = {"exact_information": 2.79, "exact_nll": 63.85, "factors_r2": 0.7, "exact_factors_r2": 0.8}
ELSEWHERE = {"live.html"}
"""Pages of the report that another stage writes."""
HTML, MARKDOWN = ("index.html", "details.html"), ("report.md", "details.md")


@pytest.fixture(scope="module")
def runs(write_run, tmp_path_factory):
    """Models of digits, two seeds each, of textures and of colour."""
    root = tmp_path_factory.mktemp("runs")
    for model in MODELS:
        write_run(root, model=model)
        write_run(root, model=model, seed=1, nll=90.0)
    for model in TEXTURES:
        write_run(root, "textures", model, **EXACT)
    for model in COLOR:
        write_run(root, "photos", model)
    return [*collect_runs(root, ["mnist5k"], MODELS, [0, 1]), *collect_runs(root, ["textures"], TEXTURES, [0]),
            *collect_runs(root, ["photos"], COLOR, [0])]  # fmt: skip


@pytest.fixture(scope="module")
def published(make_published, digits, tmp_path_factory):
    root = tmp_path_factory.mktemp("published")
    binary = (digits > 127).astype(np.uint8)
    make_published(root, "omniglot", "pixelcnn", evaluated=False)
    for dataset, model in (("mnist_static", "vlae"), ("mnist_static", "vae"), ("omniglot", "vlae_untied"),
                           ("omniglot", "vlae_5x5"), ("cifar10", "narrow_7x4")):  # fmt: skip
        folder = make_published(root, dataset, model)
        (folder / "notes.md").write_text(f"About {model}.\n")
        for name, sheet in (("samples", sheets.samples_sheet(binary[:64])),
                            ("reconstructions", sheets.pairs_sheet(binary[:32], binary[32:64]))):  # fmt: skip
            sheets.save_sheet(sheet, folder / f"{name}.png")
    return collect_published(root)


@pytest.fixture(scope="module")
def baselines(datasets):
    test = datasets[1].test[:, :, :4, :4]
    return {"mnist5k": codec_curve(datasets[0].test[:4]), "photos": density_table(test, test, seed=0)}


@pytest.fixture(scope="module")
def write(runs, published, params, datasets, baselines):
    return lambda folder, *processes: write_report(params, runs, published, datasets, baselines, folder, *processes)


@pytest.fixture(scope="module")
def report(write, made_once):
    """The folder of a report on `runs` and `published`."""
    return made_once("report", write)


def files(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def plain(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", re.sub(r'data:image/[^"]+|<style>.*?</style>', "", page, flags=re.S)))


def test_two_renders_are_equal_bytes_whether_one_process_draws_or_two(report, write, tmp_path):
    write(tmp_path, 2)
    assert files(report) == files(tmp_path)


def test_the_first_screen_is_the_answer(report):
    text = (report / "report.md").read_text().split("\n## ")[0]
    assert re.search(r"\*\*\d+ of \d+ judged claims hold, \d+ fail, \d+ are open\.\*\*", text)
    assert "(figures/strip.png)" in text
    assert [name in text for name in re.findall(r"table\w", text)]
    for table in paper.TABLES:
        assert f"(figures/table{table.number.lower()}.png)" in text
    assert "4 numbers" not in text
    assert "Of its 2 numbers (those it quotes left out) that a model of the same architecture was trained for" in text


@pytest.mark.parametrize("page", HTML)
def test_a_page_needs_nothing_from_outside(report, page):
    text = (report / page).read_text()
    assert len(text) < 3_000_000
    assert "<script" not in text
    assert not re.findall(r'src="(?!data:)', text)
    for link in re.findall(r'href="([^"]*)"', text):
        assert link in ELSEWHERE or link.startswith(("#", "data:")) or (report / link.split("#")[0]).is_file(), link


@pytest.mark.parametrize("page", HTML)
def test_pictures_are_lazy_have_a_size_and_say_what_they_show(report, page):
    pictures = re.findall(r"<img [^>]*>", (report / page).read_text())
    assert len(pictures) > 5
    alts = [html.unescape(re.search(r'alt="([^"]*)"', one)[1]) for one in pictures]
    for picture, alt in zip(pictures, alts, strict=True):
        assert 'loading="lazy"' in picture
        assert re.search(r'width="\d+" height="\d+"', picture)
        assert len(alt) > 25
    assert len(set(alts)) == len(alts)
    charts = [alt for picture, alt in zip(pictures, alts, strict=True) if 'class="chart"' in picture]
    assert all(re.search(r"\d", alt) for alt in charts)


@pytest.mark.parametrize("page", HTML)
def test_tables_have_captions_scopes_and_at_most_six_columns(report, page):
    tables = re.findall(r"<table>.*?</table>", (report / page).read_text(), flags=re.S)
    assert tables
    for table in tables:
        assert re.search(r"<caption>\S", table)
        assert 2 <= table.count('<th scope="col">') <= 6
        rows = re.findall(r"<tr.*?</tr>", table.split("<tbody>")[1], flags=re.S)
        assert all('scope="row"' in row or 'class="note"' in row for row in rows)


def test_markdown_links_exist_and_tables_are_whole(report):
    for page in MARKDOWN:
        text = (report / page).read_text()
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            assert link in ELSEWHERE or (report / link).is_file(), link
        for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table


@pytest.mark.parametrize("page", HTML)
def test_every_anchor_is_there(report, page):
    anchors = {name: re.findall(r' id="([^"]+)"', (report / name).read_text()) for name in HTML}
    for link in re.findall(r'href="([^"]*#[^"]+)"', (report / page).read_text()):
        target, anchor = link.split("#")
        assert anchor in anchors[target or page], link


def test_every_figure_and_table_names_its_stage_numbers_and_sources(report):
    for page in HTML:
        text = (report / page).read_text()
        made = re.findall(r"<figure>.*?</figure>|<div class=\"table\">.*?</div>", text, flags=re.S)
        assert made
        for one in made:
            source = one.split('class="source"')[1]
            assert "Stage <code>plot</code>" in source
            assert re.search(r'href="tables/[\w-]+\.csv"', source)
            assert re.search(r'href="details\.html#(sources-|provenance)', source)
    sources = (report / "details.md").read_text().split("\n## Sources\n")[1]
    stages = ("train-vlae@mnist5k-vlae-0", "train-textures@textures-textures_window-0")
    for told in (*stages, "abababababab", "c0ffeec0ffee"):
        assert told in sources


def known_numbers(report) -> set[float]:
    cells = [cell for path in (report / "tables").iterdir() for row in csv.reader(path.open()) for cell in row]
    numbers = {float(number) for cell in cells for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", cell)}
    rows = [value for table in paper.TABLES for row in table.rows for value in (row.value, row.kl)]
    figures = [paper.KL_VLAE.nats, paper.KL_VLAE.bits, paper.KL_VAE.nats, paper.KL_VAE.bits]
    return numbers | {float(value) for value in [*rows, *figures] if value is not None} | {100 * one for one in numbers}


@pytest.mark.parametrize("page", MARKDOWN)
def test_no_number_is_an_orphan(report, page):
    """Every decimal stands in a table's file or in the paper; templates have none of their own but the rule's 1.96."""
    text = re.sub(r"\]\([^)]*\)", "", (report / page).read_text()).split("\n## Provenance\n")[0].replace("−", "-")
    told, known = set(re.findall(r"(?<![\w.])-?\d+\.\d+(?![\w.])", text)) - {"1.96"}, known_numbers(report)
    assert len(told) > 50
    orphans = {
        number
        for number in told
        if not any(abs(abs(float(number)) - abs(one)) <= 0.501 * 10 ** -len(number.split(".")[1]) for one in known)
    }
    assert not orphans


@pytest.mark.parametrize("template", ["report.md.j2", "details.md.j2"])
def test_templates_have_no_measured_number(template):
    prose = re.sub(r"{[{%].*?[%}]}", "", (TEMPLATES / template).read_text(), flags=re.S)
    assert set(re.findall(r"\d+\.\d+", prose)) <= {"1.96"}


def test_this_runs_numbers_are_not_in_the_papers_tables(report, runs):
    text = (report / "report.md").read_text().split("\n## Tables\n")[1].split("\n## Claims\n")[0]
    assert "88.50" not in text.replace("88.50 | +9.47", "")
    assert "mnist5k" not in text
    assert "91.00" in text


def test_another_model_is_not_called_reproduced(report):
    text = (report / "report.md").read_text()
    (row,) = [line for line in text.splitlines() if line.startswith("| VLAE (fine-tuned)")]
    assert re.search(r"\| +\| +\| +\| 91\.00 \|$", row)


@pytest.mark.parametrize("page", ["report.md", "index.html"])
def test_every_claim_is_told_with_what_was_measured(report, runs, published, page):
    text = plain((report / page).read_text())
    for dataset in ("textures", "mnist5k"):
        judged = judge([run for run in runs if run.dataset == dataset])
        assert judged
        for one in judged:
            assert one.claim.statement in text
            assert one.measured in text


def test_the_known_answer_is_shown(report):
    text = (report / "report.md").read_text().split("\n## Known answer\n")[1].split("\n## ")[0]
    for kind in ("kl", "nll", "plane"):
        assert f"(figures/textures-known-{kind}.png)" in text
    for model in TEXTURES[:3]:
        assert f"(figures/textures-{model}-reconstructions.png)" in text
    assert "H(x) 63.85 nats, I(x; g) 2.79 nats" in text
    names = ("| textures no pixels |", "| textures window |", "| textures full context |", "| textures no latent |")
    places = [text.index(name) for name in names]
    assert places == sorted(places)  # the table's order is the charts'


def test_published_notes_and_pictures_stand_on_the_second_page(report, published):
    text = (report / "details.md").read_text()
    for training in published:
        if training.metrics:
            assert f"**{training.name}.** About {training.model}." in text
        for name, picture in training.pictures.items():
            file = report / "figures" / f"published-{training.dataset}-{training.model}-{name}.png"
            assert file.read_bytes() == picture
            assert f"(figures/{file.name})" in text


def test_figures_1_to_4_come_with_bits_and_nll(report):
    text = (report / "report.md").read_text()
    pairs = "each with its decompression by VLAE to its right, 16.7 bits through z, NLL 88.50 nats"
    samples = "64 samples of VLAE trained on static MNIST, NLL 88.50 nats"
    assert f"Figure 1: (a) test images of static MNIST, {pairs}; (b) {samples}." in text
    assert "Figure 2: (a) test images of OMNIGLOT, each with its decompression by VLAE, untied" in text
    given = "by narrow VLAE, 7x4 (z is given the luma of 4×4 blocks) to its right"
    assert f"{given}, 86.6 bits through z, NLL 3.71 bits/dim" in text
    assert "Figure 4: (a) 64 samples of narrow VLAE, 7x4" in text


def test_a_decompression_without_a_code_is_called_a_sample(new_run):
    run = new_run("vlae")
    empty = dataclasses.replace(run, per_image=run.per_image | {"kl": 0.0001 * run.per_image["kl"]})
    assert " bits through z, so a sample, NLL" in figures._sheet_alt(empty, "reconstructions")
    assert " bits through z, NLL" in figures._sheet_alt(run, "reconstructions")


def test_only_interpolations_show_data(report):
    for name, shown in (("interpolations", True), ("traversals", False)):
        sheet = np.asarray(Image.open(report / "figures" / f"mnist5k-vlae-{name}.png").convert("RGB"))
        assert (sheet == sheets.DATA_INK).all(-1).any() == shown
        assert (sheet == sheets.MODEL_INK).all(-1).any()


def test_pictures_are_shown_pixel_for_pixel_but_photographs(report):
    page = (report / "index.html").read_text()
    for name in ("strip", "table1"):
        figure = Image.open(report / "figures" / f"{name}.png").convert("RGB").tobytes()
        shown = [base64.b64decode(one) for one in re.findall(r'src="data:image/webp;base64,([^"]+)"', page)]
        assert figure in [Image.open(io.BytesIO(one)).convert("RGB").tobytes() for one in shown]


def test_without_webp_the_page_has_the_figures_themselves(params, datasets, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "check", lambda feature: feature != "webp")
    write_report(params, [], [], datasets, {}, tmp_path)
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', (tmp_path / "details.html").read_text())
    figures = [path.read_bytes() for path in sorted((tmp_path / "figures").glob("data-*"))]
    assert [base64.b64decode(one) for one in pictures] == figures


def test_provenance_names_every_data_set_by_its_hash(report):
    text = (report / "details.md").read_text()
    hashes = dict(re.findall(r"\*\*data (\w+):\*\* SHA-256 ([0-9a-f]{64})$", text, flags=re.MULTILINE))
    assert set(hashes) == {"mnist5k", "photos", "textures"}


def test_a_smoke_run_says_that_it_shows_nothing(new_run, params, datasets, tmp_path):
    smoke = dataclasses.replace(params, scale="smoke")
    write_report(smoke, [new_run(scale="smoke")], [], datasets, {}, tmp_path)
    for page in ("report.md", "index.html"):
        assert "nothing about the models" in (tmp_path / page).read_text()


def test_html_comes_from_the_markdown_with_githubs_anchors():
    assert to_html("## Sources: mnist_static\n\n*a* < b\n") == (
        '<h2 id="sources-mnist_static">Sources: mnist_static</h2>\n<p><em>a</em> &lt; b</p>\n'
    )


def contrast(first: str, second: str) -> float:
    """WCAG 2.1 contrast of two colours."""
    luminances = []
    for colour in (first, second):
        levels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [level / 12.92 if level <= 0.03928 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
        luminances.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(luminances) + 0.05) / (min(luminances) + 0.05)


def test_text_has_a_contrast_of_4_5_in_light_and_dark(report):
    style = (report / "index.html").read_text().split("<style>")[1].split("</style>")[0]
    themes = re.findall(r":root \{(.*?)\}", style, flags=re.S)
    assert len(themes) == 2
    for theme in themes:
        colours = {name: "#" + "".join(c * (2 if len(value) == 3 else 1) for c in value)
                   for name, value in re.findall(r"--(\w+): #(\w+)", theme)}  # fmt: skip
        for text in ("ink", "soft", "blue", "good", "bad", "open"):
            for ground in ("paper", "tint"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def test_the_stage_imports_no_torch_and_evaluates_nothing():
    measuring = {"torch", "pipeline.evaluation.codecs", "pipeline.evaluation.baselines"}
    command = f"import sys, stages.plot; sys.exit(bool({measuring} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", command], check=False, cwd=ROOT).returncode == 0
