"""The rules that join keys of params.yaml: what is named must exist, and be of the kind that is asked for."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.config.names import BINARY_DATASETS, TEXTURES, ColorDataset, Kind, Stage
from pipeline.schema import Distinct, ParamError, refusal

if TYPE_CHECKING:
    from pipeline.config.params import Params

LISTS: dict[str, tuple[Kind, Sequence[Stage]]] = {
    "vae_models": ("binary", ["vae"]),
    "pixelcnn_models": ("binary", ["pixelcnn"]),
    "vlae_models": ("binary", ["vlae"]),
    "color_vae_models": ("color", ["vae"]),
    "color_pixelcnn_models": ("color", ["pixelcnn"]),
    "color_vlae_models": ("color", ["vlae"]),
    "texture_models": ("binary", typing.get_args(Stage)),
    "released_texture_models": ("binary", ["vlae"]),
    "color_texture_models": ("color", typing.get_args(Stage)),
}
"""The lists of models: of which kind they are, and to which training stages they may belong."""


def check_datasets(params: Params) -> None:
    """The scale and the data sets that are named exist; else ParamError."""
    if params.scale not in params.scales:
        raise ParamError(refusal("scale", params.scale, f"one of {', '.join(params.scales)}"))
    binary, colored = [*BINARY_DATASETS, *params.own_datasets], typing.get_args(ColorDataset)
    for i, dataset in enumerate(params.binary_datasets):
        if dataset not in binary:
            raise ParamError(refusal(f"binary_datasets[{i}]", dataset, f"one of {', '.join(binary)}"))
    for name in params.own_datasets:
        if name.lower() in (*BINARY_DATASETS, *colored, *TEXTURES):
            raise ParamError(f"own_datasets.{name}: is the name of a built-in data set")
    for kind, names in {"binary": binary, "color": colored, **{name: [name] for name in TEXTURES}}.items():
        _check_epochs(params, kind, names)


def _check_epochs(params: Params, kind: str, names: Sequence[str]) -> None:
    """Every `max_epochs` of a kind is for one of its data sets."""
    for scale, budgets in params.scales.items():
        for dataset in getattr(budgets, kind).training.max_epochs:
            if dataset not in names:
                key = f"scales.{scale}.{kind}.training.max_epochs"
                raise ParamError(refusal(key, dataset, f"for one of {', '.join(names)}"))


def check_models(params: Params) -> None:
    """Every name in a list of models is that of a fitting block, and each block has a name of its own."""
    for key, (kind, stages) in LISTS.items():
        fitting = [name for name, block in params.blocks(kind).items() if block.stage in stages]
        for name in getattr(params, key):
            if name not in fitting:
                raise ParamError(refusal(key, name, f"one of {', '.join(fitting)}"))
    for name in params.models:
        if name in params.color_models:
            raise ParamError(f"color_models.{name}: is the name of a block of models, too")
    for dataset in params.datasets:
        names, distinct = params.evaluated(dataset), Distinct()
        if names not in distinct:  # of several lists, in capitals or not: they would share a folder
            raise ParamError(refusal(f"the models of {dataset}", list(names), str(distinct)))
    if params.released_texture_models and params.released_from not in params.texture_models:
        allowed = f"one of texture_models: {', '.join(params.texture_models)}"
        raise ParamError(refusal("released_from", params.released_from, allowed))
