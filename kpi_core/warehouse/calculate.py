# ruff: noqa: S608 - this SQL is made of our own table names and of numbers; nothing that people wrote gets in
"""From parts to values: each term's value in each window, then each series' numerator, denominator and value.

A handful of statements, whatever the number of series and windows; the last step is arithmetic on columns:

1. additive terms: the parts of a window's days, added up (and the last of them, where that is all that is asked);
2. last values: the sum of each segment's last in the window. Where a segment that stood at something other than 0
   before has none in the window, there is no value, since a sum without it would be too small without a word
   (SEMANTICS.md, section 4); a segment that ends says so with a last record of 0. `at="start"` is the sum of what
   each segment stood at before the window;
3. distinct counts and quantiles: from the records of the window, for just the windows that are asked for;
4. weights, sums and the division (`assembly.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from kpi_core.model import Aggregate, Dataset, Term
from kpi_core.store import bulk
from kpi_core.warehouse import tables
from kpi_core.warehouse.assembly import TERM_VALUES, assemble, reasons
from kpi_core.warehouse.parts import keyed, numbers_of
from kpi_core.warehouse.plan import FROM_RECORDS, Family, Plan, families
from kpi_core.warehouse.scratch import Scratch
from kpi_core.warehouse.windows import Windows

__all__ = ["calculate"]

Ints = npt.NDArray[np.int64]
VALUE = sa.Numeric(38, 9)
_MOST_DAYS = 200


@dataclass(frozen=True, slots=True)
class _Case:
    """What every step needs at hand."""

    scratch: Scratch
    plan: Plan
    datasets: Mapping[str, Dataset]
    parts: Sequence[str]
    windows: Windows
    todo: pa.Table

    def fetch(self, sql: str) -> pa.Table:
        """Term values from SQL of ours."""
        found = sa.text(sql).columns(
            uid=sa.BigInteger, sid=sa.BigInteger, v=VALUE, n=sa.BigInteger, missing=sa.BigInteger
        )
        return self.read(sa.select(found.subquery()))

    def read(self, statement: sa.Select[Any]) -> pa.Table:
        found = bulk.fetch(self.scratch.connection, statement)
        return pa.table([found[field.name].cast(field.type) for field in TERM_VALUES], TERM_VALUES)


def calculate(
    scratch: Scratch,
    plan: Plan,
    datasets: Mapping[str, Dataset],
    parts: Sequence[sa.Table],
    windows: Windows,
    todo: pa.Table,
) -> pa.Table:
    """value, numerator, denominator and reason for each row of `todo` (series, sid), in its order."""
    case = _Case(scratch, plan, datasets, [table.name for table in parts], windows, todo)
    series, sids = todo["series"].to_numpy(), todo["sid"].to_numpy()
    wanted = np.unique(sids)
    days = windows.put_days(scratch, wanted).name
    terms = [*_additive(case, days), *_last(case, days, wanted), *_from_records(case)]
    made = assemble(plan, pa.concat_tables([TERM_VALUES.empty_table(), *terms]), series, sids)
    names = {key: dataset.name for key, dataset in datasets.items()}
    return pa.table(
        {
            "value": made.value,
            "numerator": made.numerator,
            "denominator": made.denominator,
            "reason": reasons(plan, names, series, made.codes),
        }
    )


def _in(numbers: Sequence[int]) -> str:
    return ", ".join(str(int(number)) for number in numbers)


def _parts_of(case: _Case, numbers: Sequence[int]) -> str:
    chosen = (
        f"SELECT term_id, day, segment, n, amount FROM {name} WHERE term_id IN ({_in(numbers)})" for name in case.parts
    )
    return "(" + " UNION ALL ".join(chosen) + ")"


# --- 1. What days add up to ------------------------------------------------------------------------------------------

_OPS = {Aggregate.COUNT: 0, Aggregate.SUM: 1, Aggregate.MIN: 2, Aggregate.MAX: 3, Aggregate.LAST: 4}


def _stateful(plan: Plan) -> frozenset[int]:
    """The last values that take more than the last of a window: segments, or what stood before it."""
    before = {use.term for use in plan.uses if use.at_start}
    return frozenset(
        number
        for number, term in plan.terms.items()
        if term.aggregate is Aggregate.LAST and (term.segment is not None or number in before)
    )


def _additive(case: _Case, days: str) -> Iterator[pa.Table]:
    numbers = [
        number
        for number, term in case.plan.terms.items()
        if term.aggregate in _OPS and number not in _stateful(case.plan)
    ]
    if not numbers:
        return
    latest = "arg_max(p.amount, d.pos)" if case.scratch.is_duckdb else "(array_agg(p.amount ORDER BY d.pos DESC))[1]"
    ops = pa.table(
        {
            "term_id": pa.array(numbers, pa.int64()),
            "op": pa.array([_OPS[case.plan.terms[number].aggregate] for number in numbers], pa.int32()),
        }
    )
    terms = case.scratch.put("ops", ops, sa.Column("term_id", sa.BigInteger), sa.Column("op", sa.Integer)).name
    yield case.fetch(
        f"""SELECT p.term_id * 2 AS uid, d.sid,
            CAST(CASE t.op WHEN 0 THEN sum(p.n) WHEN 1 THEN coalesce(sum(p.amount), 0)
                WHEN 2 THEN min(p.amount) WHEN 3 THEN max(p.amount) ELSE {latest} END AS NUMERIC(38, 9)) AS v,
            CAST(sum(p.n) AS BIGINT) AS n, 0 AS missing
        FROM {_all_parts(case)} p JOIN {terms} t ON t.term_id = p.term_id JOIN {days} d ON d.slot = p.day
        GROUP BY p.term_id, t.op, d.sid"""
    )


def _all_parts(case: _Case) -> str:
    chosen = (f"SELECT term_id, day, segment, n, amount FROM {name}" for name in case.parts)
    return "(" + " UNION ALL ".join(chosen) + ")"


# --- 2. Last values -------------------------------------------------------------------------------------------------


def _last(case: _Case, days: str, wanted: Ints) -> Iterator[pa.Table]:
    """Before each window and in it, in one statement.

    `before`: what all segments together stood at before each window, and how many stood at something other than 0: a
    running sum of each segment's changes, with a row for each window's start put in before that day's changes.
    `closed`: the sum of each segment's last in the window. `still_there`: how many of the segments that stood at
    something before have a record in it.
    """
    numbers = sorted(_stateful(case.plan))
    if not numbers:
        return
    starts = case.windows.put_starts(case.scratch, wanted).name
    with_segments = [number for number in numbers if case.plan.terms[number].segment] or [0]
    clipped = sorted({window for window, _ in case.windows.clip_of}) or [-1]
    yield case.fetch(
        f"""WITH changes AS (
            SELECT term_id, segment, day, amount,
                lag(amount) OVER (PARTITION BY term_id, segment ORDER BY day) AS former
            FROM {case.parts[0]} WHERE term_id IN ({_in(numbers)})
        ), moves AS (
            SELECT term_id, day, 1 AS kind, CAST(NULL AS BIGINT) AS sid, sum(amount - coalesce(former, 0)) AS level,
                sum(CASE WHEN amount <> 0 THEN 1 ELSE 0 END - CASE WHEN former <> 0 THEN 1 ELSE 0 END) AS live,
                count(*) AS seen
            FROM changes GROUP BY term_id, day
            UNION ALL
            SELECT t.term_id, s.start, 0, s.sid, 0, 0, 0
            FROM {starts} s CROSS JOIN (SELECT DISTINCT term_id FROM changes) t
        ), running AS (
            SELECT term_id, kind, sid, sum(level) OVER run AS level, sum(live) OVER run AS live,
                sum(seen) OVER run AS seen
            FROM moves
            WINDOW run AS (PARTITION BY term_id ORDER BY day, kind, sid ROWS UNBOUNDED PRECEDING)
        ), before AS (
            SELECT term_id, sid, level, live, seen FROM running WHERE kind = 0
        ), placed AS (
            SELECT p.term_id, p.segment, d.sid, p.amount,
                row_number() OVER (PARTITION BY p.term_id, p.segment, d.sid ORDER BY d.pos DESC) AS back
            FROM {_parts_of(case, numbers)} p JOIN {days} d ON d.slot = p.day
        ), first_in AS (
            SELECT f.term_id, d.sid, f.former,
                row_number() OVER (PARTITION BY f.term_id, f.segment, d.sid ORDER BY d.pos) AS place
            FROM changes f JOIN {days} d ON d.slot = f.day
        ), still_there AS (
            SELECT term_id, sid, count(*) AS n FROM first_in WHERE place = 1 AND former <> 0 GROUP BY term_id, sid
        ), closed AS (
            SELECT term_id, sid, sum(amount) AS v, count(*) AS n FROM placed WHERE back = 1 GROUP BY term_id, sid
        )
        SELECT term_id * 2 + 1 AS uid, sid, CAST(level AS NUMERIC(38, 9)) AS v, CAST(seen AS BIGINT) AS n,
            CAST(0 AS BIGINT) AS missing
        FROM before WHERE seen > 0
        UNION ALL
        SELECT c.term_id * 2, c.sid, CAST(c.v AS NUMERIC(38, 9)), c.n,
            CAST(CASE WHEN c.term_id IN ({_in(with_segments)}) AND c.sid NOT IN ({_in(clipped)})
                THEN coalesce(b.live, 0) - coalesce(s.n, 0) ELSE 0 END AS BIGINT)
        FROM closed c
        LEFT JOIN before b ON b.term_id = c.term_id AND b.sid = c.sid
        LEFT JOIN still_there s ON s.term_id = c.term_id AND s.sid = c.sid"""
    )


# --- 3. From the records themselves ---------------------------------------------------------------------------------


def _from_records(case: _Case) -> Iterator[pa.Table]:
    """Terms of a family that are asked for in the same windows share a scan."""
    wanted: dict[int, Ints] = {}
    for number, term in case.plan.terms.items():
        if term.aggregate in FROM_RECORDS:
            windows = _windows_of(case, number)
            if len(windows):
                wanted[number] = windows
    days: dict[bytes, sa.Table] = {}
    scopes = {number: windows.tobytes() for number, windows in wanted.items()}
    for family in families({number: case.plan.terms[number] for number in wanted}, scopes):
        number = next(iter(family.by_value.values()))
        scope = scopes[number]
        if scope not in days:
            days[scope] = case.windows.put_days(case.scratch, wanted[number])
        yield _of_family(case, family, days[scope], wanted[number])


def _windows_of(case: _Case, number: int) -> Ints:
    users = np.array(sorted({use.series for use in case.plan.uses if use.term == number}), dtype=np.int64)
    mine = np.isin(case.todo["series"].to_numpy(), users)
    wanted: Ints = np.unique(case.todo["sid"].to_numpy()[mine])
    return wanted


def _of_family(case: _Case, family: Family, days: sa.Table, wanted: Ints) -> pa.Table:
    term = family.pattern
    table = tables.records(case.datasets[term.dataset])
    key, conditions = keyed(table, family)
    value = table.c[tables.column_name(term.column or "")]
    in_window = days.c.day == table.c.day
    if {window for window, _ in case.windows.clip_of} & set(wanted.tolist()):
        in_window = sa.and_(in_window, sa.or_(days.c.until.is_(None), table.c.at < days.c.until))
    taken = (
        sa.select(key.label("key"), days.c.sid, value.label("value"))
        .join_from(table, days, in_window)
        .where(value.is_not(None), *conditions, _within(case.windows, wanted, table))
        .subquery()
    )
    result, n = _outcome(term, taken.c.value)
    found = bulk.fetch(
        case.scratch.connection,
        sa.select(taken.c.key, taken.c.sid, sa.cast(result, VALUE).label("v"), n.label("n")).group_by(
            taken.c.key, taken.c.sid
        ),
    )
    uid = pc.multiply(numbers_of(family, found["key"]), pa.scalar(2, pa.int64()))
    missing = pa.array(np.zeros(found.num_rows, dtype=np.int64))
    columns = [uid, *(found[name].cast(TERM_VALUES.field(name).type) for name in ("sid", "v", "n")), missing]
    return pa.table(columns, TERM_VALUES)


def _outcome(term: Term, value: sa.ColumnElement[Any]) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
    """The aggregate, and of how many records.

    Statistics may use floats, and should: between decimals DuckDB cuts the interpolated digits off.
    """
    n = sa.type_coerce(sa.func.count(), sa.BigInteger)
    if term.aggregate is Aggregate.DISTINCT:
        return sa.func.count(value.distinct()), n
    point = term.quantile if term.quantile is not None else Decimal("0.5")
    if not point.is_finite():
        raise ValueError(f"{point} is no quantile")
    return sa.func.percentile_cont(sa.literal_column(f"{point:f}")).within_group(sa.cast(value, sa.Double).asc()), n


def _within(windows: Windows, wanted: Ints, table: sa.Table) -> sa.ColumnElement[bool]:
    """The days that these windows are in: what lets the engine skip the rest of the table."""
    stretches = windows.stretches(wanted)
    if len(stretches) == 1 or sum((last - first).days for first, last in stretches) > _MOST_DAYS:
        return sa.or_(*(table.c.day.between(first, last) for first, last in stretches))
    days = (first + timedelta(days=i) for first, last in stretches for i in range((last - first).days + 1))
    return table.c.day.in_(list(days))
