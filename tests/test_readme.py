"""The front page: short, its links lead somewhere, its numbers are those of published/."""

from __future__ import annotations

import datetime
import json
import re
import tomllib
from statistics import fmean, median, stdev

import pytest
import yaml
from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
FOLDERS = {"static MNIST": "mnist_static", "dynamic MNIST": "mnist_dynamic", "OMNIGLOT": "omniglot_rebuilt",
           "Caltech-101": "caltech101", "CIFAR-10": "cifar10"}  # fmt: skip
ROWS = [line for line in README.splitlines() if re.match(r"\| (Table|App\.)", line)]
RESULTS = ROOT / "docs/results.md"


def metrics(dataset: str, model: str) -> dict:
    """The published metrics of a model."""
    return json.loads((ROOT / "published" / dataset / model / "metrics.json").read_text(encoding="utf-8"))


def nll(dataset: str, model: str) -> float:
    """In the unit of the tables."""
    return metrics(dataset, model)["bits_per_dim" if dataset == "cifar10" else "nll"]


def over_seeds(dataset: str, model: str, key: str = "nll") -> str:
    """Of a published model as the tables have it: mean ± s.d. where several seeds were trained."""
    paths = (ROOT / "published" / dataset / model / "seeds").glob("*/metrics.json")
    values = [metrics(dataset, model)[key], *(json.loads(path.read_text(encoding="utf-8"))[key] for path in paths)]
    return f"{fmean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def test_it_fits_on_two_screens():
    assert len(README.splitlines()) <= 130


def test_its_sentences_are_short():
    prose = re.sub(r"```.*?```|^\|.*?$|^#.*?$|!?\[([^]]*)\]\([^)]*\)", r"\1", README, flags=re.DOTALL | re.MULTILINE)
    sentences = [text.split() for text in re.split(r"[.:;?!·]\s|\n\n", prose) if len(text.split()) > 2]
    assert median(map(len, sentences)) < 16


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[2].strip())
def test_a_row_of_the_tables_is_what_was_published(row):
    place, paper, *cells, verdict = (cell.strip() for cell in row.strip("|").split("|")[1:])
    dataset = FOLDERS[place.partition(",")[0]]
    pairs = [re.fullmatch(r"([\d.± ]+) `(\w+)`", cell) for cell in cells]
    for pair in filter(None, pairs):
        assert pair[1] == over_seeds(dataset, pair[2], "bits_per_dim" if dataset == "cifar10" else "nll")
    if pairs[0]:
        above = round(float(pairs[0][1].split()[0]) - float(paper), 2)
        assert verdict == (f"above by {above:.2f}" if above > 0 else "**below**")


def test_the_claims_have_the_published_numbers():
    vlae, vae = (metrics("mnist_static", model)["kl_bits"] for model in ("vlae", "vae"))
    iaf = nll("mnist_static", "vlae_iaf_posterior") - nll("mnist_static", "vlae")
    factorized = [nll(data, "iaf_vae") - nll(data, "af_vae") for data in ("mnist_static", "mnist_dynamic")]
    pairs = [("mnist_static", ""), ("mnist_dynamic", ""), ("mnist_dynamic", "_untied")]
    gaussian = [nll(data, f"vlae_gaussian_prior{tied}") - nll(data, f"vlae{tied}") for data, tied in pairs]
    grey, color = (metrics("cifar10", model)["kept_color"] for model in ("narrow_7x4_grayscale", "narrow_7x4"))
    gains = f"by {iaf:.2f}; with a factorized decoder by {fmean(factorized):.1f} |"
    for told in (f"{vlae:.1f}, {vae:.1f} bits", gains, f"by {min(gaussian):.2f} to {max(gaussian):.2f} |",
                 f"{grey:.2f}, {color:.2f} (`narrow_7x4`)"):  # fmt: skip
        assert told in README


def test_what_files_take_is_what_was_published():
    measured = metrics("mnist_static", "vlae_annealed")
    packed, elbo = f"{measured['coded_bits']:.1f}", f"{measured['coded_elbo_bits']:.1f}"
    assert f"{packed} bits each (−ELBO: {elbo})." in README
    assert f"{measured['vlae_bytes']:.1f} bytes\na digit" in README
    page = (ROOT / "docs/codec.md").read_text(encoding="utf-8")
    sizes = f"{measured['vlae_bytes']:.1f} bytes on average and {measured['vlae_most_bytes']} at most"
    for told in (f"whole file | {packed} |", f"bits | {measured['coded_bits_after_start']:.1f} |", f"ELBO | {elbo} |",
                 sizes, f"{measured['vlae_code_bits']:.1f} bits of z"):  # fmt: skip
        assert told in page


def test_the_tally_of_claims_is_that_of_the_report():
    report = (ROOT / "reports/report.md").read_text(encoding="utf-8")
    (tally,) = re.findall(r"\d+ of \d+ judged claims hold, \d+ fail", report)
    assert tally in README


def test_the_known_answer_is_what_was_published():
    reached = metrics("textures", "textures_full_context")
    assert f"KL {reached['kl_nats']:.4f} of {reached['exact_information']:.2f} nats |" in README
    assert f"{reached['nll'] - reached['exact_nll']:.2f} nats above H(x) |" in README


SEEN = {
    "no_pixels": "no pixels", "window": "a window: what the source looks at",
    "full_context": "every earlier pixel, 32 filters", "released": "the same, given the window's code",
    "full_context_16": "every earlier pixel, 16 filters", "full_context_8": "every earlier pixel, 8 filters",
    "full_context_4": "every earlier pixel, 4 filters", "no_latent": "every earlier pixel, 32 filters, no z",
}  # fmt: skip


@pytest.mark.parametrize("model", SEEN)
def test_the_table_of_the_known_answer_is_what_was_published(model):
    reached = metrics("textures", f"textures_{model}")
    bound, spent, least = reached["nll"], -reached["elbo"], reached["exact_nll"]
    price = reached.get("posterior_gap_nats", spent - bound)
    code = ("", "") if reached["exact"] else (f" {reached['kl_nats']:.2f}", f" {price:.3f}")
    row = f"| {SEEN[model]} | {bound - least:.2f} | {spent - least:.2f} |{code[0]} |{code[1]} |"
    assert row in RESULTS.read_text(encoding="utf-8")
    assert abs(reached.get("quadrature_nll", bound) - bound) < 3e-4  # as the page says


HYPOTHESES = {
    "pixelcnn": ("pixelcnn", "pixelcnn_first_5x5", "pixelcnn_first_7x7", "pixelcnn_5x5"),
    "tied": ("vlae", "vlae_tied_first_5x5", "vlae_tied_first_7x7", "vlae_tied_5x5"),
    "vlae": ("vlae_untied", "vlae_first_5x5", "vlae_first_7x7", "vlae_5x5"),
    "gaussian": ("vlae_gaussian_prior_untied", "vlae_gaussian_prior_first_5x5", "vlae_gaussian_prior_first_7x7",
                 "vlae_gaussian_prior_5x5"),
}  # fmt: skip
"""By kind of model its four networks: 3×3, first mask 5×5, first 7×7, all 5×5."""
ASKED = {
    "dynamic MNIST, Unconditional Decoder": ("mnist_dynamic", "pixelcnn", "87.55"),
    "dynamic MNIST, VLAE (Table 2, or D with KL)": ("mnist_dynamic", "vlae", "78.53, 78.94, KL 11.73"),
    "dynamic MNIST, Gaussian prior": ("mnist_dynamic", "gaussian", "79.48, KL 10.60"),
    "static MNIST, VLAE": ("mnist_static", "tied", "79.03, KL 13.3"),
    "OMNIGLOT, Unconditional Decoder": ("omniglot_rebuilt", "pixelcnn", "95.02"),
    "OMNIGLOT, VLAE": ("omniglot_rebuilt", "vlae", "90.98"),
    "Caltech-101, Unconditional Decoder": ("caltech101", "pixelcnn", "89.26"),
    "Caltech-101, VLAE": ("caltech101", "vlae", "77.36"),
}


def reached(dataset: str, model: str) -> str:
    """NLL, and KL if there is a code, of a published model."""
    if not (ROOT / "published" / dataset / model).exists():
        return "not trained"
    found = metrics(dataset, model)
    return f"{found['nll']:.2f}" + ("" if found["exact"] else f", KL {found['kl_nats']:.2f}")


@pytest.mark.parametrize("number", ASKED)
def test_the_table_of_hypotheses_is_what_was_published(number):
    dataset, kind, paper = ASKED[number]
    cells = [number, paper, *(reached(dataset, model) for model in HYPOTHESES[kind])]
    assert f"| {' | '.join(cells)} |" in RESULTS.read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", sorted(ROOT.glob("published/*/*/seeds")), ids=lambda folder: folder.parent.name)
def test_rows_of_several_seeds_are_what_was_published(folder):
    kept = metrics(*folder.parts[-3:-1])
    others = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*/metrics.json"))]
    seeds = ", ".join(str(one["seed"]) for one in (kept, *others))
    keys = ["nll"] if kept["exact"] else ["nll", "kl_nats"]
    spread = [over_seeds(*folder.parts[-3:-1], key) for key in keys]
    assert f"`{folder.parent.name}` | {seeds} | {' | '.join(spread)} |" in RESULTS.read_text(encoding="utf-8")
    assert spread[0] in README


def test_which_hypothesis_fits_best_is_computed():
    told = []
    for first in (True, False):
        for network in (0, 1):
            gaussian = metrics("mnist_dynamic", HYPOTHESES["gaussian"][network])
            off = [gaussian["nll"] - 79.48, gaussian["kl_nats"] - 10.60]
            off += [nll("omniglot_rebuilt", HYPOTHESES["pixelcnn"][network]) - 95.02]
            off += [nll("mnist_dynamic", HYPOTHESES["pixelcnn"][network]) - 87.55] * first
            told.append(f"{fmean(each**2 for each in off) ** 0.5:.2f}")
    page = " ".join(RESULTS.read_text(encoding="utf-8").split())
    assert f"is {told[0]} for 3×3 and {told[1]} for a first mask of 5×5" in page
    assert f"without that number it is {told[2]} and {told[3]}" in page


RECORDS = (ROOT / "docs/records.md").read_text(encoding="utf-8").partition("## The ladder")[2].partition("\n## ")[0]


def test_the_ladder_of_records_is_what_was_published():
    dataset = ""
    for line in re.findall(r"^\| (?!data ).*$", RECORDS, flags=re.MULTILINE):
        place, model, _, *told = (cell.strip() for cell in line.strip("|").split("|"))
        dataset = FOLDERS[place] if place else dataset
        found = metrics(dataset, model.strip("`"))
        numbers = (f"{found['nll']:.2f}", f"{found['importance_samples']:,}", f"{found['kl_nats']:.2f}")
        assert told[:4] == [*numbers, f"{found['train_minutes']:.0f}"]
    assert dataset == FOLDERS["Caltech-101"]


@pytest.mark.parametrize("path", sorted(ROOT.glob("published/*/*/bounds.json")), ids=lambda path: path.parent.name)
def test_bounds_from_both_sides_are_those_of_the_published_weights(path):
    bounds = json.loads(path.read_text(encoding="utf-8"))
    assert bounds["model_sha256"] == metrics(*path.parts[-3:-1])["model_sha256"]
    nats = (f"{bounds[key]:.3f}".replace("-", "−") for key in ("k256", "k4096", "lower", "upper"))
    told = f"`{path.parent.name}` | {' | '.join(nats)} | {bounds['gap']:.3f} ± {bounds['gap_se']:.3f} |"
    assert told in RESULTS.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_are_there(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, place = target.partition("#")
        if path.startswith("http"):
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if place and there.suffix == ".md" and there.parent.name != "reports":
            titles = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert place in [re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles], target


def test_one_version_is_said_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    latest = re.findall(r"^## ([\d.]+)", changes, flags=re.MULTILINE)[0]
    assert citation["version"] == project["version"] == latest
    assert isinstance(citation["date-released"], datetime.date)
