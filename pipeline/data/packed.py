"""Colour images in few bytes, without loss, for a machine to which not much can be copied.

What is packed of a pixel is its difference from left + up − up-left, of green itself and of red and blue minus green,
modulo 256, by LZMA: CIFAR-10 takes 1.72 kB an image so, 2.32 kB as it is. Sums along rows and columns undo it.
"""

from __future__ import annotations

import io
import lzma

import numpy as np

from pipeline.data.datasets import Dataset

TRIED = 500
"""Images from whose size the number that fits is told."""
MARGIN = 0.97


def pack(dataset: Dataset, most_bytes: int, valid: int = 1000) -> bytes:
    """As many training images, from the first, as `most_bytes` hold, with `valid` validation images and one to test.

    ValueError if the images are binary, or not even one fits.
    """
    if dataset.kind != "color":
        raise ValueError(f"{dataset.name}: must be of colour images")
    tried, beside = min(TRIED, len(dataset.train)), len(dataset.valid[:valid]) + 1
    size = len(_packed(dataset, tried, valid)) / (tried + beside)
    count = min(len(dataset.train), max(1, int(most_bytes / size) - beside))
    while len(packed := _packed(dataset, count, valid)) > most_bytes:
        count = int(MARGIN * count)
        if not count:
            raise ValueError(f"{most_bytes} bytes: too few for one image and what is beside it")
    return packed


def unpack(packed: bytes) -> Dataset:
    """The data set that `pack` has packed."""
    with np.load(io.BytesIO(lzma.decompress(packed)), allow_pickle=False) as content:
        images = {split: _sums(content[split]) for split in ("train", "valid", "test")}
        return Dataset(str(content["name"]), "color", False, **images)


def _packed(dataset: Dataset, count: int, valid: int) -> bytes:
    images = {"train": dataset.train[:count], "valid": dataset.valid[:valid], "test": dataset.test[:1]}
    content = io.BytesIO()
    arrays = {split: _differences(values) for split, values in images.items()}
    np.savez(content, name=np.asarray(dataset.name), **arrays)  # type: ignore[arg-type]  # stub's allow_pickle
    return lzma.compress(content.getvalue())


def _differences(images: np.ndarray) -> np.ndarray:
    y = images - _green(images)
    for axis in (2, 3):
        first = np.zeros_like(y.take([0], axis))
        y = np.diff(y, axis=axis, prepend=first)
    return y


def _sums(differences: np.ndarray) -> np.ndarray:
    y = differences.cumsum(2, dtype=np.uint8).cumsum(3, dtype=np.uint8)
    return y + _green(y)


def _green(images: np.ndarray) -> np.ndarray:
    """What red and blue are told apart from: green, and of green 0."""
    green = images[:, 1:2].repeat(3, 1)
    green[:, 1] = 0
    return green
