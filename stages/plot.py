"""Stage `plot`: the finished runs and what was measured of the data as tables, figures and pages under reports/."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pipeline.config import load_params
from pipeline.data.datasets import load_dataset
from pipeline.reporting.report import write_report
from pipeline.results.published import collect_published
from pipeline.results.runs import collect_runs
from stages import PUBLISHED, no_options, run_stage
from stages.cores import jobs


def main() -> None:
    """Read runs/, published/ and data/; write reports/."""
    params = load_params()
    runs = []
    for name in params.datasets:
        runs += collect_runs(Path("runs"), (name,), params.evaluated(name), params.seeds)
    datasets = [load_dataset(Path(f"data/processed/{name}.npz")) for name in params.datasets]
    baselines = {name: pd.read_csv(f"data/baselines/{name}.csv") for name in params.datasets}
    write_report(params, runs, collect_published(PUBLISHED), datasets, baselines, Path("reports"), jobs())


if __name__ == "__main__":
    no_options(__doc__)
    run_stage(main)
