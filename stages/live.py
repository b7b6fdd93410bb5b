"""Stage `live`: published models as a page on which one draws a digit, reports/live.html."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from pipeline.data import fetch, prepare
from pipeline.data.datasets import Dataset
from pipeline.reporting.live.page import write_page
from stages import PUBLISHED, no_options, run_stage


def main() -> None:
    """Write reports/live.html from published/."""
    torch.set_num_threads(1)
    target = Path("reports/live.html")
    target.parent.mkdir(exist_ok=True)
    write_page(PUBLISHED, embedded_digits(), target)


def embedded_digits() -> Dataset:
    """`mnist5k`, which ships with a Python package, so that the page is the same whatever data sets a run has."""
    with tempfile.TemporaryDirectory() as folder:
        fetch("mnist5k", Path(folder), mirror=None, timeout=1, retries=0)
        return prepare("mnist5k", Path(folder), binarization_seed=0)


if __name__ == "__main__":
    no_options(__doc__)
    run_stage(main)
