"""Whether published NLL, KL and −ELBO are what a fresh evaluation of the published weights gives, with less of all.

NLL and KL are compared on the same images at the same K, so that what is hard for any model, and what fewer samples
cost, drops out; −ELBO, of which no image's is published, by how far its mean is above that of NLL.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.config.names import Kind
from pipeline.evaluation.bootstrap import bootstrap
from pipeline.evaluation.likelihood import per_dimension
from pipeline.units import nats_to_bits

IMAGES: dict[Kind, int] = {"binary": 800, "color": 200}
"""Test images that are evaluated again. With K = 64 that takes a VLAE of binary images about 15 seconds on one core,
and shows an NLL that is wrong by 0.07 nats: two evaluations of an image differ by 0.4 nats (a VAE's by 1.2). A VLAE of
colour images takes up to 30 seconds, and an NLL of 7,000 nats that is wrong by 2 shows."""
SAMPLES = 64
"""K of the fresh evaluation, where the published one is larger."""
PASSES, FEWEST = 10_240, 25
"""Of those, images × K that are evaluated at the published K, where that is larger, and the fewest images."""
NOISE_SEED = -1
"""Of the fresh evaluation; runs have seeds from 0 on, so that no published evaluation has seen this noise."""
CHOICE_SEED = 2017
WIDTH = 3.29
"""Half the width of an interval in standard errors of the mean: 99.9 % of a normal distribution."""
TOLERANCE = 0.01
"""Nats that the mean difference may be off beyond its interval: 0.005 for weights stored in float16, 0.0005 for
3 decimals an image, and the rest for float32 sums in another order on another processor. Of colour images the weights
may be off by 0.11, a sixth of the standard error of a difference."""
DECIMALS = 0.0005
"""Nats an image: per_image.csv.gz has 3 decimals."""
SUMS = 5e-6
"""Part of an exact NLL: float32 sums in another order move the Unconditional Decoder's 90 nats by less than 0.0001
(compiled, beside layer by layer)."""
MOST_NOISE = 0.5
"""Of the spread over images: on the same images NLLs differ far less (a VLAE's by 0.4 nats of 20), else more. The KL of
one image is not judged so: that of a code hardly used is the same for all images but for noise."""


@dataclass(frozen=True)
class Mean:
    """A mean over images with its standard error, in nats."""

    value: float
    se: float

    @property
    def low(self) -> float:
        """The lower end of its interval."""
        return self.value - WIDTH * self.se

    @property
    def high(self) -> float:
        """The upper end of its interval."""
        return self.value + WIDTH * self.se


@dataclass(frozen=True)
class Compared:
    """A published mean beside the fresh one, nats per image; `faults` is empty if it holds.

    `verified` is at the published K: each image's fresh value, plus what is published of the step from its K to that.
    """

    published: float
    verified: Mean
    difference: Mean
    faults: list[str]


@dataclass(frozen=True)
class Verification:
    """What is published of a model, compared with `images` evaluated again; `kl` is None for one without latent."""

    nll: Compared
    kl: Compared | None
    images: int
    samples: int

    @property
    def faults(self) -> list[str]:
        """What does not hold; empty if all does."""
        return [*self.nll.faults, *(self.kl.faults if self.kl else ())]


def column(metrics: dict[str, Any]) -> tuple[str, int]:
    """The column of per_image.csv.gz to compare with, and its K."""
    if metrics["exact"] or metrics["importance_samples"] <= SAMPLES:
        return "nll", metrics["importance_samples"]
    return f"nll_k{SAMPLES}", SAMPLES


def derived_faults(metrics: dict[str, Any], values: np.ndarray, image_shape: tuple[int, ...]) -> list[str]:
    """Which numbers of a metrics.json are not what its others, and the NLL of each image, say: interval, ELBO, bits."""
    nll, code = bootstrap(values, metrics["seed"]), metrics["reconstruction_nats"] + metrics["kl_nats"]
    derived = {"nll_low": nll.low, "nll_high": nll.high, "kl_bits": nats_to_bits(metrics["kl_nats"]),
               "elbo": -(metrics["nll"] if metrics["exact"] else code),
               "code_length_bits": nats_to_bits(code), "nll_se": nll.se}  # fmt: skip
    if metrics["exact"]:
        derived |= {"reconstruction_nats": metrics["nll"], "kl_nats": 0.0, "elbo_se": nll.se}
    if image_shape[0] == 3:
        derived |= per_dimension(metrics, image_shape)
    return [
        f"{key} {metrics.get(key, math.nan):.4f} should be {value:.4f}"
        for key, value in derived.items()
        if not abs(metrics.get(key, math.nan) - value) <= TOLERANCE / 10
    ]


def at_published_k(metrics: dict[str, Any]) -> int:
    """How many of the chosen images are evaluated at the published K as well; none if that is the K of all."""
    name, _ = column(metrics)
    return 0 if name == "nll" else max(FEWEST, PASSES // metrics["importance_samples"])


def choose(test_images: int, kind: Kind) -> np.ndarray:
    """Which test images: indices, ascending, the same at every call."""
    return np.sort(np.random.default_rng(CHOICE_SEED).permutation(test_images)[: IMAGES[kind]])


def compare(
    metrics: dict[str, Any],
    per_image: dict[str, np.ndarray],
    chosen: np.ndarray,
    fresh: dict[str, np.ndarray],
) -> Verification:
    """Judge `fresh`, nats of the `chosen` test images (n,), by a published metrics.json and per_image.csv.gz.

    Columns nll, reconstruction and kl, and if the published K is larger the NLL at_published_k (m,) of the first m.
    """
    name, samples = column(metrics)
    change = fresh["nll"] - per_image[name][chosen]
    nll = _compare("NLL", metrics["nll"], per_image["nll"], chosen, change)
    if nll.difference.se > MOST_NOISE * nll.verified.se:
        nll.faults.append("the published NLLs are not of these images")
    if metrics["exact"]:
        if (np.abs(change) > DECIMALS + SUMS * np.abs(fresh["nll"])).any():
            nll.faults.append(f"the NLL of an image, which is exact, is off by {np.abs(change).max():.4f}")
        return Verification(nll, None, len(chosen), samples)
    if "at_published_k" in fresh:
        first = chosen[: len(fresh["at_published_k"])]
        change = fresh["at_published_k"] - per_image["nll"][first]
        nll.faults.extend(_differ(f"NLL at K = {metrics['importance_samples']}", _mean(change)))
    above = _mean(fresh["reconstruction"] + fresh["kl"] - fresh["nll"])
    published = -metrics["elbo"] - per_image[name].mean()
    if not above.low - TOLERANCE <= published <= above.high + TOLERANCE:
        nll.faults.append(f"−ELBO is {published:.3f} nats above NLL, not {above.low:.3f} to {above.high:.3f}")
    kl = _compare("KL", metrics["kl_nats"], per_image["kl"], chosen, fresh["kl"] - per_image["kl"][chosen])
    return Verification(nll, kl, len(chosen), samples)


def _compare(name: str, published: float, values: np.ndarray, chosen: np.ndarray, change: np.ndarray) -> Compared:
    """A published mean and the `values` it is of (N,), given how much higher the `chosen` ones are when fresh (n,)."""
    difference, verified = _mean(change), _mean(values[chosen] + change)
    faults = []
    if abs(values.mean() - published) > TOLERANCE / 10:
        faults.append(f"{name} {published:.3f} is not the mean of the published images, {values.mean():.3f}")
    faults += _differ(name, difference)
    if not verified.low <= published <= verified.high:
        faults.append(f"{name} {published:.2f} is outside {verified.low:.2f} to {verified.high:.2f}")
    return Compared(published, verified, difference, faults)


def _differ(name: str, difference: Mean) -> list[str]:
    if difference.low - TOLERANCE <= 0 <= difference.high + TOLERANCE:
        return []
    return [f"{name}: the same images give {difference.low:+.3f} to {difference.high:+.3f} nats more"]


def _mean(values: np.ndarray) -> Mean:
    return Mean(float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5))
