"""Stage `preprocess`: from data/raw/<data set>/ to the splits in data/processed/<data set>.npz.

With --published those of published/ instead, in data/published/.
"""

from pipeline.data import catalogue, prepare, require, save
from stages import run_stage
from stages.chosen_data import chosen_data


def main() -> None:
    """Prepare every data set."""
    params, datasets, folder = chosen_data("preprocess")
    sources, recipes = catalogue(params.own_datasets)
    for dataset in datasets:
        require(dataset, folder / "raw", sources)
        prepared = prepare(dataset, folder / "raw", params.data.binarization_seed, recipes)
        save(prepared, folder / "processed" / f"{dataset}.npz")
        sizes = " / ".join(f"{len(images):,}" for images in (prepared.train, prepared.valid, prepared.test))
        print(f"{dataset}: {sizes} images of shape {prepared.image_shape}, sha256 {prepared.sha256()[:12]}")


if __name__ == "__main__":
    run_stage(main)
