"""Everything known of each training as one flat record, and the records of what is compared: CSV files under tables/.

A table on a page is a choice of these numbers (tables.py), so that none stands there that no file holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import paper
from pipeline.config import TEXTURES
from pipeline.evaluation.structure import distortion
from pipeline.reporting.claims import Judged, paired
from pipeline.reporting.verdicts import compare, deviations, is_papers, mean_kl, mean_nll, seed_sd
from pipeline.results.names import seen
from pipeline.results.published import Published
from pipeline.results.runs import Run, Training
from pipeline.units import nats_to_bits

Record = dict[str, Any]
DECODER = "pixelcnn"


def result_records(trainings: Sequence[Training]) -> list[Record]:
    """A record a training: its metrics, what it was trained with, and what follows from both; nats per image."""
    decoders = {(one.origin, one.dataset): one for one in trainings if one.model == DECODER and one.metrics}
    return [_facts(one) | _overfitting(one, decoders.get((one.origin, one.dataset))) for one in trainings]


def _facts(one: Training) -> Record:
    config, metrics = one.config, dict(one.metrics)
    metrics.pop("seed", None)
    last = {name: float(values[-1]) for name, values in one.history.items()}
    minutes = config.get("train_minutes")
    record: Record = {"dataset": one.dataset, "model": one.model, "origin": one.origin, "name": one.name}
    record |= {"stage": stage_of(one), "data": config["data_sha256"][:12], "commit": one.commit[:12]}
    record |= {key: config[key] for key in ("seed", "steps", "epochs", "precision", "parameters", "scale")}
    record |= {"made_of": one.parts, "sees": seen(one.block), "context_pixels": one.context_pixels}
    record |= {"trained_on": config["training"]["images"], "deviations": "; ".join(deviations(one))}
    record |= {"minutes": minutes, "processor": config.get("processor"), "stored_as": config.get("stored_precision")}
    record |= {"images_per_second": config["steps"] * config["batch_size"] / (60 * minutes) if minutes else None}
    record |= {key: last[key] for key in ("valid_elbo", "valid_kl", "kl_weight")}
    record |= {f"late_{key}": _late_change(one, f"valid_{key}") for key in ("elbo", "kl")} | metrics
    if metrics:
        record |= {"kl_nats": one.kl, "kl_bits": one.kl_bits, "test_minus_train": one.test_minus_train}
        record |= {"nll_bits": nats_to_bits(metrics["nll"]), "kl_bytes": one.kl_bits / 8 if one.coded else None}
        record |= {"K": f"{metrics['importance_samples']:,}" if one.coded else "exact"}
        record |= {"cost_nats": one.cost_nats if one.coded else None, "seed_sd": _sd(one)}
        record |= {f"{name}_mean": float(one.per_image[name].mean()) for name in one.per_image if "nll_k" in name}
    if isinstance(one, Run) and "decompressions" in one.panels and not one.color:
        record |= distortion(one.panels["originals"], one.panels["decompressions"])
    if "nll_k64" in one.per_image:
        record["k64_minus_nll"] = float((one.per_image["nll_k64"] - one.per_image["nll"]).mean())
    if one.seeds:
        values = {key: one.under_seeds(key) for key in ("nll", "kl_nats")}
        record |= {"seeds": len(one.seeds)}
        record |= {f"{key}_over_seeds": float(value.mean()) for key, value in values.items()}
        record |= {f"{key}_sd": float(value.std(ddof=1)) for key, value in values.items()}
    return record


def stage_of(one: Training) -> str:
    """The DVC stage that makes such a training."""
    block = one.block
    kind = "pixelcnn" if block["posterior"] == "none" else "vae" if block["decoder"] == "factorized" else "vlae"
    kind = one.dataset.replace("_", "-") if one.dataset in TEXTURES else f"{kind}{'-color' * one.color}"
    kind = f"released-{kind}" if "begins_with" in one.config else kind
    return f"train-{kind}@{one.dataset}-{one.model}-{one.config['seed']}"


def _late_change(one: Training, column: str) -> float | None:
    """By how much the learning curve rose over the last quarter of the steps; None if it has no point before that."""
    steps, values = one.history["step"], one.history[column]
    begin = 0.75 * steps[-1]
    return float(values[-1] - np.interp(begin, steps, values)) if steps[0] <= begin else None


def _overfitting(one: Training, decoder: Training | None) -> Record:
    """By how many nats test images cost more than training images, beyond what they do by the decoder alone.

    The decoder alone has few weights to overfit with: what it tells is mostly how hard the two sets of images are. The
    standard error takes the spread over training images to be that over test images. None unless both were measured on
    the same images.
    """
    if decoder is None or decoder is one or not one.metrics or _images(decoder) != _images(one):
        return {"overfitting": None, "overfitting_se": None}
    gap, harder = one.test_minus_train, decoder.test_minus_train
    spread = (one.per_image["nll"] - decoder.per_image["nll"]).std(ddof=1)
    error = spread * (1 / one.metrics["images"] + 1 / one.metrics["train_images"]) ** 0.5
    return {"overfitting": gap - harder, "overfitting_se": float(error)}


def _images(one: Training) -> tuple[object, ...]:
    """What decides which test and training images a training was measured on."""
    return one.config["data_sha256"], one.config["seed"], one.metrics["images"], one.metrics["train_images"]


def paper_records(table: paper.Table, published: Sequence[Training]) -> list[Record]:
    """Every row of a table once, with the best published training of the paper's model, and the best of another.

    NLL and KL are means over training seeds. This run's numbers are not here: its data or budget are not the paper's.
    """
    ours = [one for one in published if one.metrics and one.dataset in table.datasets]
    records = []
    for row in table.rows:
        beside = sorted((one for one in ours if one.model in row.models), key=mean_nll)
        same, other = ([one for one in beside if (is_papers(one) and not row.unlike) == papers]
                       for papers in (True, False))  # fmt: skip
        record: Record = {"table": table.name, "row": row.label, "own": row.own, "paper": row.value, "best": row.best}
        record |= {"bound": "<" if row.bound else "", "group": row.group, "paper_kl": row.kl}
        record |= dict.fromkeys(("ours", "ours_sd", "difference", "allowance", "verdict", "model", "kl", "deviations"))
        record |= dict.fromkeys(("rest", "other", "other_sd", "other_kl", "other_model", "other_deviations"))
        record |= dict.fromkeys(("other_rest", "dataset"))
        if same:
            verdict = compare(same[0], row)
            record |= {"ours": mean_nll(same[0]), "ours_sd": _sd(same[0]), "kl": mean_kl(same[0])}
            record |= {"difference": verdict.difference, "allowance": verdict.allowance, "verdict": verdict.words}
            record |= {"model": same[0].model, "dataset": same[0].dataset}
            record |= {"deviations": "; ".join(deviations(same[0])), "rest": _listed(same[1:])}
        if other:
            record |= {"other": mean_nll(other[0]), "other_sd": _sd(other[0]), "other_kl": mean_kl(other[0])}
            record |= {"other_model": other[0].model, "dataset": other[0].dataset}
            record |= {"other_deviations": "; ".join(deviations(other[0])), "other_rest": _listed(other[1:])}
        records.append(record)
    return records


def _listed(trainings: Sequence[Training]) -> str:
    return "; ".join(f"{one.name} {mean_nll(one):.2f}" for one in trainings)


def _sd(one: Training) -> float | None:
    """Over seeds; None of one."""
    return seed_sd(one) if one.seeds else None


def claim_records(judged: Sequence[Judged]) -> list[Record]:
    """Every claim on every data set."""
    return [
        {"section": one.claim.section, "claim": one.claim.statement, "dataset": one.dataset, "origin": one.origin,
         "first": one.claim.first, "second": one.claim.second, "column": one.claim.column, "outcome": one.outcome,
         "measured": one.measured, "paper": one.paper}
        for one in judged
    ]  # fmt: skip


def bound_records(trainings: Sequence[Run]) -> list[Record]:
    """The importance-sampled NLL with ever more samples, with the standard error over images."""
    records = []
    for one in (one for one in trainings if one.coded):
        columns = {int(name[5:]): values for name, values in one.per_image.items() if name.startswith("nll_k")}
        columns[one.metrics["importance_samples"]] = one.per_image["nll"]
        records += [
            {"dataset": one.dataset, "model": one.model, "K": k, "nll": float(values.mean()),
             "nll_se": float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else None}
            for k, values in columns.items()
        ]  # fmt: skip
    return records


def dimension_records(trainings: Sequence[Run]) -> list[Record]:
    """The KL's term of every dimension of z, and its activity."""
    return [
        {"dataset": one.dataset, "model": one.model, "dimension": at, "kl_nats": kl, "activity": activity}
        for one in trainings
        if one.coded
        if one.dimensions
        for at, (kl, activity) in enumerate(zip(one.dimensions["kl_nats"], one.dimensions["activity"], strict=True))
    ]


def text_records(published: Sequence[Published]) -> list[Record]:
    """The figures in the paper's text, which are for static MNIST, beside the published models'."""
    models = {one.model: one for one in published if one.dataset == paper.STATIC and one.coded}
    records: list[Record] = []
    pair = [models[name] for name in ("vlae", "vlae_iaf_posterior") if name in models]
    alike = len(pair) == 2 and len({one.metrics["importance_samples"] for one in pair}) == 1 and paired(*pair)
    for split, key, gain in (("test", "nll", paper.AF_GAIN_TEST), ("training", "train_nll", paper.AF_GAIN_TRAIN)):
        if alike:
            change = pair[0].metrics[key] - pair[1].metrics[key]
            figure = f"NLL on {split} images, AF prior − IAF posterior"
            records.append({"figure": figure, "paper_nats": -gain.nats, "ours_nats": change, "model": "vlae",
                            "dataset": paper.STATIC})  # fmt: skip
    # "An identical VAE with a factorized decoder" says nothing of its prior.
    rows = (("KL of VLAE", paper.KL_VLAE, "vlae"), ("KL of the same VAE, Gaussian prior", paper.KL_VAE, "vae"),
            ("KL of the same VAE, AF prior", paper.KL_VAE, "af_vae"))  # fmt: skip
    return records + [
        {"figure": label, "paper_nats": figure.nats, "paper_bits": figure.bits, "model": model,
         "ours_nats": models[model].kl, "ours_bits": models[model].kl_bits, "dataset": paper.STATIC}
        for label, figure, model in rows
        if model in models
    ]  # fmt: skip


def write_csv(records: Sequence[Record] | pd.DataFrame, path: Path) -> None:
    """Write records, if there are any; numbers rounded to 4 decimals, None left empty."""
    if len(records):
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(records).to_csv(path, index=False, float_format="%.4f", lineterminator="\n")
