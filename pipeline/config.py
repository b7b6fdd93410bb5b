"""params.yaml as frozen dataclasses: what is not declared here, or out of its range, is refused by name.

Imports no torch, so that stages that are up to date, and bad parameters, cost nothing.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.schema import Distinct, Form, NotEmpty, ParamError, Range, from_mapping, refusal

Count = Annotated[int, Range(1)]
Width = Annotated[int, Range(1, 4096)]
Fraction = Annotated[float, Range(0, 1)]
NonNegative = Annotated[float, Range(0)]
Seed = Annotated[int, Range(0, 2**31)]
Name = Annotated[
    str,
    Form(
        r"(?!(?i:true|false|yes|no|on|off|y|n|null|nan|inf)$)[A-Za-z][A-Za-z0-9_]{0,63}",
        "up to 64 letters, digits and underscores, a letter first, and no word of YAML such as on or null",
    ),
]
"""Of a model, scale or data set: a folder, a word of a command, a part of DVC's names, which - and . join."""
Names = Annotated[tuple[Name, ...], Distinct()]
Url = Annotated[str, Form(r"(?i:https?|ftp|file)://\S+", "a URL (http, https, ftp or file; a blank in it is %20)")]
Digest = Annotated[str, Form(r"\s*(?i:sha256:)?\s*[0-9a-fA-F]{64}\s*", "a SHA-256, 64 hexadecimal digits")]
Context = Annotated[
    str, Form(r"stack|full|downsampled|[1-9]\d?x[1-9]\d?", 'stack, full, downsampled or a window "AxB" such as 4x2')
]
Loader = Annotated[
    str, Form(r"pipeline\.data\.[A-Za-z_]\w*:[A-Za-z_]\w*", "pipeline.data.module:function, which DVC watches")
]
KernelSize = Literal[3, 5, 7, 9, 11]
Window = Literal["3x2", "4x2", "5x3", "6x3", "7x4", "8x4", "9x5"]
Objective = Literal["elbo", "free_bits", "soft_free_bits", "annealing"]
BINARY_DATASETS = ("mnist5k", "mnist_static", "mnist_dynamic", "omniglot", "omniglot_rebuilt", "caltech101")
ColorDataset = Literal["photos", "cifar10"]
Kind = Literal["binary", "color"]
TEXTURES: dict[str, Kind] = {"textures": "binary", "color_textures": "color"}
"""Data sets from a known source, with lists of models and budgets of their own."""
Stage = Literal["vae", "pixelcnn", "vlae"]
EMBEDDED_DATASETS: tuple[str, ...] = ("mnist5k", "photos", "textures", "color_textures")


class _Block:
    """What a block of `models` and one of `color_models` have in common."""

    posterior: str
    prior: str
    decoder: str
    starts_from: str | None = None

    def __post_init__(self) -> None:
        if (self.posterior == "none") != (self.prior == "none"):
            raise ParamError(refusal("prior", self.prior, "none if and only if posterior is none"))
        if self.posterior == "none" and self.decoder == "factorized":
            raise ParamError(refusal("decoder", self.decoder, "autoregressive where posterior is none"))

    @property
    def stage(self) -> Stage:
        """Which training stage the model belongs to."""
        if self.posterior == "none":
            return "pixelcnn"
        return "vae" if self.decoder == "factorized" else "vlae"


@dataclass(frozen=True)
class ModelConfig(_Block):
    """A model of binary images: the parts it is composed of, and their sizes. Defaults are the paper's (Appendix A)."""

    posterior: Literal["gaussian", "iaf", "none"]
    prior: Literal["gaussian", "af", "none"]
    decoder: Literal["factorized", "pixelcnn"]
    latent_dim: Width = 64
    encoder_channels: Annotated[tuple[Width, ...], NotEmpty()] = (16, 32, 32)
    hidden_units: Width = 450
    flow_steps: Annotated[int, Range(1, 64)] = 4
    flow_hidden_units: tuple[Width, ...] = (640, 640)
    context: Context = "stack"
    masked_layers: Annotated[int, Range(1, 64)] = 6
    kernel_size: KernelSize = 3
    first_kernel_size: KernelSize | None = None  # of the layer that sees the image; None: kernel_size
    filters: Width = 12
    tied: bool = True
    conditioning_maps: Width = 4
    conditioning_scale: Annotated[float, Range(1e-3, 10)] = 0.1
    objective: Objective = "free_bits"
    free_bits: NonNegative = 0.01
    annealing_fraction: Fraction = 0.5
    starts_from: Name | None = None  # a trained model, whose encoder, prior and generator this one begins with

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.first_kernel_size is not None and (self.decoder == "factorized" or self.context != "stack"):
            allowed = "left out, but with an autoregressive decoder of context stack"
            raise ParamError(refusal("first_kernel_size", self.first_kernel_size, allowed))


@dataclass(frozen=True)
class ColorModelConfig(_Block):
    """A model of 8-bit colour images. Defaults are the paper's (Appendix B), or our choice where it is silent."""

    network: Literal["resnet", "densenet"]
    posterior: Literal["gaussian", "iaf", "none"]
    prior: Literal["gaussian", "af", "none"]
    decoder: Literal["factorized", "pixelcnnpp"]
    latent_maps: Annotated[int, Range(2, 4096)] = 16
    channels: Width = 48
    inner_channels: Width = 96
    flow_steps: Annotated[int, Range(1, 64)] = 6
    flow_maps: tuple[Width, ...] = (128, 128)
    context: Window = "7x4"
    grayscale: bool = False
    blocks: Annotated[int, Range(1, 64)] = 4
    filters: Width = 64
    mixtures: Annotated[int, Range(1, 256)] = 10
    conditioning_scale: Annotated[float, Range(1e-3, 10)] = 1.0
    objective: Objective = "soft_free_bits"
    free_bits: NonNegative = 0.05
    annealing_fraction: Fraction = 0.5


Block = ModelConfig | ColorModelConfig


@dataclass(frozen=True)
class TrainingConfig:
    """What all trainings share."""

    learning_rate: Annotated[float, Range(1e-8, 1)]
    images: Literal["train", "train+valid"]
    start: Literal["scratch", "published"]
    decay_fraction: Fraction
    polyak: Fraction
    shards: Count
    precision: Literal["auto", "float32", "bfloat16"]
    device: Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class StepsConfig:
    """Optimiser steps of each training stage."""

    vae: Count
    pixelcnn: Count
    vlae: Count


@dataclass(frozen=True)
class Budget:
    """How long to train, how much to evaluate. None means all images.

    `max_epochs`: the data sets whose trainings end there, as more would overfit them.
    """

    steps: StepsConfig
    max_epochs: dict[str, Count]
    batch_size: Count
    validate_every: Count
    validate_images: Count | None
    test_images: Annotated[int, Range(2)] | None
    train_images: Annotated[int, Range(2)] | None
    importance_samples: Count

    def planned_steps(self, stage: Stage, dataset: str, steps_per_epoch: int) -> int:
        """Steps of a training stage: its budget, or the `max_epochs` of this data set where they are fewer."""
        steps: int = getattr(self.steps, stage)
        epochs = self.max_epochs.get(dataset)
        return steps if epochs is None else min(steps, epochs * steps_per_epoch)


@dataclass(frozen=True)
class ScaleConfig:
    """A budget for each kind of image, and for the textures of each kind."""

    binary: Budget
    color: Budget
    textures: Budget
    color_textures: Budget

    def of(self, dataset: str, kind: Kind) -> Budget:
        """The budget of a data set of this kind."""
        budget: Budget = getattr(self, dataset if dataset in TEXTURES else kind)
        return budget


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
    evaluate_models: Names
    color_vae_models: Names
    color_pixelcnn_models: Names
    color_vlae_models: Names
    color_evaluate_models: Names
    texture_models: Names
    released_texture_models: Names
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
        _check_datasets(self)
        _check_textures(self)
        _check_models("", self, self.models)
        _check_models("color_", self, self.color_models)

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
        if dataset in TEXTURES:
            binary = self.texture_models + self.released_texture_models
            return binary if dataset == "textures" else self.color_texture_models
        return self.evaluate_models if dataset in self.binary_datasets else self.color_evaluate_models

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
    return from_mapping(Params, read_yaml(path))


def read_yaml(path: str | Path) -> Any:
    """What a YAML file holds; ParamError with the line if it is not valid, FileNotFoundError if there is no file."""
    try:
        return YAML(typ="safe").load(Path(path).read_bytes())
    except MarkedYAMLError as error:  # its text has several lines, and advice on the library
        line = error.problem_mark.line + 1
        raise ParamError(f"{path} is not valid YAML: line {line}: {error.problem}") from error
    except YAMLError as error:
        raise ParamError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error


def _check_datasets(params: Params) -> None:
    """The data sets that are named, which must exist."""
    if params.scale not in params.scales:
        raise ParamError(refusal("scale", params.scale, f"one of {', '.join(params.scales)}"))
    known = [*BINARY_DATASETS, *params.own_datasets]
    for i, dataset in enumerate(params.binary_datasets):
        if dataset not in known:
            raise ParamError(refusal(f"binary_datasets[{i}]", dataset, f"one of {', '.join(known)}"))
    for name in params.own_datasets:
        if name.lower() in (*BINARY_DATASETS, *typing.get_args(ColorDataset), *TEXTURES):
            raise ParamError(f"own_datasets.{name}: is the name of a built-in data set")
    kinds: dict[str, Sequence[str]] = {"binary": known, "color": typing.get_args(ColorDataset)}
    kinds |= {name: (name,) for name in TEXTURES}
    for scale, budgets in params.scales.items():
        for kind, names in kinds.items():
            for dataset in getattr(budgets, kind).max_epochs:
                if dataset not in names:
                    key = f"scales.{scale}.{kind}.max_epochs"
                    raise ParamError(refusal(key, dataset, f"for one of {', '.join(names)}"))


def _check_textures(params: Params) -> None:
    """The lists of models of textures: each has a block, which in one list starts from another model."""
    lists: dict[str, tuple[Mapping[str, Block], bool]] = {
        "texture_models": (params.models, False),
        "released_texture_models": (params.models, True),
        "color_texture_models": (params.color_models, False),
    }
    for key, (blocks, starts) in lists.items():
        fitting = [name for name, block in blocks.items() if (block.starts_from is not None) == starts]
        for name in getattr(params, key):
            if name not in fitting:
                raise ParamError(refusal(key, name, f"one of {', '.join(fitting)}"))


def _check_models(prefix: str, params: Params, blocks: Mapping[str, Block]) -> None:
    """The lists of models that stages train, of one kind of image: each has a block, and all are evaluated."""
    trained: list[str] = []
    for stage in typing.get_args(Stage):
        names = getattr(params, f"{prefix}{stage}_models")
        for name in names:
            fitting = [fit for fit, block in blocks.items() if block.stage == stage and block.starts_from is None]
            if name not in fitting:
                raise ParamError(refusal(f"{prefix}{stage}_models", name, f"one of {', '.join(fitting)}"))
        trained += names
    evaluated = getattr(params, f"{prefix}evaluate_models")
    if sorted(trained) != sorted(evaluated):
        raise ParamError(refusal(f"{prefix}evaluate_models", list(evaluated), f"exactly {trained}"))
    for name in set(params.models) & set(params.color_models):
        raise ParamError(f"color_models.{name}: is the name of a block of models, too")
