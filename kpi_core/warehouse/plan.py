"""What a set of measures asks of the records: the distinct terms, and how each series adds them up.

Two KPIs that count the same thing share a term, whatever they do with it afterwards: weights, factors and divisions
are applied to the term's values. A term is known by its text (`signature`), so that a changed filter is another term.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache

from kpi_core.model import Aggregate, Condition, Kind, Kpi, Measure, Op, Term
from kpi_core.store.codec import encode

__all__ = ["ADDITIVE", "FROM_RECORDS", "Family", "Plan", "Series", "Use", "families", "plan", "series_of", "signature"]

ONE = Decimal(1)
ADDITIVE = frozenset({Aggregate.COUNT, Aggregate.SUM, Aggregate.MIN, Aggregate.MAX})
"""A coarser span's value follows from the parts of its days."""
FROM_RECORDS = frozenset({Aggregate.DISTINCT, Aggregate.QUANTILE})
"""A coarser span's value does not: it is made from the records, each span for itself."""
_ZERO_WITHOUT_RECORDS = frozenset({Aggregate.COUNT, Aggregate.SUM, Aggregate.DISTINCT})


@dataclass(frozen=True, slots=True)
class Series:
    """A measure to be calculated for spans; `id` is the KPI's, or a number of the caller's own."""

    id: int
    measure: Measure
    kind: Kind

    @property
    def terms(self) -> tuple[Term, ...]:
        return (*self.measure.numerator, *self.measure.denominator)

    @property
    def datasets(self) -> frozenset[str]:
        return frozenset(term.dataset for term in self.terms)

    @property
    def carries_on(self) -> bool:
        """Whether records of a day bear on later spans: by what stood before a span, or which segments there were."""
        return any(
            term.aggregate is Aggregate.LAST and (term.at == "start" or term.segment is not None) for term in self.terms
        )


@dataclass(frozen=True, slots=True)
class Use:
    """A series uses a term: on which side, with which weight, and whether no records mean 0."""

    series: int
    term: int
    at_start: bool
    is_denominator: bool
    weight: Decimal
    is_zero_without_records: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Distinct terms by number, and their uses. Terms have weight 1 and `at` "end": those are a use's business."""

    series: tuple[Series, ...]
    terms: Mapping[int, Term]
    uses: tuple[Use, ...]

    def of_dataset(self, dataset: str, aggregates: frozenset[Aggregate]) -> dict[int, Term]:
        return {
            number: term
            for number, term in self.terms.items()
            if term.dataset == dataset and term.aggregate in aggregates
        }


def bare(term: Term) -> Term:
    """The term without what is applied to its values afterwards; conditions in one order."""
    return replace(term, weight=ONE, at="end", where=tuple(sorted(set(term.where), key=_condition_key)))


def _condition_key(condition: Condition) -> tuple[str, str, str]:
    return condition.column, condition.op.value, repr(condition.value)


@lru_cache(maxsize=16_384)
def signature(term: Term) -> str:
    """The text that a term is known by."""
    return json.dumps(encode(bare(term)), sort_keys=True)


def series_of(kpis: Iterable[Kpi]) -> list[Series]:
    """The KPIs that are calculated from records."""
    return [Series(kpi.id, kpi.measure, kpi.kind) for kpi in kpis if kpi.measure is not None and kpi.measure.numerator]


def plan(series: Iterable[Series], numbers: Mapping[str, int] | None = None) -> Plan:
    """The plan for these series. `numbers` are terms already known, by signature; new ones are numbered after them."""
    known = dict(numbers or {})
    terms: dict[int, Term] = {}
    uses: list[Use] = []
    wanted = tuple(series)
    next_number = max(known.values(), default=0) + 1
    for each in wanted:
        sides = ((each.measure.numerator, False), (each.measure.denominator, True))
        for term, is_denominator in ((term, side) for side_terms, side in sides for term in side_terms):
            text = signature(term)
            if text not in known:
                known[text] = next_number
                next_number += 1
            number = known[text]
            terms.setdefault(number, bare(term))
            is_zero = term.aggregate in _ZERO_WITHOUT_RECORDS
            uses.append(Use(each.id, number, term.at == "start", is_denominator, term.weight, is_zero))
    return Plan(wanted, terms, tuple(uses))


@dataclass(frozen=True, slots=True)
class Family:
    """Terms that do the same with different records: one for each of several values of one column.

    They share a scan. `column` is None for a term on its own, whatever its conditions.
    """

    pattern: Term
    column: str | None
    by_value: Mapping[object, int]


def families(terms: Mapping[int, Term], also: Mapping[int, Hashable] | None = None) -> list[Family]:
    """Put terms together that differ only in one `column = value`. Those told apart by `also` stay apart."""
    grouped: dict[Hashable, dict[object, int]] = {}
    alone: list[Family] = []
    for number, term in terms.items():
        only = term.where[0] if len(term.where) == 1 else None
        if only is None or only.op is not Op.EQ or not isinstance(only.value, str):
            alone.append(Family(term, None, {None: number}))
            continue
        key = (replace(term, where=()), only.column, also[number] if also else None)
        grouped.setdefault(key, {})[only.value] = number
    together = [
        Family(terms[min(by_value.values())], _only_column(terms, by_value), by_value) for by_value in grouped.values()
    ]
    return together + alone


def _only_column(terms: Mapping[int, Term], by_value: Mapping[object, int]) -> str:
    return terms[next(iter(by_value.values()))].where[0].column
