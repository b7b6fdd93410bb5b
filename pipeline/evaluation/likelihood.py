"""NLL by importance sampling, ELBO and KL of each test image, and their means with intervals (Appendix A)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from pipeline.models.latent import LatentVariableModel, Model
from pipeline.seeding import stream
from pipeline.units import nats_to_bits

BOOTSTRAP_RESAMPLES = 2000
IMAGES_AT_ONCE = 50
"""Images per noise stream: fixed, so that a bound on memory elsewhere does not change the numbers."""


def per_image(model: Model, images: Tensor, importance_samples: int, seed: int) -> pd.DataFrame:
    """Estimates for each of `images` (N, C, H, W) in {0, 1}: nats, columns nll, reconstruction, kl.

    `nll` is −log 1/K Σ p(x, z_k)/q(z_k|x) with K = `importance_samples`, exact where the model has no latent.
    `reconstruction` and `kl` are means of K' = min(K, 8) one-sample estimates; their sum is −ELBO.
    """
    rows = []
    repeats = min(importance_samples, 8) if isinstance(model, LatentVariableModel) else 1
    for i, batch in enumerate(tqdm(images.split(IMAGES_AT_ONCE), unit="batch", disable=None)):
        generator = stream(seed, "evaluation", i, device=images.device)
        nll = -model.log_prob(batch, importance_samples=importance_samples, generator=generator)
        with torch.no_grad():
            parts = [model.loss(batch, generator) for _ in range(repeats)]
        means = {name: torch.stack([part[name] for part in parts]).mean(0) for name in ("reconstruction", "kl")}
        rows.append(pd.DataFrame({name: value.cpu().numpy() for name, value in {"nll": nll, **means}.items()}))
    return pd.concat(rows, ignore_index=True)


@dataclass(frozen=True)
class Interval:
    """A mean over images with its standard error and 95 % bootstrap interval."""

    mean: float
    se: float
    low: float
    high: float


def bootstrap(values: np.ndarray, seed: int) -> Interval:
    """Mean of `values` (N,), its standard error, and the percentile interval of N images drawn with replacement."""
    generator = np.random.default_rng(seed)
    means = [generator.choice(values, len(values)).mean() for _ in range(BOOTSTRAP_RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5), float(low), float(high))


def summarize(table: pd.DataFrame, importance_samples: int, exact: bool, seed: int) -> dict[str, float | int | bool]:
    """metrics.json of a run, from `per_image`: nats per image unless the key says bits."""
    nll = bootstrap(table["nll"].to_numpy(float), seed)
    code = bootstrap((table["reconstruction"] + table["kl"]).to_numpy(float), seed)
    kl = float(table["kl"].mean())
    return {
        "nll": nll.mean,
        "nll_se": nll.se,
        "nll_low": nll.low,
        "nll_high": nll.high,
        "elbo": -code.mean,
        "elbo_se": code.se,
        "reconstruction_nats": float(table["reconstruction"].mean()),
        "kl_nats": kl,
        "kl_bits": nats_to_bits(kl),
        "code_length_bits": nats_to_bits(code.mean),
        "importance_samples": 0 if exact else importance_samples,
        "exact": exact,
        "images": len(table),
        "seed": seed,
    }
