"""Every worked example of the rules (SEMANTICS.md) as a case that names its section: periods, status, display.

Sections 2 (attainment and bands), 3 (targets over time), 5 (spans and change), 6 (pace) and 10 (numbers shown). The
examples of the other sections stand in the tests of the modules that own them.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal as D
from zoneinfo import ZoneInfo

import pytest

from kpi_core import display, periods, status
from kpi_core.errors import InvalidTarget
from kpi_core.model import (
    ActiveDays,
    Bands,
    Bounds,
    Category,
    Comparison,
    Direction,
    Grain,
    Kind,
    Kpi,
    Reading,
    Score,
    Span,
    SpanState,
    Status,
    Target,
    Unit,
)
from kpi_core.periods import Calendar

HIGHER, LOWER, IN_RANGE, NEUTRAL = Direction.HIGHER, Direction.LOWER, Direction.IN_RANGE, Direction.NEUTRAL
EXCEEDS, ON_TRACK, NEEDS_ATTENTION, CRITICAL = (
    Status.EXCEEDS,
    Status.ON_TRACK,
    Status.NEEDS_ATTENTION,
    Status.CRITICAL,
)
UTC_CALENDAR = Calendar()
WEEKDAYS = ActiveDays(frozenset({1, 2, 3, 4, 5}))


def a_kpi(**fields: object) -> Kpi:
    """A flow that cannot be negative, higher is better, unless said otherwise."""
    given = {"id": 1, "tracking_period": Grain.DAILY, "bounds": Bounds(low=D(0))} | fields
    return Kpi(key="calls", name="Calls", category=Category.SALES, **given)


def at(text: str) -> datetime:
    """An instant in UTC: "2026-11-24 14:00"."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def day(text: str) -> Span:
    return periods.span_of(date.fromisoformat(text), Grain.DAILY, UTC_CALENDAR)


def week(text: str) -> Span:
    return periods.span_of(date.fromisoformat(text), Grain.WEEKLY, UTC_CALENDAR)


def month(text: str) -> Span:
    return periods.span_of(date.fromisoformat(text), Grain.MONTHLY, UTC_CALENDAR)


# Section 2

OWN_BANDS = Bands(on_track=D("0.90"))
SECTION_2 = [
    ("higher: 47 of 50", HIGHER, "47", Target(D(50)), Bands(), ("94 %", ON_TRACK)),
    ("higher: 23 of 20", HIGHER, "23", Target(D(20)), Bands(), ("115 %", EXCEEDS)),
    ("higher: 12 of 15, the bound is inclusive", HIGHER, "12", Target(D(15)), Bands(), ("80 %", ON_TRACK)),
    ("higher: 12.5 of 15 with own bands", HIGHER, "12.5", Target(D(15)), OWN_BANDS, ("83.3 %", NEEDS_ATTENTION)),
    (
        "higher: 79.999 of 100 is not shown as 80",
        HIGHER,
        "79.999",
        Target(D(100)),
        Bands(),
        ("79.9 %", NEEDS_ATTENTION),
    ),
    ("higher: -120 of -100", HIGHER, "-120", Target(D(-100)), Bands(), ("80 %", ON_TRACK)),
    ("higher: -80 of -100", HIGHER, "-80", Target(D(-100)), Bands(), ("120 %", EXCEEDS)),
    (
        "higher: -2500 of 0, scale 10000",
        HIGHER,
        "-2500",
        Target(D(0), scale=D(10000)),
        Bands(),
        ("75 %", NEEDS_ATTENTION),
    ),
    (
        "higher: uptime 99.7 of 99.9, scale 1",
        HIGHER,
        "99.7",
        Target(D("99.9"), scale=D(1)),
        Bands(),
        ("80 %", ON_TRACK),
    ),
    ("higher: 0 of 50 is a value", HIGHER, "0", Target(D(50)), Bands(), ("0 %", CRITICAL)),
    ("lower: 2.3 of 2.0", LOWER, "2.3", Target(D("2.0")), Bands(), ("85 %", ON_TRACK)),
    ("lower: 1.5 of 2.0", LOWER, "1.5", Target(D("2.0")), Bands(), ("125 %", EXCEEDS)),
    ("lower: 3.0 of 2.0", LOWER, "3.0", Target(D("2.0")), Bands(), ("50 %", CRITICAL)),
    ("lower: 0 of 2.0", LOWER, "0", Target(D("2.0")), Bands(), ("200 %", EXCEEDS)),
    ("range 70..85: 72", IN_RANGE, "72", Target(low=D(70), high=D(85)), Bands(), ("100 %", ON_TRACK)),
    ("range 70..85: 68", IN_RANGE, "68", Target(low=D(70), high=D(85)), Bands(), ("73.3 %", NEEDS_ATTENTION)),
    ("range 70..85: 90", IN_RANGE, "90", Target(low=D(70), high=D(85)), Bands(), ("33.3 %", CRITICAL)),
]


@pytest.mark.parametrize(
    ("direction", "value", "target", "bands", "expected"),
    [pytest.param(*case, expected, id=f"section 2, {name}") for name, *case, expected in SECTION_2],
)
def test_attainment_and_status(direction, value, target, bands, expected):
    progress, verdict = expected
    status.check_target(target, direction)
    reached = status.attainment(D(value), target, direction)
    assert status.progress_text(reached, bands) == progress
    assert status.status_of(reached, direction, bands) is verdict
    kpi = a_kpi(direction=direction, bands=bands, kind=Kind.STOCK)
    scored = status.score(
        kpi,
        span=day("2026-11-23"),
        now=at("2026-11-24 09:00"),
        calendar=UTC_CALENDAR,
        reading=Reading(1, day("2026-11-23"), D(value)),
        target=target,
    )
    assert (scored.status, scored.attainment) == (verdict, reached)


@pytest.mark.parametrize(
    ("target", "direction", "says"),
    [
        pytest.param(Target(D(0)), HIGHER, "how far from 0 is a full miss", id="section 2, 0 needs a scale"),
        pytest.param(Target(low=D(5), high=D(5)), IN_RANGE, "needs a scale", id="section 2, L = U needs a scale"),
        pytest.param(Target(D(5)), NEUTRAL, "takes no target", id="section 2, neutral refuses targets"),
    ],
)  # fmt: skip
def test_targets_that_nothing_could_be_judged_against_are_refused(target, direction, says):
    with pytest.raises(InvalidTarget, match=says):
        status.check_target(target, direction)


@pytest.mark.parametrize(
    ("attained", "direction", "verdict"),
    [
        pytest.param("1.00", HIGHER, EXCEEDS, id="section 2, exceeds from 1.00"),
        pytest.param("0.80", HIGHER, ON_TRACK, id="section 2, on_track from 0.80"),
        pytest.param("0.60", HIGHER, NEEDS_ATTENTION, id="section 2, needs_attention from 0.60"),
        pytest.param("0.599999", HIGHER, CRITICAL, id="section 2, critical below"),
        pytest.param("1.00", IN_RANGE, ON_TRACK, id="section 2, in_range never says exceeds"),
    ],
)
def test_bands(attained, direction, verdict):
    assert status.status_of(D(attained), direction) is verdict


# Section 3


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        pytest.param("2024-11-30", None, id="section 3, 50 a day in December 2024: not before"),
        pytest.param("2024-12-01", D(50), id="section 3, 50 a day in December 2024: the first day"),
        pytest.param("2024-12-31", D(50), id="section 3, 50 a day in December 2024: the last day is inclusive"),
        pytest.param("2025-01-01", None, id="section 3, 50 a day in December 2024: not after"),
    ],
)
def test_a_target_applies_to_each_span_that_starts_in_its_period(on, expected):
    december = Target(D(50), period_start=date(2024, 12, 1), period_end=date(2024, 12, 31))
    found = status.target_for(day(on), [december], a_kpi())
    assert (found.value if found else None) == expected


EARLY, LATE = at("2026-01-01 00:00"), at("2026-02-01 00:00")
SEVERAL = [
    ("the later recorded wins", [Target(D(1), created_at=EARLY), Target(D(2), created_at=LATE)], None, D(2)),
    ("an override wins", [Target(D(1), created_at=EARLY, override=True), Target(D(2), created_at=LATE)], None, D(1)),
    ("a null target ends one", [Target(D(1), created_at=EARLY), Target(created_at=LATE)], None, None),
    ("as known on an earlier moment", [Target(D(1), created_at=EARLY), Target(D(2), created_at=LATE)], EARLY, D(1)),
    ("one of another grain does not apply", [Target(D(1), grain=Grain.WEEKLY)], None, None),
]


@pytest.mark.parametrize(
    ("targets", "as_of", "expected"),
    [pytest.param(*case, id=f"section 3, {name}") for name, *case in SEVERAL],
)
def test_of_several_targets(targets, as_of, expected):
    found = status.target_for(day("2026-03-02"), targets, a_kpi(), as_of=as_of)
    assert (found.value if found else None) == expected


def test_section_3_a_start_inside_a_span_warns_that_it_takes_effect_with_the_next():
    weekly = a_kpi(tracking_period=Grain.WEEKLY)
    inside = Target(D(100), period_start=date(2026, 11, 18))
    assert status.start_warning(inside, weekly, UTC_CALENDAR) == (
        "Wed 18 Nov 2026 is inside 2026-W47: the target takes effect with 2026-W48, from Mon 23 Nov 2026"
    )
    assert status.target_for(week("2026-11-18"), [inside], weekly) is None
    assert status.target_for(week("2026-11-23"), [inside], weekly) is inside
    assert status.start_warning(Target(D(100), period_start=date(2026, 11, 16)), weekly, UTC_CALENDAR) is None


def test_section_3_days_that_are_not_active_carry_no_target_and_no_band():
    kpi = a_kpi(active_days=ActiveDays(frozenset({1, 2, 3, 4, 5}), without_holidays=True))
    calendar = Calendar(holidays=frozenset({date(2026, 11, 26)}))
    for closed in ("2026-11-22", "2026-11-26"):
        span = day(closed)
        assert status.target_for(span, [Target(D(50))], kpi, calendar) is None
        scored = status.score(
            kpi,
            span=span,
            now=at("2026-11-28 09:00"),
            calendar=calendar,
            reading=Reading(1, span, D(3)),
            target=Target(D(50)),
        )
        assert (scored.status, scored.target, scored.value) == (Status.NO_TARGET, None, D(3))


# Section 5


@pytest.mark.parametrize(
    ("on", "name", "start", "end"),
    [
        pytest.param("2026-01-01", "2026-W01", "2025-12-29", "2026-01-04", id="section 5, 2026-01-01 is in 2026-W01"),
        pytest.param("2027-01-01", "2026-W53", "2026-12-28", "2027-01-03", id="section 5, 2027-01-01 is in 2026-W53"),
    ],
)
def test_weeks_are_named_by_the_iso_year(on, name, start, end):
    span = week(on)
    assert periods.label(span, UTC_CALENDAR) == name
    assert (span.start, span.end - periods.DAY) == (date.fromisoformat(start), date.fromisoformat(end))


def test_section_5_a_sunday_start_never_carries_iso_numbers():
    calendar = Calendar(week_start=7)
    span = periods.span_of(date(2026, 11, 24), Grain.WEEKLY, calendar)
    assert span.start == date(2026, 11, 22)
    assert periods.label(span, calendar) == "Week of 22 Nov 2026"


def test_section_5_quarters_and_years_follow_the_fiscal_start_month():
    calendar = Calendar(fiscal_start_month=10)
    quarter = periods.span_of(date(2026, 11, 24), Grain.QUARTERLY, calendar)
    assert (quarter.start, quarter.end) == (date(2026, 10, 1), date(2027, 1, 1))
    assert periods.label(quarter, calendar) == "FY27 Q1"
    assert periods.label(periods.span_of(date(2026, 9, 30), Grain.YEARLY, calendar), calendar) == "FY26"


@pytest.mark.parametrize(
    ("on", "hours"),
    [
        pytest.param("2026-03-08", 23, id="section 5, the clocks go forward: 23 hours"),
        pytest.param("2026-11-01", 25, id="section 5, the clocks go back: 25 hours"),
        pytest.param("2026-11-02", 24, id="section 5, any other day: 24 hours"),
    ],
)
def test_a_local_day_may_last_23_or_25_hours(on, hours):
    start, end = periods.bounds_utc(day(on), Calendar("America/New_York"))
    assert (end - start).total_seconds() == hours * 3600


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param("2026-11-24 23:59", SpanState.OPEN, id="section 5, open until it is over"),
        pytest.param("2026-11-25 00:00", SpanState.PROVISIONAL, id="section 5, provisional within the lag"),
        pytest.param("2026-11-27 00:00", SpanState.FINAL, id="section 5, final after it"),
    ],
)
def test_the_states_of_a_span(now, expected):
    assert periods.state(day("2026-11-24"), at(now), UTC_CALENDAR, lag_days=2) is expected


def test_section_5_a_value_typed_in_is_complete_even_while_the_span_is_open():
    scored = score_of(a_kpi(), Reading(1, day("2026-11-24"), D(47), typed=True), "2026-11-24 09:00", prior=D(42))
    assert (scored.state, scored.status, scored.pace) == (SpanState.OPEN, ON_TRACK, None)
    assert scored.change.text == "+5 from yesterday"


def score_of(kpi: Kpi, reading: Reading, now: str, prior: D | None = None, target: Target | None = None) -> Score:
    return status.score(
        kpi,
        span=reading.span,
        now=at(now),
        calendar=UTC_CALENDAR,
        reading=reading,
        prior=prior,
        target=target or Target(D(50)),
    )


def test_section_5_a_card_shows_the_present_span_once_it_has_data_else_the_last_closed_one():
    today, yesterday = day("2026-11-24"), day("2026-11-23")
    rows = [Reading(1, yesterday, D(5))]
    assert periods.decide(today, rows, ActiveDays(), UTC_CALENDAR) == (yesterday, rows[0])
    rows.append(Reading(1, today, None, reason="no records yet"))
    assert periods.decide(today, rows, ActiveDays(), UTC_CALENDAR) == (yesterday, rows[0])
    rows[1] = Reading(1, today, D(0))
    assert periods.decide(today, rows, ActiveDays(), UTC_CALENDAR) == (today, rows[1])


@pytest.mark.parametrize(
    ("comparison", "before"),
    [
        pytest.param(Comparison.PREVIOUS, "2026-11-20", id="section 5, Monday against the previous active day, Friday"),
        pytest.param(Comparison.SAME_WEEKDAY, "2026-11-16", id="section 5, Monday against the same weekday last week"),
    ],
)
def test_what_a_day_is_compared_with(comparison, before):
    kpi = a_kpi(comparison=comparison, active_days=WEEKDAYS)
    assert periods.comparison_span(kpi, day("2026-11-23"), UTC_CALENDAR) == day(before)


@pytest.mark.parametrize(
    ("span", "watermark", "until", "note"),
    [
        pytest.param(day("2026-11-24"), "2026-11-24 14:00", "2026-11-23 14:00", None,
                     id="section 5, today to 14:00 against yesterday to 14:00"),
        pytest.param(month("2026-11-22"), "2026-11-23 00:00", "2026-10-23 00:00", None,
                     id="section 5, this month's first 22 days against last month's"),
        pytest.param(month("2026-03-31"), "2026-03-31 12:00", "2026-03-01 00:00",
                     "clipped: February 2026 has only 28 days",
                     id="section 5, 31 March against 28 February is clipped and says so"),
    ],
)  # fmt: skip
def test_like_for_like(span, watermark, until, note):
    window = periods.like_for_like(span, at(watermark), UTC_CALENDAR)
    assert (window.until, window.note) == (at(until), note)
    assert window.start == at(f"{window.span.start} 00:00")


def test_section_5_a_stock_in_an_open_span_is_compared_with_the_close_of_the_span_before():
    scored = score_of(a_kpi(kind=Kind.STOCK), Reading(1, day("2026-11-24"), D(47)), "2026-11-24 09:00", prior=D(42))
    assert (scored.change.prior, scored.change.like_for_like) == (D(42), False)


def test_section_5_where_the_earlier_part_is_not_known_the_comparison_is_withheld():
    scored = score_of(a_kpi(), Reading(1, day("2026-11-24"), D(20)), "2026-11-24 09:00", prior=D(42))
    assert scored.change.amount is None
    assert scored.change.reason == "the same part of the span before is not known"


PERCENTAGE = {"unit": Unit.PERCENTAGE, "kind": Kind.RATIO}
CHANGES = [
    ("47 after 42", {}, "47", "42", ("5", "11.9", "+5 from yesterday")),
    ("from 0 it is new", {}, "5", "0", ("5", None, "new")),
    ("0 after 0 is no change", {}, "0", "0", ("0", None, "no change")),
    ("a change of sign is absolute only", {}, "20", "-10", ("30", None, "+30 from yesterday")),
    ("less of a loss: relative to |P|", {}, "-80", "-100", ("20", "20.0", "+20 from yesterday")),
    ("12.5 % after 10.2 % is +2.3 pp", PERCENTAGE, "12.5", "10.2", ("2.3", None, "+2.3 pp from yesterday")),
    ("NPS differs in points", {"points": True}, "40", "42", ("-2", None, "-2 pp from yesterday")),
]


@pytest.mark.parametrize(
    ("fields", "value", "prior", "expected"),
    [pytest.param(*case, id=f"section 5, change: {name}") for name, *case in CHANGES],
)
def test_change(fields, value, prior, expected):
    made = status.change(a_kpi(**fields), D(value), D(prior), words="yesterday")
    assert (str(made.amount), made.percent and f"{made.percent:.1f}", made.text) == expected


@pytest.mark.parametrize(
    ("direction", "favourable"),
    [
        pytest.param(HIGHER, True, id="section 5, more is favourable where higher is better"),
        pytest.param(LOWER, False, id="section 5, more is unfavourable where lower is better"),
        pytest.param(NEUTRAL, None, id="section 5, more is neither for a neutral KPI"),
    ],
)
def test_whether_a_change_is_favourable_is_for_the_direction_to_say(direction, favourable):
    assert status.change(a_kpi(direction=direction), D(5), D(3), words="yesterday").favourable is favourable


# Section 6: pace


def wednesday_evening(value: str = "50", elapsed: str | None = "0.6", **fields: object) -> Score:
    """A week of Monday to Friday with a target of 100, its data reaching to the end of Wednesday."""
    kpi = a_kpi(tracking_period=Grain.WEEKLY, active_days=WEEKDAYS, **fields)
    return status.score(
        kpi,
        span=week("2026-11-18"),
        now=at("2026-11-19 00:05"),
        calendar=UTC_CALENDAR,
        reading=Reading(
            1,
            week("2026-11-18"),
            D(value),
            through=at("2026-11-19 00:00"),
            elapsed=None if elapsed is None else D(elapsed),
        ),
        target=Target(D(100)),
    )


def test_section_6_on_wednesday_evening_50_of_100_a_week_is_83_3_percent_of_the_60_expected():
    scored = wednesday_evening()
    assert scored.pace is not None
    assert scored.pace.expected == 60
    assert status.progress_text(scored.pace.attainment) == "83.3 %"
    assert scored.status is ON_TRACK
    assert status.progress_text(scored.attainment) == "50 %"


def test_section_6_25_a_day_are_needed_on_thursday_and_friday():
    scored = wednesday_evening()
    assert scored.pace is not None
    assert (scored.pace.required_run_rate, scored.pace.active_days_left) == (25, 2)


def test_section_6_without_a_history_elapsed_active_days_are_the_weight():
    kpi = a_kpi(tracking_period=Grain.WEEKLY, active_days=WEEKDAYS)
    share = status.active_share(week("2026-11-18"), at("2026-11-19 00:00"), kpi, UTC_CALENDAR)
    assert share == D("0.6")
    assert status.elapsed_weight([D("0.3")] * 7, share) == D("0.6")


def test_section_6_the_weight_is_the_median_share_of_the_last_8_spans_that_do_not_total_0():
    shares = [*[D("0.9")] * 4, None, *[D("0.2")] * 4, None, *[D("0.4")] * 4]
    assert status.elapsed_weight(shares) == D("0.3")


@pytest.mark.parametrize(
    ("elapsed", "verdict"),
    [
        pytest.param("0.19", Status.TOO_EARLY, id="section 6, too early below W = 0.20"),
        pytest.param("0.20", EXCEEDS, id="section 6, judged from W = 0.20"),
    ],
)
def test_too_early_until_a_fifth_has_passed(elapsed, verdict):
    assert wednesday_evening(elapsed=elapsed).status is verdict


def test_section_6_an_open_flow_without_finer_data_waits_for_its_close():
    scored = wednesday_evening(elapsed=None)
    assert (scored.status, scored.pace) == (Status.TOO_EARLY, None)
    assert scored.reason is not None
    assert scored.reason.startswith("waits for its close")


def test_section_6_a_flow_that_can_be_negative_has_no_pace():
    scored = wednesday_evening(bounds=Bounds())
    assert (scored.status, scored.pace) == (Status.TOO_EARLY, None)


@pytest.mark.parametrize(
    ("value", "reached"),
    [
        pytest.param("36", "1", id="section 6, a range times W: inside 35..42.5"),
        pytest.param("30", "-0.3333", id="section 6, a range times W: below"),
    ],
)
def test_a_range_is_scaled_at_both_ends(value, reached):
    kpi = a_kpi(direction=IN_RANGE)
    made = status.pace(kpi, D(value), Target(low=D(70), high=D(85)), D("0.5"), 1)
    assert made is not None
    assert (made.expected, made.expected_high) == (35, D("42.5"))
    assert made.attainment is not None
    assert round(made.attainment, 4) == D(reached)


@pytest.mark.parametrize("kind", [Kind.STOCK, Kind.RATIO, Kind.DISTINCT, Kind.STATISTIC, Kind.DERIVED])
def test_section_6_stocks_ratios_and_the_rest_compare_directly_with_the_target(kind):
    assert wednesday_evening(value="80", kind=kind).status is ON_TRACK


# Section 4 says when a flow is incomplete; the verdict is this module's


def test_section_4_a_closed_flow_with_missing_days_is_incomplete_27_of_31_days():
    span = month("2026-10-01")
    scored = score_of(a_kpi(), Reading(1, span, D(900), have_days=27, of_days=31), "2026-11-02 09:00", prior=D(800))
    assert (scored.status, scored.reason) == (Status.INCOMPLETE, "incomplete (27 of 31 days)")
    assert (scored.attainment, scored.change.amount) == (None, None)


# Section 10: numbers shown

NUMBER, CURRENCY, TIME = {"unit": Unit.NUMBER}, {"unit": Unit.CURRENCY}, {"unit": Unit.TIME}
SHOWN = [
    ("time: 2m 05s", TIME, "125", False, "2m 05s"),
    ("time: 1.5 h", TIME, "5400", False, "1.5 h"),
    ("time: 12.3 d", TIME, "1062720", False, "12.3 d"),
    ("percentages are in percent", {"unit": Unit.PERCENTAGE}, "12.5", False, "12.5 %"),
    ("currency is compact on cards", CURRENCY, "1234567.89", True, "$1.2M"),
    ("currency is exact in detail", CURRENCY, "1234567.89", False, "$1,234,567.89"),
    ("the KPI's currency", {**CURRENCY, "currency": "EUR"}, "12.5", False, "€12.50"),
    ("unit_label: months", {"unit_label": "months"}, "7.25", False, "7.25 months"),
    ("unit_label: errors per 1,000", {"unit_label": "errors per 1,000"}, "3", False, "3 errors per 1,000"),
    ("half to even, down", NUMBER, "2.125", False, "2.12"),
    ("half to even, up", NUMBER, "2.135", False, "2.14"),
]


@pytest.mark.parametrize(
    ("fields", "value", "compact", "text"),
    [pytest.param(*case, id=f"section 10, {name}") for name, *case in SHOWN],
)
def test_values_as_people_see_them(fields, value, compact, text):
    assert display.value_text(D(value), a_kpi(**fields), compact) == text


def test_section_10_a_day_in_the_reporting_zone_comes_from_an_instant_in_utc():
    calendar = Calendar("America/New_York")
    assert periods.local_day(at("2013-01-01 04:59"), calendar) == date(2012, 12, 31)
    start, _ = periods.bounds_utc(day("2013-01-01"), calendar)
    assert start.astimezone(ZoneInfo("America/New_York")).isoformat() == "2013-01-01T00:00:00-05:00"
