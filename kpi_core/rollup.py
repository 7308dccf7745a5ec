"""How entered values add up: from the readings of single days to the reading of a coarser span.

Weeks never nest in months, so that every coarser value is built from days (SEMANTICS.md, sections 4 and 5). What a
day without a value means is the KPI's own `missing`: unknown (the span is incomplete), zero, or the value before.
Only days that are expected count: a KPI of Monday to Friday owes nothing on a Sunday.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from kpi_core.model import Kind, Kpi, Missing, Reading, Span
from kpi_core.periods import Calendar, is_active

__all__ = ["roll_up"]

ZERO = Decimal(0)
PARTS_MISSING = "a ratio adds up only where numerator and denominator are both entered"


@dataclass(frozen=True, slots=True)
class _Day:
    value: Decimal | None
    numerator: Decimal | None
    denominator: Decimal | None


def roll_up(kpi: Kpi, span: Span, days: Mapping[date, Reading], calendar: Calendar, until: date) -> Reading | None:
    """The reading of `span` out of the readings of its days; None where no day has one, or the kind cannot add up.

    `until` is the first day that cannot have a value yet (tomorrow, seen from today): later days are not missed.
    An entered ratio whose parts are not known does not roll up, and says so.
    """
    end = min(span.end, until)
    expected = [day for day in _dates(span.start, end) if is_active(day, kpi.active_days, calendar)]
    known = {day: _Day(r.value, r.numerator, r.denominator) for day, r in days.items() if span.start <= day < end}
    if not known:
        return None
    if kpi.missing is not Missing.UNKNOWN:
        known = _filled(kpi, expected, known, days)
    of_days = sum(is_active(day, kpi.active_days, calendar) for day in _dates(span.start, span.end))
    have = sum(day in known for day in expected) if of_days else len(known)
    return _add(kpi, span, [known[day] for day in sorted(known)], have, of_days or span.days)


def _add(kpi: Kpi, span: Span, days: list[_Day], have: int, of_days: int) -> Reading | None:
    match kpi.kind:
        case Kind.FLOW:
            value = sum((day.value for day in days if day.value is not None), ZERO)
            return Reading(kpi.id, span, value, have_days=have, of_days=of_days)
        case Kind.STOCK:
            values = [day.value for day in days if day.value is not None]
            return Reading(kpi.id, span, values[-1], have_days=have, of_days=of_days) if values else None
        case Kind.RATIO:
            return _ratio(kpi, span, days, have, of_days)
        case _:
            return None


def _ratio(kpi: Kpi, span: Span, days: list[_Day], have: int, of_days: int) -> Reading:
    if any(day.numerator is None or day.denominator is None for day in days):
        return Reading(kpi.id, span, None, reason=PARTS_MISSING, have_days=have, of_days=of_days)
    numerator = sum((day.numerator for day in days if day.numerator is not None), ZERO)
    denominator = sum((day.denominator for day in days if day.denominator is not None), ZERO)
    value = kpi.factor * numerator / denominator if denominator else None
    reason = None if denominator else "the denominator is 0"
    return Reading(kpi.id, span, value, numerator, denominator, reason, have_days=have, of_days=of_days)


def _filled(
    kpi: Kpi, expected: list[date], known: Mapping[date, _Day], days: Mapping[date, Reading]
) -> dict[date, _Day]:
    filled = dict(known)
    before = [day for day in sorted(days) if expected and day < expected[0]]
    last = _Day(days[before[-1]].value, None, None) if before else None
    for day in expected:
        if day in filled:
            last = filled[day]
        elif kpi.missing is Missing.ZERO:
            filled[day] = _Day(ZERO, None, None)
        elif last is not None:
            filled[day] = last
    return filled


def _dates(start: date, end: date) -> list[date]:
    return [start + timedelta(days=n) for n in range((end - start).days)]
