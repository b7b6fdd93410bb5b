"""`make demo`: eight real digits, sent by a published VLAE and a published VAE as z alone, in demo.png. No training.

The digits ship with a Python package (`mnist5k`), so that nothing is downloaded.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from pipeline import load_run
from pipeline.data import fetch, prepare
from pipeline.models.vlae import LatentVariableModel
from pipeline.seeding import stream
from pipeline.units import nats_to_bits
from stages import PUBLISHED, no_options, run_stage

PICTURE = Path("demo.png")
DIGITS = 8
KL_DRAWS = 64
MODELS = {"VLAE": PUBLISHED / "mnist_static" / "vlae", "VAE": PUBLISHED / "mnist_static" / "vae"}


def main() -> None:
    """Draw demo.png and say what it shows."""
    torch.set_num_threads(1)
    digits = test_digits()
    rows = {"original": digits}
    for name, folder in MODELS.items():
        model = load_run(folder).model
        assert isinstance(model, LatentVariableModel)
        rng = stream(0, "demo")
        bits = nats_to_bits(model.code_lengths(digits, KL_DRAWS, rng)[1].mean().item())
        z = model.encode(digits, rng)
        for label in (f"{name}, {bits:.0f} bits", f"{name}, once more"):
            rows[label] = model.decompress(z, rng)
        print(f"{folder}: z takes {bits:.1f} bits a digit (the KL, mean of these {DIGITS})")
    draw_rows(rows, PICTURE)
    print(f"{PICTURE}: original digits, and what is left of them when only z is sent")


def test_digits() -> Tensor:
    """A test digit of each of the classes 0 … 7 of `mnist5k`: (8, 1, 28, 28) in {0, 1}."""
    with tempfile.TemporaryDirectory() as folder:
        fetch("mnist5k", Path(folder), mirror=None, timeout=1, retries=0)
        dataset = prepare("mnist5k", Path(folder), binarization_seed=0)
    assert dataset.test_labels is not None
    chosen = [int(np.argmax(dataset.test_labels == digit)) for digit in range(DIGITS)]
    return torch.from_numpy(dataset.test[chosen]).float()


def draw_rows(rows: dict[str, Tensor], path: Path) -> None:
    """Rows of images (N, 1, H, W), each with its label."""
    figure, axes = plt.subplots(len(rows), 1, figsize=(8.5, 0.8 * len(rows)), layout="constrained")
    for axis, (label, images) in zip(axes, rows.items(), strict=True):
        axis.imshow(torch.cat(list(images[:, 0]), 1).numpy(), cmap="gray_r", interpolation="nearest")
        axis.set(xticks=[], yticks=[])
        axis.set_ylabel(label, rotation=0, ha="right", va="center")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    no_options(__doc__)
    run_stage(main)
