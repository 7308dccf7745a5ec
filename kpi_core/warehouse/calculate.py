# ruff: noqa: S608 - this SQL is made of our own table names and of numbers; nothing that people wrote gets in
"""From parts to values: each term's value in each window, then each series' numerator, denominator and value.

All of it happens in the database, in a handful of statements, whatever the number of series and windows:

1. additive terms: the parts of a window's days, added up;
2. last values: the sum of each segment's last in the window. Where a segment that stood at something other than 0
   before has none in the window, there is no value, since a sum without it would be too small without a word
   (SEMANTICS.md, section 4); a segment that ends says so with a last record of 0. `at="start"` is the sum of what
   each segment stood at before the window;
3. distinct counts and quantiles: from the records of the window, for just the windows that are asked for;
4. weights, sums and the division, exact: as integers, rounded once to the 9 places that are kept, half to even.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from kpi_core.model import Aggregate, Dataset, Term
from kpi_core.store import bulk
from kpi_core.warehouse import tables
from kpi_core.warehouse.parts import numbered
from kpi_core.warehouse.plan import ADDITIVE, FROM_RECORDS, Family, Plan, Series, Use, families
from kpi_core.warehouse.scratch import Scratch
from kpi_core.warehouse.windows import Windows

__all__ = ["calculate"]

Ints = npt.NDArray[np.int64]
VALUE = sa.Numeric(38, 9)
_PLACES = 9
_MOST_DIGITS = 37
"""A 128-bit integer holds every number of 37 digits, and some of 38."""

NO_RECORDS, ZERO_EMPTY, ZERO, MISSING, NOTHING_BEFORE = 1, 2, 3, 4, 5


@dataclass(frozen=True, slots=True)
class _Case:
    """What every step needs at hand."""

    scratch: Scratch
    plan: Plan
    datasets: Mapping[str, Dataset]
    parts: Sequence[str]
    windows: Windows
    todo: pa.Table
    values: sa.Table

    def run(self, sql: str) -> None:
        self.scratch.connection.exec_driver_sql(sql)


def calculate(
    scratch: Scratch,
    plan: Plan,
    datasets: Mapping[str, Dataset],
    parts: Sequence[sa.Table],
    windows: Windows,
    todo: pa.Table,
) -> pa.Table:
    """value, numerator, denominator and reason for each row of `todo` (series, sid), in its order."""
    values = scratch.make(
        "values",
        sa.Column("uid", sa.BigInteger),
        sa.Column("sid", sa.BigInteger),
        sa.Column("v", VALUE),
        sa.Column("n", sa.BigInteger),
        sa.Column("missing", sa.BigInteger),
    )
    case = _Case(scratch, plan, datasets, [table.name for table in parts], windows, todo, values)
    wanted = np.unique(todo["sid"].to_numpy())
    days = windows.put_days(scratch, wanted)
    _add_additive(case, days.name)
    _add_last(case, days.name, wanted)
    _add_from_records(case)
    return _assembled(case)


def _numbers(terms: Mapping[int, Term], aggregate: Aggregate) -> list[int]:
    return [number for number, term in terms.items() if term.aggregate is aggregate]


def _in(numbers: Sequence[int]) -> str:
    return ", ".join(str(int(number)) for number in numbers)


def _parts_of(case: _Case, numbers: Sequence[int]) -> str:
    chosen = (
        f"SELECT term_id, day, segment, n, amount FROM {name} WHERE term_id IN ({_in(numbers)})" for name in case.parts
    )
    return "(" + " UNION ALL ".join(chosen) + ")"


# --- 1. Additive terms ----------------------------------------------------------------------------------------------

_OPS = {Aggregate.COUNT: 0, Aggregate.SUM: 1, Aggregate.MIN: 2, Aggregate.MAX: 3}


def _add_additive(case: _Case, days: str) -> None:
    numbers = [number for number, term in case.plan.terms.items() if term.aggregate in ADDITIVE]
    if not numbers:
        return
    ops = pa.table(
        {
            "term_id": pa.array(numbers, pa.int64()),
            "op": pa.array([_OPS[case.plan.terms[number].aggregate] for number in numbers], pa.int32()),
        }
    )
    terms = case.scratch.put("ops", ops, sa.Column("term_id", sa.BigInteger), sa.Column("op", sa.Integer)).name
    case.run(
        f"""INSERT INTO {case.values.name}
        SELECT p.term_id * 2, d.sid, CAST(CASE t.op WHEN 0 THEN sum(p.n) WHEN 1 THEN coalesce(sum(p.amount), 0)
            WHEN 2 THEN min(p.amount) ELSE max(p.amount) END AS NUMERIC(38, 9)), sum(p.n), 0
        FROM {_all_parts(case)} p JOIN {terms} t ON t.term_id = p.term_id JOIN {days} d ON d.slot = p.day
        GROUP BY p.term_id, t.op, d.sid"""
    )


def _all_parts(case: _Case) -> str:
    chosen = (f"SELECT term_id, day, segment, n, amount FROM {name}" for name in case.parts)
    return "(" + " UNION ALL ".join(chosen) + ")"


# --- 2. Last values -------------------------------------------------------------------------------------------------


def _add_last(case: _Case, days: str, wanted: Ints) -> None:
    numbers = _numbers(case.plan.terms, Aggregate.LAST)
    if not numbers:
        return
    starts = case.windows.put_starts(case.scratch, wanted).name
    before = _standing_before(case, starts, numbers)
    case.run(f"INSERT INTO {case.values.name} SELECT term_id * 2 + 1, sid, level, seen, 0 FROM {before} WHERE seen > 0")
    case.run(f"INSERT INTO {case.values.name} {_closing(case, days, before, numbers)}")


def _standing_before(case: _Case, starts: str, numbers: Sequence[int]) -> str:
    """What all segments together stood at before each window, and how many stood at something other than 0.

    A running sum of each segment's changes, with a row for each window's start put in before that day's changes.
    """
    table = case.scratch.make(
        "before",
        sa.Column("term_id", sa.BigInteger),
        sa.Column("sid", sa.BigInteger),
        sa.Column("level", VALUE),
        sa.Column("live", sa.BigInteger),
        sa.Column("seen", sa.BigInteger),
    )
    case.run(
        f"""INSERT INTO {table.name}
        WITH changes AS (
            SELECT term_id, day, amount, lag(amount) OVER (PARTITION BY term_id, segment ORDER BY day) AS former
            FROM {_kept_parts(case, numbers)} p
        ), moves AS (
            SELECT term_id, day, 1 AS kind, CAST(NULL AS BIGINT) AS sid, sum(amount - coalesce(former, 0)) AS level,
                sum(CASE WHEN amount <> 0 THEN 1 ELSE 0 END - CASE WHEN former <> 0 THEN 1 ELSE 0 END) AS live,
                count(*) AS seen
            FROM changes GROUP BY term_id, day
            UNION ALL
            SELECT t.term_id, s.start, 0, s.sid, 0, 0, 0 FROM {starts} s CROSS JOIN
                (SELECT DISTINCT term_id FROM {_kept_parts(case, numbers)} q) t
        ), running AS (
            SELECT term_id, kind, sid, sum(level) OVER run AS level, sum(live) OVER run AS live,
                sum(seen) OVER run AS seen
            FROM moves
            WINDOW run AS (PARTITION BY term_id ORDER BY day, kind, sid ROWS UNBOUNDED PRECEDING)
        )
        SELECT term_id, sid, level, live, seen FROM running WHERE kind = 0"""
    )
    return table.name


def _kept_parts(case: _Case, numbers: Sequence[int]) -> str:
    """Whole days only: the first of the tables; parts of days are no state of a segment."""
    return f"(SELECT term_id, day, segment, amount FROM {case.parts[0]} WHERE term_id IN ({_in(numbers)}))"


def _closing(case: _Case, days: str, before: str, numbers: Sequence[int]) -> str:
    """The sum of each segment's last in the window, and how many segments are missing there."""
    with_segments = [number for number in numbers if case.plan.terms[number].segment] or [0]
    clipped = sorted({window for window, _ in case.windows.clip_of}) or [-1]
    return f"""
        WITH placed AS (
            SELECT p.term_id, p.segment, d.sid, p.amount,
                row_number() OVER (PARTITION BY p.term_id, p.segment, d.sid ORDER BY d.pos DESC) AS back
            FROM {_parts_of(case, numbers)} p JOIN {days} d ON d.slot = p.day
        ), former AS (
            SELECT term_id, segment, day, lag(amount) OVER (PARTITION BY term_id, segment ORDER BY day) AS former
            FROM {_kept_parts(case, with_segments)} k
        ), first_in AS (
            SELECT f.term_id, d.sid, f.former,
                row_number() OVER (PARTITION BY f.term_id, f.segment, d.sid ORDER BY d.pos) AS place
            FROM former f JOIN {days} d ON d.slot = f.day
        ), still_there AS (
            SELECT term_id, sid, count(*) AS n FROM first_in WHERE place = 1 AND former <> 0 GROUP BY term_id, sid
        ), closed AS (
            SELECT term_id, sid, sum(amount) AS v, count(*) AS n FROM placed WHERE back = 1 GROUP BY term_id, sid
        )
        SELECT c.term_id * 2, c.sid, CAST(c.v AS NUMERIC(38, 9)), c.n,
            CASE WHEN c.term_id IN ({_in(with_segments)}) AND c.sid NOT IN ({_in(clipped)})
                THEN coalesce(b.live, 0) - coalesce(s.n, 0) ELSE 0 END
        FROM closed c
        LEFT JOIN {before} b ON b.term_id = c.term_id AND b.sid = c.sid
        LEFT JOIN still_there s ON s.term_id = c.term_id AND s.sid = c.sid"""


# --- 3. From the records themselves ---------------------------------------------------------------------------------


def _add_from_records(case: _Case) -> None:
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
        _add_family(case, family, days[scope], wanted[number])


def _windows_of(case: _Case, number: int) -> Ints:
    users = np.array(sorted({use.series for use in case.plan.uses if use.term == number}), dtype=np.int64)
    mine = np.isin(case.todo["series"].to_numpy(), users)
    wanted: Ints = np.unique(case.todo["sid"].to_numpy()[mine])
    return wanted


def _add_family(case: _Case, family: Family, days: sa.Table, wanted: Ints) -> None:
    term = family.pattern
    table = tables.records(case.datasets[term.dataset])
    number, conditions = numbered(table, family)
    value = table.c[tables.column_name(term.column or "")]
    taken = sa.select(number.label("term_id"), table.c.day, value.label("entity"), table.c.at).where(
        value.is_not(None), *conditions, _within(case.windows, wanted, table)
    )
    has_clips = bool({window for window, _ in case.windows.clip_of} & set(wanted.tolist()))
    found = (
        _distinct(taken, days, has_clips)
        if term.aggregate is Aggregate.DISTINCT
        else _quantile(taken, days, has_clips, term.quantile or Decimal("0.5"))
    )
    rows = sa.select(found.c.term_id * 2, found.c.sid, sa.cast(found.c.v, VALUE), found.c.n, sa.literal(0))
    case.scratch.connection.execute(sa.insert(case.values).from_select(["uid", "sid", "v", "n", "missing"], rows))


def _within(windows: Windows, wanted: Ints, table: sa.Table) -> sa.ColumnElement[bool]:
    """The stretches of days that these windows are in: what lets the engine skip the rest of the table."""
    return sa.or_(*(table.c.day.between(first, last) for first, last in windows.stretches(wanted)))


def _distinct(taken: sa.Select[Any], days: sa.Table, has_clips: bool) -> sa.Subquery:
    """Once per day and entity first: that set is much smaller than the records, and serves all grains."""
    records = taken.subquery()
    once = sa.select(records.c.term_id, records.c.day, records.c.entity).distinct().subquery()
    entities: Any = sa.select(once.c.term_id, days.c.sid, once.c.entity).join_from(
        once, days, days.c.slot == once.c.day
    )
    if has_clips:
        part = sa.select(records.c.term_id, days.c.sid, records.c.entity).join_from(
            records, days, sa.and_(days.c.day == records.c.day, records.c.at < days.c.until)
        )
        entities = sa.union_all(entities, part.where(days.c.until.is_not(None)))
    every = entities.subquery()
    n = sa.func.count(every.c.entity.distinct())
    counted = sa.select(every.c.term_id, every.c.sid, n.label("v"), n.label("n"))
    return counted.group_by(every.c.term_id, every.c.sid).subquery()


def _quantile(taken: sa.Select[Any], days: sa.Table, has_clips: bool, quantile: Decimal) -> sa.Subquery:
    """Statistics may use floats, and should: between decimals DuckDB cuts the interpolated digits off."""
    records = taken.subquery()
    point = sa.literal_column(str(quantile)) if quantile.is_finite() else sa.null()
    middle = sa.func.percentile_cont(point).within_group(sa.cast(records.c.entity, sa.Double).asc())
    in_window = days.c.day == records.c.day
    if has_clips:
        in_window = sa.and_(in_window, sa.or_(days.c.until.is_(None), records.c.at < days.c.until))
    return (
        sa.select(records.c.term_id, days.c.sid, middle.label("v"), sa.func.count().label("n"))
        .join_from(records, days, in_window)
        .group_by(records.c.term_id, days.c.sid)
        .subquery()
    )


# --- 4. Series ------------------------------------------------------------------------------------------------------


def _assembled(case: _Case) -> pa.Table:
    scale = max((_digits_after(use.weight) for use in case.plan.uses), default=0)
    factor_scale = max((_digits_after(each.measure.factor) for each in case.plan.series), default=0)
    series = _put_series(case, factor_scale)
    todo = _put_todo(case)
    sql = _values_sql(case, todo, series, scale, factor_scale)
    made = sa.text(sql).columns(rid=sa.BigInteger, value=VALUE, numerator=VALUE, denominator=VALUE, code=sa.Integer)
    result = made.subquery()
    rows = bulk.fetch(case.scratch.connection, sa.select(result).order_by(result.c.rid))
    reasons = _reasons(case, rows["code"].to_numpy())
    return rows.drop_columns(["rid", "code"]).append_column("reason", reasons)


def _digits_after(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _put_uses(case: _Case, used: Sequence[Use], scale: int) -> str:
    rows = pa.table(
        {
            "series": pa.array([use.series for use in used], pa.int64()),
            "uid": pa.array([use.term * 2 + use.at_start for use in used], pa.int64()),
            "below": pa.array([use.is_denominator for use in used], pa.bool_()),
            "weight": pa.array([use.weight for use in used], pa.decimal128(18, scale)),
            "unknown": pa.array([_unknown(use) for use in used], pa.int32()),
        }
    )
    return case.scratch.put(
        "uses",
        rows,
        sa.Column("series", sa.BigInteger),
        sa.Column("uid", sa.BigInteger),
        sa.Column("below", sa.Boolean),
        sa.Column("weight", sa.Numeric(18, scale)),
        sa.Column("unknown", sa.Integer),
    ).name


def _unknown(use: Use) -> int:
    """Why there is no value where there are no records; 0 where that means 0."""
    if use.is_zero_without_records:
        return 0
    return NOTHING_BEFORE if use.at_start else NO_RECORDS


def _put_series(case: _Case, factor_scale: int) -> str:
    known = case.plan.series
    rows = pa.table(
        {
            "series": pa.array([each.id for each in known], pa.int64()),
            "factor": pa.array([each.measure.factor for each in known], pa.decimal128(18, factor_scale)),
            "is_ratio": pa.array([bool(each.measure.denominator) for each in known], pa.bool_()),
        }
    )
    return case.scratch.put(
        "series",
        rows,
        sa.Column("series", sa.BigInteger),
        sa.Column("factor", sa.Numeric(18, factor_scale)),
        sa.Column("is_ratio", sa.Boolean),
    ).name


def _put_todo(case: _Case) -> str:
    rows = case.todo.select(["series", "sid"]).append_column("rid", pa.array(np.arange(case.todo.num_rows)))
    columns = (sa.Column("series", sa.BigInteger), sa.Column("sid", sa.BigInteger), sa.Column("rid", sa.BigInteger))
    return case.scratch.put("todo", rows, *columns).name


def _values_sql(case: _Case, todo: str, series: str, scale: int, factor_scale: int) -> str:
    """The sums of both sides, and the division. Codes say why there is no value."""
    value = _division(case, scale, factor_scale)
    return f"""
        WITH sums AS (
            {_sums_sql(case, todo, scale)}
        ), judged AS (
            SELECT m.*, s.factor, s.is_ratio,
                CASE WHEN missing > 0 THEN {MISSING} WHEN unknown > 0 THEN unknown
                    WHEN s.is_ratio AND den = 0 AND den_n = 0 THEN {ZERO_EMPTY}
                    WHEN s.is_ratio AND den = 0 THEN {ZERO} ELSE 0 END AS code
            FROM sums m JOIN {series} s ON s.series = m.series
        ), roughly AS (
            SELECT j.*, CASE WHEN is_ratio AND code = 0 THEN CAST(num AS DOUBLE PRECISION)
                * CAST(factor AS DOUBLE PRECISION) / CAST(den AS DOUBLE PRECISION) * 1e9 END AS steps
            FROM judged j
        )
        SELECT rid, {value} AS value,
            CASE WHEN is_ratio AND code IN (0, {ZERO_EMPTY}, {ZERO}) THEN CAST(num AS NUMERIC(38, 9)) END AS numerator,
            CASE WHEN is_ratio AND code IN (0, {ZERO_EMPTY}, {ZERO}) THEN CAST(den AS NUMERIC(38, 9)) END
                AS denominator,
            code
        FROM roughly"""


def _sums_sql(case: _Case, todo: str, scale: int) -> str:
    """Both sides of each row. Most series have one term on a side: those need no adding up."""
    uses: dict[int, list[Use]] = {}
    for use in case.plan.uses:
        uses.setdefault(use.series, []).append(use)
    plain = [use for each in uses.values() if _is_plain(each) for use in each]
    others = [use for each in uses.values() if not _is_plain(each) for use in each]
    made = []
    if plain:
        above = _put_uses(case, [use for use in plain if not use.is_denominator], scale)
        below = _put_uses(case, [use for use in plain if use.is_denominator], scale)
        made.append(_plain_sums(case, todo, above, below))
    if others:
        made.append(_added_sums(case, todo, _put_uses(case, others, scale)))
    return " UNION ALL ".join(made)


def _is_plain(uses: Sequence[Use]) -> bool:
    return len(uses) == 1 or (len(uses) == 2 and uses[0].is_denominator != uses[1].is_denominator)


def _plain_sums(case: _Case, todo: str, above: str, below: str) -> str:
    values = case.values.name
    return f"""
        SELECT t.rid, t.series, a.weight * coalesce(v.v, 0) AS num, b.weight * coalesce(d.v, 0) AS den,
            coalesce(d.n, 0) AS den_n,
            greatest(CASE WHEN v.v IS NULL THEN a.unknown ELSE 0 END,
                CASE WHEN d.v IS NULL THEN coalesce(b.unknown, 0) ELSE 0 END) AS unknown,
            greatest(coalesce(v.missing, 0), coalesce(d.missing, 0)) AS missing
        FROM {todo} t JOIN {above} a ON a.series = t.series LEFT JOIN {below} b ON b.series = t.series
        LEFT JOIN {values} v ON v.uid = a.uid AND v.sid = t.sid
        LEFT JOIN {values} d ON d.uid = b.uid AND d.sid = t.sid"""


def _added_sums(case: _Case, todo: str, uses: str) -> str:
    return f"""
        SELECT t.rid, max(t.series) AS series,
            sum(CASE WHEN NOT u.below THEN u.weight * coalesce(v.v, 0) END) AS num,
            sum(CASE WHEN u.below THEN u.weight * coalesce(v.v, 0) END) AS den,
            sum(CASE WHEN u.below THEN coalesce(v.n, 0) END) AS den_n,
            max(CASE WHEN v.v IS NULL THEN u.unknown ELSE 0 END) AS unknown,
            max(coalesce(v.missing, 0)) AS missing
        FROM {todo} t JOIN {uses} u ON u.series = t.series
        LEFT JOIN {case.values.name} v ON v.uid = u.uid AND v.sid = t.sid
        GROUP BY t.rid"""


def _division(case: _Case, scale: int, factor_scale: int) -> str:
    """factor * num / den, rounded half to even at 9 places: the exact quotient, rounded once.

    `steps` is the quotient as a float, counted in steps of the last place. Its error is below |steps| * 1e-15; where
    that cannot change to which side it is rounded, rounding it gives what exact arithmetic would, in a tenth of the
    time. The rest is divided as integers: num and den have `9 + scale` decimals, the factor `factor_scale`, and the
    remainder says which way to round. Sums too large for 128-bit integers (beyond any company's) stay floats.
    """
    places = _PLACES + scale
    largest_factor = max((abs(each.measure.factor) for each in case.plan.series), default=Decimal(1))
    factor_digits = len(str(int(largest_factor.scaleb(factor_scale)))) + 1
    room = 10 ** max(0, _MOST_DIGITS - places - _PLACES - factor_digits)
    whole = "HUGEINT" if case.scratch.is_duckdb else "NUMERIC"
    shift, factor_shift = 10**places, 10**factor_scale
    a = f"(CAST(num * {shift} AS {whole}) * CAST(factor * {factor_shift} AS {whole}) * {10**_PLACES})"
    b = f"(CAST(den * {shift} AS {whole}) * {factor_shift})"
    quotient = f"({a} // {b})" if case.scratch.is_duckdb else f"div({a}, {b})"
    rest = f"mod({a}, {b})"
    odd = f"(mod({quotient}, 2) <> 0)"
    up = f"(2 * abs({rest}) > abs({b}) OR (2 * abs({rest}) = abs({b}) AND {odd}))"
    sign = f"(CASE WHEN ({a} < 0) = ({b} < 0) THEN 1 ELSE -1 END)"
    exact = f"CAST({quotient} + CASE WHEN {up} THEN {sign} ELSE 0 END AS NUMERIC(38, 0)) * 0.000000001"
    is_safe = "abs(abs(steps - floor(steps)) - 0.5) > abs(steps) * 1e-15 AND abs(steps) < 1e14"
    return f"""CASE WHEN code <> 0 THEN NULL
        WHEN NOT is_ratio THEN CAST(num * factor AS NUMERIC(38, 9))
        WHEN {is_safe} THEN CAST(CAST(CAST(round(steps) AS BIGINT) AS NUMERIC(38, 0)) * 0.000000001 AS NUMERIC(38, 9))
        WHEN abs(num) < {room} AND abs(den) < {room} THEN CAST({exact} AS NUMERIC(38, 9))
        ELSE CAST(steps * 1e-9 AS NUMERIC(38, 9)) END"""


# --- Why there is no value ------------------------------------------------------------------------------------------


def _reasons(case: _Case, codes: npt.NDArray[Any]) -> pa.Array:
    """A text for each row without a value; made once per series and code."""
    if not codes.any():
        return pa.nulls(len(codes), pa.string())
    known = {each.id: each for each in case.plan.series}
    pairs = case.todo["series"].to_numpy() * 8 + codes
    distinct, places = np.unique(pairs, return_inverse=True)
    texts = [_reason(case, known[int(pair) // 8], int(pair) % 8) for pair in distinct.tolist()]
    return pa.array(texts, pa.string()).take(pa.array(places.reshape(-1)))


def _reason(case: _Case, series: Series, code: int) -> str | None:
    measure = series.measure
    if code == 0:
        return None
    if code in (ZERO_EMPTY, ZERO):
        what = f"no {_names(case, measure.denominator)} in the span: " if code == ZERO_EMPTY else ""
        return f"{what}denominator is 0"
    lasts = [term for term in series.terms if term.aggregate is Aggregate.LAST]
    if code == MISSING:
        by = " or ".join(dict.fromkeys(term.segment or "" for term in lasts))
        return f"not every {by} that had a record of {_names(case, lasts)} before has one in the span"
    if code == NOTHING_BEFORE:
        return f"no {_names(case, [term for term in lasts if term.at == 'start'])} before the span"
    needed = [term for term in series.terms if term.aggregate in _NEED_RECORDS]
    return f"no {_names(case, needed)} in the span"


_NEED_RECORDS = frozenset({Aggregate.LAST, Aggregate.MIN, Aggregate.MAX, Aggregate.QUANTILE})


def _names(case: _Case, terms: Sequence[Term]) -> str:
    """What the terms are about, in the datasets' own words."""
    names = dict.fromkeys(case.datasets[term.dataset].name for term in terms)
    return " or ".join(name[:1].lower() + name[1:] if name[1:2].islower() else name for name in names)
