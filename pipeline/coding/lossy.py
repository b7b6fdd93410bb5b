"""One image in a few bytes: z alone, as whole numbers of cells of the prior's noise. What it decodes to is drawn anew.

    4 bits    9: which format, and its version
    12 bits   checksum of what follows, of the model and of its codebook
    …         the cells by their probabilities, arithmetically coded: as few bytes as tell them

The cells are those of the shortest description, bits of the file − log2 p(x|z), which is found from the means of
q(z|x) by moving one cell at a time. Bits-back coding would return what q(z|x) leaves open; a single image has nobody to
give it to, and pays for all that it says.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.coding.codebook import CELLS, FARTHEST, PRECISION, Codebook, means
from pipeline.coding.packing import identity
from pipeline.errors import DataError
from pipeline.fast.importance import log_prob_of
from pipeline.fast.kept import kept_weights
from pipeline.models.vlae import LatentVariableModel
from pipeline.saved import SavedModel
from pipeline.units import nats_to_bits

FORMAT = 9
HEADER_BYTES, CHECK_BITS = 2, 12
POLYNOMIAL = 0x80F
"""Of CRC-12: no change of up to 12 neighbouring bits goes unseen, and others with one of 4,096."""
MOST_MOVES = 100
MOST_BITS = 12
"""What one step from the mean may cost: in a dimension that says so little, none would pay."""


@dataclass(frozen=True)
class Description:
    """The cells (D,) of an image, and the bits that they and, given them, the image cost."""

    cells: np.ndarray
    code_bits: float
    image_bits: float

    @property
    def bits(self) -> float:
        """Of both."""
        return self.code_bits + self.image_bits


@torch.no_grad()
def describe(model: LatentVariableModel, book: Codebook, images: Tensor) -> list[Description]:
    """The shortest description of each of images (B, C, H, W) that moves of one cell at a time lead to.

    All of them at once: the prior's flow takes hardly longer for the cells of many than for those of one.
    """
    one = np.eye(model.latent_dim, dtype=np.int64)[book.prices[:, FARTHEST + 1] < MOST_BITS]
    moves = np.concatenate([one, -one])[:, None]
    with kept_weights(model):
        best = _cheapest(model, book, images, book.nearest(means(model, images)[0])[None])
        left = list(range(len(images) if len(moves) else 0))  # those that the next move may shorten
        for _ in range(MOST_MOVES):
            if not left:
                break
            moved = (np.stack([best[i].cells for i in left]) + moves).clip(-FARTHEST, FARTHEST)
            found = dict(zip(left, _cheapest(model, book, images[left], moved), strict=True))
            left = [i for i in left if found[i].bits < best[i].bits]
            for i in left:
                best[i] = found[i]
    return best


def _cheapest(model: LatentVariableModel, book: Codebook, images: Tensor, cells: np.ndarray) -> list[Description]:
    """For each of images (B, C, H, W) the cheapest of cells (N, B, D)."""
    rows, count = cells.reshape(-1, cells.shape[-1]), len(images)
    z, log_prob = model.prior.transform(book.noise(rows)), log_prob_of(model.decoder, images)
    at_once = count * max(1, model.rows_at_once // count)
    nats = torch.cat([log_prob(some) for some in z.split(at_once)])
    image, code = (bits.reshape(-1, count) for bits in (nats_to_bits(-nats.double().numpy()), book.bits(rows)))
    best = enumerate((image + code).argmin(0))
    return [Description(cells[n, i], float(code[n, i]), float(image[n, i])) for i, n in best]


def file_bytes(book: Codebook, cells: np.ndarray) -> int:
    """How many the file of cells (D,) has."""
    return HEADER_BYTES + len(_content(book, cells))


def to_file(run: SavedModel, book: Codebook, cells: np.ndarray) -> bytes:
    """The bytes of cells (D,)."""
    content = _content(book, cells)
    return (FORMAT << CHECK_BITS | _check(run, book, content)).to_bytes(HEADER_BYTES) + content


def from_file(run: SavedModel, book: Codebook, file: bytes) -> np.ndarray:
    """The cells (D,) of a file; DataError says what is wrong with it, if anything is."""
    if not is_lossy(file):
        raise DataError("is not a .vlae file of this version")
    check, content = int.from_bytes(file[:HEADER_BYTES]) & (1 << CHECK_BITS) - 1, file[HEADER_BYTES:]
    if check != _check(run, book, content):
        raise DataError("is damaged, cut, or of another model than this")
    cells = _cells(book, content)
    if _content(book, cells) != content:
        raise DataError("says more than the code of one image of this model")
    return cells


def is_lossy(file: bytes) -> bool:
    """Whether it may be such a file."""
    return len(file) >= HEADER_BYTES and file[0] >> 4 == FORMAT


def decoded(model: LatentVariableModel, book: Codebook, cells: np.ndarray, draws: int, rng: torch.Generator) -> Tensor:
    """Images (`draws`, C, H, W) that z may have stood for."""
    z = model.prior.transform(book.noise(cells[None]))
    return model.decompress(z.expand(draws, -1).contiguous(), rng)


def _content(book: Codebook, cells: np.ndarray) -> bytes:
    """The shortest number, as a fraction of 1 in bytes, in the interval that arithmetic coding gives these cells."""
    low, width = 0, 1
    for row, cell in zip(book.sizes.tolist(), cells.tolist(), strict=True):
        symbol = 2 * cell - 1 if cell > 0 else -2 * cell  # where CELLS has it
        low, width = (low << PRECISION) + width * sum(row[:symbol]), width * row[symbol]
    length = 0
    while True:
        unit = 1 << max(0, PRECISION * len(cells) - 8 * length)
        number = -(-low // unit)
        if number * unit < low + width:
            return number.to_bytes(length)
        length += 1


def _cells(book: Codebook, content: bytes) -> np.ndarray:
    """The cells in whose interval the number is."""
    left = PRECISION * len(book.sizes)
    point, width = int.from_bytes(content) << left >> 8 * len(content), 1
    cells = []
    for row in book.sizes:
        left -= PRECISION
        ends = np.cumsum(row)
        symbol = int(np.searchsorted(ends, (point >> left) // width, side="right"))
        point -= width * int(ends[symbol] - row[symbol]) << left
        width *= int(row[symbol])
        cells.append(CELLS[symbol])
    return np.array(cells)


def _check(run: SavedModel, book: Codebook, content: bytes) -> int:
    """CRC-12."""
    remainder = 0
    for byte in identity(run) + json.dumps(asdict(book)).encode() + content:
        remainder ^= byte << CHECK_BITS - 8
        for _ in range(8):
            remainder = remainder << 1 ^ (POLYNOMIAL | 1 << CHECK_BITS if remainder >> CHECK_BITS - 1 else 0)
    return remainder
