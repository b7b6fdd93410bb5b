"""params.yaml as frozen dataclasses: what is not declared here, or out of its range, is refused by name.

Imports no torch, so that stages that are up to date, and bad parameters, cost nothing.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union

import yaml

T = TypeVar("T")


class ParamError(ValueError):
    """A parameter that is unknown, of the wrong type or out of range; the message names key, value, allowed."""


@dataclass(frozen=True)
class Range:
    """Bounds of a number, both included; a `high` of None is unbounded."""

    low: float
    high: float | None = None

    def __contains__(self, value: float) -> bool:
        return value >= self.low and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.high is None:
            return f"at least {self.low:g}"
        return f"from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Form:
    """Text of a form, given as a regular expression, and said in words."""

    pattern: str
    words: str

    def __contains__(self, value: str) -> bool:
        return re.fullmatch(self.pattern, value) is not None

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True)
class NotEmpty:
    """A list with at least one item."""

    def __contains__(self, value: tuple[Any, ...]) -> bool:
        return len(value) > 0

    def __str__(self) -> str:
        return "a list that is not empty"


Count = Annotated[int, Range(1)]
Width = Annotated[int, Range(1, 4096)]
Fraction = Annotated[float, Range(0, 1)]
NonNegative = Annotated[float, Range(0)]
Seed = Annotated[int, Range(0, 2**31)]
Context = Annotated[
    str, Form(r"stack|full|downsampled|[1-9]\d?x[1-9]\d?", 'stack, full, downsampled or a window "AxB" such as 4x2')
]
Objective = Literal["elbo", "free_bits", "soft_free_bits", "annealing"]
BINARY_DATASETS = ("mnist5k", "mnist_static", "mnist_dynamic", "omniglot", "omniglot_rebuilt", "caltech101")
ColorDataset = Literal["photos", "cifar10"]
Stage = Literal["vae", "pixelcnn", "vlae"]
EMBEDDED_DATASETS: tuple[str, ...] = ("mnist5k", "photos")


@dataclass(frozen=True)
class ModelConfig:
    """One model: which parts it is composed of, and their sizes. Defaults are the paper's (Appendix A)."""

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
    kernel_size: Literal[3, 5, 7, 9, 11] = 3
    filters: Width = 12
    tied: bool = True
    conditioning_maps: Width = 4
    conditioning_scale: Annotated[float, Range(1e-3, 10)] = 0.1
    objective: Objective = "free_bits"
    free_bits: NonNegative = 0.01
    annealing_fraction: Fraction = 0.5

    @property
    def stage(self) -> Stage:
        """Which training stage the model belongs to."""
        if self.posterior == "none":
            return "pixelcnn"
        return "vae" if self.decoder == "factorized" else "vlae"


@dataclass(frozen=True)
class TrainingConfig:
    """What all trainings share."""

    learning_rate: Annotated[float, Range(1e-8, 1)]
    images: Literal["train", "train+valid"]
    decay_fraction: Fraction
    polyak: Fraction
    precision: Literal["auto", "float32", "bfloat16"]
    device: Literal["auto", "cpu", "cuda"]
    threads: Annotated[int, Range(1, 1024)]


@dataclass(frozen=True)
class StepsConfig:
    """Optimiser steps of each training stage."""

    vae: Count
    pixelcnn: Count
    vlae: Count


@dataclass(frozen=True)
class ScaleConfig:
    """A budget: how long to train, how much to evaluate. None means all images."""

    steps: StepsConfig
    max_epochs: Count | None
    batch_size: Count
    validate_every: Count
    validate_images: Count | None
    test_images: Annotated[int, Range(2)] | None
    train_images: Annotated[int, Range(2)] | None
    importance_samples: Count

    def planned_steps(self, stage: Stage, steps_per_epoch: int) -> int:
        """Steps of a training stage: its budget, or `max_epochs` where a small data set reaches them first."""
        steps: int = getattr(self.steps, stage)
        return steps if self.max_epochs is None else min(steps, self.max_epochs * steps_per_epoch)


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

    `loader` ("package.module:function") gets the folder of the raw files and returns the splits train, valid, test, as
    in pipeline/data/preparing.py; `files` maps the URL of each raw file to the SHA-256 of its content, unpacked.
    """

    loader: Annotated[str, Form(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", "package.module:function")]
    dynamic: bool = False
    files: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Params:
    """The whole of params.yaml."""

    scale: str
    binary_datasets: Annotated[tuple[str, ...], NotEmpty()]
    color_datasets: tuple[ColorDataset, ...]
    vae_models: tuple[str, ...]
    pixelcnn_models: tuple[str, ...]
    vlae_models: tuple[str, ...]
    evaluate_models: tuple[str, ...]
    seeds: Annotated[tuple[Seed, ...], NotEmpty()]
    checkpoint_seconds: NonNegative
    data: DataConfig
    own_datasets: dict[str, OwnDataset]
    models: dict[str, ModelConfig]
    training: TrainingConfig
    scales: dict[str, ScaleConfig]

    @property
    def budget(self) -> ScaleConfig:
        """The block of `scales` that `scale` names."""
        return self.scales[self.scale]

    @property
    def datasets(self) -> tuple[str, ...]:
        """All data sets, binary ones first."""
        return self.binary_datasets + self.color_datasets

    def model(self, name: str) -> ModelConfig:
        """The block of `models` called `name`; ParamError if there is none."""
        if name not in self.models:
            raise ParamError(_refusal("--model", name, f"one of {', '.join(self.models)} (models in params.yaml)"))
        return self.models[name]

    def seed(self, number: int | None) -> int:
        """`number` if it is one of `seeds`, the first of them if it is None; ParamError otherwise."""
        if number is None:
            return self.seeds[0]
        if number not in self.seeds:
            raise ParamError(_refusal("--seed", number, f"one of {list(self.seeds)} (seeds in params.yaml)"))
        return number

    def require_binary(self, dataset: str) -> None:
        """ParamError unless `dataset` is one of binary_datasets, which are downloaded and prepared."""
        if dataset not in self.binary_datasets:
            allowed = f"one of {', '.join(self.binary_datasets)} (binary_datasets in params.yaml)"
            raise ParamError(_refusal("--dataset", dataset, allowed))


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and check a parameter file.

    Raises ParamError naming the key, its value and what is allowed; FileNotFoundError if there is no file.
    """
    try:
        raw = yaml.safe_load(Path(path).read_text())
    except yaml.YAMLError as error:
        raise ParamError(f"{path} is not valid YAML: {error}") from error
    params = from_mapping(Params, raw)
    _check_names(params)
    return params


def from_mapping(cls: type[T], raw: Any, key: str = "") -> T:
    """Build the dataclass `cls` from a mapping, checking every key, type and range; `key` is the path so far."""
    if not isinstance(raw, Mapping):
        raise ParamError(_refusal(key or "params.yaml", raw, "a mapping of keys to values"))
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in raw:
        if name not in fields:
            raise ParamError(f"{_join(key, name)}: unknown key; allowed: {', '.join(fields)}")
    for name, field in fields.items():
        if name not in raw and field.default is field.default_factory is dataclasses.MISSING:
            raise ParamError(f"{_join(key, name)}: missing")
    hints = typing.get_type_hints(cls, include_extras=True)
    return cls(**{name: _convert(hints[name], value, _join(key, name)) for name, value in raw.items()})


def _convert(hint: Any, value: Any, key: str) -> Any:
    """`value` as the annotated type `hint`, or ParamError."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return from_mapping(typing.cast(type, hint), value, key)
    if origin is Annotated:
        return _in_range(_convert(arguments[0], value, key), arguments[1], key)
    if origin is Literal:
        if value not in arguments or type(value) is not type(arguments[0]):
            raise ParamError(_refusal(key, value, f"one of {', '.join(map(str, arguments))}"))
        return value
    if origin in (Union, types.UnionType):
        return None if value is None else _convert(arguments[0], value, key)
    if origin is tuple:
        if not isinstance(value, list):
            raise ParamError(_refusal(key, value, "a list"))
        return tuple(_convert(arguments[0], item, f"{key}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ParamError(_refusal(key, value, "a mapping of names to blocks"))
        return {name: _convert(arguments[1], item, _join(key, name)) for name, item in value.items()}
    return _scalar(hint, value, key)


def _scalar(kind: type, value: Any, key: str) -> Any:
    names = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)) or value != value:
        raise ParamError(_refusal(key, value, names[kind]))
    return value


def _in_range(value: Any, allowed: Range | Form | NotEmpty, key: str) -> Any:
    if value not in allowed:
        raise ParamError(_refusal(key, value, str(allowed)))
    return value


def _check_names(params: Params) -> None:
    """The checks that join two keys: names that must exist, and parts that must fit each other."""
    if params.scale not in params.scales:
        raise ParamError(_refusal("scale", params.scale, f"one of {', '.join(params.scales)}"))
    known = [*BINARY_DATASETS, *params.own_datasets]
    for i, dataset in enumerate(params.binary_datasets):
        if dataset not in known:
            raise ParamError(_refusal(f"binary_datasets[{i}]", dataset, f"one of {', '.join(known)}"))
    for name in params.own_datasets:
        if name in (*BINARY_DATASETS, *typing.get_args(ColorDataset)):
            raise ParamError(f"own_datasets.{name}: is the name of a built-in data set")
    trained: list[str] = []
    for stage in typing.get_args(Stage):
        names = getattr(params, f"{stage}_models")
        for name in names:
            fitting = [fit for fit, block in params.models.items() if block.stage == stage]
            if name not in fitting:
                raise ParamError(_refusal(f"{stage}_models", name, f"one of {', '.join(fitting)}"))
        trained += names
    if sorted(trained) != sorted(set(params.evaluate_models)) or len(trained) != len(params.evaluate_models):
        raise ParamError(_refusal("evaluate_models", list(params.evaluate_models), f"exactly {trained}"))
    for name, block in params.models.items():
        if (block.posterior == "none") != (block.prior == "none"):
            raise ParamError(_refusal(f"models.{name}.prior", block.prior, "none if and only if posterior is none"))
        if block.posterior == "none" and block.decoder == "factorized":
            raise ParamError(_refusal(f"models.{name}.decoder", block.decoder, "pixelcnn where posterior is none"))


def _join(key: str, name: Any) -> str:
    return f"{key}.{name}" if key else str(name)


def _refusal(key: str, value: Any, allowed: str) -> str:
    return f"{key} = {value!r}: must be {allowed}"
