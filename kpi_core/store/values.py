"""Observations: what was known of each value, and when. Append-only; a correction is a new row.

The current version of a (KPI, grain, date) is the one recorded last; at an earlier moment, the last at or before it.
No row carries a mark that it is superseded, for a mark would have to be taken from old rows: instead a board reads the
rows of its bounded window and keeps the last of each, which costs little more than reading them.

Readings travel as Arrow tables of `READINGS`; `to_arrow` and `to_readings` turn them into `Reading`s and back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from kpi_core.errors import InvalidRecord, Problem
from kpi_core.model import Grain, Reading, Span, Status
from kpi_core.store import bulk
from kpi_core.store.schema import kpi_values

__all__ = [
    "READINGS",
    "WINDOW",
    "append",
    "changed_only",
    "complete",
    "history",
    "to_arrow",
    "to_readings",
    "versions",
    "window",
]

_DECIMAL = pa.decimal128(38, 9)
_INSTANT = pa.timestamp("us", tz="UTC")
_STEP = Decimal("1e-9")
_WIDE = Context(prec=38)

READINGS = pa.schema(
    [
        ("kpi_id", pa.int64()),
        ("period_type", pa.string()),
        ("period_date", pa.date32()),
        ("value", _DECIMAL),
        ("numerator", _DECIMAL),
        ("denominator", _DECIMAL),
        ("reason", pa.string()),
        ("have_days", pa.int32()),
        ("of_days", pa.int32()),
        ("through", _INSTANT),
        ("typed", pa.bool_()),
        ("elapsed", _DECIMAL),
        ("prior", _DECIMAL),
        ("prior_note", pa.string()),
        ("verdict", pa.string()),
        ("meta_data", pa.string()),
        ("batch_id", pa.int64()),
        ("recorded_at", _INSTANT),
        ("recorded_by", pa.string()),
    ]
)
"""The columns of readings on their way in; all but the first three and `value` may be left out."""

_SAYS = READINGS.names[3:15]
"""What makes a reading another one: all it says, but not who says so, when, or with what note."""

_TABLE = kpi_values.c
_IDENTITY = (_TABLE.kpi_id, _TABLE.period_type, _TABLE.period_date)
_WINDOW_COLUMNS: tuple[sa.ColumnElement[Any], ...] = (
    _TABLE.kpi_id,
    _TABLE.period_date,
    _TABLE.value,
    sa.cast(_TABLE.value, sa.Double).label("value_float"),
    *(_TABLE[name] for name in _SAYS if name != "value"),
    _TABLE.recorded_at,
    _TABLE.recorded_by,
    _TABLE.id,
)
WINDOW = [bulk.name_of(column) for column in _WINDOW_COLUMNS]
"""The columns of `window`, in their order."""


def window(
    connection: sa.Connection,
    grain: Grain,
    start: date,
    end: date,
    as_of: datetime | None = None,
    kpi_ids: Iterable[int] | None = None,
) -> pa.Table:
    """The current version of every value of a grain in [start, end), by kpi_id and period_date; one statement.

    `as_of`: as it was known at that moment. `kpi_ids`: of these alone.
    """
    asked = [_TABLE.period_type == grain.value, _TABLE.period_date >= start, _TABLE.period_date < end]
    if as_of is not None:
        asked.append(_TABLE.recorded_at <= as_of)
    if kpi_ids is not None:
        asked.append(_TABLE.kpi_id.in_(list(kpi_ids)))
    return bulk.fetch(connection, _current(connection, _WINDOW_COLUMNS, asked, _IDENTITY[::2]))


def _current(
    connection: sa.Connection,
    columns: Sequence[sa.ColumnElement[Any]],
    asked: Sequence[sa.ColumnElement[bool]],
    identity: Sequence[sa.ColumnElement[Any]],
) -> sa.Select[*tuple[Any, ...]]:
    """Of the rows asked for, the last recorded of each identity, ordered by it.

    DuckDB finds the ids over three narrow columns and then reads the wide rows of those alone: 26 ms for a board of
    1,000 KPIs out of 1.8 M rows, where DISTINCT ON carries all columns along and takes 65. PostgreSQL does DISTINCT ON
    well, from its index.
    """
    rows = sa.select(*columns).where(*asked).order_by(*identity)
    if connection.dialect.name == "duckdb":
        last = sa.func.arg_max(_TABLE.id, sa.func.row(_TABLE.recorded_at, _TABLE.id))
        return rows.where(_TABLE.id.in_(sa.select(last).where(*asked).group_by(*identity)))
    return rows.ext(distinct_on(*identity)).order_by(_TABLE.recorded_at.desc(), _TABLE.id.desc())


def append(
    connection: sa.Connection,
    readings: pa.Table | Iterable[Reading],
    *,
    by: str | None,
    now: datetime,
) -> int:
    """Add observations, all of them (see `changed_only`); returns how many.

    `by` and `now` stand in where a reading does not say who recorded it and when. Rows go in ordered by date, which
    is what lets a window skip what it does not need.
    """
    rows = readings if isinstance(readings, pa.Table) else to_arrow(readings)
    order = [("period_type", "ascending"), ("period_date", "ascending"), ("kpi_id", "ascending")]
    return bulk.insert(connection, kpi_values, complete(rows, by=by, now=now).sort_by(order))


def complete(rows: pa.Table, *, by: str | None = None, now: datetime | None = None) -> pa.Table:
    """The rows with all columns of READINGS, in its types: absent ones are unknown, decimals rounded to 9 places."""
    fallback = {"typed": False, "recorded_at": now, "recorded_by": by}
    columns = [
        _filled(rows, field, fallback.get(field.name))
        if field.name in rows.column_names
        else pa.repeat(pa.scalar(fallback.get(field.name), field.type), rows.num_rows)
        for field in READINGS
    ]
    return pa.table(columns, READINGS)


def _filled(rows: pa.Table, field: pa.Field, fallback: object) -> pa.ChunkedArray:
    column = rows[field.name]
    if column.type != field.type:
        if pa.types.is_decimal(column.type) and column.type.scale > 9:
            column = pc.round(column, 9, "half_to_even")
        column = column.cast(field.type)
    return column if fallback is None or column.null_count == 0 else column.fill_null(pa.scalar(fallback, field.type))


def changed_only(connection: sa.Connection, rows: pa.Table) -> pa.Table:
    """The rows that say something else than the current version of their value, or are the first to say anything.

    Compared in the database, in one statement; call it under the write lock, or the answer may be old when it is used.
    Who said it, when, and with what note makes no difference.
    """
    if rows.num_rows == 0:
        return rows
    told = complete(rows).select([*READINGS.names[:3], *_SAYS])
    numbered = told.append_column("id", pa.array(range(rows.num_rows), pa.int64()))
    days = pc.min_max(told["period_date"]).as_py()
    grains = pc.unique(told["period_type"]).to_pylist()
    with bulk.staged(connection, numbered, kpi_values) as name:
        differs = _differing(connection, name, days["min"], days["max"], grains)
        places = bulk.fetch(connection, differs).sort_by("id")["id"]
    return rows.take(places)


def _differing(
    connection: sa.Connection, staged: str, first: date, last: date, grains: list[str]
) -> sa.Select[*tuple[Any, ...]]:
    """The staged rows that differ from the current version, by their `id`, which is their place."""
    told = sa.table(staged, sa.column("id", sa.BigInteger), *(sa.column(name) for name in READINGS.names[:15]))
    asked = [_TABLE.period_date.between(first, last), _TABLE.period_type.in_(grains)]
    says = [_TABLE[name] for name in _SAYS]
    known = _current(connection, [*_IDENTITY, *says], asked, _IDENTITY).subquery("known")
    same_place = sa.and_(*(told.c[column.name] == known.c[column.name] for column in _IDENTITY))
    says_else = sa.or_(*(told.c[name].is_distinct_from(known.c[name]) for name in _SAYS))
    joined = told.outerjoin(known, same_place)
    return sa.select(told.c.id).select_from(joined).where(sa.or_(known.c.kpi_id.is_(None), says_else))


def history(
    connection: sa.Connection,
    kpi_id: int,
    grain: Grain,
    start: date,
    end: date,
    as_of: datetime | None = None,
) -> pa.Table:
    """The window of one KPI: its current values in [start, end), by date."""
    return window(connection, grain, start, end, as_of, [kpi_id])


def versions(connection: sa.Connection, kpi_id: int, span: Span) -> list[Reading]:
    """Every version there was of one value, the oldest first: who recorded it, when, and why."""
    found = (
        sa.select(kpi_values)
        .where(_TABLE.kpi_id == kpi_id, _TABLE.period_type == span.grain.value, _TABLE.period_date == span.start)
        .order_by(_TABLE.recorded_at, _TABLE.id)
    )
    return [_reading(dict(row._mapping), span) for row in connection.execute(found)]


def _reading(row: Mapping[str, Any], span: Span) -> Reading:
    same = {name: row[name] for name in _PLAIN}
    verdict = Status(row["verdict"]) if row["verdict"] is not None else None
    notes = row.get("meta_data")
    notes = json.loads(notes) if isinstance(notes, str) else notes
    return Reading(
        span=span, verdict=verdict, notes=(notes or {}).get("notes"), batch_id=row.get("batch_id"), id=row["id"], **same
    )


_PLAIN = ["kpi_id", *(name for name in _SAYS if name != "verdict"), "recorded_at", "recorded_by"]


def to_readings(rows: pa.Table, span_of: Callable[[date], Span]) -> list[Reading]:
    """The rows of `window` or `history` as readings; `span_of` gives the span that starts on a date."""
    told = {name: _python(rows.column(name)) for name in (*_PLAIN, "id")}
    spans = [span_of(day) for day in rows.column("period_date").to_pylist()]
    verdicts = [Status(verdict) if verdict else None for verdict in _python(rows.column("verdict"))]
    names = (*told, "span", "verdict")
    return [Reading(**dict(zip(names, row, strict=True))) for row in zip(*told.values(), spans, verdicts, strict=True)]


def _python(column: pa.ChunkedArray) -> list[Any]:
    """A column as Python's objects; most columns of most boards say nothing at all, which costs nothing then."""
    found: list[Any] = [None] * len(column) if column.null_count == len(column) else column.to_pylist()
    return found


def to_arrow(readings: Iterable[Reading]) -> pa.Table:
    """Readings as rows of READINGS."""
    known = list(readings)
    columns: dict[str, list[Any]] = {name: [getattr(reading, name) for reading in known] for name in _AS_THEY_ARE}
    columns["period_type"] = [reading.span.grain.value for reading in known]
    columns["period_date"] = [reading.span.start for reading in known]
    columns["verdict"] = [reading.verdict.value if reading.verdict is not None else None for reading in known]
    columns["meta_data"] = [_meta_data(reading) for reading in known]
    for name in ("value", "numerator", "denominator", "elapsed", "prior"):
        columns[name] = [_rounded(number, reading) for number, reading in zip(columns[name], known, strict=True)]
    return pa.table([pa.array(columns[field.name], field.type) for field in READINGS], READINGS)


_AS_THEY_ARE = [*_PLAIN, "batch_id"]


def _meta_data(reading: Reading) -> str | None:
    return json.dumps({"notes": reading.notes}) if reading.notes is not None else None


def _rounded(number: Decimal | None, reading: Reading) -> Decimal | None:
    """To the 9 places that are kept, half to even."""
    if number is None:
        return None
    try:
        if number.is_finite():
            return number.quantize(_STEP, ROUND_HALF_EVEN, _WIDE)
    except InvalidOperation:
        pass
    where = f"KPI {reading.kpi_id}, {reading.span.grain} {reading.span.start}"
    raise InvalidRecord([Problem(where, f"{number} is no number that can be kept: up to 29 digits before the point")])
