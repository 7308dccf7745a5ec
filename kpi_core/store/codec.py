# ruff: noqa: ANN401 - a coder takes and gives whatever a field may hold
"""Frozen dataclasses to JSON and back, exactly: definitions are kept as documents and come back as they were.

What equals its default is left out, so that a document reads well in a database shell and a new optional field needs
no migration. Decimals are kept as text, because JSON numbers pass through floats; where a text could stand in the same
place (a condition's constant), a decimal is marked as {"number": "1.50"}. Coders are built once a type: a thousand
definitions are read in some tens of milliseconds.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

__all__ = ["decode", "encode"]

Coder = Callable[[Any], Any]
T = TypeVar("T")


def encode(value: Any, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """A dataclass as JSON; the fields named by `without` live elsewhere."""
    fields = _fields(cast("Any", type(value)))
    return {
        name: field.write(getattr(value, name))
        for name, field in fields.items()
        if name not in without and not (field.has_default and getattr(value, name) == field.default)
    }


def decode(kind: type[T], data: Mapping[str, Any], **more: Any) -> T:
    """The dataclass that was encoded; `more` gives the fields that live elsewhere."""
    fields = _fields(cast("Any", kind))  # mypy holds that types are not hashable
    return kind(**{name: fields[name].read(value) for name, value in data.items()}, **more)


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    write: Coder
    read: Coder
    has_default: bool
    default: Any


@cache
def _fields(kind: Any) -> dict[str, _Field]:
    hints = get_type_hints(kind)
    return {field.name: _field(field, hints[field.name]) for field in dataclasses.fields(kind)}


def _field(field: dataclasses.Field[Any], hint: Any) -> _Field:
    write, read = _coders(hint)
    if field.default_factory is not dataclasses.MISSING:
        return _Field(write, read, True, field.default_factory())
    has_default = field.default is not dataclasses.MISSING
    return _Field(write, read, has_default, field.default if has_default else None)


@cache
def _coders(hint: Any) -> tuple[Coder, Coder]:
    """How to write and how to read a value of this type."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _union(get_args(hint))
    if origin in (tuple, frozenset):
        return _collection(origin, _coders(get_args(hint)[0]))
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(_coders(get_args(hint)[1]))
    return _plain(hint)


def _plain(hint: type[Any]) -> tuple[Coder, Coder]:
    if dataclasses.is_dataclass(hint):
        return encode, lambda data: decode(hint, data)
    if issubclass(hint, Enum):
        return lambda value: value.value, hint
    if hint is Decimal:
        return str, Decimal
    if issubclass(hint, date):
        return lambda value: value.isoformat(), (datetime if issubclass(hint, datetime) else date).fromisoformat
    return _same, _same


def _union(hints: tuple[Any, ...]) -> tuple[Coder, Coder]:
    known = [hint for hint in hints if hint is not types.NoneType]
    if len(known) > 1:
        return _write_constant, _read_constant
    write, read = _coders(known[0])
    return (
        lambda value: None if value is None else write(value),
        lambda value: None if value is None else read(value),
    )


def _collection(kind: type[Any], item: tuple[Coder, Coder]) -> tuple[Coder, Coder]:
    write, read = item
    ordered: Callable[[Any], Any] = sorted if kind is frozenset else _same
    return (
        lambda values: [write(value) for value in ordered(values)],
        lambda values: kind(read(value) for value in values),
    )


def _mapping(item: tuple[Coder, Coder]) -> tuple[Coder, Coder]:
    write, read = item
    return (
        lambda values: {key: write(value) for key, value in values.items()},
        lambda values: {key: read(value) for key, value in values.items()},
    )


def _write_constant(value: Any) -> Any:
    """A text, decimal, truth value, or several of them."""
    if isinstance(value, Decimal):
        return {"number": str(value)}
    return [_write_constant(item) for item in value] if isinstance(value, tuple) else value


def _read_constant(value: Any) -> Any:
    if isinstance(value, dict):
        return Decimal(value["number"])
    return tuple(_read_constant(item) for item in value) if isinstance(value, list) else value


def _same(value: Any) -> Any:
    return value
