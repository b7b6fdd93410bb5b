"""Stage `download`: the raw files of every data set in params.yaml, verified, into data/raw/<data set>/.

With --published those of published/ instead, into data/published/raw/.
"""

from pipeline.data import catalogue, fetch, mirror_folder
from stages import run_stage
from stages.chosen_data import chosen_data


def main() -> None:
    """Fetch what is not there yet."""
    params, datasets, folder = chosen_data("download")
    sources, _ = catalogue(params.own_datasets)
    mirror = mirror_folder(params.data.mirror)
    for dataset in datasets:
        files = fetch(dataset, folder / "raw", mirror, params.data.timeout, params.data.retries, sources)
        print(f"{dataset}: {', '.join(file.name for file in files)}")


if __name__ == "__main__":
    run_stage(main)
