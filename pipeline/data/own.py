"""Data sets of a user's own, from `own_datasets` in params.yaml: beside the built-in ones once they are registered."""

import importlib
from collections.abc import Mapping
from pathlib import PurePosixPath

from pipeline.config import OwnDataset
from pipeline.data.formats import DataError
from pipeline.data.preparing import RECIPES
from pipeline.data.sources import SOURCES, Download, RawFile


def register(datasets: Mapping[str, OwnDataset]) -> None:
    """Make `fetch`, `require` and `prepare` know these data sets.

    DataError if a loader cannot be imported or a file is a tar archive, of which it is not known what to take out.
    """
    for name, block in datasets.items():
        module, _, function = block.loader.partition(":")
        try:
            loader = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError) as error:
            raise DataError(f"own_datasets.{name}.loader = {block.loader!r}: cannot be imported ({error})") from error
        files = tuple(_download(url, digest) for url, digest in block.files.items())
        if archives := [file.name for file in files if file.is_archive]:
            raise DataError(f"own_datasets.{name}.files: {archives[0]} is a tar archive, which is not unpacked")
        RECIPES[name], SOURCES[name] = ("binary", block.dynamic, loader), files


def _download(url: str, digest: str) -> Download:
    file = PurePosixPath(url).name
    return Download(file, (RawFile(file.removesuffix(".gz"), digest),), (url.removesuffix(file),))
