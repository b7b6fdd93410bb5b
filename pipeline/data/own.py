"""Data sets of a user's own, from `own_datasets` in params.yaml, beside the built-in ones.

Their loaders are code of others. Whatever one raises or returns, what goes on from here is three splits as declared,
or one DataError that names the loader, the split and what was expected.
"""

import importlib
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import numpy as np

from pipeline.config import OwnDataset
from pipeline.data.datasets import SPLITS
from pipeline.data.preparing import RECIPES, Recipe, Split, Splits
from pipeline.data.sources import SOURCES, Download, RawFile
from pipeline.errors import DataError

FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ .,()=+@-]*")


class Catalogue(NamedTuple):
    """By data set what `fetch` and `require` bring in, and how `prepare` reads it."""

    sources: Mapping[str, tuple[Download, ...]]
    recipes: Mapping[str, Recipe]


def catalogue(own: Mapping[str, OwnDataset]) -> Catalogue:
    """The built-in data sets and these.

    DataError if a loader cannot be imported, a URL tells no name for its file, two tell the same, or a file is a tar
    archive, of which it is not known what to take out.
    """
    sources, recipes = dict(SOURCES), dict(RECIPES)
    for name, block in own.items():
        recipes[name] = ("binary", block.dynamic, _guarded(f"own_datasets.{name}.loader = {block.loader!r}", block))
        sources[name] = _downloads(f"own_datasets.{name}.files", block.files)
    return Catalogue(sources, recipes)


def _downloads(key: str, files: Mapping[str, str]) -> tuple[Download, ...]:
    """What to fetch, each under a name of its own."""
    downloads: dict[str, Download] = {}
    for url, digest in files.items():
        address, _, wanted = url.partition("#")
        name = unquote(wanted) or unquote(urlsplit(address).path).rpartition("/")[2]
        file = re.sub(r"\.(gz|xz)$", "", name)
        if not FILE_NAME.fullmatch(file):
            raise DataError(f"{key}: {url} tells no name for the file; put one behind it, as in {address}#images.npz")
        if file.lower() in downloads:
            raise DataError(f"{key}: two URLs end in {file}; put another name behind one, as in {address}#2_{name}")
        digest = digest.strip().lower().removeprefix("sha256:").strip()
        downloads[file.lower()] = download = Download(name, (RawFile(file, digest),), (address,))
        if download.is_archive:
            raise DataError(f"{key}: {name} is a tar archive, which is not unpacked")
    return tuple(downloads.values())


def _guarded(where: str, block: OwnDataset) -> Callable[[Path], Splits]:
    """The loader of a block, such that it returns what is declared or raises a DataError that begins with `where`."""
    module_name, _, function = block.loader.partition(":")
    try:
        module = importlib.import_module(module_name)
        read = getattr(module, function)
    except (Exception, SystemExit) as error:
        raise DataError(f"{where}: cannot be imported ({_reason(error)})") from error
    if not callable(read):
        raise DataError(f"{where}: is {_described(read)}, not a function")

    def load(folder: Path) -> Splits:
        try:
            splits = read(folder)
            splits = tuple(splits) if isinstance(splits, list | Iterator) else splits
        except (Exception, SystemExit) as error:
            raise DataError(f"{where}: raised {_reason(error)}{_line(error, module)}") from error
        if not isinstance(splits, tuple) or len(splits) != len(SPLITS):
            raise DataError(f"{where}: returned {_described(splits)}, not the three splits {', '.join(SPLITS)}")
        for name, split in zip(SPLITS, splits, strict=True):
            if fault := _fault(split, splits[0], block.dynamic):
                raise DataError(f"{where}: {name} {fault}")
        train, valid, test = splits
        return train, valid, test

    return load


def _fault(split: Any, first: Any, dynamic: bool) -> str | None:
    """What a split has that was not declared, or that the first split has otherwise; None if it is right."""
    if not isinstance(split, Split):
        return f"is {_described(split)}, not a Split(images, labels) of pipeline.data.preparing"
    if split.factors is not None or split.exact is not None:
        return "has factors or exact values, which are for sources that are built in"
    return _images_fault(split.images, first.images, dynamic) or _labels_fault(split, first)


def _images_fault(images: Any, first: Any, dynamic: bool) -> str | None:
    is_array = isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.ndim == 4
    if not is_array or images.size == 0 or images.shape[1] != 1:
        return f"images are {_described(images)}, not uint8 (N, 1, H, W)"
    if images.shape[1:] != first.shape[1:]:
        return f"images are {_described(images)}, those of train {_described(first)}"
    highest = images.max()
    if dynamic and highest <= 1:
        return "images have no level above 1: dynamic: true declares grey levels 0 to 255; 0 and 1 are dynamic: false"
    if not dynamic and highest > 1:
        return f"images have levels up to {highest}: dynamic: false declares 0 and 1; grey levels are dynamic: true"
    return None if highest else "images are blank: every pixel is 0"


def _labels_fault(split: Split, first: Split) -> str | None:
    labels, count = split.labels, len(split.images)
    if (labels is None) != (first.labels is None):
        return "and train must both have labels, or neither"
    if labels is None:
        return None
    if not isinstance(labels, np.ndarray) or labels.dtype != np.int64 or labels.shape != (count,):
        return f"labels are {_described(labels)}, not int64 ({count},), one an image"
    return None if labels.min() >= 0 else f"has the label {labels.min()}: must be 0 or more"


def _described(value: Any) -> str:
    """A value in a few words: dtype and shape of an array, else its type."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    if value is None:
        return "None"
    return f"a {type(value).__name__}" + (f" of {len(value)}" if isinstance(value, tuple) else "")


def _reason(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _line(error: BaseException, module: ModuleType) -> str:
    """The line of the loader's own file that raised, if it was there."""
    file = getattr(module, "__file__", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" in line {lines[-1]} of {file}" if lines else ""
