"""One pass over a dataset's records into mergeable parts: how many, sum, minimum, maximum, last, by term and day.

The columns that filters use go into GROUP BY, not into FILTER or CASE: one hash table serves every term, and which
groups a term takes is decided afterwards, on the few rows that come out. What a group is keyed by:

- a text or boolean column that few values occur in: the column;
- one with many values: the value where some filter names it, else one stand-in for all others;
- a comparison such as `arr_delay < 15`: whether it holds.

If that would make too many groups (filters on many columns that are all mixed), each set of filter columns gets a
pass of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from kpi_core.model import Aggregate, ColumnType, Condition, Dataset, Op, Term
from kpi_core.warehouse import tables
from kpi_core.warehouse.plan import ADDITIVE, Family, families
from kpi_core.warehouse.scratch import Scratch

__all__ = ["Source", "matches", "numbered", "write_parts"]

OTHERS = "\uffff"
"""Stands for every value that no filter names."""
_SAMPLE = 20_000
_MANY_VALUES = 500
_MANY_GROUPS = 2_000
Value = str | Decimal | bool | None


@dataclass(frozen=True, slots=True)
class Source:
    """Which records, and under which day their parts go (a part of a day goes under a day that does not exist)."""

    table: sa.Table
    where: tuple[sa.ColumnElement[bool], ...] = ()
    day: sa.ColumnElement[Any] | None = None
    joined: sa.FromClause | None = None
    on: sa.ColumnElement[bool] | None = None

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


def write_parts(
    scratch: Scratch, dataset: Dataset, terms: Mapping[int, Term], source: Source, target: sa.Table
) -> None:
    """Add the parts of these terms to `target` (term_id, day, segment, n, amount). Nothing else is read or removed."""
    additive = {number: term for number, term in terms.items() if term.aggregate in ADDITIVE}
    if additive:
        for family in _families(scratch, dataset, additive):
            _write_additive(scratch, dataset, family, source, target)
    for shared in families({number: term for number, term in terms.items() if term.aggregate is Aggregate.LAST}):
        _write_last(scratch, shared, source, target)


# --- Which terms share a pass ---------------------------------------------------------------------------------------


def _families(scratch: Scratch, dataset: Dataset, terms: Mapping[int, Term]) -> list[Mapping[int, Term]]:
    """One family, unless the terms' filter columns together have too many combinations of values."""
    columns = sorted({condition.column for term in terms.values() for condition in term.where})
    if len(columns) < 2 or _distinct_groups(scratch, dataset, columns) <= _MANY_GROUPS:
        return [terms]
    families: dict[frozenset[str], dict[int, Term]] = {}
    for number, term in terms.items():
        families.setdefault(frozenset(condition.column for condition in term.where), {})[number] = term
    return list(families.values())


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


def _write_additive(
    scratch: Scratch, dataset: Dataset, terms: Mapping[int, Term], source: Source, target: sa.Table
) -> None:
    many_valued = _many_valued(scratch, dataset, terms.values())
    keys = _keys(dataset, source.table, terms.values(), many_valued)
    base = _base(scratch, source, list(keys.values()), terms)
    groups = _group_terms(scratch, base, list(keys.values()), terms)
    _spread(scratch, base, groups, terms, target)


def _needed(terms: Iterable[Term]) -> dict[str | None, set[Aggregate]]:
    needed: dict[str | None, set[Aggregate]] = {}
    for term in terms:
        needed.setdefault(term.column, set()).add(term.aggregate)
    return needed


def _base(scratch: Scratch, source: Source, keys: Sequence[_Key], terms: Mapping[int, Term]) -> sa.Table:
    """The pass: every group's parts. `cid` numbers the combinations of keys, over all days."""
    table = source.table
    labels = [f"k{i}" for i in range(len(keys))]
    grouped: list[sa.ColumnElement[Any]] = [source.slot.label("slot")]
    grouped += [key.expression.label(label) for key, label in zip(keys, labels, strict=True)]
    aggregates: list[sa.ColumnElement[Any]] = []
    columns: list[sa.Column[Any]] = [sa.Column("slot", sa.Date), sa.Column("cid", sa.BigInteger)]
    columns += [sa.Column(label, key.kind) for key, label in zip(keys, labels, strict=True)]
    for i, (name, wanted) in enumerate(_needed(terms.values()).items()):
        value = table.c[tables.column_name(name)] if name is not None else None
        aggregates.append((sa.func.count(value) if value is not None else sa.func.count()).label(f"n{i}"))
        columns.append(sa.Column(f"n{i}", sa.BigInteger))
        for aggregate in sorted(wanted - {Aggregate.COUNT}):
            aggregates.append(_MERGED[aggregate](value).label(f"{aggregate.value}{i}"))
            columns.append(sa.Column(f"{aggregate.value}{i}", tables.PART))
    made = scratch.make("base", *columns)
    pass_ = source.select(*grouped, *aggregates)
    if len(terms) <= 2 and all(term.where for term in terms.values()):
        either = [sa.and_(*(matches(table, condition) for condition in term.where)) for term in terms.values()]
        pass_ = pass_.where(sa.or_(*either))
    grouped_by = pass_.group_by(*(sa.literal_column(str(i + 1)) for i in range(len(grouped)))).subquery()
    number = sa.func.dense_rank().over(order_by=[grouped_by.c[label] for label in labels]) if labels else sa.literal(1)
    names = ["slot", *labels, *(str(each.name) for each in aggregates)]
    rows = sa.select(number.label("cid"), *(grouped_by.c[name] for name in names))
    scratch.connection.execute(sa.insert(made).from_select(["cid", *names], rows))
    return made


_MERGED: Mapping[Aggregate, Callable[[Any], sa.ColumnElement[Any]]] = {
    Aggregate.SUM: sa.func.sum,
    Aggregate.MIN: sa.func.min,
    Aggregate.MAX: sa.func.max,
}


def _group_terms(scratch: Scratch, base: sa.Table, keys: Sequence[_Key], terms: Mapping[int, Term]) -> sa.Table:
    """Which groups each term takes: few rows, decided here. `place` says which columns hold its parts."""
    labels = [base.c[f"k{i}"] for i in range(len(keys))]
    found = scratch.connection.execute(sa.select(base.c.cid, *labels).distinct()).all()
    position = {condition: i for i, key in enumerate(keys) for condition in key.decide}
    columns = list(_needed(terms.values()))
    rows: list[tuple[int, int, int, int]] = []
    for number, term in terms.items():
        chosen: list[Any] = list(found)
        for condition in term.where:
            i = position[condition]
            decide = keys[i].decide[condition]
            verdicts = {value: decide(value) for value in {row[i + 1] for row in chosen}}
            chosen = [row for row in chosen if verdicts[row[i + 1]]]
        place, op = columns.index(term.column), _OPS.index(term.aggregate)
        rows += [(row[0], number, place, op) for row in chosen]
    numbers = np.array(rows, dtype=np.int64).reshape(-1, 4)
    names = ("cid", "term_id", "place", "op")
    table = pa.table({name: numbers[:, i].copy() for i, name in enumerate(names)})
    return scratch.put("groups", table, *(sa.Column(name, sa.BigInteger) for name in names))


_OPS = (Aggregate.COUNT, Aggregate.SUM, Aggregate.MIN, Aggregate.MAX)


def _spread(scratch: Scratch, base: sa.Table, groups: sa.Table, terms: Mapping[int, Term], target: sa.Table) -> None:
    """From groups to terms, in one statement. A term adds up its groups, in the columns that hold its parts."""
    needed = list(_needed(terms.values()).values())
    n = sa.case({i: base.c[f"n{i}"] for i in range(len(needed))}, value=groups.c.place)
    amounts: dict[int, sa.ColumnElement[Any]] = {}
    for op, aggregate in enumerate(_OPS):
        places = {i: base.c[f"{aggregate.value}{i}"] for i, each in enumerate(needed) if _is_kept(aggregate, each)}
        if places:
            amounts[op] = _MERGED[aggregate](sa.case(places, value=groups.c.place))
    amount = sa.case(amounts, value=groups.c.op) if amounts else sa.cast(sa.null(), tables.PART)
    parts = (
        sa.select(groups.c.term_id, base.c.slot, sa.func.sum(n), amount)
        .join_from(base, groups, base.c.cid == groups.c.cid)
        .group_by(groups.c.term_id, groups.c.op, base.c.slot)
    )
    scratch.connection.execute(sa.insert(target).from_select(["term_id", "day", "n", "amount"], parts))


def _is_kept(aggregate: Aggregate, needed: set[Aggregate]) -> bool:
    return aggregate is not Aggregate.COUNT and aggregate in needed


# --- Last values ----------------------------------------------------------------------------------------------------


def numbered(table: sa.Table, family: Family) -> tuple[sa.ColumnElement[int], list[sa.ColumnElement[bool]]]:
    """The number of the family's term that takes a record, and the condition that one does."""
    if family.column is None:
        conditions = [matches(table, condition) for condition in family.pattern.where]
        return sa.literal(next(iter(family.by_value.values()))), conditions
    column = table.c[tables.column_name(family.column)]
    return sa.case(dict(family.by_value), value=column), [column.in_(list(family.by_value))]


def _write_last(scratch: Scratch, family: Family, source: Source, target: sa.Table) -> None:
    """The last known value of each segment on each day; of two records at one instant, the one that came later."""
    table, term = source.table, family.pattern
    number, conditions = numbered(table, family)
    value = table.c[tables.column_name(term.column or "")]
    segment = sa.cast(table.c[tables.column_name(term.segment)] if term.segment else sa.null(), sa.Text)
    known = source.select(
        number.label("term_id"),
        source.slot.label("slot"),
        segment.label("segment"),
        value.label("amount"),
        table.c.at.label("moment"),
        table.c.record_id.label("record_id"),
    ).where(value.is_not(None), *conditions)
    last = _last_by_key(known.subquery()) if scratch.is_duckdb else _last_by_rank(known.subquery())
    scratch.connection.execute(sa.insert(target).from_select(["term_id", "day", "segment", "n", "amount"], last))


def _last_by_rank(known: sa.Subquery) -> sa.Select[Any]:
    """As any engine can."""
    rank = sa.func.row_number().over(
        partition_by=[known.c.term_id, known.c.slot, known.c.segment],
        order_by=[known.c.moment.desc(), known.c.record_id.desc()],
    )
    ranked = sa.select(known.c.term_id, known.c.slot, known.c.segment, known.c.amount, rank.label("rank")).subquery()
    columns = (ranked.c.term_id, ranked.c.slot, ranked.c.segment, sa.literal(1), ranked.c.amount)
    return sa.select(*columns).where(ranked.c.rank == 1)


def _last_by_key(known: sa.Subquery) -> sa.Select[Any]:
    """On DuckDB without sorting: instant and number as one 128-bit number, the greatest wins."""
    order: sa.ColumnElement[Any] = sa.literal_column("CAST(epoch_us(moment) AS HUGEINT) * 1099511627776 + record_id")
    last = sa.func.arg_max(known.c.amount, order)
    grouped = (known.c.term_id, known.c.slot, known.c.segment)
    return sa.select(*grouped, sa.literal(1), last).group_by(*grouped)
