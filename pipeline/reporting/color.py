"""What the report shows of colour images: Figures 3 and 4, and what each window leaves to z, in numbers."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.data.datasets import Dataset
from pipeline.evaluation.baselines import gaussian_nll, uniform_nll
from pipeline.evaluation.bootstrap import bootstrap
from pipeline.reporting.runs import Run, Training
from pipeline.reporting.tables import Record
from pipeline.reporting.views import View, interval, number
from pipeline.units import nats_to_bits

KEPT = ("kept_coarse", "kept_fine", "kept_contrast", "kept_color")


def baseline_results(dataset: Dataset, images: int, seed: int) -> list[Training]:
    """The uniform and the Gaussian density of Table 5, measured on the first `images` test images of a data set.

    They are fitted to the training images and have nothing to train: 0 steps.
    """
    test = dataset.test[:images]
    results = []
    for name, nll in (("uniform", uniform_nll(test)), ("gaussian", gaussian_nll(dataset.train, test, seed))):
        mean = bootstrap(nll, seed)
        config = {"image_shape": dataset.image_shape, "steps": 0, "epochs": 0.0}
        metrics = {"nll": mean.mean, "nll_low": mean.low, "nll_high": mean.high, "importance_samples": 0,
                   "images": len(test), "seed": seed}  # fmt: skip
        results.append(Training(dataset.name, name, config, {}, metrics, {"nll": nll}))
    return results


def color_records(runs: Sequence[Training]) -> list[Record]:
    """A record a model: bits/dim, and with a code its KL, the KL's last weight in training, and what is kept."""
    keys = ("bits_per_dim", "bits_per_dim_low", "bits_per_dim_high", "elbo_bits_per_dim", "kl_nats", "kl_bits",
            "kl_bits_per_dim", "importance_samples", "images",
            *(f"{kept}{end}" for kept in KEPT for end in ("", "_low", "_high")))  # fmt: skip
    return [
        {"dataset": run.dataset, "model": run.model, "context_pixels": run.context_pixels}
        | (_code(run) if not run.metrics["exact"] else dict.fromkeys(("cost_bits", "kl_weight")))
        | {key: run.metrics.get(key) for key in keys}
        for run in runs
    ]


def _code(run: Training) -> Record:
    return {"cost_bits": nats_to_bits(run.cost_nats), "kl_weight": float(run.history["kl_weight"][-1])}


def color_view(runs: Sequence[Training], file: str = "tables/color.csv") -> View:
    """The same as a table."""
    header = ("model", "window, pixels", "bits/dim", "95 % interval", "K", "−ELBO, bits/dim", "KL, bits",
              "KL, bits/dim", "cost of z, bits", "last weight of the KL", "coarse structure kept",
              "fine structure kept", "local contrast kept", "colour kept")  # fmt: skip
    rows = []
    for run, record in zip(runs, color_records(runs), strict=True):
        cells = [
            run.name,
            number(record["context_pixels"], "d"),
            number(record["bits_per_dim"], ".3f"),
            f"{record['bits_per_dim_low']:.3f} to {record['bits_per_dim_high']:.3f}",
            str(record["importance_samples"] or "exact"),
            number(record["elbo_bits_per_dim"], ".3f"),
            number(record["kl_bits"], ".1f"),
            number(record["kl_bits_per_dim"], ".4f"),
            number(record["cost_bits"], ".1f"),
            number(record["kl_weight"], ".3f"),
            *(interval(record, kept) for kept in KEPT),
        ]
        rows.append(("", cells))
    return View("", header, rows, file)


def in_figure_4(run: Training) -> bool:
    """Whether it is one of the two windows that the paper shows samples of; those of the others are under figures/."""
    block = run.block
    window = block["context"] if block["decoder"] == "pixelcnnpp" and not block["grayscale"] else None
    return block["posterior"] != "none" and window in ("4x2", "7x4")


def bits_caption(run: Run) -> str:
    """The caption of a picture of Figure 4."""
    record = color_records([run])[0]
    ends = f"{record['bits_per_dim_low']:.2f} to {record['bits_per_dim_high']:.2f}"
    return f"64 samples; {record['bits_per_dim']:.2f} bits/dim ({ends}) on {record['images']:,} test images"
