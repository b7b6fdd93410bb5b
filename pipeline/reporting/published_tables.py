"""Published results as records: what came out, what it cost, and the figures that the paper gives in its text."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline import paper
from pipeline.reporting.differences import paired
from pipeline.reporting.names import OBJECTIVES
from pipeline.reporting.published import Published
from pipeline.reporting.tables import Record
from pipeline.units import nats_to_bits

PRIOR, POSTERIOR = "vlae", "vlae_iaf_posterior"
"""The same flow as AF prior and as IAF posterior, with the PixelCNN decoder."""


def published_records(published: Sequence[Published]) -> list[Record]:
    """A record a training: nats per image; None for what was not measured."""
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
                **{key: metrics.get(key) for key in ("nll", "nll_low", "nll_high", "kl_nats", "train_nll", "exact")},
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


def deviations(training: Published) -> list[str]:
    """What is known to differ from the paper's way."""
    config, metrics, found = training.config, training.metrics, []
    if config["steps"] < config["steps_planned"]:
        found.append(f"stopped after {config['steps']:,} of {config['steps_planned']:,} steps")
    if config["training"]["images"] == "train":
        found.append("not trained on validation images")
    if training.block["posterior"] != "none" and training.block["decoder"] == "pixelcnn":
        tied = training.block["tied"]
        if tied != (training.dataset == paper.STATIC):
            found.append(f"masked convolutions {'tied' if tied else 'untied'}")
    objective = training.block["objective"]
    if training.block["posterior"] != "none" and "free_bits" not in objective:
        found.append(f"{OBJECTIVES[objective]} instead of free bits")
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
