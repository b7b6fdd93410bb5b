"""docs/codec.png: test digits of static MNIST, what a few bytes keep of them, and what JPEG makes of its smallest file.

python -m stages.codec_picture

The digits are those of the published model's reconstructions.png, so that no data are needed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline import load_run
from pipeline.coding.codebook import load_codebook
from pipeline.coding.lossy import decoded, describe, to_file
from pipeline.evaluation.codecs import codecs
from pipeline.models.vlae import LatentVariableModel
from pipeline.results.sheets import untile
from pipeline.seeding import stream
from stages import PUBLISHED, run_stage
from stages.demo import draw_rows

MODEL, PICTURE = PUBLISHED / "mnist_static" / "vlae_annealed", Path("docs/codec.png")
DIGITS, DRAWS = 8, 2


def main() -> None:
    """Draw docs/codec.png and say what it shows."""
    argparse.ArgumentParser(prog="python -m stages.codec_picture", description=main.__doc__).parse_args()
    torch.set_num_threads(1)
    originals = test_digits(MODEL)[:DIGITS]
    rows = {"original": originals} | of_files(MODEL, originals) | of_jpeg(originals)
    draw_rows(rows, PICTURE)
    print(f"{PICTURE}: {'; '.join(rows)}")


def test_digits(folder: Path) -> Tensor:
    """The test images (N, 1, H, W) in {0, 1} beside whose decompressions a published model shows."""
    with Image.open(folder / "reconstructions.png") as sheet:
        tiles = untile(np.asarray(sheet.convert("RGB")), 28, 28)[::2]
    return torch.from_numpy((tiles.mean(-1) < 128).astype(np.float32))[:, None]


def of_files(folder: Path, originals: Tensor) -> dict[str, Tensor]:
    """Two draws of what the `.vlae` file of each image says."""
    run, book = load_run(folder), load_codebook(folder)
    assert isinstance(run.model, LatentVariableModel)
    cells = [one.cells for one in describe(run.model, book, originals)]
    sizes, rng = [len(to_file(run, book, one)) for one in cells], stream(0, "codec picture")
    drawn = torch.stack([decoded(run.model, book, one, DRAWS, rng) for one in cells], 1)
    return {f".vlae: {min(sizes)} to {max(sizes)} bytes": drawn[0], "drawn again": drawn[1]}


def of_jpeg(originals: Tensor) -> dict[str, Tensor]:
    """JPEG at the setting with the smallest files."""
    images = originals[:, 0].numpy().astype(np.uint8)
    tried = [(codec, [codec.encode(image) for image in images]) for codec in codecs() if codec.name == "JPEG"]
    codec, files = min(tried, key=lambda pair: sum(map(len, pair[1])))
    shown = np.stack([codec.decode(file, image.shape) for file, image in zip(files, images, strict=True)])
    sizes = [len(file) for file in files]
    return {f"JPEG: {min(sizes)} to {max(sizes)} bytes": torch.from_numpy(shown).float()[:, None]}


if __name__ == "__main__":
    run_stage(main)
