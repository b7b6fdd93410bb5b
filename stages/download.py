"""Stage `download`: the raw files of every data set in params.yaml, verified, into data/raw/<data set>/."""

from pathlib import Path

from pipeline.config import load_params
from pipeline.data import fetch, mirror_folder, register
from stages import run_stage


def main() -> None:
    """Fetch what is not there yet."""
    params = load_params()
    register(params.own_datasets)
    mirror = mirror_folder(params.data.mirror)
    for dataset in params.datasets:
        files = fetch(dataset, Path("data/raw"), mirror, params.data.timeout, params.data.retries)
        print(f"{dataset}: {', '.join(file.name for file in files)}")


if __name__ == "__main__":
    run_stage(main)
