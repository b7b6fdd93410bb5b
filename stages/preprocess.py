"""Stage `preprocess`: from data/raw/<data set>/ to the splits in data/processed/<data set>.npz."""

import argparse
from pathlib import Path

from pipeline.config import load_params
from pipeline.data import prepare, require, save
from stages import run_stage


def main() -> None:
    """Prepare every data set in params.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--raw", type=Path, default=Path("data/raw"), help="folder to read")
    parser.add_argument("--processed", type=Path, default=Path("data/processed"), help="folder to write to")
    arguments = parser.parse_args()
    params = load_params(arguments.params)
    for dataset in params.datasets:
        require(dataset, arguments.raw)
        prepared = prepare(dataset, arguments.raw, params.data.binarization_seed)
        save(prepared, arguments.processed / f"{dataset}.npz")
        sizes = " / ".join(f"{len(images):,}" for images in (prepared.train, prepared.valid, prepared.test))
        print(f"{dataset}: {sizes} images of shape {prepared.image_shape}, sha256 {prepared.sha256()[:12]}")


if __name__ == "__main__":
    run_stage(main)
