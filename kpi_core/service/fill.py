"""What a span without an entered value means, where a definition says so: 0, or the value before it.

Filled values are observations like others, made by the system: so formulas, coarser spans, boards and the API all see
them, and "as known on" shows them from when they were known. They are told from entered ones by not being `typed`,
and made anew whenever an entered value before them changes. Only closed spans are filled, and none before the first
value: an open one may still get its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Connection

from kpi_core import periods
from kpi_core.access import SYSTEM
from kpi_core.model import Calculation, Grain, Kind, Kpi, Missing, Reading, Span
from kpi_core.service.scoring import aligned
from kpi_core.service.snapshot import Snapshot
from kpi_core.store import values

__all__ = ["fill"]

ZERO = Decimal(0)
NOTES = {Missing.ZERO: "nothing was entered: 0", Missing.CARRY_FORWARD: "nothing was entered: the value before"}


def fill(conn: Connection, snapshot: Snapshot, now: datetime) -> dict[int, list[date]]:
    """Fill the closed spans of entered KPIs that nothing was entered for; which days of which KPI say something new."""
    changed: dict[int, list[date]] = {}
    for grain in (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY):
        kpis = {kpi.id: kpi for kpi in snapshot.kpis.values() if _is_filled(kpi, grain)}
        if not kpis:
            continue
        known = _known(conn, kpis, grain, snapshot, now)
        made = [filled for id_, readings in known.items() for filled in _filled(kpis[id_], readings, snapshot, now)]
        fresh = values.changed_only(conn, values.to_arrow(made))
        values.append(conn, fresh, by=SYSTEM.id, now=now)
        for id_, day in zip(fresh["kpi_id"].to_pylist(), fresh["period_date"].to_pylist(), strict=True):
            changed.setdefault(id_, []).append(day)
    return changed


def _known(
    conn: Connection, kpis: Mapping[int, Kpi], grain: Grain, snapshot: Snapshot, now: datetime
) -> dict[int, list[Reading]]:
    """All that is known of them so far, by KPI."""
    calendar = snapshot.calendar
    table = values.window(conn, grain, date.min, periods.local_day(now, calendar), kpi_ids=kpis)
    found: dict[int, list[Reading]] = {}
    rows = aligned(table, grain, calendar)
    for reading in values.to_readings(rows, lambda day: periods.span_of(day, grain, calendar)):
        found.setdefault(reading.kpi_id, []).append(reading)
    return found


def _is_filled(kpi: Kpi, grain: Grain) -> bool:
    entered = kpi.calculation is Calculation.MANUAL and kpi.missing is not Missing.UNKNOWN
    return entered and kpi.is_active and kpi.tracking_period is grain


def _filled(kpi: Kpi, readings: Sequence[Reading], snapshot: Snapshot, now: datetime) -> Iterator[Reading]:
    typed = {reading.span.start: reading for reading in readings if reading.typed}
    if not typed:
        return
    calendar = snapshot.calendar
    today = periods.local_day(now, calendar)
    last = typed[min(typed)]
    for span in periods.spans_between(last.span.start, today, kpi.tracking_period, calendar):
        if span.start in typed:
            last = typed[span.start]
        elif span.end <= today and _is_expected(kpi, span, snapshot):
            yield _instead(kpi, span, last)


def _is_expected(kpi: Kpi, span: Span, snapshot: Snapshot) -> bool:
    return span.grain is not Grain.DAILY or periods.is_active(span.start, kpi.active_days, snapshot.calendar)


def _instead(kpi: Kpi, span: Span, last: Reading) -> Reading:
    blank = Reading(kpi.id, span, None, notes=NOTES[kpi.missing])
    if kpi.missing is Missing.CARRY_FORWARD:
        kept = replace(blank, value=last.value, reason=last.reason)
        return replace(kept, numerator=last.numerator, denominator=last.denominator)
    if kpi.kind is Kind.RATIO:  # 0 of 0 adds up to nothing, and is no value
        return replace(blank, numerator=ZERO, denominator=ZERO, reason="the denominator is 0")
    return replace(blank, value=ZERO)
