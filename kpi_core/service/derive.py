"""Derived KPIs: each formula evaluated at the grain and span of the KPI that refers, in dependency order.

Inputs are readings of other KPIs, or the KPI's own measures over records (`inputs`). In an open span an earlier
value means the like-for-like one, so that growth in the middle of a month compares the same days of both months.
Where no like part is known, or an earlier span is incomplete, there is no value rather than one of unlike things.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256

import sqlalchemy as sa
from sqlalchemy import Connection

from kpi_core import formula, periods
from kpi_core.access import SYSTEM
from kpi_core.formula import Formula, Result
from kpi_core.model import Aggregate, Grain, Kind, Kpi, Measure, Reading, Span, SpanState
from kpi_core.service.scoring import aligned
from kpi_core.service.snapshot import Snapshot
from kpi_core.store import Store, settings, values
from kpi_core.store.codec import encode
from kpi_core.store.schema import kpi_values
from kpi_core.warehouse import aggregate

__all__ = ["derive", "note_derived", "stale_since"]

COARSER = {
    Grain.DAILY: (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY),
    Grain.WEEKLY: (Grain.WEEKLY,),
    Grain.MONTHLY: (Grain.MONTHLY,),
}

ADDS_UP_IN_TIME = (Kind.FLOW, Kind.DISTINCT)
"""In an open span these are still growing: an earlier value of theirs is only comparable like for like."""


NOTED = "derived"
"""The setting that says with which formulas, and on which day, everything was last derived."""


def stale_since(conn: Connection, snapshot: Snapshot, now: datetime) -> date | None:
    """From when derived values have to be done again though no record changed: all of them (date.min) where a
    definition or the calendar did, those of the spans that closed since where a day has ended; None where nothing."""
    noted = settings.get(conn, NOTED)
    if noted is None or noted["signature"] != _signature(snapshot):
        return date.min
    day = date.fromisoformat(noted["day"])
    return day if day < periods.local_day(now, snapshot.calendar) else None


def note_derived(conn: Connection, snapshot: Snapshot, now: datetime) -> None:
    """Note that everything is derived, up to now."""
    day = periods.local_day(now, snapshot.calendar).isoformat()
    settings.put(conn, NOTED, {"signature": _signature(snapshot), "day": day}, SYSTEM.id, now)


def _signature(snapshot: Snapshot) -> str:
    """All that derived values depend on, beside their inputs."""
    made_of = {
        kpi.key: [
            kpi.formula,
            encode(kpi.guard) if kpi.guard else None,
            {name: encode(measure) for name, measure in kpi.inputs.items()},
            [grain.value for grain in kpi.grains],
        ]
        for kpi in snapshot.kpis.values()
        if kpi.formula and kpi.is_active
    }
    calendar = [snapshot.calendar.time_zone, snapshot.calendar.week_start]
    return sha256(json.dumps([made_of, calendar], sort_keys=True).encode()).hexdigest()


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
            appended += _derive_grain(conn, store, snapshot, kpis, grain, now, since, _growing(snapshot, order))
    return appended


def _grains(kpi: Kpi) -> set[Grain]:
    return {coarser for grain in kpi.grains for coarser in COARSER.get(grain, ())}


def _derive_grain(
    conn: Connection,
    store: Store,
    snapshot: Snapshot,
    kpis: list[Kpi],
    grain: Grain,
    now: datetime,
    since: date | None,
    growing: frozenset[str],
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
            reading = _evaluate(kpi, span, formulas[kpi.key], inputs, snapshot, growing, now)
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
    found = values.window(conn, earliest.grain, earliest.start, last.end, kpi_ids=sorted(ids))
    table = aligned(found, earliest.grain, snapshot.calendar)
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
    growing: frozenset[str],
    now: datetime,
) -> Reading | None:
    main, guard = parsed
    case = _Case(kpi, span, inputs, snapshot, growing, periods.state(span, now, snapshot.calendar) is SpanState.OPEN)
    present = {name: reading for name in sorted(main.names) if (reading := case.find(name, 0)) is not None}
    if not present:
        return None
    base = Reading(kpi.id, span, None, through=_through(present.values(), case.is_open))
    partial = [reason for name in present if not case.is_open and (reason := case.incomplete(name, 0))]
    if partial:
        return replace(base, reason=partial[0])
    if kpi.guard and guard:
        checked, _ = case.value(guard)
        if checked.value is not None and checked.value <= kpi.guard.at_most:
            return replace(base, reason=kpi.guard.says, verdict=kpi.guard.status)
    result, withheld = case.value(main)
    reason = withheld[0] if result.value is None and withheld else result.reason
    return replace(base, value=result.value, reason=reason)


@dataclass(frozen=True, slots=True)
class _Case:
    """One derived KPI at one span, and how it reads its inputs."""

    kpi: Kpi
    span: Span
    inputs: _Inputs
    snapshot: Snapshot
    growing: frozenset[str]
    is_open: bool

    def value(self, parsed: Formula) -> tuple[Result, list[str]]:
        """The formula's value, and why inputs that are there could not be taken."""
        withheld: list[str] = []

        def lookup(name: str, offset: int) -> Decimal | None:
            if self._is_growing(name):
                if name in parsed.averaged:
                    offset += 1  # the mean of what is over: a part would pull it down
                elif name not in parsed.current:
                    offset = offset or UNREACHABLE  # `prev` beside `mean`: the part has no place in either
                elif offset:
                    return self._earlier_part(name, offset, withheld)
            reason = self.incomplete(name, offset) if offset else None
            if reason:
                withheld.append(reason)
                return None
            found = self.find(name, offset)
            return found.value if found else None

        return formula.evaluate(parsed, lookup), withheld

    def find(self, name: str, offset: int) -> Reading | None:
        key = f"{self.kpi.key}.{name}" if name in self.kpi.inputs else name
        return self.inputs.at(key, periods.previous(self.span, self.snapshot.calendar, offset).start)

    def incomplete(self, name: str, offset: int) -> str | None:
        """What is wrong with a sum over a part of a span's days: it is too small, and nothing can be made of it."""
        found = self.find(name, offset)
        if found is None or not _is_partial(found) or _kind(self.kpi, name, self.snapshot) not in ADDS_UP_IN_TIME:
            return None
        where = f" in {periods.label(found.span, self.snapshot.calendar)}" if offset else ""
        return f"{name} is incomplete{where} ({found.have_days} of {found.of_days} days)"

    def _is_growing(self, name: str) -> bool:
        """Whether the present value is that of a part; one typed in for the whole span is complete."""
        if not self.is_open:
            return False
        here = self.find(name, 0)
        if here is not None and here.typed:
            return False
        if name in self.kpi.inputs:
            return kind_of(self.kpi.inputs[name]) in ADDS_UP_IN_TIME
        return name in self.growing

    def _earlier_part(self, name: str, offset: int, withheld: list[str]) -> Decimal | None:
        """The same part of the span before; of spans before that no part is known, and the whole would be unlike."""
        here = self.find(name, 0)
        if here is not None and offset == 1 and here.prior is not None and self._compares_with_the_span_before(name):
            return here.prior
        earlier = periods.previous(self.span, self.snapshot.calendar, offset)
        note = here.prior_note if here is not None and offset == 1 else None
        withheld.append(
            note or f"the same part of {periods.label(earlier, self.snapshot.calendar)} is not known: {name}"
        )
        return None

    def _compares_with_the_span_before(self, name: str) -> bool:
        """Not a weekday's with that of last week, nor Monday's with Friday: `prev` is the span before."""
        compared = self.kpi if name in self.kpi.inputs else self.snapshot.by_key[name]
        calendar = self.snapshot.calendar
        return periods.comparison_span(compared, self.span, calendar) == periods.previous(self.span, calendar)


UNREACHABLE = formula.MAX_SPANS + 1
"""An offset at which nothing is ever found."""


def _growing(snapshot: Snapshot, order: Iterable[str]) -> frozenset[str]:
    """The KPIs whose value in an open span is that of a part: sums and distinct counts, and what is derived of them."""
    found = {kpi.key for kpi in snapshot.kpis.values() if kpi.kind in ADDS_UP_IN_TIME}
    for key in order:
        kpi = snapshot.by_key[key]
        own = {name for name, measure in kpi.inputs.items() if kind_of(measure) in ADDS_UP_IN_TIME}
        if formula.parse(kpi.formula or "").current & ((found - kpi.inputs.keys()) | own):
            found.add(key)
    return frozenset(found)


def _through(readings: Iterable[Reading], is_open: bool) -> datetime | None:
    known = [reading.through for reading in readings if reading.through is not None]
    return min(known) if known and is_open else None


def _is_partial(reading: Reading) -> bool:
    return reading.have_days is not None and reading.of_days is not None and reading.have_days < reading.of_days


def _kind(kpi: Kpi, name: str, snapshot: Snapshot) -> Kind:
    return kind_of(kpi.inputs[name]) if name in kpi.inputs else snapshot.by_key[name].kind
