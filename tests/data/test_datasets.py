"""The prepared form: exact round trip, stable bytes, and no silent damage."""

import hashlib
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data import Dataset, load_dataset, save
from pipeline.errors import DataError


def toy(labels: bool = True) -> Dataset:
    rng = np.random.RandomState(0)
    splits = [rng.randint(0, high, (n, 1, 4, 5)).astype(np.uint8) for high, n in ((256, 9), (2, 3), (2, 4))]
    classes = [np.arange(len(images)) if labels else None for images in splits]
    return Dataset("toy", "binary", True, *splits, *classes)


@pytest.mark.parametrize("labels", [True, False])
def test_round_trip(tmp_path, labels):
    before = toy(labels)
    save(before, tmp_path / "new" / "toy.npz")
    after = load_dataset(tmp_path / "new" / "toy.npz")
    assert (after.name, after.kind, after.dynamic, after.image_shape) == ("toy", "binary", True, (1, 4, 5))
    for split in ("train", "valid", "test"):
        np.testing.assert_array_equal(getattr(after, split), getattr(before, split))
    assert (after.test_labels is not None) == labels
    assert after.sha256() == before.sha256()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["toy.npz"]


def test_bytes_are_stable(tmp_path):
    digests = set()
    for name in ("a.npz", "b.npz"):
        save(toy(), tmp_path / name)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_hash_is_of_everything():
    first = toy()
    others = [
        replace(first, name="other"),
        replace(first, dynamic=False, train=first.train % 2),
        replace(first, test=1 - first.test),
        replace(first, test_labels=None),
        replace(first, test_labels=np.array([3, 2, 1, 0])),
        replace(first, test_factors=np.zeros((4, 2), np.float32)),
        replace(first, exact_nll=np.zeros(4)),
    ]
    assert len({dataset.sha256() for dataset in [first, *others]}) == 8


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dynamic": False}, "train is not binary"),
        ({"test": np.full((4, 1, 4, 5), 2, np.uint8)}, "test is not binary"),
        ({"test": np.zeros((4, 4, 5), np.uint8)}, r"not uint8 \(N, C, H, W\)"),
        ({"test": np.zeros((4, 1, 4, 5))}, "test is float64"),
        ({"test": np.zeros((0, 1, 4, 5), np.uint8)}, "test is uint8"),
        ({"test": np.zeros((4, 1, 5, 5), np.uint8)}, "train images"),
        ({"test": np.zeros((4, 3, 4, 5), np.uint8)}, "3 channels"),
        ({"kind": "color"}, "1 channels: must be 1, or 3 of colour"),
        ({"test_labels": np.zeros(3, np.int64)}, "test labels"),
        ({"train_factors": np.zeros((4, 2))}, "9 train images, and train_factors of 4"),
        ({"exact_nll": np.zeros(9)}, "4 test images, and exact_nll of 9"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, reason):
    with pytest.raises(ValueError, match=reason):
        replace(toy(), **change)


def test_missing(tmp_path):
    with pytest.raises(DataError, match=r"toy\.npz: missing; run `dvc repro preprocess`"):
        load_dataset(tmp_path / "toy.npz")
    with pytest.raises(DataError, match=r"toy\.npz: missing; run `python -m stages\.preprocess --published`"):
        load_dataset(tmp_path / "data/published/processed/toy.npz")


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_cut(tmp_path, keep):
    path = tmp_path / "toy.npz"
    save(toy(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(DataError, match=r"toy\.npz: cut or corrupted .*run `dvc repro preprocess`"):
        load_dataset(path)


@settings(max_examples=300, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_altered_byte_never_alters_the_images(tmp_path_factory, position, flip):
    path = tmp_path_factory.mktemp("npz") / "toy.npz"
    save(toy(), path)
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= flip
    path.write_bytes(content)
    with suppress(DataError):
        assert load_dataset(path).sha256() == toy().sha256()


def test_lost_member_is_noticed(tmp_path):
    """Damage in the table of contents of a zip file can lose a member without an error from the reader."""
    path = tmp_path / "toy.npz"
    save(toy(), path)
    with np.load(path) as content:
        members = {name: content[name] for name in content.files if name != "test_labels"}
    np.savez(path, **members)
    with pytest.raises(DataError, match=r"toy\.npz: cut or corrupted .*checksum"):
        load_dataset(path)


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "toy.npz"
    save(toy(), path)
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        save(toy(labels=False), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["toy.npz"]
