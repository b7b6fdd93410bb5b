"""Which data sets download and preprocess work on, and where: those of params.yaml, or those of published/."""

import argparse
from pathlib import Path

from pipeline.config import Params, load_params
from stages import PUBLISHED, evaluated


def chosen_data(stage: str) -> tuple[Params, tuple[str, ...], Path]:
    """params.yaml, and names and folder by the command line of the stage; ParamError if nothing is published."""
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}", description=f"{stage.capitalize()} data sets.")
    parser.add_argument(
        "--published",
        action="store_true",
        help="the data sets of the models in published/, in data/published/; by default those in params.yaml, in data/",
    )
    published, params = parser.parse_args().published, load_params()
    if published:
        names = dict.fromkeys(folder.parent.name for folder in evaluated(PUBLISHED))
        return params, tuple(names), Path("data/published")
    return params, params.datasets, Path("data")
