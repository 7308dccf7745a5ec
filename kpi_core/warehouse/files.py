"""CSV (also .gz) and Parquet files to typed columns.

A CSV file is read as text alone: no type is guessed and no number passes through a float. Only the columns that the
dataset declares are kept. Files are read by Arrow, outside any database, so that no path ever reaches SQL.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from kpi_core.errors import InvalidRecord, Problem
from kpi_core.model import Dataset
from kpi_core.validate import check_header
from kpi_core.warehouse.cells import Typed, type_columns

__all__ = ["read_file"]

_DELIMITERS = ",;\t|"
_BLOCK = 8 << 20


def read_file(path: Path, dataset: Dataset, time_zone: str) -> Typed:
    """The rows of a file, typed. InvalidRecord where it cannot be read at all; each problem names the file."""
    try:
        typed = _read_parquet(path, dataset, time_zone) if _is_parquet(path) else _read_csv(path, dataset, time_zone)
    except FileNotFoundError:
        raise InvalidRecord([Problem(str(path), "there is no such file")]) from None
    except IsADirectoryError:
        raise InvalidRecord([Problem(str(path), "is a folder; name the files in it")]) from None
    except (OSError, EOFError) as error:
        raise InvalidRecord([Problem(str(path), f"cannot be read: {error}")]) from None
    return replace(typed, problems=tuple(_named(path, problem) for problem in typed.problems))


def _named(path: Path, problem: Problem) -> Problem:
    return Problem(f"{path.name}: {problem.where}" if problem.where else path.name, problem.says)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _wanted(dataset: Dataset) -> list[str]:
    keys = [dataset.record_key] if dataset.record_key else []
    return list(dict.fromkeys([dataset.time_column, *keys, *(column.name for column in dataset.columns)]))


def _check_header(path: Path, dataset: Dataset, header: Sequence[str]) -> None:
    problems = check_header(dataset, header)
    if problems:
        raise InvalidRecord([_named(path, problem) for problem in problems])


# --- Parquet --------------------------------------------------------------------------------------------------------


def _read_parquet(path: Path, dataset: Dataset, time_zone: str) -> Typed:
    try:
        file = pa_parquet.ParquetFile(path)
        _check_header(path, dataset, file.schema_arrow.names)
        raw = file.read(columns=_wanted(dataset))
    except pa.ArrowInvalid as error:
        raise InvalidRecord([Problem(str(path), f"is not a Parquet file that can be read: {error}")]) from None
    typed = type_columns(dataset, time_zone, raw, lambda places: [place + 1 for place in places])
    said = tuple(Problem(problem.where.replace("line ", "row ", 1), problem.says) for problem in typed.problems)
    return replace(typed, problems=said)


# --- CSV ------------------------------------------------------------------------------------------------------------


def _read_csv(path: Path, dataset: Dataset, time_zone: str) -> Typed:
    """Rows with too few or too many cells are left out by the parser and named afterwards, with their line."""
    header, delimiter = _header(path)
    _check_header(path, dataset, header)
    misfits: list[pa_csv.InvalidRow] = []

    def note(row: pa_csv.InvalidRow) -> str:
        misfits.append(row)
        return "skip"

    raw = _parsed(path, _wanted(dataset), delimiter, note)
    lines = _Lines(path, delimiter, len(header))
    typed = type_columns(dataset, time_zone, raw, lines.of)
    if not misfits:
        return typed
    wrong = lines.misfits()
    problems = sorted([*wrong, *typed.problems], key=_line_number)
    return replace(typed, problems=tuple(problems), refused=typed.refused + len(wrong))


def _line_number(problem: Problem) -> int:
    return int(problem.where.removeprefix("line ").partition(",")[0])


def _header(path: Path) -> tuple[list[str], str]:
    """The names in the first line, and what separates them."""
    with _text(path) as file:
        first = file.readline()
    if not first.strip():
        raise InvalidRecord([Problem(str(path), "is empty; its first line must name the columns")])
    delimiter = max(_DELIMITERS, key=first.count)
    return next(csv.reader([first], delimiter=delimiter)), delimiter


def _parsed(path: Path, wanted: list[str], delimiter: str, on_invalid: Callable[[Any], str]) -> pa.Table:
    compression = "gzip" if _is_gzip(path) else None
    try:
        with pa.input_stream(str(path), compression=compression) as stream:
            return pa_csv.read_csv(
                stream,
                pa_csv.ReadOptions(block_size=_BLOCK),
                pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=on_invalid),
                pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(wanted, pa.string()),
                    include_columns=wanted,
                    strings_can_be_null=False,
                ),
            )
    except pa.ArrowInvalid as error:
        says = "is not UTF-8 text; save it as UTF-8" if "UTF8" in str(error) else f"is not CSV: {error}"
        raise InvalidRecord([Problem(path.name, says)]) from None


class _Lines:
    """On which line of the file each row starts. Reads the file once more, and only when something is wrong."""

    def __init__(self, path: Path, delimiter: str, width: int) -> None:
        self._path = path
        self._delimiter = delimiter
        self._width = width

    def of(self, places: list[int]) -> list[int]:
        """The lines of the rows that the parser took, by their ascending places."""
        lines = (line for line, cells in self._rows() if len(cells) == self._width)
        found: list[int] = []
        before = -1
        for place in places:
            found.append(next(islice(lines, place - before - 1, None)))
            before = place
        return found

    def misfits(self) -> list[Problem]:
        return [
            Problem(f"line {line}", f"has {len(cells)} cells, and the header has {self._width}")
            for line, cells in self._rows()
            if len(cells) != self._width
        ]

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """The rows after the header with their lines; empty lines are no rows."""
        with _text(self._path) as file:
            reader = csv.reader(file, delimiter=self._delimiter)
            next(reader)
            line = reader.line_num + 1
            for cells in reader:
                if cells:
                    yield line, cells
                line = reader.line_num + 1


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def _text(path: Path) -> Iterator[io.TextIOWrapper]:
    try:
        with gzip.open(path) if _is_gzip(path) else path.open("rb") as binary:
            yield io.TextIOWrapper(binary, "utf-8-sig", newline="")
    except UnicodeDecodeError as error:
        raise InvalidRecord([Problem(path.name, f"is not UTF-8 text (byte {error.start}); save it as UTF-8")]) from None
