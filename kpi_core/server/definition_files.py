"""Reads definition files, YAML or JSON, for catalog.py, which takes parsed documents and never touches a file.

Two habits of the parsers are taken away: a key that stands twice is an error (else the first is lost without a word),
and a number with a fraction is kept as the decimal that was written. Everything wrong with every file is said at once.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from kpi_core.catalog import Catalog, parse_catalog
from kpi_core.errors import InvalidDefinition, Problem

__all__ = ["SUFFIXES", "parse_texts", "read_catalog", "read_texts"]

SUFFIXES = (".yaml", ".yml", ".json")
LARGEST = 5_000_000
"""Bytes. All definitions of a large company are a few hundred thousand."""


def read_catalog(paths: Iterable[Path], *, known: Catalog | None = None) -> Catalog:
    """The definitions in these files; see the two functions it is made of."""
    return parse_texts(read_texts(paths), known=known)


def read_texts(paths: Iterable[Path]) -> dict[str, str]:
    """The texts of definition files, by name; a folder stands for the definition files in it.

    Raises InvalidDefinition with every file that cannot be read.
    """
    problems: list[Problem] = []
    texts: dict[str, str] = {}
    for path in _files(paths, problems):
        try:
            texts[str(path)] = _text(path)
        except InvalidDefinition as error:
            problems += error.problems
    if problems:
        raise InvalidDefinition(problems)
    return texts


def parse_texts(texts: Mapping[str, str], *, known: Catalog | None = None) -> Catalog:
    """The definitions in these texts; a name that ends in .json is read as JSON, else YAML.

    `known` is what is defined already and may be referred to. Raises InvalidDefinition with every problem there is.
    """
    problems: list[Problem] = []
    documents: dict[str, object] = {}
    for name, text in texts.items():
        try:
            documents[name] = _document(name, text)
        except InvalidDefinition as error:
            problems += error.problems
    if problems:
        # What cannot be parsed may hold what the others refer to: of those, nothing certain can be said yet.
        raise InvalidDefinition(problems)
    return parse_catalog(documents, known=known)


def _files(paths: Iterable[Path], problems: list[Problem]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        found = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
        files += found
        if not found:
            problems.append(Problem(str(path), f"no definition files in this folder ({', '.join(SUFFIXES)})"))
    return list(dict.fromkeys(files))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise InvalidDefinition([Problem(str(path), f"too large for definitions (over {LARGEST:,} bytes)")])
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidDefinition([Problem(str(path), f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise InvalidDefinition([Problem(str(path), f"is not UTF-8 text (byte {error.start})")]) from None


def _document(name: str, text: str) -> object:
    try:
        if name.endswith(".json"):
            return json.loads(text, parse_float=Decimal, object_pairs_hook=_no_key_twice)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except yaml.YAMLError as error:
        problem = Problem(f"{name}{_place(error)}", _says(error))
    except json.JSONDecodeError as error:
        problem = Problem(f"{name}: line {error.lineno}, column {error.colno}", error.msg)
    except RecursionError:
        problem = Problem(name, "nested too deeply to be a definition")
    except ValueError as error:
        problem = Problem(name, str(error))
    raise InvalidDefinition([problem])


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise ValueError(f"'{twice}' stands twice; which one is meant?")
    return dict(pairs)


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f": line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _says(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or "is not YAML").strip()


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, without two of its habits (see the module's docstring)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen and key_node.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key}' stands twice; which one is meant?", key_node.start_mark
                )
            seen |= {key} if isinstance(key, Hashable) else set()
        return super().construct_mapping(node, deep=deep)


def _decimal(loader: _Loader, node: yaml.ScalarNode) -> Decimal | float:
    text = str(loader.construct_scalar(node)).replace("_", "")
    try:
        return Decimal(text)
    except InvalidOperation:
        return loader.construct_yaml_float(node)  # .inf and .nan, which catalog.py refuses by name


_Loader.add_constructor("tag:yaml.org,2002:float", _decimal)
