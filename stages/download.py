"""Stage `download`: the raw files of every data set in params.yaml, verified, into data/raw/<data set>/."""

import argparse
from pathlib import Path

from pipeline.config import load_params
from pipeline.data import fetch, mirror_folder
from stages import run_stage


def main() -> None:
    """Fetch what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--raw", type=Path, default=Path("data/raw"), help="folder to write to")
    arguments = parser.parse_args()
    params = load_params(arguments.params)
    mirror = mirror_folder(params.data.mirror)
    for dataset in params.datasets:
        files = fetch(dataset, arguments.raw, mirror, params.data.timeout, params.data.retries)
        print(f"{dataset}: {', '.join(file.name for file in files)}")


if __name__ == "__main__":
    run_stage(main)
