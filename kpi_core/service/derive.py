"""Derived KPIs: each formula evaluated at the grain and span of the KPI that refers, in dependency order.

Inputs are readings of other KPIs, or the KPI's own measures over records (`inputs`). In an open span an earlier
value means the like-for-like one, so that growth in the middle of a month compares the same days of both months.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy import Connection

from kpi_core import formula, periods
from kpi_core.access import SYSTEM
from kpi_core.formula import Formula
from kpi_core.model import Aggregate, Grain, Kind, Kpi, Measure, Reading, Span, SpanState
from kpi_core.service.snapshot import Snapshot
from kpi_core.store import Store, values
from kpi_core.store.schema import kpi_values
from kpi_core.warehouse import aggregate

__all__ = ["derive"]

COARSER = {
    Grain.DAILY: (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY),
    Grain.WEEKLY: (Grain.WEEKLY,),
    Grain.MONTHLY: (Grain.MONTHLY,),
}

ADDS_UP_IN_TIME = (Kind.FLOW, Kind.DISTINCT)
"""In an open span these are still growing: an earlier value of theirs is only comparable like for like."""


@dataclass(frozen=True)
class _Inputs:
    """The readings at hand, by name and first day; what is derived joins them, for the formulas after it."""

    readings: dict[str, dict[date, Reading]] = field(default_factory=dict)

    def at(self, name: str, start: date) -> Reading | None:
        return self.readings.get(name, {}).get(start)


def derive(conn: Connection, store: Store, snapshot: Snapshot, now: datetime, since: date | None) -> int:
    """Evaluate every derived KPI for the spans that end after `since` (None: all), and append what changed.

    Returns the number of readings appended.
    """
    derived = {kpi.key: kpi for kpi in snapshot.kpis.values() if kpi.formula and kpi.is_active}
    order = formula.order({key: formula.references(kpi) for key, kpi in derived.items()})
    appended = 0
    for grain in (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY):
        kpis = [derived[key] for key in order if grain in _grains(derived[key])]
        if kpis:
            appended += _derive_grain(conn, store, snapshot, kpis, grain, now, since)
    return appended


def _grains(kpi: Kpi) -> set[Grain]:
    return {coarser for grain in kpi.grains for coarser in COARSER.get(grain, ())}


def _derive_grain(
    conn: Connection, store: Store, snapshot: Snapshot, kpis: list[Kpi], grain: Grain, now: datetime, since: date | None
) -> int:
    calendar = snapshot.calendar
    today = periods.local_day(now, calendar)
    formulas = {kpi.key: (formula.parse(kpi.formula or ""), _guard(kpi)) for kpi in kpis}
    first = _first_day(conn, since)
    if first is None:
        return 0
    reach = max(max(parsed.reach.values(), default=0) for pair in formulas.values() for parsed in pair if parsed)
    earliest = periods.previous(periods.span_of(first, grain, calendar), calendar, reach + 1)
    last = periods.span_of(today, grain, calendar)
    inputs = _gather(conn, store, snapshot, kpis, formulas, earliest, last)
    changed: list[Reading] = []
    for kpi in kpis:
        mine = inputs.readings.setdefault(kpi.key, {})
        for span in periods.spans_between(first, last.end, grain, calendar):
            reading = _evaluate(kpi, span, formulas[kpi.key], inputs, snapshot, now)
            if reading is not None:
                mine[span.start] = reading
                changed.append(reading)
    fresh = values.changed_only(conn, values.to_arrow(changed))
    return values.append(conn, fresh, by=SYSTEM.id, now=now)


def _first_day(conn: Connection, since: date | None) -> date | None:
    """The first day to evaluate for: `since`, or that of the oldest value there is."""
    return since or conn.execute(sa.select(sa.func.min(kpi_values.c.period_date))).scalar()


def _guard(kpi: Kpi) -> Formula | None:
    return formula.parse(kpi.guard.formula) if kpi.guard else None


def _gather(
    conn: Connection,
    store: Store,
    snapshot: Snapshot,
    kpis: list[Kpi],
    formulas: Mapping[str, tuple[Formula, Formula | None]],
    earliest: Span,
    last: Span,
) -> _Inputs:
    names = {name for kpi in kpis for parsed in formulas[kpi.key] if parsed for name in parsed.names - set(kpi.inputs)}
    ids = {snapshot.by_key[name].id: name for name in names if name in snapshot.by_key}
    table = values.window(conn, earliest.grain, earliest.start, last.end, kpi_ids=sorted(ids))
    inputs = _Inputs()
    for reading in values.to_readings(table, lambda day: periods.span_of(day, earliest.grain, snapshot.calendar)):
        inputs.readings.setdefault(ids[reading.kpi_id], {})[reading.span.start] = reading
    own = {f"{kpi.key}.{name}": measure for kpi in kpis for name, measure in kpi.inputs.items()}
    _gather_own(conn, store, snapshot, own, earliest, last, inputs)
    return inputs


def _gather_own(
    conn: Connection,
    store: Store,
    snapshot: Snapshot,
    own: Mapping[str, Measure],
    earliest: Span,
    last: Span,
    inputs: _Inputs,
) -> None:
    if not own:
        return
    series = {name: (measure, kind_of(measure)) for name, measure in own.items()}
    table = aggregate(conn, store, series, earliest.grain, earliest.start, last.end, snapshot.company)
    for row in table.to_pylist():
        span = periods.span_of(row["start"], earliest.grain, snapshot.calendar)
        reading = Reading(
            0, span, row["value"], reason=row["reason"], have_days=row["have_days"], of_days=row["of_days"]
        )
        inputs.readings.setdefault(row["series"], {})[span.start] = reading


def kind_of(measure: Measure) -> Kind:
    """How a measure over records adds up, by what its terms do."""
    if measure.denominator:
        return Kind.RATIO
    used = {term.aggregate for term in measure.numerator}
    if Aggregate.DISTINCT in used:
        return Kind.DISTINCT
    if Aggregate.LAST in used:
        return Kind.STOCK
    return Kind.FLOW if used <= {Aggregate.COUNT, Aggregate.SUM} else Kind.STATISTIC


def _evaluate(
    kpi: Kpi,
    span: Span,
    parsed: tuple[Formula, Formula | None],
    inputs: _Inputs,
    snapshot: Snapshot,
    now: datetime,
) -> Reading | None:
    main, guard = parsed
    calendar = snapshot.calendar
    is_open = periods.state(span, now, calendar) is SpanState.OPEN

    def find(name: str, offset: int) -> Reading | None:
        key = f"{kpi.key}.{name}" if name in kpi.inputs else name
        start = periods.previous(span, calendar, offset).start if offset else span.start
        return inputs.at(key, start)

    def lookup(name: str, offset: int) -> Decimal | None:
        growing = is_open and kinds[name] in ADDS_UP_IN_TIME
        if growing and name in averaged:
            offset += 1
        elif growing and offset == 1:
            here = find(name, 0)
            return here.prior if here else None
        found = find(name, offset)
        return found.value if found else None

    names = main.names | (guard.names if guard else frozenset())
    averaged = main.averaged | (guard.averaged if guard else frozenset())
    kinds = {name: _kind(kpi, name, snapshot) for name in names}
    present = {name: reading for name in sorted(main.names) if (reading := find(name, 0)) is not None}
    if not present:
        return None
    base = Reading(kpi.id, span, None, through=_through(present.values(), is_open))
    partial = [name for name in present if kinds[name] in ADDS_UP_IN_TIME and _is_partial(present[name])]
    if partial and not is_open:
        part = present[partial[0]]
        return replace(base, reason=f"{partial[0]} is incomplete ({part.have_days} of {part.of_days} days)")
    if kpi.guard and guard:
        checked = formula.evaluate(guard, lookup)
        if checked.value is not None and checked.value <= kpi.guard.at_most:
            return replace(base, reason=kpi.guard.says, verdict=kpi.guard.status)
    result = formula.evaluate(main, lookup)
    return replace(base, value=result.value, reason=result.reason)


def _through(readings: Iterable[Reading], is_open: bool) -> datetime | None:
    known = [reading.through for reading in readings if reading.through is not None]
    return min(known) if known and is_open else None


def _is_partial(reading: Reading) -> bool:
    return reading.have_days is not None and reading.of_days is not None and reading.have_days < reading.of_days


def _kind(kpi: Kpi, name: str, snapshot: Snapshot) -> Kind:
    return kind_of(kpi.inputs[name]) if name in kpi.inputs else snapshot.by_key[name].kind
