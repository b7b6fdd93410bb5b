"""The paper's data sets from real files, where there is a folder of them: splits, classes, orientation."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from pipeline.data import Dataset, fetch, prepare
from pipeline.data.formats import read_idx
from pipeline.data.preparing import RECIPES
from pipeline.data.sources import SOURCES

SPLITS = ("train", "valid", "test")
# sizes, means of the three splits (levels 0..255 or ink 0..1), number of classes
EXPECTED = {
    "mnist_static": ((50_000, 10_000, 10_000), (0.13056, 0.13113, 0.13251), None),
    "mnist_dynamic": ((50_000, 10_000, 10_000), (33.39513, 0.12913, 0.13254), 10),
    "omniglot_rebuilt": ((23_000, 1_345, 8_115), (21.16689, 0.08283, 0.08197), 1623),
    "caltech101": ((4_100, 2_264, 2_307), (0.44895, 0.46404, 0.46098), 101),
    "cifar10": ((45_000, 5_000, 10_000), (120.70859, 120.69838, 121.52915), 10),
}


@pytest.fixture(scope="module")
def real(mirror: Path, tmp_path_factory: pytest.TempPathFactory):
    """A function from the name of a data set to the data set, prepared once."""
    raw = tmp_path_factory.mktemp("raw")
    prepared: dict[str, Dataset] = {}

    def get(name: str) -> Dataset:
        if name not in prepared:
            fetch(name, raw, mirror, 1, 0)
            prepared[name] = prepare(name, raw, 2016)
        return prepared[name]

    return get


@pytest.mark.parametrize("name", EXPECTED)
def test_sizes_means_and_classes(real, name):
    dataset = real(name)
    sizes, means, classes = EXPECTED[name]
    assert tuple(len(getattr(dataset, split)) for split in SPLITS) == sizes
    np.testing.assert_allclose([getattr(dataset, split).mean() for split in SPLITS], means, atol=1e-4)
    assert dataset.image_shape == ((3, 32, 32) if name == "cifar10" else (1, 28, 28))
    labels = [getattr(dataset, f"{split}_labels") for split in SPLITS]
    if classes is None:
        assert labels == [None, None, None]
    else:
        np.testing.assert_array_equal(np.unique(np.concatenate(labels)), np.arange(classes))
        assert len(np.unique(labels[2])) == classes
    assert len({image.tobytes() for image in dataset.test[:100]}) > 95


@pytest.mark.parametrize("name", EXPECTED)
def test_published_models_still_fit_their_data(real, name):
    for config in (ROOT / "published" / name).glob("*/config.json"):
        assert json.loads(config.read_text())["data_sha256"] == real(name).sha256()


def test_static_and_dynamic_mnist_have_the_same_orientation(real):
    static, dynamic = (real(name).train[:, 0].mean(axis=0) for name in ("mnist_static", "mnist_dynamic"))
    np.testing.assert_allclose(static, dynamic / 255, atol=0.02)


def test_mnist5k_is_part_of_mnist(real, mirror, tmp_path):
    paths = fetch("mnist5k", tmp_path, None, 1, 0) + fetch("mnist_dynamic", tmp_path, mirror, 1, 0)
    digits = {image.tobytes(): label for image, label in zip(*map(read_idx, paths[1:3], (3, 1)), strict=True)}
    small = prepare("mnist5k", tmp_path, 2016)
    assert [digits[image.tobytes()] for image in small.train] == small.train_labels.tolist()


def test_caltech_airplanes_are_wide_and_ink(real):
    """Class 0 is airplanes from the side: transposed they would stand, inverted the corner would be ink."""
    dataset = real("caltech101")
    airplanes = dataset.train[dataset.train_labels == 0][:, 0].mean(axis=0)
    assert airplanes.sum(axis=0).std() < airplanes.sum(axis=1).std()
    assert airplanes[0, 0] < 0.1


def test_omniglot_strokes_are_thin_and_anti_aliased(real):
    train = real("omniglot_rebuilt").train
    assert 0.05 < np.mean((train > 0) & (train < 255)) < 0.3
    assert train[:, 0, 0, 0].mean() < 5
    assert train.max() == 255


def test_every_recipe_has_sources():
    assert set(RECIPES) == set(SOURCES)
