"""Data sets: fetch the raw files, prepare them, load what was prepared.

sources: addresses and checksums; fetching: how files are brought in; formats: decoders; resizing: MATLAB's
imresize; textures: images from a known source; preparing: from raw files to splits; datasets: the prepared form;
own: data sets that a user adds in params.yaml.

The names below are imported on first use: who reads a prepared data set needs no code that prepares it.
"""

from __future__ import annotations

import importlib
from typing import Any

PLACES = {"Dataset": "datasets", "load_dataset": "datasets", "save": "datasets", "fetch": "fetching",
          "catalogue": "own", "prepare": "preparing", "mirror_folder": "sources", "require": "sources"}  # fmt: skip
__all__ = ["Dataset", "catalogue", "fetch", "load_dataset", "mirror_folder", "prepare", "require", "save"]


def __getattr__(name: str) -> Any:
    if name in PLACES:
        return getattr(importlib.import_module(f"pipeline.data.{PLACES[name]}"), name)
    raise AttributeError(f"module 'pipeline.data' has no attribute {name!r}")
