"""Decoders: they invert the format's definition, and refuse whatever is cut or altered."""

import struct
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from pipeline.data import formats
from pipeline.errors import DataError


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@settings(deadline=None)
@given(array=arrays(np.uint8, array_shapes(min_dims=1, max_dims=3, max_side=5)), cut=st.integers(1, 200))
def test_idx_round_trip_and_cut(tmp_path_factory, array, cut):
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(idx(array))
    np.testing.assert_array_equal(formats.read_idx(path, array.ndim), array)
    path.write_bytes(idx(array)[:-cut])
    with pytest.raises(DataError, match=str(path)):
        formats.read_idx(path, array.ndim)


def test_idx_of_other_dimensions(tmp_path):
    (tmp_path / "file").write_bytes(idx(np.zeros((2, 3), np.uint8)))
    with pytest.raises(DataError, match="no header"):
        formats.read_idx(tmp_path / "file", 3)


def test_amat(tmp_path):
    path = tmp_path / "file"
    path.write_text("0 1 1\n1 0 0\n")
    np.testing.assert_array_equal(formats.read_amat(path, 3), [[0, 1, 1], [1, 0, 0]])
    for text, reason in (
        ("0 1 1\n1 0", "whole number"), ("0 1 1\n1 0 2\n", "something else"),
        ("0 1 1 1\n0 0\n", "separated"), ("", "0 bytes"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(DataError, match=reason):
            formats.read_amat(path, 3)


@pytest.mark.parametrize("text", ["1,2\n3", "1,x\n", "1,256\n", "1,-1\n"])
def test_csv(tmp_path, text):
    path = tmp_path / "file"
    path.write_text("0,255\n7,8\n")
    np.testing.assert_array_equal(formats.read_csv(path, 2), [[0, 255], [7, 8]])
    path.write_text(text)
    with pytest.raises(DataError, match=str(path)):
        formats.read_csv(path, 2)


def test_cifar(tmp_path):
    path = tmp_path / "file"
    records = np.random.RandomState(0).randint(0, 10, (4, formats.CIFAR_RECORD)).astype(np.uint8)
    path.write_bytes(records.tobytes())
    images, labels = formats.read_cifar(path)
    np.testing.assert_array_equal(labels, records[:, 0])
    assert images[2, 1, 3, 5] == records[2, 1 + 1024 + 3 * 32 + 5]
    for content in (records.tobytes()[:-1], b"", b"\x0a" + records.tobytes()[1:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=str(path)):
            formats.read_cifar(path)


def test_mat(tmp_path):
    path = tmp_path / "file.mat"
    scipy.io.savemat(
        path,
        {
            "data": np.eye(3),
        },
        do_compression=True,
    )
    np.testing.assert_array_equal(formats.read_mat(path, {"data": (3, None)})["data"], np.eye(3))
    with pytest.raises(DataError, match="no matrix labels"):
        formats.read_mat(path, {"data": (3, None), "labels": (None, 1)})
    with pytest.raises(DataError, match="data has shape"):
        formats.read_mat(path, {"data": (4, None)})
    whole = path.read_bytes()
    for content in (whole[:150], whole[:100], b"", whole[:-20] + bytes(20)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=str(path)):
            formats.read_mat(path, {"data": (3, None)})


def png(size: int = 105, mode: str = "1") -> bytes:
    image = Image.new(mode, (size, size), 1)
    image.putpixel((3, 1), 0)  # column 3, row 1
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def drawings(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


GREEK = "images_background/Greek/character01/0394_02.png"
LATIN = "images_evaluation/Latin/character02/0001_20.png"


def test_drawings(tmp_path):
    path = drawings(tmp_path / "a.zip", {LATIN: png(), "images_background/": b"", "x/.DS_Store": b"", GREEK: png()})
    found = list(formats.read_drawings(path))
    assert [(character, drawer) for character, drawer, _ in found] == [(394, 2), (1, 20)]
    assert found[0][2][1, 3] == 0
    assert found[0][2].sum() == 105 * 105 - 1


def test_drawings_checksum_is_of_paths_and_pixels(tmp_path):
    first = formats.drawings_sha256(drawings(tmp_path / "a.zip", {LATIN: png(), GREEK: png()}))
    again = formats.drawings_sha256(drawings(tmp_path / "b.zip", {GREEK: png(), LATIN: png(), "README": b"x"}))
    fewer = formats.drawings_sha256(drawings(tmp_path / "c.zip", {GREEK: png()}))
    assert first == again != fewer


@pytest.mark.parametrize("content", [png(104), png(mode="L"), png()[:60], b"no image"])
def test_bad_drawing(tmp_path, content):
    path = drawings(tmp_path / "a.zip", {GREEK: content})
    with pytest.raises(DataError, match=r"a.zip: .*0394_02.png"):
        list(formats.read_drawings(path))


def test_cut_and_altered_zip(tmp_path):
    whole = drawings(tmp_path / "a.zip", {GREEK: png(), LATIN: png()}).read_bytes()
    altered = whole[:120] + bytes([whole[120] ^ 1]) + whole[121:]
    for content in (whole[:-30], whole[: len(whole) // 2], b"", altered):
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(DataError, match=r"a\.zip"):
            list(formats.read_drawings(tmp_path / "a.zip"))
