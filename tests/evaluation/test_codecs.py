"""Codecs: their payloads counted byte by byte, lossless ones exact, rates and distortions in order."""

import io
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image, features

from pipeline.evaluation import codecs as module
from pipeline.evaluation.codecs import (
    Codec,
    codec_curve,
    codecs,
    jpeg2000_payload,
    jpeg_payload,
    png_payload,
    webp_payload,
)

CODECS = codecs()
SIZES = [(28, 28), (6, 10), (4, 5), (33, 17), (1, 1), (1, 5), (2, 2), (3, 9)]


def blobs(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """(count, 1, height, width) uint8 in {0, 1}: random rectangles of ink."""
    rng = np.random.default_rng(seed)
    images = np.zeros((count, 1, height, width), np.uint8)
    for image in images:
        for _ in range(4):
            top, left = rng.integers(max(1, height - 1)), rng.integers(max(1, width - 1))
            image[0, top : top + rng.integers(2, max(3, height)), left : left + rng.integers(1, 5)] = 1
    return images


@pytest.fixture(scope="module")
def curve() -> pd.DataFrame:
    return codec_curve(blobs(40, 28, 28))


def of(name: str) -> list[Codec]:
    return [codec for codec in CODECS if codec.name == name]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("codec", [codec for codec in CODECS if codec.lossless], ids=lambda codec: codec.name)
def test_lossless_codecs_give_back_every_pixel(codec: Codec, size: tuple[int, int]):
    noise = np.random.default_rng(0).integers(0, 2, size, dtype=np.uint8)
    for image in (*blobs(5, *size)[:, 0], noise, np.zeros(size, np.uint8), np.ones(size, np.uint8)):
        assert np.array_equal(codec.decode(codec.encode(image), size), image)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: f"{codec.name} {codec.setting}")
def test_the_payload_is_a_part_of_the_file(codec: Codec, size: tuple[int, int]):
    for image in blobs(5, *size)[:, 0]:
        file = codec.encode(image)
        assert 0 < codec.payload(file) <= len(file)
        decoded = codec.decode(file, size)
        assert decoded.shape == size
        assert decoded.dtype == np.uint8
        assert set(np.unique(decoded)) <= {0, 1}


def test_the_curve_has_a_row_for_each_codec_and_setting(curve: pd.DataFrame):
    expected = ["codec", "setting", "lossless", "bits", "payload_bits", "pixel_error", "coarse_rmse"]
    assert list(curve.columns) == expected
    assert [tuple(row) for row in curve[["codec", "setting"]].to_numpy()] == [
        *((c.name, c.setting) for c in CODECS),
        ("zlib, all images", ""),
        ("LZMA, all images", ""),
    ]
    assert not curve.duplicated(["codec", "setting"]).any()
    assert curve["lossless"].dtype == bool
    assert (curve["payload_bits"] <= curve["bits"]).all()
    exact = curve[curve["lossless"]]
    assert {"PNG", "PNG 1 bit", "deflate"} <= set(exact["codec"])
    assert (exact[["pixel_error", "coarse_rmse"]] == 0).all(axis=None)


def test_the_curve_averages_bits_over_images():
    images = blobs(7, 28, 28)
    row = codec_curve(images).set_index("codec").loc["PNG 1 bit"]
    files = [of("PNG 1 bit")[0].encode(image) for image in images[:, 0]]
    assert row["bits"] == pytest.approx(8 * np.mean([len(file) for file in files]))
    assert row["payload_bits"] == pytest.approx(8 * np.mean([png_payload(file) for file in files]))


def test_higher_quality_takes_no_fewer_bits_and_makes_no_more_errors(curve: pd.DataFrame):
    lossy = curve[~curve["lossless"]]
    assert lossy["codec"].nunique() >= 2
    for _, settings in lossy.groupby("codec"):
        assert len(settings) > 1
        assert settings["bits"].is_monotonic_increasing
        assert settings["payload_bits"].is_monotonic_increasing
        assert settings["pixel_error"].is_monotonic_decreasing
        assert settings["pixel_error"].iloc[-1] < 0.002


def test_the_curve_takes_zeros_and_ones_of_any_type(curve: pd.DataFrame):
    pd.testing.assert_frame_equal(codec_curve(blobs(40, 28, 28).astype(np.float32)), curve)


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no JPEG 2000")
def test_without_a_wavelet_one_bit_plane_is_the_image():
    images, first = blobs(40, 28, 28)[:, 0], of("JPEG 2000 no wavelet")[0]
    exact = [np.array_equal(first.decode(first.encode(image), image.shape), image) for image in images]
    assert np.mean(exact) > 0.9


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no JPEG 2000")
def test_nothing_sent_is_background():
    """A few bits of JPEG 2000 are better than a blank copy, not worse."""
    images = blobs(40, 28, 28)
    first = of("JPEG 2000")[0]
    decoded = np.stack([first.decode(first.encode(image), image.shape) for image in images[:, 0]])
    assert (decoded != images[:, 0]).mean() < images.mean()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_png_payload_of_a_file_made_by_hand():
    rows = b"".join(b"\0" + row.tobytes() for row in blobs(1, 9, 16)[0, 0] * 255)
    stream = zlib.compress(rows)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 9, 8, 0, 0, 0, 0))
    body = chunk(b"tEXt", b"Comment\0IDAT") + chunk(b"IDAT", stream[:7]) + chunk(b"IDAT", stream[7:])
    file = b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")
    with Image.open(io.BytesIO(file)) as image:
        assert image.tobytes() == (blobs(1, 9, 16) * 255).tobytes()
    assert png_payload(file) == len(stream)


@pytest.mark.parametrize(("name", "row_bytes"), [("PNG", 28), ("PNG 1 bit", 4)])
def test_png_payload_is_the_deflated_image(name: str, row_bytes: int):
    file = of(name)[0].encode(blobs(1, 28, 28)[0, 0])
    start = file.index(b"IDAT") + 4
    assert len(zlib.decompress(file[start : start + png_payload(file)])) == 28 * (1 + row_bytes)
    assert file[start + png_payload(file) + 8 :].startswith(b"IEND")


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(data)) + data


def test_jpeg_payload_of_a_file_made_by_hand():
    comment = segment(0xFE, b"\xff\xda\x00\x02\xff\xc4\x00\x02")  # markers that are data
    tables = segment(0xC4, bytes(20)) + segment(0xC4, bytes(30))
    scan = b"\x12\xff\x00\xff\xda\x34"
    file = b"\xff\xd8" + comment + segment(0xDB, bytes(65)) + tables + segment(0xDA, bytes(8)) + scan + b"\xff\xd9"
    assert jpeg_payload(file, count_tables=False) == len(scan)
    assert jpeg_payload(file, count_tables=True) == len(scan) + len(tables)


def test_jpeg_payload_of_real_files():
    image = blobs(1, 28, 28)[0, 0]
    scans, files = {}, {}
    for name in ("JPEG", "JPEG standard tables"):
        files[name] = of(name)[0].encode(image)
        assert files[name].endswith(b"\xff\xd9")
        scan_header = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00")
        scans[name] = len(files[name]) - 2 - files[name].index(scan_header) - len(scan_header)
        assert jpeg_payload(files[name], count_tables=False) == scans[name]
    assert of("JPEG standard tables")[0].payload(files["JPEG standard tables"]) == scans["JPEG standard tables"]
    # The two files differ in their Huffman tables and scans only; the standard tables take 216 bytes.
    tables = (
        216
        + (len(files["JPEG"]) - scans["JPEG"])
        - (len(files["JPEG standard tables"]) - scans["JPEG standard tables"])
    )
    assert of("JPEG")[0].payload(files["JPEG"]) == scans["JPEG"] + tables


def test_standard_jpeg_tables_do_not_depend_on_the_image():
    def header(name: str, image: np.ndarray) -> bytes:
        file = of(name)[0].encode(image)
        return file[: len(file) - 2 - jpeg_payload(file, count_tables=False)]

    images = blobs(2, 28, 28)[:, 0]
    assert header("JPEG standard tables", images[0]) == header("JPEG standard tables", images[1])
    assert header("JPEG", images[0]) != header("JPEG", images[1])


def test_jpeg2000_payload_of_a_codestream_made_by_hand():
    header = segment(0x51, bytes(41)) + segment(0x64, b"\xff\x93\xff\xd9") + segment(0x90, bytes(8))
    assert jpeg2000_payload(b"\xff\x4f" + header + b"\xff\x93" + b"12\xff\x0034" + b"\xff\xd9") == 6


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no JPEG 2000")
@pytest.mark.parametrize("name", ["JPEG 2000", "JPEG 2000 no wavelet"])
def test_jpeg2000_payload_is_the_tile_part_without_its_headers(name: str):
    file = of(name)[-1].encode(blobs(1, 28, 28)[0, 0])
    tile = file.index(b"\xff\x90\x00\x0a")
    (size,) = struct.unpack(">I", file[tile + 6 : tile + 10])  # Psot: from SOT to the end of the tile's data
    assert jpeg2000_payload(file) == size - 12 - 2
    assert file[tile + size :] == b"\xff\xd9"


def riff(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


@pytest.mark.parametrize("kind", [b"VP8 ", b"VP8L"])
def test_webp_payload_of_a_file_made_by_hand(kind: bytes):
    chunks = riff(b"VP8X", bytes(10)) + riff(b"ICCP", b"VP8 VP8") + riff(kind, bytes(13)) + riff(b"EXIF", bytes(5))
    assert webp_payload(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks) == 13


@pytest.mark.skipif(not features.check("webp"), reason="this Pillow has no WebP")
@pytest.mark.parametrize("name", ["WebP", "WebP lossless"])
def test_webp_files_are_twenty_bytes_of_container_and_the_payload(name: str):
    file = of(name)[0].encode(blobs(1, 28, 28)[0, 0])
    assert len(file) == 20 + webp_payload(file) + webp_payload(file) % 2


def test_what_pillow_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module.features, "check", lambda feature: False)
    assert {codec.name for codec in codecs()} == {"JPEG", "JPEG standard tables", "PNG", "PNG 1 bit", "deflate"}


@pytest.mark.parametrize("images", [blobs(2, 8, 8).repeat(3, axis=1), blobs(2, 8, 8)[:, :, 0], blobs(2, 8, 8) * 255])
def test_other_images_are_refused(images: np.ndarray):
    with pytest.raises(ValueError, match="codecs are compared"):
        codec_curve(images)
