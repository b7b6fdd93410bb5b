"""Published results as records: what came out, what it cost, and the figures that the paper gives in its text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline import paper
from pipeline.reporting.differences import paired
from pipeline.reporting.published import Published
from pipeline.reporting.tables import Record
from pipeline.reporting.verdicts import model_deviations
from pipeline.units import nats_to_bits

DECODER = "pixelcnn"
PRIOR, POSTERIOR = "vlae", "vlae_iaf_posterior"
"""The same flow as AF prior and as IAF posterior, with the PixelCNN decoder."""


def published_records(published: Sequence[Published]) -> list[Record]:
    """A record a training: nats per image; None for what was not measured."""
    decoders = {training.dataset: training for training in published if training.model == DECODER and training.metrics}
    records = []
    for training in published:
        config, metrics = training.config, training.metrics
        last = {column: float(values[-1]) for column, values in training.history.items()}
        seconds = 60 * config["train_minutes"]
        records.append(
            {
                "dataset": training.dataset,
                "model": training.model,
                "seed": config["seed"],
                "steps": config["steps"],
                "epochs": config["epochs"],
                "trained_on": config["training"]["images"],
                "valid_elbo": last["valid_elbo"],
                "valid_kl": last["valid_kl"],
                **{f"late_{key}": _late_change(training, f"valid_{key}") for key in ("elbo", "kl")},
                **{key: metrics.get(key) for key in ("nll", "nll_low", "nll_high", "kl_nats", "train_nll", "exact")},
                "nll_k64": float(training.per_image["nll_k64"].mean()) if "nll_k64" in training.per_image else None,
                **_overfitting(training, decoders.get(training.dataset)),
                "K": metrics.get("importance_samples"),
                "images": metrics.get("images"),
                "images_per_second": config["steps"] * config["batch_size"] / seconds if seconds else None,
                "train_minutes": config["train_minutes"],
                "device": config["device"],
                "processor": config["processor"],
                "precision": config["precision"],
                "parameters": config["parameters"],
                "stored_precision": config["stored_precision"],
                "commit": config["commit"],
                "deviations": "; ".join(deviations(training)),
            }
        )
    return records


def _late_change(training: Published, column: str) -> float | None:
    """By how much the learning curve rose over the last quarter of the steps; None if it has no point before that."""
    steps, values = training.history["step"], training.history[column]
    begin = 0.75 * steps[-1]
    return float(values[-1] - np.interp(begin, steps, values)) if steps[0] <= begin else None


def _overfitting(training: Published, decoder: Published | None) -> dict[str, float | None]:
    """By how many nats test images cost more than training images, beyond what they do by the decoder alone.

    The decoder alone has few weights to overfit with: what it tells is mostly how hard the two sets of images are. The
    standard error takes the spread over training images to be that over test images. None unless both were measured on
    the same images.
    """
    count = training.metrics.get("train_images")
    if decoder is None or decoder is training or not count or _images(decoder) != _images(training):
        return {"overfitting": None, "overfitting_se": None}
    gap, harder = (one.metrics["nll"] - one.metrics["train_nll"] for one in (training, decoder))
    spread = (training.per_image["nll"] - decoder.per_image["nll"]).std(ddof=1)
    error = spread * (1 / training.metrics["images"] + 1 / count) ** 0.5
    return {"overfitting": gap - harder, "overfitting_se": float(error)}


def _images(training: Published) -> tuple[object, ...]:
    """What decides which test and training images a training was measured on."""
    counts = (training.metrics["images"], training.metrics["train_images"])
    return (training.config["data_sha256"], training.config["seed"], *counts)


def deviations(training: Published) -> list[str]:
    """What is known to differ from the paper's way."""
    config, metrics, found = training.config, training.metrics, []
    if config["steps"] < config["steps_planned"]:
        found.append(f"stopped after {config['steps']:,} of {config['steps_planned']:,} steps")
    if starts := config.get("starts"):
        steps = " and ".join(f"{start['steps']:,}" for start in starts)
        found.append(f"continued from the averaged weights of step {steps}")
    if config["training"]["images"] == "train":
        found.append("not trained on validation images")
    found += model_deviations(training)
    samples = {name: table.importance_samples for table in paper.TABLES for name in table.datasets}
    most = samples.get(training.dataset, 0)
    if metrics and not metrics["exact"] and metrics["importance_samples"] < most:
        found.append(f"K = {metrics['importance_samples']:,} instead of {most:,}")
    return found


def text_records(published: Sequence[Published]) -> list[Record]:
    """The figures in the paper's text, which are for static MNIST, beside the published ones; none if none is there.

    Nats per image: KL of a model, or NLL with AF prior minus NLL with IAF posterior, with its interval over the same
    test images; None where the models are not published, or not with the same K. KL in bits too.
    """
    by_model = {training.model: training for training in published if training.dataset == paper.STATIC}
    if not any(training.metrics for training in by_model.values()):
        return []
    # "An identical VAE with a factorized decoder" says nothing of its prior.
    factorized = "KL of the VAE with a factorized decoder, "
    codes = (
        (paper.KL_VLAE, paper.KL_VLAE.model, "KL of VLAE"),
        (paper.KL_VAE, paper.KL_VAE.model, factorized + "Gaussian prior"),
        (paper.KL_VAE, "af_vae", factorized + "AF prior"),
    )
    records: list[Record] = []
    for figure, model, name in codes:
        metrics = by_model[model].metrics if model in by_model else {}
        records.append(_record(name, figure.nats, metrics.get("kl_nats")))
    test, train = (f"NLL on {split} images, AF prior − IAF posterior" for split in ("test", "training"))
    interval, change = None, None
    pair = [by_model[model] for model in (PRIOR, POSTERIOR) if model in by_model and by_model[model].metrics]
    same_k = len({training.metrics["importance_samples"] for training in pair}) == 1
    if len(pair) == 2 and same_k and (interval := paired(pair[0], pair[1])):
        change = pair[0].metrics["train_nll"] - pair[1].metrics["train_nll"]
    ends = (interval.mean, interval.low, interval.high) if interval else (None, None, None)
    gains = [_record(test, -paper.AF_GAIN_TEST.nats, *ends), _record(train, -paper.AF_GAIN_TRAIN.nats, change)]
    return [*records, *(gain | {"paper_bits": None, "published_bits": None} for gain in gains)]


def _record(
    figure: str, said: float, ours: float | None, low: float | None = None, high: float | None = None
) -> Record:
    return {
        "figure": figure,
        "paper_nats": said,
        "paper_bits": nats_to_bits(said),
        "published_nats": ours,
        "published_bits": None if ours is None else nats_to_bits(ours),
        "low_nats": low,
        "high_nats": high,
    }
