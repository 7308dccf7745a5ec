"""The value of a measure over the demo's records, span by span: a plain second opinion beside the warehouse.

It exists to set believable targets while the demo is made, before there is a store. It reads the definitions' own
terms, so that a definition that changes brings its targets along; statistics over floats are exact enough for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import numpy as np

from kpi_core.demo.noise import Bools, Floats, Ints
from kpi_core.demo.tables import MICRO, Amounts, Codes, Column, Flags, Names, Table
from kpi_core.model import Aggregate, Condition, Measure, Op, Term

__all__ = ["Tables", "over_spans"]

Tables = Mapping[str, Table]
Constant = str | Decimal | bool

_COMPARE: Mapping[Op, Callable[[Floats, float], Bools]] = {
    Op.EQ: lambda values, bound: values == bound,
    Op.NE: lambda values, bound: values != bound,
    Op.LT: lambda values, bound: values < bound,
    Op.LE: lambda values, bound: values <= bound,
    Op.GT: lambda values, bound: values > bound,
    Op.GE: lambda values, bound: values >= bound,
}


def over_spans(measure: Measure, tables: Tables, edges: Ints) -> Floats:
    """The value for each span [edges[i], edges[i + 1]), in seconds; NaN where there is none."""
    above = sum((_term(term, tables, edges) for term in measure.numerator), np.zeros(len(edges) - 1))
    if not measure.denominator:
        return np.asarray(float(measure.factor) * above)
    below = sum((_term(term, tables, edges) for term in measure.denominator), np.zeros(len(edges) - 1))
    safe = np.where(below == 0, np.nan, below)
    return np.asarray(float(measure.factor) * above / safe, dtype=np.float64)


def _term(term: Term, tables: Tables, edges: Ints) -> Floats:
    table = tables[term.dataset]
    rows = np.ones(len(table), dtype=bool)
    for condition in term.where:
        rows &= _satisfies(table.columns[condition.column], condition)
    column = table.columns[term.column] if term.column else None
    if term.aggregate in (Aggregate.COUNT, Aggregate.SUM) and column is not None:
        rows &= _known(column)
    found = table if rows.all() else table.take(rows)
    return float(term.weight) * _aggregate(term, found, edges)


def _aggregate(term: Term, table: Table, edges: Ints) -> Floats:
    column = table.columns[term.column] if term.column else None
    if term.aggregate is Aggregate.COUNT:
        return np.diff(np.searchsorted(table.at, edges)).astype(np.float64)
    if column is None:
        raise ValueError(f"{term.aggregate} needs a column")
    if term.aggregate is Aggregate.SUM:
        total = np.concatenate(([0.0], np.cumsum(_floats(column))))
        return np.diff(total[np.searchsorted(table.at, edges)])
    if term.aggregate is Aggregate.DISTINCT:
        return _distinct(table.at, column, edges)
    if term.aggregate is Aggregate.LAST:
        return _last(term, table, column, edges)
    raise ValueError(f"no shipped definition uses {term.aggregate}")


def _distinct(at: Ints, column: Column, edges: Ints) -> Floats:
    ids = column.ids if isinstance(column, Names) else column.codes if isinstance(column, Codes) else None
    if ids is None:
        raise ValueError("only texts are counted distinct")
    bounds = np.searchsorted(at, edges)
    pairs = zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    return np.array([len(np.unique(ids[low:high])) for low, high in pairs], dtype=np.float64)


def _last(term: Term, table: Table, column: Column, edges: Ints) -> Floats:
    """Per segment the last value in each span, or before it; a segment without one makes the sum unknown."""
    segment = table.columns[term.segment] if term.segment else None
    codes = segment.codes if isinstance(segment, Codes) else np.zeros(len(table), dtype=np.int64)
    total = np.zeros(len(edges) - 1)
    for code in np.unique(codes):
        at, values = table.at[codes == code], _floats(column)[codes == code]
        place = np.searchsorted(at, edges[:-1] if term.at == "start" else edges[1:]) - 1
        total += np.where(place >= 0, values[np.maximum(place, 0)], np.nan)
    return total


def _satisfies(column: Column, condition: Condition) -> Bools:
    """An unknown value satisfies none but `is_null`."""
    known = _known(column)
    if condition.op in (Op.IS_NULL, Op.NOT_NULL):
        return known if condition.op is Op.NOT_NULL else ~known
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    if condition.op in (Op.IN, Op.NOT_IN, Op.EQ, Op.NE):
        among = np.isin(_floats(column), [_float(column, value) for value in values if value is not None])
        return known & (among if condition.op in (Op.IN, Op.EQ) else ~among)
    bound = values[0]
    return known & _COMPARE[condition.op](_floats(column), _float(column, bound if bound is not None else Decimal(0)))


def _floats(column: Column) -> Floats:
    """Numbers as they are, codes and flags as their numbers."""
    if isinstance(column, Amounts):
        return column.micros / MICRO
    if isinstance(column, Flags):
        return column.flags.astype(np.float64)
    return (column.codes if isinstance(column, Codes) else column.ids).astype(np.float64)


def _float(column: Column, value: Constant) -> float:
    if isinstance(column, Codes):
        return float(column.texts.index(str(value))) if value in column.texts else -2.0
    return float(value)


def _known(column: Column) -> Bools:
    if isinstance(column, Codes):
        return column.codes >= 0
    if isinstance(column, Amounts) and column.known is not None:
        return column.known
    return np.ones(len(_floats(column)), dtype=bool)
