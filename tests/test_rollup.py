"""How entered values add up: SEMANTICS, section 4."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from kpi_core.model import ActiveDays, Category, Grain, Kind, Kpi, Missing, Reading, Span, Unit
from kpi_core.periods import Calendar, span_of
from kpi_core.rollup import PARTS_MISSING, roll_up

CALENDAR = Calendar()
MONDAY = date(2026, 11, 16)
WEEK = span_of(MONDAY, Grain.WEEKLY, CALENDAR)
LATER = date(2027, 1, 1)
OFFICE = ActiveDays(frozenset({1, 2, 3, 4, 5}))


def kpi(kind: Kind, missing: Missing = Missing.UNKNOWN, active: ActiveDays = ActiveDays()) -> Kpi:
    return Kpi(
        "calls",
        "Calls",
        Category.SALES,
        Grain.DAILY,
        unit=Unit.PERCENTAGE if kind is Kind.RATIO else Unit.NUMBER,
        kind=kind,
        missing=missing,
        active_days=active,
        factor=Decimal(100) if kind is Kind.RATIO else Decimal(1),
    )


def days(*given: object, start: date = MONDAY) -> dict[date, Reading]:
    """One reading a day; a pair is a ratio's parts, None a day without a value."""
    found = {}
    for n, value in enumerate(given):
        day = start + timedelta(days=n)
        span = Span(Grain.DAILY, day, day + timedelta(days=1))
        if isinstance(value, tuple):
            found[day] = Reading(0, span, None, Decimal(value[0]), Decimal(value[1]))
        elif value is not None:
            found[day] = Reading(0, span, Decimal(str(value)))
    return found


def test_section_4_day_1_of_1_in_10_and_day_2_of_50_in_100_make_a_week_of_46_36_percent_and_not_30() -> None:
    made = roll_up(kpi(Kind.RATIO), WEEK, days((1, 10), (50, 100)), CALENDAR, LATER)
    assert made is not None
    assert made.value is not None
    assert round(made.value, 2) == Decimal("46.36")
    assert (made.numerator, made.denominator) == (51, 110)


def test_section_4_an_entered_ratio_without_both_parts_does_not_roll_up() -> None:
    made = roll_up(kpi(Kind.RATIO), WEEK, days((1, 10), 50), CALENDAR, LATER)
    assert made is not None
    assert (made.value, made.reason) == (None, PARTS_MISSING)


def test_section_4_a_zero_denominator_gives_no_value_and_the_reason() -> None:
    made = roll_up(kpi(Kind.RATIO), WEEK, days((0, 0)), CALENDAR, LATER)
    assert made is not None
    assert made.value is None
    assert made.reason == "the denominator is 0"


def test_section_4_a_flow_over_missing_days_knows_how_many_are_missing() -> None:
    month = span_of(date(2026, 10, 1), Grain.MONTHLY, CALENDAR)
    made = roll_up(kpi(Kind.FLOW), month, days(*[10] * 27, start=month.start), CALENDAR, LATER)
    assert made is not None
    assert (made.value, made.have_days, made.of_days) == (270, 27, 31)


def test_a_stock_takes_the_last_value_in_the_span() -> None:
    made = roll_up(kpi(Kind.STOCK), WEEK, days(100, 90, None, 120), CALENDAR, LATER)
    assert made is not None
    assert made.value == 120


@pytest.mark.parametrize("kind", [Kind.DISTINCT, Kind.STATISTIC, Kind.DERIVED])
def test_what_must_be_recomputed_from_records_is_never_added_up(kind: Kind) -> None:
    assert roll_up(kpi(kind), WEEK, days(1, 2, 3), CALENDAR, LATER) is None


def test_days_off_are_not_missed() -> None:
    made = roll_up(kpi(Kind.FLOW, active=OFFICE), WEEK, days(1, 2, 3, 4, 5), CALENDAR, LATER)
    assert made is not None
    assert (made.value, made.have_days, made.of_days) == (15, 5, 5)


def test_days_that_are_still_to_come_are_not_there_yet() -> None:
    made = roll_up(kpi(Kind.FLOW, active=OFFICE), WEEK, days(1, 2), CALENDAR, MONDAY + timedelta(days=2))
    assert made is not None
    assert (made.value, made.have_days, made.of_days) == (3, 2, 5)


def test_a_missing_day_counts_as_zero_where_the_kpi_says_so() -> None:
    made = roll_up(kpi(Kind.FLOW, Missing.ZERO), WEEK, days(7, None, 3), CALENDAR, LATER)
    assert made is not None
    assert (made.value, made.have_days, made.of_days) == (10, 7, 7)


def test_a_missing_day_carries_the_value_before_forward_where_the_kpi_says_so() -> None:
    before = days(5, start=MONDAY - timedelta(days=1))
    made = roll_up(kpi(Kind.FLOW, Missing.CARRY_FORWARD), WEEK, before | days(None, 8), CALENDAR, LATER)
    assert made is not None
    assert made.value == 5 + 8 * 6


def test_without_any_day_there_is_no_reading() -> None:
    assert roll_up(kpi(Kind.FLOW), WEEK, {}, CALENDAR, LATER) is None


def test_section_6_on_wednesday_evening_of_equal_weeks_three_fifths_have_passed() -> None:
    """Target 100 a week, Mon-Fri evenly: with 50 done, W = 0.6, and the week before had 60 by then."""
    office = kpi(Kind.FLOW, active=OFFICE)
    known = days(*([20] * 5 + [None] * 2) * 8, start=MONDAY - timedelta(weeks=8)) | days(15, 15, 20)
    made = roll_up(office, WEEK, known, CALENDAR, until=MONDAY + timedelta(days=3))
    assert made is not None
    assert (made.value, made.elapsed, made.prior) == (50, Decimal("0.6"), 60)
    assert made.through == datetime(2026, 11, 19, tzinfo=UTC)
    closed = roll_up(office, WEEK, known, CALENDAR, LATER)
    assert closed is not None
    assert (closed.elapsed, closed.prior, closed.through) == (None, None, None)


def test_an_open_week_is_compared_with_nothing_where_a_day_of_the_week_before_is_missing() -> None:
    known = days(20, None, 20, start=MONDAY - timedelta(weeks=1)) | days(15, 15, 20)
    made = roll_up(kpi(Kind.FLOW, active=OFFICE), WEEK, known, CALENDAR, until=MONDAY + timedelta(days=3))
    assert made is not None
    assert (made.prior, made.elapsed) == (None, Decimal("0.6"))
