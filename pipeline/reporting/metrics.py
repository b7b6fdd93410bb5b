"""metrics.json, which DVC compares across experiments: few short names; every number is in all_metrics.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.results.runs import Run

MOST_NAMES = 24
FIRST = ("vlae", "vae", "textures_window", "textures_full_context", "textures_no_pixels", "pixelcnn")
DIGITS = 5


def write_metrics(runs: Sequence[Run], folder: Path) -> None:
    """Write both files."""
    everything: dict[str, dict[str, Any]] = {}
    for run in runs:
        numbers = {key: value for key, value in run.metrics.items() if not isinstance(value, str)}
        everything.setdefault(run.dataset, {})[run.model] = numbers
    for name, content in (("metrics.json", short_metrics(runs)), ("all_metrics.json", everything)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def short_metrics(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """{model: {nll, kl}} in nats, VLAE first, at most 24 numbers; the mean over seeds, five significant digits.

    So that what another processor changes in the last bits is no change. A model trained on several data sets is called
    `<data set>_<model>`. One without a code has no kl.
    """
    often = Counter(run.model for run in runs)
    ordered = sorted(runs, key=lambda run: FIRST.index(run.model) if run.model in FIRST else len(FIRST))
    found: dict[str, dict[str, float]] = {}
    for run in ordered:
        name = run.model if often[run.model] == 1 else f"{run.dataset}_{run.model}"
        keys = {"nll": "nll"} | ({"kl": "kl_nats"} if run.coded else {})
        numbers = {short: _rounded(run.under_seeds(key).mean()) for short, key in keys.items()}
        if sum(map(len, found.values())) + len(numbers) <= MOST_NAMES:
            found[name] = numbers
    return found


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
