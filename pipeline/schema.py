"""Mappings as frozen dataclasses: what is not declared, or out of its range, is refused by its dotted name."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union

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


@dataclass(frozen=True)
class Distinct:
    """A list with nothing twice, in capitals or not: items become folders, and to some systems those are the same."""

    def __contains__(self, value: tuple[Any, ...]) -> bool:
        return len({str(item).casefold() for item in value}) == len(value)

    def __str__(self) -> str:
        return "a list without duplicates"


def from_mapping(cls: type[T], raw: Any, key: str = "") -> T:
    """Build the dataclass `cls` from a mapping, checking every key, type and range; `key` is the path so far.

    Rules that join keys are the dataclass's own: its `__post_init__` raises ParamError, which is given the path here.
    """
    if not isinstance(raw, Mapping):
        raise ParamError(refusal(key or "params.yaml", raw, "a mapping of keys to values"))
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in raw:
        if name not in fields:
            raise ParamError(f"{_join(key, name)}: unknown key; allowed: {', '.join(fields)}")
    for name, field in fields.items():
        if name not in raw and field.default is field.default_factory is dataclasses.MISSING:
            raise ParamError(f"{_join(key, name)}: missing")
    hints = typing.get_type_hints(cls, include_extras=True)
    values = {name: _convert(hints[name], value, _join(key, name)) for name, value in raw.items()}
    try:
        return cls(**values)
    except ParamError as error:
        raise ParamError(_join(key, error)) from error


def _convert(hint: Any, value: Any, key: str) -> Any:
    """`value` as the annotated type `hint`, or ParamError."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return from_mapping(typing.cast(type, hint), value, key)
    if origin is Annotated:
        converted = _convert(arguments[0], value, key)
        for allowed in arguments[1:]:
            if converted not in allowed:
                raise ParamError(refusal(key, value, str(allowed)))
        return converted
    if origin is Literal:
        if value not in arguments or type(value) is not type(arguments[0]):
            raise ParamError(refusal(key, value, f"one of {', '.join(map(str, arguments))}"))
        return value
    if origin in (Union, types.UnionType):
        return None if value is None else _convert(arguments[0], value, key)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ParamError(refusal(key, value, "a list"))
        return tuple(_convert(arguments[0], item, f"{key}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ParamError(refusal(key, value, "a mapping of names to blocks"))
        names = [_convert(arguments[0], name, f"a name in {key}") for name in value]
        return {name: _convert(arguments[1], value[name], _join(key, name)) for name in names}
    return _scalar(hint, value, key)


def _scalar(kind: type, value: Any, key: str) -> Any:
    names = {int: "an integer", float: "a finite number", bool: "true or false", str: "text"}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    infinite = isinstance(value, float) and not math.isfinite(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)) or infinite:
        raise ParamError(refusal(key, value, names[kind]))
    return value


def _join(key: str, name: Any) -> str:
    return f"{key}.{name}" if key else str(name)


def refusal(key: str, value: Any, allowed: str) -> str:
    """The message of a ParamError."""
    return f"{key} = {value!r}: must be {allowed}"
