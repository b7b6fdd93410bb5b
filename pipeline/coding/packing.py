"""Files of many images, packed without loss: a header, the stack of chain.py, and a checksum of it all.

    4   "VLAE"
    1   version of the format
    8   which model: of the hash of its weights and of what it is composed of
    6   channels, height, width
    4   how many images
    8   of the hash of the images
    …   the stack, in words of 4 bytes
    4   CRC-32 of all before

Numbers are little-endian. The stack can be read where the model computes the same floats as where it was written: on
the same machine, with the same versions of the libraries; elsewhere it mostly cannot. What comes out is compared with
the hash of the images, so that other images than were packed are never returned.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from pipeline.coding.chain import Writer, read
from pipeline.errors import DataError
from pipeline.models.vlae import Model
from pipeline.progress import HIDDEN
from pipeline.saved import SavedModel

MAGIC, VERSION = b"VLAE", 1
HEADER = struct.Struct("<4sB8s3HI8s")
CHECKSUM = struct.Struct("<I")
WORD = np.dtype("<u4")
HASH = 8
"""Bytes that are kept of one."""


@dataclass(frozen=True)
class Header:
    """What a file says of itself: `model` and `images` are 8 bytes of a hash, `shape` (C, H, W)."""

    model: bytes
    shape: tuple[int, int, int]
    count: int
    images: bytes


def identity(run: SavedModel) -> bytes:
    """SHA-256 of a model: its weights, and what it is composed of."""
    composition = [run.config["model_config"], run.config["image_shape"]]
    digest = hashlib.sha256(json.dumps(composition, sort_keys=True).encode())
    for name, weights in sorted(run.model.state_dict().items()):
        digest.update(f"{name} {tuple(weights.shape)}".encode())
        digest.update(weights.float().cpu().contiguous().numpy().astype("<f4").tobytes())
    return digest.digest()


def pack(run: SavedModel, images: np.ndarray, silent: bool = False) -> bytes:
    """A file of images (N, C, H, W) uint8, N from 0 on; ValueError if they are not of the model's kind.

    They are pushed from the last to the first, so that reading begins with the first. `silent`: without a bar.
    """
    shape = run.model.image_shape
    if images.dtype != np.uint8 or images.shape[1:] != shape:
        raise ValueError(f"images are {images.dtype} {images.shape}: must be uint8 (N, {', '.join(map(str, shape))})")
    writer = Writer(run.model)
    left = len(images)
    with tqdm(total=left, unit="image", disable=silent or HIDDEN) as bar:
        while left:
            size = min(left, writer.fits)
            writer.push(_batch(run.model, images[left - size : left]))
            left -= size
            bar.update(size)
    hashes = identity(run)[:HASH], hashlib.sha256(images.tobytes()).digest()[:HASH]
    header = HEADER.pack(MAGIC, VERSION, hashes[0], *shape, len(images), hashes[1])
    content = header + writer.stack.words.astype(WORD).tobytes()
    return content + CHECKSUM.pack(zlib.crc32(content))


def unpack(run: SavedModel, file: bytes) -> np.ndarray:
    """The images (N, C, H, W) uint8 of a file; DataError says what is wrong with it, if anything is."""
    header, words = read_header(file), np.frombuffer(file[HEADER.size : -CHECKSUM.size], WORD)
    if header.model != identity(run)[:HASH]:
        raise DataError("was packed with another model than this")
    images, done = np.empty((header.count, *header.shape), np.uint8), 0
    try:
        with tqdm(total=header.count, unit="image", disable=HIDDEN) as bar:
            for x in read(run.model, words, header.count):
                images[done : done + len(x)] = x.byte().numpy()
                done += len(x)
                bar.update(len(x))
        if hashlib.sha256(images.tobytes()).digest()[:HASH] != header.images:
            raise DataError("other images than were packed")
    except DataError as error:
        advice = "it can be read on the machine that packed it, with the same versions of torch and of this code"
        raise DataError(f"cannot be read here ({error}): {advice}") from error
    return images


def read_header(file: bytes) -> Header:
    """What a file says of itself; DataError if it is cut, damaged or another kind of file."""
    if file[: len(MAGIC)] != MAGIC:
        raise DataError("is not a file of packed images")
    content, checksum = file[: -CHECKSUM.size], file[-CHECKSUM.size :]
    words = len(content) - HEADER.size
    if words < 0 or words % WORD.itemsize or CHECKSUM.pack(zlib.crc32(content)) != checksum:
        raise DataError("is cut or damaged")
    _, version, model, *shape, count, images = HEADER.unpack_from(content)
    if version != VERSION:
        raise DataError(f"is of version {version} of the format; this program reads version {VERSION}")
    return Header(model, tuple(shape), count, images)


def _batch(model: Model, images: np.ndarray) -> Tensor:
    """Images (B, C, H, W) as the model takes them."""
    x = torch.from_numpy(images).float()
    if not model.likelihood.holds(x).all():
        raise ValueError(f"images must hold {model.likelihood.values} alone, which this model is of")
    return x
