"""The whole of params.yaml, read and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.config.blocks import Block, ColorModelConfig, ModelConfig, written_out
from pipeline.config.budgets import Budget, ScaleConfig, TrainingConfig
from pipeline.config.names import TEXTURES, ColorDataset, Digest, Kind, Loader, Name, Names, NonNegative, Seed, Url
from pipeline.config.rules import check_datasets, check_models
from pipeline.schema import Distinct, NotEmpty, ParamError, Range, from_mapping, refusal


@dataclass(frozen=True)
class DataConfig:
    """Where raw files are looked for, and the seed of the fixed binarizations."""

    mirror: str
    timeout: Annotated[float, Range(0.1, 3600)]
    retries: Annotated[int, Range(0, 20)]
    binarization_seed: Seed


@dataclass(frozen=True)
class OwnDataset:
    """A data set of binary images that is not built in.

    `loader` ("pipeline.data.module:function") gets the folder of the raw files and returns the splits train, valid,
    test, as in pipeline/data/own.py; `files` maps the URL of each raw file to the SHA-256 of its content, unpacked. The
    file is called what its URL ends in, or what follows a # after that.
    """

    loader: Loader
    dynamic: bool = False
    files: dict[Url, Digest] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Params:
    """The whole of params.yaml."""

    scale: str
    binary_datasets: Annotated[Names, NotEmpty()]
    color_datasets: Annotated[tuple[ColorDataset, ...], Distinct()]
    vae_models: Names
    pixelcnn_models: Names
    vlae_models: Names
    color_vae_models: Names
    color_pixelcnn_models: Names
    color_vlae_models: Names
    texture_models: Names
    released_texture_models: Names
    released_from: str
    color_texture_models: Names
    seeds: Annotated[tuple[Seed, ...], NotEmpty(), Distinct()]
    checkpoint_seconds: NonNegative
    data: DataConfig
    own_datasets: dict[Name, OwnDataset]
    models: dict[Name, ModelConfig]
    color_models: dict[Name, ColorModelConfig]
    training: TrainingConfig
    scales: dict[Name, ScaleConfig]

    def __post_init__(self) -> None:
        check_datasets(self)
        check_models(self)

    def budget(self, dataset: str, kind: Kind) -> Budget:
        """What the block of `scales` that `scale` names has for a data set of this kind."""
        return self.scales[self.scale].of(dataset, kind)

    @property
    def datasets(self) -> tuple[str, ...]:
        """All data sets, binary ones first, and last the textures that have models."""
        textures = tuple(name for name in TEXTURES if self.evaluated(name))
        return self.binary_datasets + self.color_datasets + textures

    def evaluated(self, dataset: str) -> tuple[str, ...]:
        """Names of the models that are trained and evaluated on one of `datasets`."""
        if dataset == "textures":
            return self.texture_models + self.released_texture_models
        if dataset == "color_textures":
            return self.color_texture_models
        if dataset in self.binary_datasets:
            return self.vae_models + self.pixelcnn_models + self.vlae_models
        return self.color_vae_models + self.color_pixelcnn_models + self.color_vlae_models

    def blocks(self, kind: Kind) -> Mapping[str, Block]:
        """The models of a kind of image, by name."""
        return self.models if kind == "binary" else self.color_models

    def kind(self, dataset: str) -> Kind:
        """The kind of one of `datasets`, which are downloaded and prepared; else ParamError."""
        if dataset not in self.datasets:
            allowed = f"one of {', '.join(self.datasets)} (binary_datasets, color_datasets in params.yaml)"
            raise ParamError(refusal("--dataset", dataset, allowed))
        return TEXTURES.get(dataset, "binary" if dataset in self.binary_datasets else "color")

    def model(self, name: str, kind: Kind) -> Block:
        """The block called `name` of the models of this kind; ParamError if there is none."""
        blocks = self.blocks(kind)
        if name not in blocks:
            where = "models" if kind == "binary" else "color_models"
            raise ParamError(refusal("--model", name, f"one of {', '.join(blocks)} ({where} in params.yaml)"))
        return blocks[name]

    def seed(self, number: int | None) -> int:
        """`number` if it is one of `seeds`, the first of them if it is None; ParamError otherwise."""
        if number is None:
            return self.seeds[0]
        if number not in self.seeds:
            raise ParamError(refusal("--seed", number, f"one of {list(self.seeds)} (seeds in params.yaml)"))
        return number


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and check a parameter file, with the YAML library of DVC: 010 is ten to both, and `on` a word.

    Raises ParamError naming the key, its value and what is allowed; FileNotFoundError if there is no file.
    """
    return params_from(read_yaml(path))


def params_from(raw: Any) -> Params:
    """The parameters that a mapping holds, checked; ParamError as above."""
    if isinstance(raw, Mapping):
        raw = {**raw, **{key: written_out(raw[key], key) for key in ("models", "color_models") if key in raw}}
    return from_mapping(Params, raw)


def read_yaml(path: str | Path) -> Any:
    """What a YAML file holds; ParamError with the line if it is not valid, FileNotFoundError if there is no file."""
    try:
        return YAML(typ="safe").load(Path(path).read_bytes())
    except MarkedYAMLError as error:  # its text has several lines, and advice on the library
        line = error.problem_mark.line + 1
        raise ParamError(f"{path} is not valid YAML: line {line}: {error.problem}") from error
    except YAMLError as error:
        raise ParamError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
