"""What the files of a trained model take on disk, for `evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.coding.chain import start_words
from pipeline.coding.codebook import Codebook, learn
from pipeline.coding.lossy import describe, file_bytes
from pipeline.coding.packing import pack
from pipeline.evaluation.structure import distortion
from pipeline.models.vlae import LatentVariableModel
from pipeline.saved import SavedModel
from pipeline.seeding import stream

MOST_NUMBERS = 8_000_000
"""In the images that are packed: all 10,000 of static MNIST. Colours take ten times as long a number."""
COLOR_SHARE = 10
STEPS = (2.0, 2.5, 3.0, 4.0)
"""Widths of a cell that are compared, in σ of q(z|x)."""
COMPARED, ENCODED = 8, 40
"""Validation images that the width is chosen by, and test images that are encoded."""
CURVE = ("step", "bytes", "most_bytes", "code_bits", "image_bits", "pixel_error", "coarse_rmse")


def packed_bits(run: SavedModel, images: np.ndarray) -> dict[str, float]:
    """Bits on disk of each of images (N, C, H, W) uint8, packed as one file, with and without what it starts with."""
    most = MOST_NUMBERS // (images[0].size * (COLOR_SHARE if images.shape[1] == 3 else 1))
    images = images[: max(1, most)]
    size, start = len(pack(run, images, silent=True)), start_words(run.model).nbytes
    bits = {"coded_bits": 8 * size / len(images), "coded_bits_after_start": 8 * (size - start) / len(images)}
    return {**bits, "coded_images": len(images)}


@dataclass(frozen=True)
class Encoded:
    """Files of single images: the codebook, a row of CURVE for every width of its cells, and what test images took."""

    book: Codebook
    curve: pd.DataFrame
    metrics: dict[str, float]


NOTHING = Encoded(Codebook([], [], []), pd.DataFrame(columns=list(CURVE)), {})
"""Of a model without z, or of colours."""


def encoded(run: SavedModel, valid: np.ndarray, test: np.ndarray, seed: int) -> Encoded:
    """Of validation and test images (N, C, H, W) uint8: the width is the one that describes validation images best.

    The shortest description is the file and, given what it says, the image: 8 · `bytes` + `image_bits`. Metrics are the
    same numbers of test images, called `vlae_bytes` and so on.
    """
    if not isinstance(run.model, LatentVariableModel) or valid.shape[1] != 1:
        return NOTHING
    images = torch.from_numpy(valid).float()
    narrow = learn(run.model, images, 1.0)
    books = [replace(narrow, width=[step * width for width in narrow.width]) for step in STEPS]
    rows = [_measured(run, book, images[:COMPARED], seed) for book in books]
    best = min(range(len(rows)), key=lambda i: 8 * rows[i]["bytes"] + rows[i]["image_bits"])
    on_test = _measured(run, books[best], torch.from_numpy(test[:ENCODED]).float(), seed)
    curve = pd.DataFrame([{"step": step} | row for step, row in zip(STEPS, rows, strict=True)], columns=list(CURVE))
    metrics = {"vlae_step": STEPS[best]} | {f"vlae_{name}": value for name, value in on_test.items()}
    return Encoded(books[best], curve, metrics)


def _measured(run: SavedModel, book: Codebook, images: Tensor, seed: int) -> dict[str, float]:
    """A row of CURVE; of every image one decoding is compared with it."""
    assert isinstance(run.model, LatentVariableModel)
    found = [one for some in images.split(COMPARED) for one in describe(run.model, book, some)]
    sizes, rng = [file_bytes(book, one.cells) for one in found], stream(seed, "encoded")
    z = run.model.prior.transform(book.noise(np.stack([one.cells for one in found])))
    drawn = run.model.decompress(z, rng)  # all at once: one by one takes most of an evaluation
    return {
        "bytes": float(np.mean(sizes)),
        "most_bytes": max(sizes),
        "code_bits": float(np.mean([one.code_bits for one in found])),
        "image_bits": float(np.mean([one.image_bits for one in found])),
        **distortion(images.numpy(), drawn.numpy()),
    }
