"""Stage `preprocess`: from data/raw/<data set>/ to the splits in data/processed/<data set>.npz."""

from pathlib import Path

from pipeline.config import load_params
from pipeline.data import prepare, register, require, save
from stages import run_stage


def main() -> None:
    """Prepare every data set in params.yaml."""
    params, raw = load_params(), Path("data/raw")
    register(params.own_datasets)
    for dataset in params.datasets:
        require(dataset, raw)
        prepared = prepare(dataset, raw, params.data.binarization_seed)
        save(prepared, Path("data/processed") / f"{dataset}.npz")
        sizes = " / ".join(f"{len(images):,}" for images in (prepared.train, prepared.valid, prepared.test))
        print(f"{dataset}: {sizes} images of shape {prepared.image_shape}, sha256 {prepared.sha256()[:12]}")


if __name__ == "__main__":
    run_stage(main)
