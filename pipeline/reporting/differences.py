"""Differences between two models on the same images: what most images have in common drops out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline import paper
from pipeline.evaluation.bootstrap import Interval, bootstrap
from pipeline.reporting.runs import Run, Training

SEED = 0


@dataclass(frozen=True)
class Pair:
    """Two models that differ in one thing, and the data set for which the paper gives the difference of their NLL."""

    label: str
    first: str
    second: str
    paper_dataset: str = ""
    paper_train: float | None = None

    @property
    def paper_test(self) -> float | None:
        """What it gives, on test images, in nats."""
        return paper.difference(self.paper_dataset, self.first, self.second)


PAIRS = (
    Pair("AF prior − IAF posterior, PixelCNN decoder", "vlae", "vlae_iaf_posterior", "mnist_static",
         -paper.AF_GAIN_TRAIN.nats),
    Pair("AF prior − IAF posterior, factorized decoder", "af_vae", "iaf_vae", "mnist_static"),
    Pair("AF prior − Gaussian prior, PixelCNN decoder", "vlae", "vlae_gaussian_prior", "mnist_dynamic"),
    Pair("AF prior − Gaussian prior, PixelCNN decoder, untied", "vlae_untied", "vlae_gaussian_prior_untied",
         "mnist_dynamic"),
    Pair("AF prior − Gaussian prior, factorized decoder", "af_vae", "vae"),
    Pair("latent code − none", "vlae", "pixelcnn", "mnist_dynamic"),
    Pair("PixelCNN decoder − factorized decoder, AF prior", "vlae", "af_vae", "mnist_static"),
    Pair("PixelCNN decoder and AF prior − factorized decoder and Gaussian prior", "vlae", "vae"),
    Pair("untied − tied masked convolutions", "vlae_untied", "vlae"),
    Pair("KL annealing − free bits, factorized decoder", "af_vae_annealed", "af_vae"),
    Pair("KL annealing, z in full from the start − free bits; untied", "vlae_annealed", "vlae_untied"),
    Pair("Gaussian prior, factorized − Unconditional Decoder", "vae", "pixelcnn"),
    Pair("masks of 5×5, 16 filters − of 3×3, 12 filters; untied", "vlae_5x5", "vlae_untied"),
    Pair("masks of 5×5 − of 3×3, Unconditional Decoder", "pixelcnn_5x5", "pixelcnn"),
)  # fmt: skip


def paired(first: Training, second: Training, column: str = "nll", factor: float = 1) -> Interval | None:
    """Mean over test images of first − factor · second, in nats; None if the two did not see the same images."""
    return _difference(first, second, first.per_image[column], factor * second.per_image[column])


def paired_on_training(first: Run, second: Run) -> Interval | None:
    """The same for NLL on training images."""
    return _difference(first, second, first.per_image_train["nll"], second.per_image_train["nll"])


def difference_records(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """A record for each of `PAIRS` that the runs of one data set have, with NLL on test and on training images."""
    by_model = {run.model: run for run in runs}
    records = []
    for pair in PAIRS:
        if pair.first not in by_model or pair.second not in by_model:
            continue
        first, second = by_model[pair.first], by_model[pair.second]
        record: dict[str, Any] = {"dataset": first.dataset, "difference": pair.label}
        for split, interval, said in (
            ("test", paired(first, second), pair.paper_test),
            ("train", paired_on_training(first, second), pair.paper_train),
        ):
            numbers = (interval.mean, interval.low, interval.high) if interval else (None, None, None)
            record |= dict(zip((f"{split}_nll", f"{split}_low", f"{split}_high"), numbers, strict=True))
            record[f"paper_{split}"] = said
        records.append(record | {"paper_dataset": pair.paper_dataset})
    return records


def _difference(first: Training, second: Training, ours: np.ndarray, theirs: np.ndarray) -> Interval | None:
    same = len(ours) == len(theirs) and first.config["data_sha256"] == second.config["data_sha256"]
    return bootstrap(ours - theirs, SEED) if same else None
