"""One pass over a dataset's records into mergeable parts: how many, sum, minimum, maximum, last, by term and day.

The columns that filters use go into GROUP BY, not into FILTER or CASE: one hash table serves every term, and which
groups a term takes is decided afterwards, on the few rows that come out: of any engine, only parts by day come back.
What a group is keyed by:

- a text or boolean column that few values occur in: the column;
- one with many values: the value where some filter names it, else one stand-in for all others;
- a comparison such as `arr_delay < 15`: whether it holds.

If that would make too many groups (filters on many columns that are all mixed), each set of filter columns gets a
pass of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from kpi_core.model import Aggregate, ColumnType, Condition, Dataset, Op, Term
from kpi_core.store import bulk
from kpi_core.warehouse import tables
from kpi_core.warehouse.plan import ADDITIVE, Family, families
from kpi_core.warehouse.scratch import Scratch

__all__ = ["PARTS", "Source", "day_parts", "keyed", "matches", "numbers_of", "put_parts"]

OTHERS = "\uffff"
"""Stands for every value that no filter names."""
_SAMPLE = 4_000
_MANY_VALUES = 500
_MANY_GROUPS = 2_000
Value = str | Decimal | bool | None
Ints = npt.NDArray[np.int64]

PARTS = pa.schema(
    [
        ("term_id", pa.int64()),
        ("day", pa.date32()),
        ("segment", pa.string()),
        ("n", pa.int64()),
        ("amount", pa.decimal128(38, 6)),
    ]
)
"""The columns of parts: how many records, and their sum, minimum, maximum or last value (None for counts)."""


@dataclass(frozen=True, slots=True)
class Source:
    """Which records, and under which day their parts go (a part of a day goes under a day that does not exist)."""

    table: sa.Table
    where: tuple[sa.ColumnElement[bool], ...] = ()
    day: sa.ColumnElement[Any] | None = None
    joined: sa.FromClause | None = None
    on: sa.ColumnElement[bool] | None = None
    is_small: bool = False
    """A few days only: not worth a look at how many values its columns have."""

    @property
    def slot(self) -> sa.ColumnElement[Any]:
        return self.table.c.day if self.day is None else self.day

    def select(self, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        source: sa.FromClause = self.table
        if self.joined is not None and self.on is not None:
            source = self.table.join(self.joined, self.on)
        return sa.select(*columns).select_from(source).where(*self.where)


def matches(table: sa.Table, condition: Condition) -> sa.ColumnElement[bool]:
    """The condition as SQL; NULL where the column's value is unknown, as a filter wants it."""
    column = table.c[tables.column_name(condition.column)]
    return _COMPARISONS[condition.op](column, condition.value)


_COMPARISONS: Mapping[Op, Callable[[sa.Column[Any], Any], sa.ColumnElement[bool]]] = {
    Op.EQ: lambda column, value: column == value,
    Op.NE: lambda column, value: column != value,
    Op.LT: lambda column, value: column < value,
    Op.LE: lambda column, value: column <= value,
    Op.GT: lambda column, value: column > value,
    Op.GE: lambda column, value: column >= value,
    Op.IN: lambda column, value: column.in_(value),
    Op.NOT_IN: lambda column, value: column.not_in(value),
    Op.IS_NULL: lambda column, value: column.is_(None),
    Op.NOT_NULL: lambda column, value: column.is_not(None),
}

_DECISIONS: Mapping[Op, Callable[[Value, Any], bool]] = {
    Op.EQ: lambda found, value: found is not None and found == value,
    Op.NE: lambda found, value: found is not None and found != value,
    Op.IN: lambda found, value: found is not None and found in value,
    Op.NOT_IN: lambda found, value: found is not None and found not in value,
    Op.IS_NULL: lambda found, value: found is None,
    Op.NOT_NULL: lambda found, value: found is not None,
}


@dataclass(slots=True)
class _Key:
    """One expression that records are grouped by, and what each condition on it makes of a group's value."""

    expression: sa.ColumnElement[Any]
    kind: sa.types.TypeEngine[Any]
    decide: dict[Condition, Callable[[Value], bool]] = field(default_factory=dict)


def day_parts(scratch: Scratch, dataset: Dataset, terms: Mapping[int, Term], source: Source) -> pa.Table:
    """The parts of these terms, by PARTS' columns."""
    additive = {number: term for number, term in terms.items() if term.aggregate in ADDITIVE}
    last = {number: term for number, term in terms.items() if term.aggregate is Aggregate.LAST}
    made = [PARTS.empty_table()]
    if additive:
        made += [_additive(scratch, dataset, family, source) for family in _passes(scratch, dataset, additive, source)]
    made += [_last(scratch, family, source) for family in families(last)]
    return pa.concat_tables(made).combine_chunks()


def put_parts(scratch: Scratch, parts: pa.Table) -> sa.Table:
    """Parts that are not kept, as a table beside the kept ones."""
    return scratch.put("parts", parts, *(sa.Column(column.name, column.type) for column in tables.parts.columns))


# --- Which terms share a pass ---------------------------------------------------------------------------------------


def _passes(scratch: Scratch, dataset: Dataset, terms: Mapping[int, Term], source: Source) -> list[Mapping[int, Term]]:
    """One pass, unless the terms' filter columns together have too many combinations of values."""
    columns = sorted({condition.column for term in terms.values() for condition in term.where})
    if source.is_small or len(columns) < 2 or _distinct_groups(scratch, dataset, columns) <= _MANY_GROUPS:
        return [terms]
    passes: dict[frozenset[str], dict[int, Term]] = {}
    for number, term in terms.items():
        passes.setdefault(frozenset(condition.column for condition in term.where), {})[number] = term
    return list(passes.values())


def _sample(dataset: Dataset, columns: Iterable[str]) -> sa.Subquery:
    table = tables.records(dataset)
    return sa.select(*(table.c[tables.column_name(name)] for name in columns)).limit(_SAMPLE).subquery()


def _distinct_groups(scratch: Scratch, dataset: Dataset, columns: list[str]) -> int:
    """How many combinations of values a sample has; numbers count once, for they are only compared."""
    grouped = [name for name in columns if not _is_number(dataset, name)]
    if len(grouped) < 2:
        return 0
    distinct = sa.select(_sample(dataset, grouped)).distinct().subquery()
    return scratch.connection.execute(sa.select(sa.func.count()).select_from(distinct)).scalar_one()


def _is_number(dataset: Dataset, name: str) -> bool:
    return any(column.name == name and column.type is ColumnType.NUMBER for column in dataset.columns)


def _many_valued(scratch: Scratch, dataset: Dataset, terms: Iterable[Term]) -> set[str]:
    """The filter columns that a sample finds many values in."""
    texts = {column.name for column in dataset.columns if column.type is ColumnType.TEXT}
    used = sorted({condition.column for term in terms for condition in term.where} & texts)
    if not used:
        return set()
    sample = _sample(dataset, used)
    counts = [sa.func.count(sample.c[tables.column_name(name)].distinct()) for name in used]
    found = scratch.connection.execute(sa.select(*counts)).one()
    return {name for name, count in zip(used, found, strict=True) if count > _MANY_VALUES}


# --- The pass -------------------------------------------------------------------------------------------------------


def _keys(
    dataset: Dataset, table: sa.Table, terms: Iterable[Term], many_valued: set[str]
) -> dict[tuple[str, Condition | None], _Key]:
    """The distinct keys that decide all conditions of all terms."""
    conditions = list(dict.fromkeys(condition for term in terms for condition in term.where))
    keys: dict[tuple[str, Condition | None], _Key] = {}
    for condition in conditions:
        is_number = _is_number(dataset, condition.column)
        place = (condition.column, condition if is_number else None)
        if place not in keys:
            named = _named(conditions, condition.column) if condition.column in many_valued else None
            keys[place] = _predicate(table, condition) if is_number else _column(table, condition.column, named)
        keys[place].decide[condition] = bool if is_number else partial(_decided, condition)
    return keys


def _decided(condition: Condition, found: Value) -> bool:
    return _DECISIONS[condition.op](found, condition.value)


def _named(conditions: Iterable[Condition], column: str) -> list[str]:
    named: dict[Any, None] = {}
    for condition in conditions:
        if condition.column == column and condition.value is not None:
            values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
            named.update(dict.fromkeys(values))
    return list(named)


def _predicate(table: sa.Table, condition: Condition) -> _Key:
    return _Key(sa.case((matches(table, condition), sa.true()), else_=sa.false()), sa.Boolean())


def _column(table: sa.Table, name: str, named: list[str] | None) -> _Key:
    column = table.c[tables.column_name(name)]
    if named is None:
        return _Key(column, column.type)
    others = sa.case((column.is_(None), sa.null()), (column.in_(named), column), else_=sa.literal(OTHERS))
    return _Key(sa.cast(others, sa.Text), sa.Text())


def _additive(scratch: Scratch, dataset: Dataset, terms: Mapping[int, Term], source: Source) -> pa.Table:
    many_valued = set() if source.is_small else _many_valued(scratch, dataset, terms.values())
    keys = list(_keys(dataset, source.table, terms.values(), many_valued).values())
    base = bulk.fetch(scratch.connection, _pass(source, keys, terms))
    return _spread(base, keys, terms)


def _needed(terms: Iterable[Term]) -> dict[str | None, set[Aggregate]]:
    needed: dict[str | None, set[Aggregate]] = {}
    for term in terms:
        needed.setdefault(term.column, set()).add(term.aggregate)
    return needed


def _pass(source: Source, keys: Sequence[_Key], terms: Mapping[int, Term]) -> sa.Select[Any]:
    """The pass: the parts of every group, for each column that some term is about."""
    table = source.table
    grouped: list[sa.ColumnElement[Any]] = [source.slot.label("slot")]
    grouped += [key.expression.label(f"k{i}") for i, key in enumerate(keys)]
    aggregates: list[sa.ColumnElement[Any]] = []
    for i, (name, wanted) in enumerate(_needed(terms.values()).items()):
        value = table.c[tables.column_name(name)] if name is not None else None
        counted = sa.func.count(value) if value is not None else sa.func.count()
        aggregates.append(sa.type_coerce(counted, sa.BigInteger).label(f"n{i}"))
        for aggregate in sorted(wanted - {Aggregate.COUNT}):
            merged = _MERGED[aggregate](value)
            aggregates.append(sa.cast(merged, tables.PART).label(f"{aggregate.value}{i}"))
    selected = source.select(*grouped, *aggregates)
    if len(terms) <= 2 and all(term.where for term in terms.values()):
        either = [sa.and_(*(matches(table, condition) for condition in term.where)) for term in terms.values()]
        selected = selected.where(sa.or_(*either))
    return selected.group_by(*(sa.literal_column(str(i + 1)) for i in range(len(grouped))))


_MERGED: Mapping[Aggregate, Callable[[Any], sa.ColumnElement[Any]]] = {
    Aggregate.SUM: sa.func.sum,
    Aggregate.MIN: sa.func.min,
    Aggregate.MAX: sa.func.max,
}


def _spread(base: pa.Table, keys: Sequence[_Key], terms: Mapping[int, Term]) -> pa.Table:
    """From groups to terms. A term takes its groups' rows; where it has several groups, they are added up."""
    groups, rows_of = _groups(base, len(keys))
    taken = _groups_of_terms(groups, keys, terms)
    made = [PARTS.empty_table()]
    for place, (column, needed) in enumerate(_needed(terms.values()).items()):
        for aggregate in needed:
            mine = [n for n, term in terms.items() if term.column == column and term.aggregate is aggregate]
            made.append(_of_aggregate(base, rows_of, {number: taken[number] for number in mine}, place, aggregate))
    return pa.concat_tables(made)


def _groups(base: pa.Table, keys: int) -> tuple[list[tuple[Value, ...]], list[Ints]]:
    """The distinct combinations of keys, and the rows of each."""
    codes = np.zeros(base.num_rows, dtype=np.int64)
    dictionaries: list[list[Value]] = []
    for i in range(keys):
        encoded = base[f"k{i}"].combine_chunks().dictionary_encode("encode")
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        dictionaries.append(encoded.dictionary.to_pylist())
        codes = codes * max(1, len(dictionaries[-1])) + encoded.indices.to_numpy()
    distinct, group = np.unique(codes, return_inverse=True)
    rows = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1]) if len(group) else []
    return [_decoded(int(code), dictionaries) for code in distinct], rows


def _decoded(code: int, dictionaries: Sequence[list[Value]]) -> tuple[Value, ...]:
    values: list[Value] = []
    for dictionary in reversed(dictionaries):
        code, index = divmod(code, max(1, len(dictionary)))
        values.append(dictionary[index])
    return tuple(reversed(values))


def _groups_of_terms(
    groups: Sequence[tuple[Value, ...]], keys: Sequence[_Key], terms: Mapping[int, Term]
) -> dict[int, list[int]]:
    """Which groups each term takes: few, so decided here. A verdict is reached once for each value."""
    accepted: dict[Condition, frozenset[int]] = {}
    for i, key in enumerate(keys):
        places: dict[Value, list[int]] = {}
        for place, group in enumerate(groups):
            places.setdefault(group[i], []).append(place)
        for condition, decide in key.decide.items():
            found: Iterator[int] = (place for value, those in places.items() if decide(value) for place in those)
            if condition.op is Op.EQ and isinstance(condition.value, str):
                found = iter(places.get(condition.value, ()))
            accepted[condition] = frozenset(found)
    everything = frozenset(range(len(groups)))
    return {
        number: sorted(everything.intersection(*(accepted[condition] for condition in term.where)))
        for number, term in terms.items()
    }


def _of_aggregate(
    base: pa.Table, rows_of: Sequence[Ints], taken: Mapping[int, list[int]], place: int, aggregate: Aggregate
) -> pa.Table:
    """The parts of terms that do the same with one column."""
    pieces = [(number, rows_of[group]) for number, groups in taken.items() for group in groups]
    if not pieces:
        return PARTS.empty_table()
    rows = pa.array(np.concatenate([rows for _, rows in pieces]))
    numbers = np.repeat([number for number, _ in pieces], [len(rows) for _, rows in pieces])
    amounts = pa.nulls(len(rows), PARTS.field("amount").type)
    if aggregate is not Aggregate.COUNT:
        amounts = base[f"{aggregate.value}{place}"].take(rows)
    made = pa.table(
        {"term_id": numbers, "day": base["slot"].take(rows), "n": base[f"n{place}"].take(rows), "amount": amounts}
    )
    if any(len(groups) > 1 for groups in taken.values()):
        merge = "sum" if aggregate is Aggregate.COUNT else aggregate.value
        merged = made.group_by(["term_id", "day"]).aggregate([("n", "sum"), ("amount", merge)])
        made = merged.rename_columns({"n_sum": "n", f"amount_{merge}": "amount"})
    return _as_parts(made)


def _as_parts(made: pa.Table) -> pa.Table:
    segments = made["segment"] if "segment" in made.column_names else pa.nulls(made.num_rows, pa.string())
    columns = {name: made[name] for name in ("term_id", "day", "n", "amount")} | {"segment": segments}
    return pa.table([columns[field.name].cast(field.type) for field in PARTS], PARTS)


# --- Last values ----------------------------------------------------------------------------------------------------


def keyed(table: sa.Table, family: Family) -> tuple[sa.ColumnElement[Any], list[sa.ColumnElement[bool]]]:
    """What tells the family's terms apart, and the condition that one of them takes a record."""
    if family.column is None:
        return sa.cast(sa.null(), sa.Text), [matches(table, condition) for condition in family.pattern.where]
    column = table.c[tables.column_name(family.column)]
    return column, [column.in_(list(family.by_value))]


def numbers_of(family: Family, keys: pa.ChunkedArray) -> pa.Array:
    """The terms' numbers from what tells them apart."""
    encoded = keys.combine_chunks().dictionary_encode("encode")
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    numbers = [family.by_value[value] for value in encoded.dictionary.to_pylist()]
    return pa.array(numbers, pa.int64()).take(encoded.indices)


def _last(scratch: Scratch, family: Family, source: Source) -> pa.Table:
    """The last known value of each segment on each day; of two records at one instant, the one that came later."""
    table, term = source.table, family.pattern
    key, conditions = keyed(table, family)
    value = table.c[tables.column_name(term.column or "")]
    segment = sa.cast(table.c[tables.column_name(term.segment)] if term.segment else sa.null(), sa.Text)
    known = (
        source.select(
            key.label("key"),
            source.slot.label("day"),
            segment.label("segment"),
            value.label("amount"),
            table.c.at.label("moment"),
            table.c.record_id.label("record_id"),
        )
        .where(value.is_not(None), *conditions)
        .subquery()
    )
    last = _last_by_key(known) if scratch.is_duckdb else _last_by_rank(known)
    found = bulk.fetch(scratch.connection, last)
    return _as_parts(found.append_column("term_id", numbers_of(family, found["key"])))


def _last_by_rank(known: sa.Subquery) -> sa.Select[Any]:
    """As any engine can."""
    rank = sa.func.row_number().over(
        partition_by=[known.c.key, known.c.day, known.c.segment],
        order_by=[known.c.moment.desc(), known.c.record_id.desc()],
    )
    ranked = sa.select(known, rank.label("place")).subquery()
    columns = (ranked.c.key, ranked.c.day, ranked.c.segment, ranked.c.amount)
    return sa.select(*columns, sa.literal(1, sa.BigInteger).label("n")).where(ranked.c.place == 1)


def _last_by_key(known: sa.Subquery) -> sa.Select[Any]:
    """On DuckDB without sorting: instant and number as one 128-bit number, the greatest wins."""
    order: sa.ColumnElement[Any] = sa.literal_column("CAST(epoch_us(moment) AS HUGEINT) * 1099511627776 + record_id")
    last = sa.func.arg_max(known.c.amount, order).label("amount")
    grouped = (known.c.key, known.c.day, known.c.segment)
    return sa.select(*grouped, last, sa.literal(1, sa.BigInteger).label("n")).group_by(*grouped)
