"""Decoders of the raw files: one function a format, from a path to arrays.

All are strict. A file that is cut, corrupted or of other dimensions raises `DataError` with its name and the
reason, so that nothing later works on half an image set. No decoder executes anything a file holds (no
pickles), and archives are read in memory, never extracted by the paths they name.
"""

import hashlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.errors import DataError

CIFAR_RECORD = 1 + 3 * 32 * 32
DRAWING_SIZE = 105
DRAWING_NAME = re.compile(r"images_(?:background|evaluation)/[^/]+/character\d+/(\d{4})_(\d{2})\.png")


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """An idx file of bytes (MNIST's format) with that many dimensions, uint8 of the shape in its header."""
    content = path.read_bytes()
    start = 4 + 4 * dimensions
    if len(content) < start or content[:4] != bytes([0, 0, 8, dimensions]):
        raise DataError(f"{path}: no header of an idx file of bytes with {dimensions} dimensions")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != prod(shape):
        raise DataError(f"{path}: {len(content) - start} bytes of data, where its header says {prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_amat(path: Path, columns: int) -> np.ndarray:
    """Larochelle's text of single binary digits, (rows, columns) uint8 in {0, 1}.

    Every row is `columns` digits with one blank between and a line feed at its end, so the text is a byte
    array of shape (rows, columns, 2), which is much faster to read than numbers separated by blanks.
    """
    content = np.frombuffer(path.read_bytes(), np.uint8)
    if content.size == 0 or content.size % (2 * columns):
        raise DataError(f"{path}: {content.size} bytes are no whole number of rows of {columns} digits")
    digits, blanks = np.moveaxis(content.reshape(-1, columns, 2), -1, 0)
    if np.any(blanks[:, :-1] != ord(" ")) or np.any(blanks[:, -1] != ord("\n")):
        raise DataError(f"{path}: the digits are not separated by single blanks, {columns} to a line")
    if np.any((digits != ord("0")) & (digits != ord("1"))):
        raise DataError(f"{path}: holds something else than the digits 0 and 1")
    return digits - np.uint8(ord("0"))


def read_csv(path: Path, columns: int) -> np.ndarray:
    """Comma-separated integers of 0..255, (rows, columns) uint8."""
    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.int64, ndmin=2, encoding="ascii")
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    if table.shape[1] != columns or table.min() < 0 or table.max() > 255:
        raise DataError(f"{path}: not a table of {columns} columns with integers of 0..255")
    return table.astype(np.uint8)


def read_cifar(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A CIFAR-10 binary batch: images (N, 3, 32, 32) uint8 and labels (N,) int64."""
    content = np.frombuffer(path.read_bytes(), np.uint8)
    if content.size == 0 or content.size % CIFAR_RECORD:
        raise DataError(f"{path}: {content.size} bytes are no whole number of records of {CIFAR_RECORD}")
    records = content.reshape(-1, CIFAR_RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max() > 9:
        raise DataError(f"{path}: label {labels.max()}, but there are ten classes")
    return records[:, 1:].reshape(-1, 3, 32, 32), labels


def read_mat(path: Path, shapes: Mapping[str, tuple[int | None, int | None]]) -> dict[str, np.ndarray]:
    """The named matrices of a MATLAB file; `shapes` gives the shape each must have, None for any length."""
    import scipy.io  # here, because it takes longer to import than all else and most data sets do not need it

    try:
        content: dict[str, Any] = scipy.io.loadmat(path, variable_names=list(shapes))
    except Exception as error:  # a cut or corrupted file makes the parser fail in almost any way
        raise DataError(f"{path}: not a readable MATLAB file ({error})") from error
    for name, shape in shapes.items():
        if name not in content:
            raise DataError(f"{path}: has no matrix {name}")
        found = content[name].shape
        if len(found) != 2 or any(want not in (None, have) for want, have in zip(shape, found, strict=True)):
            raise DataError(f"{path}: {name} has shape {found}, not {shape}")
    return {name: content[name] for name in shapes}


def read_photo(path: Path) -> np.ndarray:
    """A photograph as (H, W, 3) uint8."""
    return _read_image(path.read_bytes(), str(path), mode="RGB")


def read_drawings(path: Path) -> Iterator[tuple[int, int, np.ndarray]]:
    """The drawings in one of Lake's Omniglot archives, in the order of their paths.

    Yields character (1..1623), drawer (1..20) and the image, (105, 105) uint8, 0 where there is ink.
    """
    for match, image in _drawings(path):
        yield int(match[1]), int(match[2]), image


def drawings_sha256(path: Path) -> str:
    """SHA-256 over the sorted member paths and pixels: what an archive holds, however it was packed."""
    digest = hashlib.sha256()
    for match, image in _drawings(path):
        digest.update(match[0].encode() + b"\0" + np.packbits(image).tobytes())
    return digest.hexdigest()


def _drawings(path: Path) -> Iterator[tuple[re.Match[str], np.ndarray]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for match in _matches(sorted(archive.namelist())):
                image = _read_image(archive.read(match[0]), f"{path}: {match[0]}", mode="1")
                if image.shape != (DRAWING_SIZE, DRAWING_SIZE):
                    raise DataError(f"{path}: {match[0]} has shape {image.shape}")
                yield match, image.astype(np.uint8)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path}: not a readable zip archive ({error})") from error


def _matches(names: Iterable[str]) -> Iterator[re.Match[str]]:
    return (match for match in map(DRAWING_NAME.fullmatch, names) if match)


def _read_image(content: bytes, name: str, mode: str) -> np.ndarray:
    try:
        with Image.open(BytesIO(content)) as image:
            if image.mode != mode:
                raise DataError(f"{name}: an image of mode {image.mode}, not {mode}")
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(f"{name}: not a readable image ({error})") from error
