"""NLL by importance sampling, ELBO and KL of each image, and their means with intervals (Appendix A)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from pipeline.evaluation.bootstrap import bootstrap
from pipeline.models.vlae import Model
from pipeline.progress import HIDDEN
from pipeline.seeding import stream
from pipeline.units import bits_per_dim, nats_to_bits

IMAGES_AT_ONCE = 50
"""Images per noise stream, so that whole streams of a part of the test set are the same as in all of it."""
FEWER_SAMPLES = (1, 4, 16, 64, 256, 1024)
"""K of the weaker bounds that are told beside the run's own, to see whether that is large enough."""


def per_image(model: Model, images: Tensor, importance_samples: int, seed: int) -> pd.DataFrame:
    """Estimates for each of `images` (N, C, H, W): nats, columns nll, reconstruction, kl, nll_k1, nll_k4, …

    `nll` is −log 1/K Σ p(x, z_k)/q(z_k|x) with K = `importance_samples`, exact where the model has no latent.
    `reconstruction` and `kl` are means over the same K draws; their sum is −ELBO. `nll_k16` is the same bound with
    K = 16, the mean over as many disjoint groups of the draws as there are.
    """
    batches = tqdm(by_batch(model, images, importance_samples, seed), unit="batch", disable=HIDDEN)
    return pd.concat([batch() for batch in batches], ignore_index=True)


def by_batch(model: Model, images: Tensor, importance_samples: int, seed: int) -> list[Callable[[], pd.DataFrame]]:
    """`per_image` in pieces, the rows of IMAGES_AT_ONCE images each."""
    batches = enumerate(images.split(IMAGES_AT_ONCE))
    return [partial(of_batch, model, number, batch, importance_samples, seed) for number, batch in batches]


def of_batch(model: Model, number: int, batch: Tensor, importance_samples: int, seed: int) -> pd.DataFrame:
    """`per_image` of batch `number` of the test set, IMAGES_AT_ONCE images or the last ones."""
    rng = stream(seed, "evaluation", number, device=batch.device)
    columns = _bounds(*model.code_lengths(batch, importance_samples, rng))
    return pd.DataFrame({name: value.cpu().numpy() for name, value in columns.items()})


def _bounds(reconstruction: Tensor, kl: Tensor) -> dict[str, Tensor]:
    """The columns of `per_image`, (B,) each, from (K, B) code lengths in nats."""
    code = (reconstruction + kl).double()
    count = len(code)
    fewer = {f"nll_k{k}": importance_nll(code, k) for k in FEWER_SAMPLES if k < count}
    return {"nll": importance_nll(code, count), "reconstruction": reconstruction.mean(0), "kl": kl.mean(0), **fewer}


def importance_nll(code: Tensor, k: int) -> Tensor:
    """Mean over disjoint groups of `k` draws of −log 1/k Σ exp(−code): (K, B) nats to (B,)."""
    groups = code[: len(code) // k * k].view(-1, k, code.shape[1])
    return (math.log(k) - torch.logsumexp(-groups, dim=1)).mean(0)


def summarize(table: pd.DataFrame, importance_samples: int, exact: bool, seed: int) -> dict[str, float | int | bool]:
    """What `per_image` says of all images: nats per image unless the key says bits."""
    table = table.astype(float)  # pandas adds float32 up in float32: over 10,000 images the third decimal is off
    nll = bootstrap(table["nll"].to_numpy(), seed)
    code = bootstrap((table["reconstruction"] + table["kl"]).to_numpy(), seed)
    kl = float(table["kl"].mean(skipna=False))
    return {
        "nll": nll.mean,
        "nll_se": nll.se,
        "nll_low": nll.low,
        "nll_high": nll.high,
        "elbo": -code.mean,
        "elbo_se": code.se,
        "reconstruction_nats": float(table["reconstruction"].mean(skipna=False)),
        "kl_nats": kl,
        "kl_bits": nats_to_bits(kl),
        "code_length_bits": nats_to_bits(code.mean),
        "importance_samples": 0 if exact else importance_samples,
        "exact": exact,
        "images": len(table),
        "seed": seed,
    }


def per_dimension(metrics: dict[str, Any], image_shape: tuple[int, ...]) -> dict[str, float]:
    """NLL with its interval, code length and KL of `summarize` in bits per dimension, the unit of colour images."""
    nats = {"": metrics["nll"], "_low": metrics["nll_low"], "_high": metrics["nll_high"]}
    converted = {f"bits_per_dim{end}": bits_per_dim(value, image_shape) for end, value in nats.items()}
    return converted | {
        "elbo_bits_per_dim": bits_per_dim(-metrics["elbo"], image_shape),
        "kl_bits_per_dim": bits_per_dim(metrics["kl_nats"], image_shape),
    }
