"""Evaluate a published model with another K: NLL, ELBO and KL of every test image. The weights stay as they are.

A VLAE takes hours with the paper's K of 4,096 (docs/results.md). What is done is kept, 50 images at a time, in the
folder of the checkpoints: stopped, the same command goes on. Needs the data of `make verify`.

python -m stages.reevaluate published/mnist_static/vlae_annealed --samples 4096
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from pipeline.config import load_params
from pipeline.evaluation.likelihood import IMAGES_AT_ONCE, of_batch, per_dimension, summarize
from pipeline.models.vlae import Model
from pipeline.progress import HIDDEN
from pipeline.publishing.card import write_card
from pipeline.publishing.verification import column
from pipeline.results.published import SEEDS, Published, read_published, write_per_image
from pipeline.saved import load_run
from pipeline.schema import ParamError, refusal
from pipeline.training.checkpoints import checkpoint_folder
from stages import published_parser, run_stage
from stages.machine import exact_device
from stages.verify import evaluated_on


def main() -> None:
    """Read a published model and data/published/processed/; write metrics.json, per_image.csv.gz and the card."""
    parser = published_parser("reevaluate", __doc__)
    parser.add_argument("--samples", type=int, required=True, help="K, larger than the published one")
    arguments = parser.parse_args()
    reevaluate(arguments.folder, arguments.samples, exact_device(load_params().training))


def reevaluate(folder: Path, samples: int, device: torch.device) -> None:
    """Evaluate the model in `folder` with K = `samples`; ParamError unless that is more than it has."""
    published = read_published(folder)
    before = published.metrics["importance_samples"]
    if published.metrics["exact"] or samples <= before:
        raise ParamError(refusal("samples", samples, f"more than {before:,}, and the model one with a z"))
    if published.seeds:
        raise ParamError(
            f"{folder / SEEDS} has no weights: evaluate those runs with this K, and publish them after this"
        )
    images = torch.from_numpy(evaluated_on(folder, published).test).float().to(device)
    table = _in_pieces(load_run(folder, device).model, images, samples, published)
    _write(folder, published, table, samples)
    write_card(folder)
    print(
        f"{folder}: NLL {published.metrics['nll']:.3f} with K = {before:,}, {table['nll'].mean():.3f} with {samples:,}"
    )


def _in_pieces(model: Model, images: torch.Tensor, samples: int, published: Published) -> pd.DataFrame:
    """`per_image` of all images, of which what an earlier call has done is read."""
    seed = published.metrics["seed"]
    identity = [published.metrics["model_sha256"], published.config["data_sha256"], samples, seed]
    kept = checkpoint_folder() / f"evaluation-{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]}"
    kept.mkdir(parents=True, exist_ok=True)
    for number, batch in enumerate(tqdm(images.split(IMAGES_AT_ONCE), unit="batch", disable=HIDDEN)):
        piece = kept / f"{number:04}.csv"
        if not piece.exists():
            half = piece.with_suffix(".half")
            of_batch(model, number, batch, samples, seed).to_csv(half, index=False)
            half.replace(piece)
    return pd.concat([pd.read_csv(piece) for piece in sorted(kept.glob("*.csv"))], ignore_index=True)


def _write(folder: Path, published: Published, table: pd.DataFrame, samples: int) -> None:
    """The NLL with the K of before stays a column: other models, and the training images, were evaluated with that."""
    before = published.metrics["importance_samples"]
    metrics: dict[str, Any] = published.metrics | summarize(table, samples, False, published.metrics["seed"])
    metrics.setdefault("train_importance_samples", before)
    if published.color:
        metrics |= per_dimension(metrics, published.config["image_shape"])
    nats = {name: table[name].to_numpy() for name in ("nll", column(metrics)[0], "kl")}
    nats |= {name: values for name, values in published.per_image.items() if name not in nats}
    nats[f"nll_k{before}"] = published.per_image["nll"]
    write_per_image(folder, nats)
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_stage(main)
