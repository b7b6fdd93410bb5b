"""Further seeds of a published model, whose weights are not kept: what can be said of their numbers without these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.publishing.checks import MEANS
from pipeline.publishing.verification import MOST_NOISE, TOLERANCE, derived_faults
from pipeline.results.published import Published

Evaluation = tuple[dict[str, Any], dict[str, np.ndarray]]
"""metrics.json and the columns of per_image.csv.gz, nats of each test image (N,)."""


def seeds_faults(kept: Published, others: Mapping[int, Evaluation]) -> list[str]:
    """What does not hold of the `others`, by seed, beside the seed whose weights are `kept`.

    Their means and what follows from these must be those of their images, the images and K those of the kept seed, and
    no two seeds the same evaluation. That a training gave these numbers cannot be told.
    """
    faults, seen = [], [kept.per_image["nll"]]
    for seed, (metrics, per_image) in others.items():
        found = _unlike(kept, seed, metrics) or [
            *_means(metrics, per_image),
            *derived_faults(metrics, per_image["nll"], tuple(kept.config["image_shape"])),
            *_images(per_image["nll"], seen),
        ]
        faults += [f"seed {seed}: {fault}" for fault in found]
        seen.append(per_image["nll"])
    return faults


def _unlike(kept: Published, seed: int, metrics: Mapping[str, Any]) -> list[str]:
    wanted = {key: kept.metrics[key] for key in ("images", "train_images", "exact", "importance_samples")}
    wanted |= {key: kept.config[key] for key in ("data_sha256", "epochs")} | {"seed": seed}
    faults = [
        f"{key} is {metrics.get(key)!r}, not {value!r}" for key, value in wanted.items() if metrics.get(key) != value
    ]
    return [*faults, "that is the seed of the weights"] if seed == kept.config["seed"] else faults


def _means(metrics: Mapping[str, Any], per_image: Mapping[str, np.ndarray]) -> list[str]:
    means = {key: per_image[name].mean() for key, name in MEANS.items() if name in per_image}
    return [
        f"{key} {metrics[key]:.4f} is not the mean of the published images, {mean:.4f}"
        for key, mean in means.items()
        if not abs(metrics[key] - mean) <= TOLERANCE / 10
    ]


def _images(nll: np.ndarray, seen: list[np.ndarray]) -> list[str]:
    if any(np.array_equal(nll, other) for other in seen):
        return ["the NLL of each image is that of another seed"]
    far = (nll - seen[0]).std() > MOST_NOISE * nll.std()
    return ["the published NLLs are not of these images"] if far else []
