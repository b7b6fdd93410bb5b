"""Data sets of a user's own: their files, and their loaders, of which only what was declared gets in."""

import hashlib
import re
import sys
import types

import numpy as np
import pytest

from pipeline.config import OwnDataset
from pipeline.data import catalogue, fetch, prepare, require
from pipeline.data.preparing import RECIPES, Split
from pipeline.data.sources import SOURCES
from pipeline.errors import DataError
from pipeline.schema import ParamError, from_mapping

CONTENT = b"anything"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def files(*urls: str, digest: str = DIGEST) -> dict[str, OwnDataset]:
    """A data set with these files and a loader that is none of importance."""
    block = from_mapping(OwnDataset, {"loader": "pipeline.data.own:catalogue", "files": dict.fromkeys(urls, digest)})
    return {"mine": block}


def names(*urls: str) -> list[str]:
    """What the files of a data set are called."""
    return [file.name for download in catalogue(files(*urls)).sources["mine"] for file in download.files]


def test_what_is_built_in_stays_what_it_is():
    before = dict(SOURCES), dict(RECIPES)
    assert set(catalogue(files("https://example.org/a.npz")).recipes) == {*RECIPES, "mine"}
    assert before == (SOURCES, RECIPES)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/a.npz", "a.npz"),
        ("https://example.org/a.npz?download=1&token=x/y", "a.npz"),
        ("https://example.org/my%20images.npz", "my images.npz"),
        ("https://example.org/deep/a.csv.gz", "a.csv"),
        ("https://example.org/a.amat.xz", "a.amat"),
        ("https://example.org/get?id=7#a.npz", "a.npz"),
        ("https://example.org/get?id=7#a.npz.gz", "a.npz"),
        ("file:///home/me/a.npz", "a.npz"),
        ("HTTPS://example.org/A.npz", "A.npz"),
        ("https://example.org/toy.targets.npy", "toy.targets.npy"),
    ],
)
def test_a_file_is_called_what_its_address_ends_in(url, name):
    """After reports of files with ?download=1 or %20 in their names, which the loader then did not find."""
    assert names(url) == [name]
    assert catalogue(files(url)).sources["mine"][0].urls == (url.partition("#")[0],)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org", "https://example.org/", "https://example.org/..", "https://example.org/data/",
        "https://example.org/%2e%2e", "https://example.org/..%5Cout", "https://example.org/.gz", "https://example.org/é.npz",
        "https://example.org/get?id=7#../a.npz", "https://example.org/.partial-a", "https://example.org/a%00b",
    ],
)  # fmt: skip
def test_an_address_that_tells_no_name_is_refused_with_the_way_out(url):
    with pytest.raises(DataError, match=r"own_datasets\.mine\.files: .* tells no name .*#images\.npz"):
        catalogue(files(url))


@pytest.mark.parametrize(
    "urls",
    [
        ("https://example.org/train/images.npy", "https://example.org/test/images.npy"),
        ("https://example.org/images.npy", "https://example.org/images.npy.gz"),
        ("https://example.org/images.npy", "https://example.org/Images.npy"),
        ("https://example.org/get?id=1", "https://example.org/get?id=2"),
    ],
)
def test_two_files_of_one_name_are_refused_and_the_advice_helps(urls):
    """After reports of two files that overwrote each other, each fetched again at every run."""
    with pytest.raises(DataError, match=r"own_datasets\.mine\.files: two URLs end in ") as error:
        catalogue(files(*urls))
    advice = re.search(r"as in (\S+)$", str(error.value))[1]
    assert len(set(names(urls[0], advice))) == 2


@pytest.mark.parametrize("name", ["toy.tar.gz", "toy.tgz", "toy.tar", "get?id=1#toy.tar.xz"])
def test_archives_are_refused(name):
    with pytest.raises(DataError, match=r"own_datasets\.mine\.files: toy\.\S+ is a tar archive"):
        catalogue(files(f"https://example.org/{name}"))


@pytest.mark.parametrize("url", ["images.npz", "/home/me/images.npz", "s3://bucket/a.npz", "https://h/a b.npz", 5, ""])
def test_what_is_no_address_is_refused_where_params_are_read(url):
    with pytest.raises(ParamError, match=r"a name in files = .*: must be "):
        files(url)


@pytest.mark.parametrize(
    "digest", [DIGEST, DIGEST.upper(), f" {DIGEST}", f"{DIGEST}\n", f"sha256:{DIGEST}", f"SHA256: {DIGEST.upper()} "]
)
def test_a_checksum_is_read_however_it_was_copied(tmp_path, server, digest):
    """After reports of checksums in capitals, or with a blank or `sha256:` before them, said not to match."""
    server.answers["a.bin"] = [CONTENT]
    sources = catalogue(files(f"{server.url}a.bin", digest=digest)).sources
    (path,) = fetch("mine", tmp_path, None, 5, 0, sources)
    assert path.read_bytes() == CONTENT
    require("mine", tmp_path, sources)


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "g" * 64, f"md5:{'0' * 32}", f"{'0' * 32}", 0, None])
def test_what_is_no_checksum_is_refused_before_the_download(digest):
    with pytest.raises(ParamError, match=r"files\.https://example\.org/a = .*: must be "):
        files("https://example.org/a", digest=digest)


def test_files_with_a_query_and_with_names_behind_their_addresses_are_fetched(tmp_path, server):
    server.answers |= {"get?id=1": [CONTENT], "get?id=2": [CONTENT]}
    sources = catalogue(files(f"{server.url}get?id=1#one", f"{server.url}get?id=2#two")).sources
    assert [path.name for path in fetch("mine", tmp_path, None, 5, 0, sources)] == ["one", "two"]
    assert server.requests == ["get?id=1", "get?id=2"]


IMAGES = np.zeros((9, 1, 8, 8), np.uint8)
IMAGES[:, :, 2:6, 2:6] = 1
GOOD = Split(IMAGES, np.arange(9))


def prepared(monkeypatch, tmp_path, load, dynamic=False):
    """The data set of a loader."""
    monkeypatch.setitem(sys.modules, "theirs", types.SimpleNamespace(load=load, __file__=__file__))
    return prepare("mine", tmp_path, 0, catalogue({"mine": OwnDataset("theirs:load", dynamic)}).recipes)


def broken(folder):
    return GOOD, GOOD, 1 / 0


def half(folder):
    yield GOOD
    raise ValueError("two\nlines")


def leaving(folder):
    sys.exit("no")


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (lambda folder: None, "returned None, not the three splits train, valid, test"),
        (lambda folder: (GOOD, GOOD), "returned a tuple of 2, not the three splits"),
        (lambda folder: [GOOD] * 4, "returned a tuple of 4, not the three splits"),
        (lambda folder: {"train": GOOD}, "returned a dict, not the three splits"),
        (lambda folder: IMAGES, "returned uint8 (9, 1, 8, 8), not the three splits"),
        (lambda folder: (IMAGES, IMAGES, IMAGES), "train is uint8 (9, 1, 8, 8), not a Split(images, labels)"),
        (lambda folder: (GOOD, (IMAGES, None), GOOD), "valid is a tuple of 2, not a Split(images, labels)"),
        (lambda folder: (GOOD, GOOD, None), "test is None, not a Split"),
        (lambda folder: (GOOD, GOOD, Split(IMAGES.tolist())), "test images are a list, not uint8 (N, 1, H, W)"),
        (lambda: None, "raised TypeError: "),
        (broken, "raised ZeroDivisionError: division by zero in line "),
        (half, "raised ValueError: two lines in line "),
        (leaving, "raised SystemExit: no in line "),
    ],
)
def test_whatever_a_loader_does_is_one_line_that_names_it(monkeypatch, tmp_path, load, expected):
    """After reports of tracebacks out of code that the user of a loader has never seen."""
    with pytest.raises(DataError) as error:
        prepared(monkeypatch, tmp_path, load)
    assert str(error.value).startswith(f"own_datasets.mine.loader = 'theirs:load': {expected}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "loader", ["nowhere:load", "math:load", "math:pi", "broken_module:load", "leaving_module:load"]
)
def test_a_loader_that_cannot_be_imported_is_named(monkeypatch, tmp_path, loader):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_module.py").write_text("def load(", encoding="utf-8")
    (tmp_path / "leaving_module.py").write_text("import sys; sys.exit(3)", encoding="utf-8")
    with pytest.raises(DataError, match=rf"^own_datasets\.mine\.loader = '{loader}': (cannot be imported|is a float)"):
        catalogue({"mine": OwnDataset(loader)})


@pytest.mark.parametrize("where", ["train", "valid", "test"])
@pytest.mark.parametrize(
    ("images", "dynamic", "expected"),
    [
        (IMAGES, True, "images have no level above 1: dynamic: true declares grey levels"),
        (IMAGES * 0, True, "images have no level above 1"),
        (IMAGES * 2, False, "images have levels up to 2: dynamic: false declares 0 and 1"),
        (IMAGES * 255, False, "images have levels up to 255"),
        (IMAGES * 0, False, "images are blank"),
        (IMAGES / 1, False, "images are float64 (9, 1, 8, 8), not uint8"),
        (IMAGES * np.nan, True, "images are float64"),
        (IMAGES.astype(bool), False, "images are bool"),
        (IMAGES.astype(np.int64), False, "images are int64"),
        (IMAGES[:, 0], False, "images are uint8 (9, 8, 8), not uint8 (N, 1, H, W)"),
        (IMAGES.transpose(0, 2, 3, 1), False, "images are uint8 (9, 8, 8, 1), not uint8 (N, 1, H, W)"),
        (IMAGES[:0], False, "images are uint8 (0, 1, 8, 8)"),
        (IMAGES[..., :0], False, "images are uint8 (9, 1, 8, 0)"),
    ],
)
def test_images_that_are_not_what_was_declared_are_refused_by_name(
    monkeypatch, tmp_path, where, images, dynamic, expected
):
    """After reports of images of 0 and 1 binarized as grey levels: nearly blank, and a wonderful likelihood."""
    good = Split(IMAGES * 200 if dynamic else IMAGES)
    splits = [Split(images) if name == where else good for name in ("train", "valid", "test")]
    with pytest.raises(DataError, match=re.escape(f"own_datasets.mine.loader = 'theirs:load': {where} {expected}")):
        prepared(monkeypatch, tmp_path, lambda folder: splits, dynamic)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (None, "and train must both have labels, or neither"),
        (list(range(9)), "labels are a list, not int64 (9,)"),
        (np.arange(9, dtype=np.int32), "labels are int32 (9,), not int64 (9,)"),
        (np.arange(9.0), "labels are float64 (9,)"),
        (np.arange(8), "labels are int64 (8,), not int64 (9,)"),
        (np.zeros((9, 1), np.int64), "labels are int64 (9, 1)"),
        (np.arange(9) - 1, "has the label -1: must be 0 or more"),
    ],
)
def test_labels_that_do_not_fit_are_refused_by_name(monkeypatch, tmp_path, labels, expected):
    """After reports of labels that were found wrong after the training, by the probe of the code."""
    splits = (GOOD, GOOD, Split(IMAGES, labels))
    with pytest.raises(DataError, match=re.escape(f"'theirs:load': test {expected}")):
        prepared(monkeypatch, tmp_path, lambda folder: splits)


def test_images_of_different_sizes_are_refused_by_name(monkeypatch, tmp_path):
    with pytest.raises(DataError, match=r"valid images are uint8 \(9, 1, 8, 7\), those of train uint8 \(9, 1, 8, 8\)"):
        prepared(monkeypatch, tmp_path, lambda folder: (GOOD, Split(IMAGES[..., :7], np.arange(9)), GOOD))


@pytest.mark.parametrize("form", [tuple, list, iter])
@pytest.mark.parametrize("dynamic", [False, True])
def test_what_was_declared_is_taken(monkeypatch, tmp_path, form, dynamic):
    split = Split(IMAGES * 200 if dynamic else IMAGES, np.arange(9))
    dataset = prepared(monkeypatch, tmp_path, lambda folder: form([split] * 3), dynamic)
    assert (dataset.name, dataset.kind, dataset.dynamic) == ("mine", "binary", dynamic)
    assert dataset.train.shape == (9, 1, 8, 8)
    assert dataset.train.max() == (200 if dynamic else 1)
