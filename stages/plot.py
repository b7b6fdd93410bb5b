"""Stage `plot`: the finished runs and the data as tables, figures and a report under reports/."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.config import load_params
from pipeline.data.datasets import load_dataset
from pipeline.reporting.report import write_report
from pipeline.reporting.runs import collect_runs
from stages import run_stage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of <dataset>/<model>/")
    parser.add_argument("--data", type=Path, default=Path("data/processed"), help="folder of <dataset>.npz")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder to write")
    arguments = parser.parse_args()
    params = load_params()
    runs = collect_runs(arguments.runs, params.binary_datasets, params.evaluate_models)
    datasets = [load_dataset(arguments.data / f"{name}.npz") for name in params.datasets]
    write_report(params, runs, datasets, arguments.reports)


if __name__ == "__main__":
    run_stage(main)
