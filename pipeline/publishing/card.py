"""The model card of a published model: its README.md, made from the files beside it and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from pipeline.results.published import seed_folders

CARD = "README.md"
TEMPLATE = """\
# {model} on {dataset}

{what} {seeds} Its row beside the paper's is in the
[report](../../../reports/report.md).

| on {images:,} test images | |
|---|---|
{results}

| training | |
|---|---|
{training}

```python
from pipeline import load_run

model = load_run("published/{dataset}/{model}").model
```

`make verify` evaluates these weights again. {notes}What these numbers do not show:
[deviations and limits](../../../docs/deviations.md).

{pictures}
"""
NAMES = {"gaussian": "Gaussian", "iaf": "IAF", "af": "AF", "factorized": "independent pixels", "pixelcnn": "PixelCNN",
         "pixelcnnpp": "PixelCNN++"}  # fmt: skip
PICTURES = {"reconstructions": "test images, each with its decompression to the right", "samples": "64 samples"}


def write_card(folder: Path) -> None:
    """Write the card of the model in `published/<dataset>/<model>/`."""
    (folder / CARD).write_text(card(folder), encoding="utf-8")


def card(folder: Path) -> str:
    """The card as Markdown; FileNotFoundError if config.json or metrics.json is missing."""
    config, metrics = (
        json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("config", "metrics")
    )
    seeds = {
        seed: json.loads((path / "metrics.json").read_text(encoding="utf-8"))
        for seed, path in seed_folders(folder).items()
    }
    shown = [f"![{text}]({name}.png)" for name, text in PICTURES.items() if (folder / f"{name}.png").exists()]
    return TEMPLATE.format(
        model=config["model"],
        dataset=config["dataset"],
        what=_what(config["model_config"]),
        seeds=_seeds(config["seed"], [*seeds]),
        images=metrics["images"],
        results=_table(_results(metrics) | (_spread([metrics, *seeds.values()]) if seeds else {})),
        training=_table(_training(config, metrics)),
        notes="[Notes](notes.md). " if (folder / "notes.md").exists() else "",
        pictures="\n\n".join(shown),
    )


def _what(block: dict[str, Any]) -> str:
    seen = "" if block["decoder"] == "factorized" else f" that sees `{block['context']}`"
    decoder = f"Decoder: {NAMES[block['decoder']]}{seen}."
    if block["posterior"] == "none":
        return f"No z. {decoder}"
    return f"Posterior: {NAMES[block['posterior']]}. Prior: {NAMES[block['prior']]}. {decoder}"


def _results(metrics: dict[str, Any]) -> dict[str, str]:
    how = "exact" if metrics["exact"] else f"importance sampling, K = {metrics['importance_samples']:,}"
    interval = f"95 % interval {metrics['nll_low']:.2f} to {metrics['nll_high']:.2f}"
    rows = {"NLL": f"{metrics['nll']:.2f} nats, {interval}; {how}"}
    if "bits_per_dim" in metrics:
        rows["bits/dim"] = f"{metrics['bits_per_dim']:.3f}"
    if not metrics["exact"]:
        rows["−ELBO"] = f"{-metrics['elbo']:.2f} nats"
        rows["KL, the code"] = f"{metrics['kl_nats']:.2f} nats = {metrics['kl_bits']:.1f} bits"
    return rows | {f"NLL of {metrics['train_images']:,} training images": f"{metrics['train_nll']:.2f} nats"}


def _seeds(kept: int, others: Sequence[int]) -> str:
    if not others:
        return f"One training, seed {kept}."
    return (
        f"Trainings with seeds {', '.join(map(str, [kept, *others]))}; weights, pictures and intervals are of {kept}."
    )


def _spread(metrics: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Mean and standard deviation over training seeds."""
    nll = ("bits_per_dim", 3, "bits/dim") if "bits_per_dim" in metrics[0] else ("nll", 2, "nats")
    rows = {"NLL": nll} | ({} if metrics[0]["exact"] else {"KL": ("kl_nats", 2, "nats")})
    told = {}
    for name, (key, digits, unit) in rows.items():
        values = [one[key] for one in metrics]
        told[f"{name} over {len(values)} seeds"] = (
            f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f} {unit}, mean ± s.d."
        )
    return told


def _training(config: dict[str, Any], metrics: dict[str, Any]) -> dict[str, str]:
    weights = f"{config['parameters']:,} in {config['stored_precision']}"
    objective = {} if metrics["exact"] else {"objective": f"`{config['model_config']['objective']}`"}
    optimizer = config["model_config"].get("optimizer", "adamax")
    return objective | {
        "optimizer": optimizer.title(),
        "images": f"`{config['training']['images']}` of `{config['dataset']}`, SHA-256 `{config['data_sha256'][:12]}…`",
        "length": f"{config['steps']:,} steps of {config['batch_size']}: {config['epochs']:.1f} epochs",
        "cost": f"{config['train_minutes']:.0f} minutes on {config['processor']}, {config['precision']}",
        "weights": f"{weights}, SHA-256 `{metrics['model_sha256'][:12]}…`",
        "code": f"commit `{config['commit'][:12]}`, torch {config['torch']}",
    }


def _table(rows: dict[str, str]) -> str:
    return "\n".join(f"| {name} | {value} |" for name, value in rows.items())
