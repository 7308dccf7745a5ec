"""Whole columns of text to typed columns, exactly; and which rows could not be taken.

A column is checked and cast as a whole, by the rule that nearly every cell follows. Rows with a cell that does not
follow it go one by one through `kpi_core.validate`, which knows every rule and every reason. So a file of millions of
plain rows costs seconds, and an unusual row is judged exactly as everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi_core.errors import Problem
from kpi_core.model import ColumnType, Dataset
from kpi_core.validate import Rows
from kpi_core.warehouse.tables import column_name

__all__ = ["INSTANT", "NUMBER", "Typed", "local_days", "type_columns"]

NUMBER = pa.decimal128(18, 6)
INSTANT = pa.timestamp("us", tz="UTC")
ARROW: Mapping[ColumnType, pa.DataType] = {
    ColumnType.TEXT: pa.string(),
    ColumnType.NUMBER: NUMBER,
    ColumnType.BOOLEAN: pa.bool_(),
}
_USUAL_NUMBER = r"^-?[0-9]{1,12}(\.[0-9]{1,6})?$"
_DAY = r"^(19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}$"
_LOCAL = r"^(19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?$"
_WITH_OFFSET = (
    r"^(19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[-+][0-9]{2}:?[0-9]{2})$"
)
_MOST_CHARACTERS = 4_000
_FEW = 64

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Typed:
    """The rows that can be taken, as the records' table has them (`at`, `day`, `record_key` and the columns), and all
    that is wrong with the others."""

    rows: pa.Table
    problems: tuple[Problem, ...]
    refused: int


@dataclass(frozen=True, slots=True)
class _Column:
    values: pa.Array
    unusual: Mask


def type_columns(dataset: Dataset, time_zone: str, raw: pa.Table, line_of: Callable[[list[int]], list[int]]) -> Typed:
    """Type the columns of a file, given as text or (Parquet) as they are stored.

    `line_of` says on which lines of the file rows stand, given their places; it is asked about bad rows only.
    """
    columns = dict(_typed(dataset, time_zone, raw))
    unusual: Mask = np.zeros(raw.num_rows, dtype=np.bool_)
    for column in columns.values():
        unusual |= column.unusual
    usual = pa.table({name: column.values for name, column in columns.items()})
    if not unusual.any():
        return Typed(usual, (), 0)
    places = np.flatnonzero(unusual)
    return _with_unusual(dataset, time_zone, raw, usual.filter(pa.array(~unusual)), places, line_of)


def _with_unusual(
    dataset: Dataset,
    time_zone: str,
    raw: pa.Table,
    usual: pa.Table,
    places: npt.NDArray[np.intp],
    line_of: Callable[[list[int]], list[int]],
) -> Typed:
    """Judge the unusual rows one by one. Rows come back in the order of the file: the later of two wins."""
    reader = Rows(dataset, time_zone)
    taken: list[tuple[int, Mapping[str, Any]]] = []
    refused: list[int] = []
    rows = raw.take(pa.array(places)).to_pylist()
    for place, row in zip(places.tolist(), rows, strict=True):
        outcome = reader.read(row, 0)
        if isinstance(outcome, dict):
            taken.append((place, _renamed(outcome)))
        else:
            refused.append(place)
    lines = line_of(refused) if refused else []
    by_place = dict(zip(places.tolist(), rows, strict=True))
    problems = [
        problem
        for place, line in zip(refused, lines, strict=True)
        for problem in _as_problems(reader.read(by_place[place], line))
    ]
    merged = _merged(usual, taken, places, raw.num_rows)
    return Typed(merged, tuple(problems), len(refused))


def _as_problems(outcome: object) -> list[Problem]:
    return outcome if isinstance(outcome, list) else []


def _renamed(record: Mapping[str, Any]) -> dict[str, Any]:
    ours = {"at": record["at"], "day": record["day"], "record_key": record["record_key"]}
    return ours | {column_name(name): value for name, value in record.items() if name not in ours}


def _merged(
    usual: pa.Table, taken: list[tuple[int, Mapping[str, Any]]], places: npt.NDArray[np.intp], total: int
) -> pa.Table:
    if not taken:
        return usual
    unusual = pa.Table.from_pylist([row for _, row in taken], usual.schema)
    is_usual = np.ones(total, dtype=np.bool_)
    is_usual[places] = False
    order = np.concatenate([np.flatnonzero(is_usual), np.array([place for place, _ in taken], dtype=np.intp)])
    return pa.concat_tables([usual, unusual]).take(pa.array(np.argsort(order, kind="stable")))


def _typed(dataset: Dataset, time_zone: str, raw: pa.Table) -> Iterator[tuple[str, _Column]]:
    nulls = pa.array(list(dataset.null_values), pa.string())
    at = _instants(_known(raw[dataset.time_column], nulls), dataset.time_zone or time_zone, time_zone)
    yield "at", at
    yield "day", _Column(local_days(at.values, time_zone), at.unusual)
    if dataset.record_key is None:
        yield "record_key", _Column(pa.nulls(raw.num_rows, pa.string()), np.zeros(raw.num_rows, dtype=np.bool_))
    else:
        key = _texts(_known(raw[dataset.record_key], nulls))
        yield "record_key", _Column(key.values, key.unusual | _mask(pc.is_null(key.values)))
    for column in dataset.columns:
        yield column_name(column.name), _CASTS[column.type](_known(raw[column.name], nulls))


def _known(column: pa.ChunkedArray, nulls: pa.Array) -> pa.Array:
    """One array, the texts that mean "unknown" as nulls."""
    values = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    if not pa.types.is_string(values.type):
        return values
    return pc.if_else(pc.is_in(values, value_set=nulls), pa.scalar(None, pa.string()), values)


def _mask(values: pa.Array) -> Mask:
    """Nulls count as False."""
    found: Mask = pc.fill_null(values, False).to_numpy(zero_copy_only=False).astype(np.bool_)
    return found


def _checked(values: pa.Array, fits: pa.Array, cast: Callable[[pa.Array], pa.Array], kind: pa.DataType) -> _Column:
    """Cast the cells that fit; the others stay null and are marked, unless they are unknown."""
    kept = pc.if_else(fits, values, pa.scalar(None, values.type))
    unusual = _mask(pc.and_(pc.is_valid(values), pc.invert(pc.fill_null(fits, False))))
    try:
        return _Column(cast(kept), unusual)
    except pa.ArrowInvalid:  # something looks right and is not, such as 30 February
        return _checked_by_halves(values, fits, cast, kind)


def _checked_by_halves(
    values: pa.Array, fits: pa.Array, cast: Callable[[pa.Array], pa.Array], kind: pa.DataType
) -> _Column:
    """Narrow down where the trouble is, so that only the rows around it are judged one by one."""
    if len(values) <= _FEW:
        return _refused_type(values, kind)
    half = len(values) // 2
    parts = [
        _checked(values.slice(start, size), fits.slice(start, size), cast, kind)
        for start, size in ((0, half), (half, len(values) - half))
    ]
    return _Column(pa.concat_arrays([part.values for part in parts]), np.concatenate([part.unusual for part in parts]))


def _refused_type(values: pa.Array, kind: pa.DataType) -> _Column:
    return _Column(pa.nulls(len(values), kind), _mask(pc.is_valid(values)))


def _texts(values: pa.Array) -> _Column:
    if pa.types.is_integer(values.type):
        values = values.cast(pa.string())
    if not pa.types.is_string(values.type):
        return _refused_type(values, pa.string())
    long = pc.greater(pc.binary_length(values), _MOST_CHARACTERS)
    bad = pc.or_(long, pc.match_substring(values, "\x00"))
    return _Column(values, _mask(bad))


def _numbers(values: pa.Array) -> _Column:
    kind = values.type
    if pa.types.is_floating(kind):
        values = values.cast(pa.string())  # the shortest digits that mean this float, as everywhere
    elif pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        try:
            return _Column(values.cast(NUMBER), np.zeros(len(values), dtype=np.bool_))
        except pa.ArrowInvalid:
            return _refused_type(values, NUMBER)
    elif not pa.types.is_string(kind):
        return _refused_type(values, NUMBER)
    fits = pc.match_substring_regex(values, _USUAL_NUMBER)
    return _checked(values, fits, lambda kept: kept.cast(NUMBER), NUMBER)


_TRUE = pa.array(["true", "t", "yes", "y", "1"])
_FALSE = pa.array(["false", "f", "no", "n", "0"])


def _booleans(values: pa.Array) -> _Column:
    if pa.types.is_boolean(values.type):
        return _Column(values, np.zeros(len(values), dtype=np.bool_))
    if not pa.types.is_string(values.type):
        return _refused_type(values, pa.bool_())
    words = pc.utf8_lower(pc.utf8_trim_whitespace(values))
    is_true, is_false = pc.is_in(words, value_set=_TRUE), pc.is_in(words, value_set=_FALSE)
    known = pc.or_(is_true, is_false)
    truth = pc.if_else(known, is_true, pa.scalar(None, pa.bool_()))
    return _Column(truth, _mask(pc.and_(pc.is_valid(values), pc.invert(known))))


_CASTS: Mapping[ColumnType, Callable[[pa.Array], _Column]] = {
    ColumnType.TEXT: _texts,
    ColumnType.NUMBER: _numbers,
    ColumnType.BOOLEAN: _booleans,
}


def _instants(values: pa.Array, zone: str, reporting_zone: str) -> _Column:
    """Instants in UTC; an unknown one is unusual too."""
    kind = values.type
    if pa.types.is_timestamp(kind):
        column = _Column(_in_zone(values, zone), np.zeros(len(values), dtype=np.bool_))
    elif pa.types.is_date(kind):
        column = _Column(_in_zone(values.cast(pa.timestamp("us")), reporting_zone), _mask(pc.is_null(values)))
    elif pa.types.is_string(kind):
        column = _written_instants(values, zone, reporting_zone)
    else:
        column = _refused_type(values, INSTANT)
    return _Column(column.values, column.unusual | _mask(pc.is_null(column.values)))


def _written_instants(values: pa.Array, zone: str, reporting_zone: str) -> _Column:
    """Each way of writing is cast as a whole; a file nearly always keeps to one of them."""
    result = pa.nulls(len(values), INSTANT)
    unusual = _mask(pc.is_valid(values))
    ways: tuple[tuple[str, Callable[[pa.Array], pa.Array]], ...] = (
        (_WITH_OFFSET, lambda kept: kept.cast(INSTANT)),
        (_LOCAL, lambda kept: _in_zone(kept.cast(pa.timestamp("us")), zone)),
        (_DAY, lambda kept: _in_zone(kept.cast(pa.timestamp("us")), reporting_zone)),
    )
    for pattern, cast in ways:
        if not unusual.any():
            break
        column = _checked(values, pc.match_substring_regex(values, pattern), cast, INSTANT)
        result = pc.coalesce(result, column.values)
        unusual &= column.unusual
    return _Column(result, unusual)


def _in_zone(values: pa.Array, zone: str) -> pa.Array:
    """Instants of local times: of two, the earlier; in the hour that is skipped, moved on by the gap."""
    if values.type.tz is not None:
        return values.cast(INSTANT, safe=False)
    local = values.cast(pa.timestamp("us"), safe=False)
    try:
        return pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="raise").cast(INSTANT)
    except pa.ArrowInvalid:
        return _moved_on(local, zone)


def _moved_on(local: pa.Array, zone: str) -> pa.Array:
    """As zoneinfo has it: a local time in the gap counts with the offset from before it."""
    early = pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="earliest").cast(INSTANT)
    back = pc.local_timestamp(early.cast(pa.timestamp("us", tz=zone)))
    exists = pc.equal(back, local)
    before = pc.assume_timezone(
        pc.if_else(exists, local, pc.subtract(local, pa.scalar(86_400_000_000, pa.duration("us")))),
        zone,
        ambiguous="earliest",
        nonexistent="earliest",
    ).cast(INSTANT)
    moved = pc.add(before, pa.scalar(86_400_000_000, pa.duration("us")))
    return pc.if_else(exists, early, moved)


def local_days(instants: pa.Array | pa.ChunkedArray, time_zone: str) -> pa.Array | pa.ChunkedArray:
    """The local date of each instant."""
    return pc.local_timestamp(instants.cast(pa.timestamp("us", tz=time_zone))).cast(pa.date32(), safe=False)
