"""Spans, calendars and comparisons: what holds for every day, and the days on which it usually breaks."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi_core import periods
from kpi_core.errors import InvalidInput
from kpi_core.model import ActiveDays, Category, Company, Grain, Kpi, Reading, Span, SpanState
from kpi_core.periods import DAY, Calendar

ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Auckland"]
DAYS = st.dates(date(1971, 1, 1), date(2200, 12, 31))
RECENT_DAYS = st.dates(date(1990, 1, 1), date(2036, 12, 31))
INSTANTS = st.builds(datetime.combine, RECENT_DAYS, st.times(), st.just(UTC))
GRAINS = st.sampled_from(list(Grain))
CALENDARS = st.builds(
    Calendar, time_zone=st.sampled_from(ZONES), week_start=st.integers(1, 7), fiscal_start_month=st.integers(1, 12)
)
ACTIVE_DAYS = st.builds(ActiveDays, weekdays=st.frozensets(st.integers(1, 7)), without_holidays=st.booleans())
UTC_CALENDAR = Calendar()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def span(text: str, grain: Grain = Grain.DAILY, calendar: Calendar = UTC_CALENDAR) -> Span:
    return periods.span_of(date.fromisoformat(text), grain, calendar)


# Spans tile the calendar


@given(DAYS, GRAINS, CALENDARS)
def test_every_day_is_in_its_span_and_all_days_of_a_span_agree_on_it(day, grain, calendar):
    found = periods.span_of(day, grain, calendar)
    assert found.start <= day < found.end
    assert periods.span_of(found.start, grain, calendar) == found
    assert periods.span_of(found.end - DAY, grain, calendar) == found


@given(DAYS, GRAINS, CALENDARS)
def test_spans_follow_each_other_without_gap_or_overlap(day, grain, calendar):
    here = periods.span_of(day, grain, calendar)
    after = periods.next_span(here, calendar)
    assert after.start == here.end
    assert after == periods.span_of(here.end, grain, calendar)


@given(DAYS, GRAINS, CALENDARS, st.integers(0, 60))
def test_previous_inverts_next(day, grain, calendar, n):
    here = periods.span_of(day, grain, calendar)
    assert periods.previous(periods.next_span(here, calendar, n), calendar, n) == here


@given(DAYS, DAYS, GRAINS, CALENDARS)
def test_the_spans_between_two_days_are_those_that_overlap(one, other, grain, calendar):
    start, end = min(one, other), min(max(one, other), min(one, other) + timedelta(days=400))
    spans = periods.spans_between(start, end, grain, calendar)
    assert [found.start for found in spans[1:]] == [found.end for found in spans[:-1]]
    assert all(found.start < end and found.end > start for found in spans)
    if start < end:
        assert spans[0].start <= start < spans[0].end
        assert spans[-1].start < end <= spans[-1].end
    else:
        assert spans == []


@given(DAYS, CALENDARS)
def test_the_lengths_of_spans_are_those_of_the_calendar(day, calendar):
    lengths = {grain: periods.span_of(day, grain, calendar).days for grain in Grain}
    assert lengths[Grain.DAILY] == 1
    assert lengths[Grain.WEEKLY] == 7
    assert 28 <= lengths[Grain.MONTHLY] <= 31
    assert 89 <= lengths[Grain.QUARTERLY] <= 92  # February to April
    assert 365 <= lengths[Grain.YEARLY] <= 366


@given(DAYS, CALENDARS)
def test_quarters_nest_in_fiscal_years_and_months_in_quarters(day, calendar):
    month, quarter, year = (
        periods.span_of(day, grain, calendar) for grain in (Grain.MONTHLY, Grain.QUARTERLY, Grain.YEARLY)
    )
    assert year.start <= quarter.start <= month.start
    assert month.end <= quarter.end <= year.end
    assert year.start.month == calendar.fiscal_start_month
    assert len(periods.spans_between(year.start, year.end, Grain.QUARTERLY, calendar)) == 4


@given(DAYS)
def test_iso_weeks_are_those_of_the_standard_library(day):
    iso = day.isocalendar()
    found = periods.span_of(day, Grain.WEEKLY, UTC_CALENDAR)
    assert found.start.isoweekday() == 1
    assert periods.label(found, UTC_CALENDAR) == f"{iso.year}-W{iso.week:02}"


@given(DAYS)
def test_sunday_weeks_start_on_sunday_and_carry_no_number(day):
    calendar = Calendar(week_start=7)
    found = periods.span_of(day, Grain.WEEKLY, calendar)
    assert found.start.isoweekday() == 7
    assert "W" not in periods.label(found, calendar).removeprefix("Week of ")


@given(DAYS, GRAINS, CALENDARS)
def test_neighbouring_spans_never_share_a_name(day, grain, calendar):
    here = periods.span_of(day, grain, calendar)
    assert periods.label(here, calendar) != periods.label(periods.next_span(here, calendar), calendar)


@pytest.mark.parametrize(
    ("grain", "fiscal", "name"),
    [
        (Grain.DAILY, 1, "Tue 24 Nov 2026"),
        (Grain.WEEKLY, 1, "2026-W48"),
        (Grain.MONTHLY, 1, "November 2026"),
        (Grain.QUARTERLY, 1, "Q4 2026"),
        (Grain.YEARLY, 1, "2026"),
        (Grain.QUARTERLY, 10, "FY27 Q1"),
        (Grain.YEARLY, 10, "FY27"),
        (Grain.QUARTERLY, 12, "FY26 Q4"),
        (Grain.YEARLY, 2, "FY27"),
    ],
)
def test_names_of_spans(grain, fiscal, name):
    calendar = Calendar(fiscal_start_month=fiscal)
    assert periods.label(span("2026-11-24", grain, calendar), calendar) == name


@pytest.mark.parametrize(
    ("here", "grain", "before"),
    [
        ("2026-11-24", Grain.DAILY, "2025-11-25"),
        ("2026-11-24", Grain.WEEKLY, "2025-11-24"),
        ("2026-12-28", Grain.WEEKLY, "2025-12-22"),
        ("2028-02-29", Grain.MONTHLY, "2027-02-01"),
        ("2026-11-24", Grain.QUARTERLY, "2025-10-01"),
        ("2026-11-24", Grain.YEARLY, "2025-01-01"),
    ],
    ids=["a day by weekday", "a week by number", "W53 against W52", "a month", "a quarter", "a year"],
)
def test_the_same_span_last_year(here, grain, before):
    found = periods.same_span_last_year(span(here, grain), UTC_CALENDAR)
    assert (found.start, found.grain) == (date.fromisoformat(before), grain)


def test_a_year_outside_the_calendar_is_refused_with_the_date_named():
    with pytest.raises(InvalidInput, match="9999-12-31"):
        periods.span_of(date(9999, 12, 31), Grain.DAILY, UTC_CALENDAR)


def test_a_calendar_with_wrong_settings_names_all_of_them():
    with pytest.raises(InvalidInput) as error:
        Calendar("Europe/Berln", week_start=0, fiscal_start_month=13)
    assert [problem.where for problem in error.value.problems] == ["time_zone", "week_start", "fiscal_start_month"]


@pytest.mark.parametrize("name", ["", "../etc/passwd", "/etc/passwd", "Europe", "Nowhere/Else"])
def test_what_is_no_time_zone_is_refused(name):
    with pytest.raises(InvalidInput, match="not a time zone"):
        Calendar(name)


def test_a_calendar_comes_from_the_companys_settings():
    holidays = frozenset({date(2026, 12, 25)})
    company = Company(time_zone="Europe/Berlin", week_start=7, fiscal_start_month=4, holidays=holidays)
    assert Calendar.of(company) == Calendar("Europe/Berlin", 7, 4, holidays)


# Instants


@given(RECENT_DAYS, st.sampled_from(ZONES))
def test_days_tile_the_time_line_whatever_the_clocks_do(day, zone):
    calendar = Calendar(zone)
    here = periods.span_of(day, Grain.DAILY, calendar)
    start, end = periods.bounds_utc(here, calendar)
    assert end == periods.bounds_utc(periods.next_span(here, calendar), calendar)[0]
    assert timedelta(hours=23) <= end - start <= timedelta(hours=25)
    assert periods.local_day(start, calendar) == day
    assert periods.local_day(end - timedelta(microseconds=1), calendar) == day


@given(INSTANTS, st.sampled_from(ZONES))
def test_an_instant_lies_in_the_bounds_of_its_local_day(moment, zone):
    calendar = Calendar(zone)
    start, end = periods.bounds_utc(
        periods.span_of(periods.local_day(moment, calendar), Grain.DAILY, calendar), calendar
    )
    assert start <= moment < end


def test_where_midnight_is_skipped_the_day_starts_after_the_gap():
    calendar = Calendar("America/Santiago")  # on 2026-09-06 the clocks go from 24:00 to 01:00
    start, end = periods.bounds_utc(span("2026-09-06"), calendar)
    assert periods.local_day(start, calendar) == date(2026, 9, 6)
    assert periods.local_day(start - timedelta(seconds=1), calendar) == date(2026, 9, 5)
    assert end - start == timedelta(hours=23)


def test_a_naive_instant_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        periods.local_day(datetime(2026, 11, 24), UTC_CALENDAR)  # noqa: DTZ001 - on purpose


@given(RECENT_DAYS, GRAINS, CALENDARS, st.integers(0, 10))
def test_a_span_is_open_until_its_last_instant_then_provisional_for_its_lag_then_final(day, grain, calendar, lag):
    here = periods.span_of(day, grain, calendar)
    start, end = periods.bounds_utc(here, calendar)
    tick = timedelta(microseconds=1)
    assert periods.state(here, start, calendar, lag) is SpanState.OPEN
    assert periods.state(here, end - tick, calendar, lag) is SpanState.OPEN
    assert periods.state(here, end, calendar, lag) is (SpanState.PROVISIONAL if lag else SpanState.FINAL)
    _, settled = periods.bounds_utc(Span(grain, here.start, here.end + lag * DAY), calendar)
    assert periods.state(here, settled, calendar, lag) is SpanState.FINAL
    if lag:
        assert periods.state(here, settled - tick, calendar, lag) is SpanState.PROVISIONAL


# Active days


@given(DAYS, st.integers(0, 400), ACTIVE_DAYS, st.frozensets(DAYS, max_size=5))
def test_active_days_are_counted_as_if_one_by_one(start, length, active, holidays):
    end = start + timedelta(days=length)
    calendar = Calendar(holidays=holidays | {start})
    one_by_one = sum(periods.is_active(start + i * DAY, active, calendar) for i in range(length))
    assert periods.active_days_in(start, end, active, calendar) == one_by_one


def test_a_range_that_ends_before_it_starts_has_no_active_days():
    assert periods.active_days_in(date(2026, 11, 24), date(2026, 11, 1), ActiveDays(), UTC_CALENDAR) == 0


def test_the_previous_active_day_skips_weekends_and_holidays():
    calendar = Calendar(holidays=frozenset({date(2026, 11, 20)}))
    workdays = ActiveDays(frozenset({1, 2, 3, 4, 5}), without_holidays=True)
    assert periods.previous_active_day(date(2026, 11, 23), workdays, calendar) == date(2026, 11, 19)


def test_without_any_active_day_the_day_before_is_compared_with():
    nothing = ActiveDays(frozenset())
    assert periods.previous_active_day(date(2026, 11, 23), nothing, UTC_CALENDAR) == date(2026, 11, 22)


# Comparisons


@pytest.mark.parametrize(
    ("here", "before", "grain", "today", "words"),
    [
        ("2026-11-24", "2026-11-23", Grain.DAILY, "2026-11-24", "yesterday"),
        ("2026-11-23", "2026-11-20", Grain.DAILY, "2026-11-23", "Friday"),
        ("2026-11-24", "2026-11-17", Grain.DAILY, "2026-11-24", "Tue 17 Nov"),
        ("2026-11-21", "2026-11-20", Grain.DAILY, "2026-11-24", "Fri 20 Nov"),
        ("2026-01-01", "2025-12-31", Grain.DAILY, "2026-01-09", "Wed 31 Dec 2025"),
        ("2026-11-24", "2026-11-17", Grain.WEEKLY, "2026-11-24", "last week"),
        ("2026-11-17", "2026-11-10", Grain.WEEKLY, "2026-11-24", "the week before"),
        ("2026-11-24", "2026-10-24", Grain.MONTHLY, "2026-11-24", "last month"),
        ("2026-10-24", "2026-09-24", Grain.MONTHLY, "2026-11-24", "the month before"),
        ("2026-11-24", "2025-11-24", Grain.MONTHLY, "2026-11-24", "November 2025"),
        ("2026-11-24", "2026-08-24", Grain.QUARTERLY, "2026-11-24", "last quarter"),
        ("2026-11-24", "2025-11-24", Grain.YEARLY, "2026-11-24", "last year"),
    ],
)
def test_words_for_what_a_change_is_from(here, before, grain, today, words):
    assert words == periods.comparison_words(
        span(here, grain), span(before, grain), UTC_CALENDAR, date.fromisoformat(today)
    )


@pytest.mark.parametrize(
    ("here", "grain", "watermark", "words"),
    [
        ("2026-11-24", Grain.DAILY, "2026-11-24 14:00", "yesterday by 14:00"),
        ("2026-11-25", Grain.WEEKLY, "2026-11-26 00:00", "the same 3 days of last week"),
        ("2026-11-25", Grain.WEEKLY, "2026-11-24 00:00", "the same day of last week"),
        ("2026-11-25", Grain.WEEKLY, "2026-11-25 14:00", "last week by Wed 14:00"),
        ("2026-11-22", Grain.MONTHLY, "2026-11-23 00:00", "the same 22 days of last month"),
        ("2026-11-22", Grain.MONTHLY, "2026-11-22 14:30", "last month by 22 Oct, 14:30"),
        ("2026-03-31", Grain.MONTHLY, "2026-03-31 12:00", "all 28 days of last month"),
        ("2026-03-29", Grain.MONTHLY, "2026-03-29 12:00", "all 28 days of last month"),
        ("2026-03-29", Grain.MONTHLY, "2026-03-29 00:00", "last month"),
    ],
)
def test_words_for_the_same_part_of_the_span_before(here, grain, watermark, words):
    found = span(here, grain)
    today = date.fromisoformat(here)
    before = periods.previous(found, UTC_CALENDAR)
    assert periods.part_words(found, before, at(watermark), UTC_CALENDAR, today) == words


@given(RECENT_DAYS, GRAINS, CALENDARS, st.floats(0, 1, exclude_max=True))
def test_the_same_part_lies_in_the_span_before_and_is_clipped_only_with_a_note(day, grain, calendar, share):
    here = periods.span_of(day, grain, calendar)
    start, end = periods.bounds_utc(here, calendar)
    watermark = min(start + (end - start) * share, end - timedelta(microseconds=1))
    window = periods.like_for_like(here, watermark, calendar)
    low, high = periods.bounds_utc(periods.previous(here, calendar), calendar)
    assert window.start == low <= window.until <= high
    days = (periods.local_day(watermark, calendar) - here.start).days
    assert window.whole_days == min(days, window.span.days)
    into_day = periods.bounds_utc(Span(grain, here.start, here.start + days * DAY), calendar)[1] < watermark
    assert (window.note is not None) == (days + into_day > window.span.days)


@given(RECENT_DAYS, st.sampled_from(ZONES), st.times())
def test_the_same_part_of_yesterday_ends_at_the_same_time_on_the_clock(day, zone, clock):
    calendar = Calendar(zone)
    here = periods.span_of(day, Grain.DAILY, calendar)
    watermark = datetime.combine(day, clock, calendar.zone)
    before = datetime.combine(day - DAY, clock, calendar.zone)
    skipped = [moment.astimezone(UTC).astimezone(calendar.zone).time() != clock for moment in (watermark, before)]
    window = periods.like_for_like(here, watermark.astimezone(UTC), calendar)
    if not any(skipped):
        assert window.until == before.astimezone(UTC)
        assert window.at == (clock if clock != time() else None)


def test_an_hour_that_yesterday_did_not_have_still_ends_within_yesterday():
    calendar = Calendar("America/New_York")  # on 2026-03-08 there is no 02:30
    window = periods.like_for_like(span("2026-03-09"), at("2026-03-09 06:30"), calendar)
    assert at("2026-03-08 05:00") < window.until <= at("2026-03-08 07:30")


def test_a_watermark_outside_the_span_compares_nothing_or_all():
    here, before = span("2026-11-24"), span("2026-11-23")
    empty = periods.like_for_like(here, at("2026-11-20 10:00"), UTC_CALENDAR)
    whole = periods.like_for_like(here, at("2026-11-26 10:00"), UTC_CALENDAR)
    assert empty.start == empty.until
    assert (whole.start, whole.until) == periods.bounds_utc(before, UTC_CALENDAR)


def test_a_day_is_compared_like_for_like_with_the_day_that_is_asked_for():
    friday = span("2026-11-20")
    window = periods.like_for_like(span("2026-11-23"), at("2026-11-23 14:00"), UTC_CALENDAR, friday)
    assert (window.span, window.until) == (friday, at("2026-11-20 14:00"))


@pytest.mark.parametrize(
    ("grain", "watermark", "text"),
    [
        (Grain.DAILY, "2026-11-24 14:00", "data to 14:00"),
        (Grain.DAILY, "2026-11-24 00:00", "data to Mon 23 Nov"),
        (Grain.WEEKLY, "2026-11-24 14:00", "data to Tue 24 Nov, 14:00"),
        (Grain.MONTHLY, "2026-11-24 00:00", "data to Mon 23 Nov"),
    ],
)
def test_how_far_the_data_reaches(grain, watermark, text):
    assert periods.freshness(span("2026-11-24", grain), at(watermark), UTC_CALENDAR) == text


# Which span a card shows


def test_on_a_sunday_without_data_a_weekday_kpi_shows_friday():
    friday, sunday = span("2026-11-20"), span("2026-11-22")
    workdays = ActiveDays(frozenset({1, 2, 3, 4, 5}))
    rows = [Reading(1, friday, D(5)), Reading(1, span("2026-11-21"), D(0))]
    assert periods.decide(sunday, rows, workdays, UTC_CALENDAR) == (friday, rows[0])


def test_a_card_without_any_data_names_the_last_closed_span():
    here = span("2026-11-24", Grain.MONTHLY)
    assert periods.decide(here, [], ActiveDays(), UTC_CALENDAR) == (span("2026-10-01", Grain.MONTHLY), None)


def test_a_card_never_shows_a_span_older_than_the_last_closed_one():
    old = [Reading(1, span("2026-11-02"), D(5))]
    assert periods.decide(span("2026-11-24"), old, ActiveDays(), UTC_CALENDAR) == (span("2026-11-23"), None)


def test_a_kpi_has_its_tracking_period_first_among_its_grains():
    kpi = Kpi("a", "A", Category.SALES, Grain.WEEKLY, also_tracked=(Grain.DAILY, Grain.WEEKLY))
    assert kpi.grains == (Grain.WEEKLY, Grain.DAILY)
