"""The usual image codecs at their smallest sizes: what they pay for a lossy copy, to stand beside z as a lossy code.

Each row of `codec_curve` has two sizes. `bits` is the whole file. `payload_bits` is what remains if the receiver
already knows container, image size, and all tables that do not depend on the image:

    JPEG                  Huffman table segments (optimized, hence of this image) and the entropy-coded scan
    JPEG standard tables  the scan alone: smaller than with tables of its own, though the file is larger
    JPEG 2000             bytes between SOD and EOC; packet headers are still in there
    WebP                  data of the VP8 chunk; its 10-byte frame header and the coefficient probabilities are in there
    WebP lossless         data of the VP8L chunk; its 5-byte header and its prefix latents are in there
    PNG, PNG 1 bit        data of the IDAT chunks; 2 bytes of zlib header and 4 of checksum are in there
    CCITT G4              the strips of a TIFF file
    zlib, LZMA            both sizes are the same: of the packed bits of all images in one file
    deflate               raw deflate of the packed bits, without any container: both sizes are the same

Unlike a trained model none of them has seen the data set, and most pay per file for a few hundred pixels.
"""

from __future__ import annotations

import io
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, features

from pipeline.evaluation.structure import distortion

__all__ = ["Codec", "codec_curve", "codecs", "jpeg2000_payload", "jpeg_payload", "png_payload", "tiff_payload",
           "webp_payload"]  # fmt: skip

JPEG_QUALITIES = (1, 5, 10, 20, 30, 50)
WEBP_QUALITIES = (0, 1, 5, 10, 25)
# PSNR in dB, not compression rates: OpenJPEG counts its 130 or so bytes of header in the rate, at 28×28 most of it.
JPEG2000_PSNRS = (5, 12, 14, 16, 18, 20, 25)
JPEG2000_RESOLUTIONS = 3
"""Two wavelet levels: with the four of the default, as good a copy of a 28×28 digit takes a quarter more bits. An image
with a side under 4 pixels has room for fewer."""
JPEG2000_NO_WAVELET_PSNRS = (12, 20)
GREY = 128
"""To which JPEG and JPEG 2000 decode where nothing was sent: background, as a tie at one half would else be ink."""

JPEG_TABLES, JPEG_SCAN, JPEG2000_DATA = 0xC4, 0xDA, 0x93
STRIP_BYTE_COUNTS = 279
END_MARKER = 2
"""Bytes of EOI and EOC."""

Decode = Callable[[bytes, tuple[int, int]], np.ndarray]


@dataclass(frozen=True)
class Codec:
    """A codec at one setting, for images (H, W) uint8 in {0, 1}."""

    name: str
    setting: str
    lossless: bool
    payload: Callable[[bytes], int]
    """Bytes of a file that depend on the image."""
    encode: Callable[[np.ndarray], bytes]
    decode: Decode
    """From a file and (H, W), which only `deflate` has to be told."""


def codec_curve(images: np.ndarray) -> pd.DataFrame:
    """Rate and distortion of each codec and setting on `images` (N, 1, H, W) in {0, 1}.

    Columns codec, setting, lossless; bits and payload_bits, means per image; pixel_error and coarse_rmse as in
    `distortion`.

    Raises:
        ValueError: if the images have several channels or other values.
    """
    if images.ndim != 4 or images.shape[1] != 1 or not np.isin(images, (0, 1)).all():
        raise ValueError(f"codecs are compared on (N, 1, H, W) images in {{0, 1}}, these are {images.shape}")
    images = images.astype(np.uint8)
    return pd.DataFrame([*(_measure(codec, images) for codec in codecs()), *_of_all(images)])


def _of_all(images: np.ndarray) -> list[dict[str, Any]]:
    """The packed bits of all images in one file, whose header is no matter."""
    packed, rows = np.packbits(images).tobytes(), []
    for name, file in (("zlib", zlib.compress(packed, level=9)), ("LZMA", lzma.compress(packed))):
        bits = 8 * len(file) / len(images)
        row = {"codec": f"{name}, all images", "setting": "", "lossless": True, "bits": bits, "payload_bits": bits}
        rows.append(row | distortion(images, images))
    return rows


def _measure(codec: Codec, images: np.ndarray) -> dict[str, Any]:
    files = [codec.encode(image) for image in images[:, 0]]
    decoded = np.stack([codec.decode(file, images.shape[2:]) for file in files])[:, None]
    return {
        "codec": codec.name,
        "setting": codec.setting,
        "lossless": codec.lossless,
        "bits": 8 * float(np.mean([len(file) for file in files])),
        "payload_bits": 8 * float(np.mean([codec.payload(file) for file in files])),
        **distortion(images, decoded),
    }


def codecs() -> list[Codec]:
    """The codecs that this build of Pillow has, the settings of each from the smallest files upwards."""
    found = []
    for name, optimize in (("JPEG", True), ("JPEG standard tables", False)):
        payload = partial(jpeg_payload, count_tables=optimize)
        for quality in JPEG_QUALITIES:
            encode = partial(_save, "JPEG", options={"quality": quality, "optimize": optimize})
            found.append(Codec(name, f"quality {quality}", False, payload, encode, _open))
    if features.check("jpg_2000"):
        found += [_jpeg2000("JPEG 2000", psnr, JPEG2000_RESOLUTIONS, _open) for psnr in JPEG2000_PSNRS]
        # Without a wavelet the first bit-plane holds the image: what is not sent as dark stays at grey and is ink.
        decode = partial(_open, darkest_ink=GREY)
        found += [_jpeg2000("JPEG 2000 no wavelet", psnr, 1, decode) for psnr in JPEG2000_NO_WAVELET_PSNRS]
    if features.check("webp"):
        for quality in WEBP_QUALITIES:
            encode = partial(_save, "WEBP", options={"quality": quality, "method": 6})
            found.append(Codec("WebP", f"quality {quality}", False, webp_payload, encode, _open))
        encode = partial(_save, "WEBP", options={"lossless": True, "quality": 100, "method": 6})
        found.append(Codec("WebP lossless", "effort 100", True, webp_payload, encode, _open))
    for name, mode in (("PNG", "L"), ("PNG 1 bit", "1")):
        encode = partial(_save, "PNG", options={"optimize": True}, mode=mode)
        found.append(Codec(name, "optimize", True, png_payload, encode, _open))
    if features.check("libtiff"):
        encode = partial(_save, "TIFF", options={"compression": "group4"}, mode="1")
        found.append(Codec("CCITT G4", "", True, tiff_payload, encode, _open))
    return [*found, Codec("deflate", "level 9", True, len, _deflate, _inflate)]


def _jpeg2000(name: str, psnr: float, resolutions: int, decode: Decode) -> Codec:
    """The irreversible transform, as a bare codestream: the JP2 container only adds to it."""
    layers = {"quality_mode": "dB", "quality_layers": [psnr], "irreversible": True, "no_jp2": True}

    def encode(image: np.ndarray) -> bytes:
        fitting = min(resolutions, min(image.shape).bit_length())
        return _save("JPEG2000", image, layers | {"num_resolutions": fitting})

    return Codec(name, f"{psnr} dB", False, jpeg2000_payload, encode, decode)


def _save(file_format: str, image: np.ndarray, options: dict[str, Any], mode: str = "L") -> bytes:
    file = io.BytesIO()
    grey = Image.fromarray(image * np.uint8(255))
    grey.convert(mode).save(file, file_format, **options)
    return file.getvalue()


def _open(file: bytes, shape: tuple[int, int], darkest_ink: int = GREY + 1) -> np.ndarray:
    with Image.open(io.BytesIO(file)) as image:
        grey = np.asarray(image.convert("L"))
    return (grey >= darkest_ink).astype(np.uint8)


def _deflate(image: np.ndarray) -> bytes:
    packed = np.packbits(image).tobytes()
    return zlib.compress(packed, level=9, wbits=-zlib.MAX_WBITS)  # negative: neither header nor checksum


def _inflate(file: bytes, shape: tuple[int, int]) -> np.ndarray:
    packed = np.frombuffer(zlib.decompress(file, wbits=-zlib.MAX_WBITS), np.uint8)
    return np.unpackbits(packed, count=shape[0] * shape[1]).reshape(shape)


def jpeg_payload(file: bytes, count_tables: bool) -> int:
    """Bytes between the header of the (only) scan and EOI, with `count_tables` also all Huffman table segments."""
    position, tables = 2, 0
    while True:
        marker, size = file[position + 1], 2 + int.from_bytes(file[position + 2 : position + 4], "big")
        position += size
        tables += size if marker == JPEG_TABLES else 0
        if marker == JPEG_SCAN:
            return len(file) - END_MARKER - position + (tables if count_tables else 0)


def jpeg2000_payload(file: bytes) -> int:
    """Bytes between SOD of the (only) tile of a codestream and EOC."""
    position = 2
    while file[position + 1] != JPEG2000_DATA:
        position += 2 + int.from_bytes(file[position + 2 : position + 4], "big")
    return len(file) - END_MARKER - (position + 2)


def png_payload(file: bytes) -> int:
    """Bytes of data in all IDAT chunks."""
    position, payload = 8, 0
    while position < len(file):
        size = int.from_bytes(file[position : position + 4], "big")
        payload += size if file[position + 4 : position + 8] == b"IDAT" else 0
        position += 12 + size  # length, type and checksum have 4 bytes each
    return payload


def tiff_payload(file: bytes) -> int:
    """Bytes of data in all strips."""
    with Image.open(io.BytesIO(file)) as image:
        sizes = image.tag_v2[STRIP_BYTE_COUNTS]  # type: ignore[attr-defined]
    return sum(sizes) if isinstance(sizes, tuple) else sizes


def webp_payload(file: bytes) -> int:
    """Bytes of data in the VP8 or VP8L chunk."""
    position, payload = 12, 0
    while position < len(file):
        size = int.from_bytes(file[position + 4 : position + 8], "little")
        payload += size if file[position : position + 4] in (b"VP8 ", b"VP8L") else 0
        position += 8 + size + size % 2  # chunks start at even positions
    return payload
