"""Preparing: the embedded data sets exactly, Burda's file by a made one, binarization."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from pipeline.data import Dataset, fetch, prepare
from pipeline.data.preparing import CROP_COLUMNS, RECIPES, Split, binarize
from pipeline.data.sources import SOURCES, package_file
from pipeline.errors import DataError

SEED = 2016


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for dataset in ("mnist5k", "photos"):
        fetch(dataset, folder, None, 1, 0)
    return folder


@pytest.fixture(scope="module")
def mnist5k(raw) -> Dataset:
    return prepare("mnist5k", raw, SEED)


def test_mnist5k_sizes_and_classes(mnist5k):
    assert (mnist5k.name, mnist5k.kind, mnist5k.dynamic) == ("mnist5k", "binary", True)
    for split, count in (("train", 400), ("valid", 50), ("test", 50)):
        assert getattr(mnist5k, split).shape == (10 * count, 1, 28, 28)
        np.testing.assert_array_equal(np.bincount(getattr(mnist5k, f"{split}_labels")), [count] * 10)
        assert len(set(getattr(mnist5k, f"{split}_labels")[:30])) > 5  # any first n see most classes
    assert mnist5k.train.mean() == pytest.approx(33.37497, abs=1e-4)
    assert mnist5k.test.mean() == pytest.approx(0.13424, abs=1e-4)


def test_mnist5k_holds_every_image_of_the_package_once(mnist5k):
    lines = gzip.decompress(package_file(SOURCES["mnist5k"][0]).read_bytes()).decode().split()
    table = np.array([line.split(",") for line in lines], dtype=np.int64)
    source = {
        images.tobytes(): label for images, label in zip(table[:, :-1].astype(np.uint8), table[:, -1], strict=True)
    }
    train = [source[image.tobytes()] for image in mnist5k.train]
    np.testing.assert_array_equal(train, mnist5k.train_labels)  # labels still belong to their images
    assert len({image.tobytes() for image in mnist5k.train}) == 4000


def test_digits_are_upright(mnist5k):
    """A seven has its bar at the top: more ink above the middle, and a one is taller than wide."""
    sevens = mnist5k.train[mnist5k.train_labels == 7][:, 0].mean(axis=0)
    assert sevens[:14].sum() > 1.1 * sevens[14:].sum()
    ones = mnist5k.train[mnist5k.train_labels == 1][:, 0].mean(axis=0)
    assert ones.sum(axis=0).std() > 2 * ones.sum(axis=1).std()
    assert mnist5k.train[:, 0, 0].mean() < 1  # background 0


def test_photos_never_share_a_pixel_column(raw):
    photos = prepare("photos", raw, SEED)
    assert (photos.kind, photos.dynamic, photos.train_labels) == ("color", False, None)
    assert [len(images) for images in (photos.train, photos.valid, photos.test)] == [4100, 200, 250]
    assert photos.image_shape == (3, 32, 32)
    columns = {split: {x for a, b in bands for x in range(a, b)} for split, bands in CROP_COLUMNS.items()}
    assert not columns["train"] & columns["test"]
    assert not columns["train"] & columns["valid"]
    assert not columns["valid"] & columns["test"]


def test_photos_are_crops_of_their_own_columns(raw):
    from sklearn.datasets import load_sample_images

    prepared = prepare("photos", raw, SEED)
    for split, bands in CROP_COLUMNS.items():
        allowed = set()
        for photo in load_sample_images().images:
            for start, end in bands:
                for x in range(start, end - 31, 8):
                    crops = (photo[y : y + 32, x : x + 32] for y in range(0, 396, 8))
                    allowed |= {crop.transpose(2, 0, 1).tobytes() for crop in crops}
        assert all(image.tobytes() in allowed for image in getattr(prepared, split))


def test_same_seed_same_data(raw, mnist5k):
    assert prepare("mnist5k", raw, SEED).sha256() == mnist5k.sha256()
    other = prepare("mnist5k", raw, SEED + 1)
    np.testing.assert_array_equal(other.train, mnist5k.train)  # grey levels: no draw in them
    np.testing.assert_array_equal(other.test_labels, mnist5k.test_labels)
    assert 0.01 < np.mean(other.test != mnist5k.test) < 0.2


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("mnist5k", "395689865adcdf1fd53a912959dd5b7b26645e27ccbf4f981bd38df58f252170"),
        ("photos", "b838333504a2b70d2e0d7e8d4b381256c92cb1a6bf561b86d4bf4bf5c9164e5c"),
    ],
)
def test_runs_of_earlier_versions_still_fit_their_data(raw, name, digest):
    """A run is tied to its data by this hash: what the code has to say of other data sets leaves it alone."""
    assert prepare(name, raw, SEED).sha256() == digest


def test_binarization_follows_the_level():
    levels = np.repeat(np.array([0, 64, 128, 200, 255], np.uint8), 40_000).reshape(5, 40_000)
    drawn = binarize(levels, seed=1, split=2)
    assert drawn.dtype == np.uint8
    np.testing.assert_allclose(drawn.mean(axis=1), levels[:, 0] / 255, atol=0.01)
    assert drawn[0].max() == 0
    assert drawn[-1].min() == 1
    np.testing.assert_array_equal(drawn, binarize(levels, 1, 2))
    assert np.any(drawn != binarize(levels, 2, 2))
    assert np.any(drawn != binarize(levels, 1, 1))


@pytest.fixture
def chardata(tmp_path) -> tuple[Path, np.ndarray]:
    """A file like Burda's: 2,000 and 30 images, a column each and column by column; one-hot alphabets."""
    images = np.zeros((2030, 28, 28))
    images[:, 10, 0] = 1
    images[:, 2, 3] = np.arange(2030) // 256 / 255  # two pixels that tell which image it is
    images[:, 2, 4] = np.arange(2030) % 256 / 255
    columns = images.transpose(0, 2, 1).reshape(2030, 784).T
    alphabets = np.eye(50)[np.arange(2030) % 50].T
    (tmp_path / "omniglot").mkdir()
    scipy.io.savemat(
        tmp_path / "omniglot" / "chardata.mat",
        {
            "data": columns[:, :2000], "target": alphabets[:, :2000],
            "testdata": columns[:, 2000:], "testtarget": alphabets[:, 2000:],
        },
    )  # fmt: skip
    return tmp_path, images


def test_omniglot(chardata):
    folder, images = chardata
    prepared = prepare("omniglot", folder, SEED)
    assert [len(getattr(prepared, split)) for split in ("train", "valid", "test")] == [655, 1345, 30]
    assert prepared.dynamic
    expected = {image.tobytes(): i % 50 for i, image in enumerate(np.rint(images * 255).astype(np.uint8))}
    assert [expected[image.tobytes()] for image in prepared.train] == prepared.train_labels.tolist()
    assert prepared.valid[:, 0, 10, 0].min() == 1
    assert sorted(prepared.test_labels) == sorted(np.arange(2000, 2030) % 50)


def test_omniglot_cut(chardata):
    path = chardata[0] / "omniglot" / "chardata.mat"
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(DataError, match=r"chardata\.mat: not a readable MATLAB file"):
        prepare("omniglot", chardata[0], SEED)


def test_unknown_and_missing(tmp_path):
    with pytest.raises(DataError, match="mnist6k: no such data set; there are mnist5k"):
        prepare("mnist6k", tmp_path, SEED)
    with pytest.raises(FileNotFoundError):
        prepare("cifar10", tmp_path, SEED)


def test_a_single_test_image_is_refused_before_any_training(tmp_path, monkeypatch):
    images = np.eye(5, dtype=np.uint8).reshape(5, 1, 5, 1)
    splits = (Split(images), Split(images), Split(images[:1]))
    monkeypatch.setitem(RECIPES, "mine", ("binary", False, lambda folder: splits))
    with pytest.raises(DataError, match="mine: 1 test images: must be at least 2"):
        prepare("mine", tmp_path, 0)
