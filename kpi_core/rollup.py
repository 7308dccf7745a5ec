"""How entered values add up: from the readings of single days to the reading of a coarser span.

Weeks never nest in months, so that every coarser value is built from days (SEMANTICS.md, sections 4 and 5). What a
day without a value means is the KPI's own `missing`: unknown (the span is incomplete), zero, or the value before.
Only days that are expected count: a KPI of Monday to Friday owes nothing on a Sunday.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from kpi_core import periods, status
from kpi_core.model import Grain, Kind, Kpi, Missing, Reading, Span
from kpi_core.periods import Calendar, is_active

__all__ = ["roll_up"]

ZERO = Decimal(0)
ADDS_UP = (Kind.FLOW, Kind.RATIO)
LOOKED_AT = 10
"""Spans looked at for the 8 complete ones that pace needs."""
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
    made = _add(kpi, span, [known[day] for day in sorted(known)], have, of_days or span.days)
    is_open = span.end >= until
    return _so_far(kpi, made, max(known), days, calendar) if made and is_open and kpi.kind in ADDS_UP else made


def _so_far(kpi: Kpi, made: Reading, last: date, days: Mapping[date, Reading], calendar: Calendar) -> Reading:
    """An open span's reading up to the end of its last known day, with what that point was worth before (section 6)."""
    watermark = periods.bounds_utc(periods.span_of(last, Grain.DAILY, calendar), calendar)[1]
    before = periods.like_for_like(made.span, watermark, calendar)
    prior = _part(kpi, before.span.start, before.whole_days, days, calendar)
    elapsed = None
    if kpi.kind is Kind.FLOW:
        shares = [_share(kpi, made.span, n, watermark, days, calendar) for n in range(LOOKED_AT, 0, -1)]
        usual = status.active_share(made.span, watermark, kpi, calendar)
        elapsed = status.elapsed_weight([share for share in shares if share is not None], usual)
    note = before.note if prior is not None else None
    return replace(made, through=watermark, prior=prior, prior_note=note, elapsed=elapsed)


def _share(
    kpi: Kpi, span: Span, n: int, watermark: datetime, days: Mapping[date, Reading], calendar: Calendar
) -> Decimal | None:
    """How much of the n-th span before had come by the same point; None where that is not wholly known, or 0."""
    earlier = periods.previous(span, calendar, n)
    whole = _part(kpi, earlier.start, earlier.days, days, calendar)
    point = periods.like_for_like(span, watermark, calendar, earlier)
    part = _part(kpi, earlier.start, point.whole_days, days, calendar)
    return part / whole if whole and part is not None else None


def _part(kpi: Kpi, start: date, length: int, days: Mapping[date, Reading], calendar: Calendar) -> Decimal | None:
    """The value of the `length` days from `start`; None where one of them that is expected is not known."""
    wanted = _dates(start, start + timedelta(days=length))
    if any(is_active(day, kpi.active_days, calendar) and day not in days for day in wanted):
        return None
    known = [_Day(days[day].value, days[day].numerator, days[day].denominator) for day in wanted if day in days]
    made = _add(kpi, Span(Grain.DAILY, start, start + timedelta(days=length)), known, 0, 0) if known else None
    return made.value if made else None


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
