"""Attainment, bands, targets, change and pace: what holds for all numbers, and what a score says where."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal as D

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kpi_core import periods, status
from kpi_core.errors import InvalidTarget
from kpi_core.model import (
    ActiveDays,
    Bands,
    Bounds,
    Calculation,
    Category,
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
CALENDAR = Calendar()
NUMBERS = st.decimals(min_value=D("-1e9"), max_value=D("1e9"), places=4)
SIZES = st.decimals(min_value=D("0.0001"), max_value=D("1e6"), places=4)
SHARES = st.decimals(min_value=D("0.20"), max_value=D(1), places=3)
DIRECTIONS = st.sampled_from([HIGHER, LOWER])
RANKS = {Status.CRITICAL: 0, Status.NEEDS_ATTENTION: 1, Status.ON_TRACK: 2, Status.EXCEEDS: 3}


def a_kpi(**fields: object) -> Kpi:
    """A daily flow that cannot be negative, higher is better, unless said otherwise."""
    given = {"id": 1, "tracking_period": Grain.DAILY, "bounds": Bounds(low=D(0))} | fields
    return Kpi(key="calls", name="Calls", category=Category.SALES, **given)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def span(text: str, grain: Grain = Grain.DAILY) -> Span:
    return periods.span_of(date.fromisoformat(text), grain, CALENDAR)


TODAY, YESTERDAY = span("2026-11-24"), span("2026-11-23")
AFTERNOON = at("2026-11-24 15:00")


def scored(kpi: Kpi, reading: Reading | None, target: Target | None = None, **more: object) -> Score:
    """As seen on Tuesday 24 November 2026, 15:00."""
    where = reading.span if reading else YESTERDAY
    given = {"span": where, "now": AFTERNOON, "calendar": CALENDAR} | more
    return status.score(kpi, reading=reading, target=target, **given)


# Attainment


@given(NUMBERS, NUMBERS, NUMBERS, SIZES, DIRECTIONS)
def test_attainment_never_falls_when_the_value_moves_the_right_way(one, other, point, scale, direction):
    low, high = sorted((one, other))
    worse, better = (low, high) if direction is HIGHER else (high, low)
    target = Target(point, scale=scale)
    assert status.attainment(worse, target, direction) <= status.attainment(better, target, direction)


@given(NUMBERS, NUMBERS, SIZES, SIZES)
def test_attainment_falls_with_the_distance_from_a_range(one, other, low, width):
    target = Target(low=low, high=low + width)
    nearer, farther = sorted((one, other), key=lambda value: max(low - value, value - target.high, D(0)))
    assert status.attainment(nearer, target, IN_RANGE) >= status.attainment(farther, target, IN_RANGE)


@given(NUMBERS, NUMBERS, SIZES, DIRECTIONS)
def test_one_is_met_exactly_and_only_the_target_meets_it(value, point, scale, direction):
    target = Target(point, scale=scale)
    assert status.attainment(point, target, direction) == 1
    assert (status.attainment(value, target, direction) == 1) == (value == point)


@given(NUMBERS, NUMBERS, SIZES)
def test_what_higher_gains_lower_loses(value, point, scale):
    target = Target(point, scale=scale)
    up, down = (status.attainment(value, target, direction) for direction in (HIGHER, LOWER))
    assert abs((up - 1) + (down - 1)) < D("1e-12")


@given(NUMBERS, NUMBERS, DIRECTIONS)
def test_without_a_scale_the_size_of_the_target_is_the_scale(value, point, direction):
    assume(point != 0)
    plain, scaled = Target(point), Target(point, scale=abs(point))
    assert status.attainment(value, plain, direction) == status.attainment(value, scaled, direction)


@given(NUMBERS, SIZES, SIZES)
def test_without_a_scale_half_the_width_is_the_scale_of_a_range(value, low, width):
    plain = Target(low=low, high=low + width)
    same = Target(low=low, high=low + width, scale=width / 2)
    assert status.attainment(value, plain, IN_RANGE) == status.attainment(value, same, IN_RANGE)


@given(SIZES, SIZES)
def test_for_a_positive_target_higher_is_better_is_the_plain_ratio(value, point):
    assert abs(status.attainment(value, Target(point), HIGHER) - value / point) < D("1e-15")


@given(st.integers(-1000, 1000), SIZES, NUMBERS)
def test_attainment_is_never_clamped(misses, scale, point):
    """As many full misses from the target as there are, so far is the attainment from 1."""
    assert status.attainment(point + misses * scale, Target(point, scale=scale), HIGHER) == 1 + misses


@given(NUMBERS, SIZES, SIZES)
def test_inside_a_range_is_exactly_one_and_never_more(value, low, width):
    reached = status.attainment(value, Target(low=low, high=low + width), IN_RANGE)
    assert reached <= 1
    assert (reached == 1) == (low <= value <= low + width)
    assert status.status_of(reached, IN_RANGE) is not Status.EXCEEDS


@pytest.mark.parametrize(
    ("target", "direction"),
    [
        (None, HIGHER),
        (Target(), HIGHER),
        (Target(D(5)), NEUTRAL),
        (Target(low=D(1), high=D(2)), HIGHER),
        (Target(D(5)), IN_RANGE),
        (Target(D(0)), HIGHER),
        (Target(low=D(1), high=D(1)), IN_RANGE),
    ],
    ids=["no target", "a null target", "neutral", "a range for higher", "a value for a range", "0", "no width"],
)
def test_what_cannot_be_judged_has_no_attainment(target, direction):
    assert status.attainment(D(3), target, direction) is None


# Bands


@pytest.mark.parametrize("direction", [HIGHER, LOWER])
@given(bounds=st.sets(st.decimals(min_value=D("0.05"), max_value=2, places=3), min_size=3, max_size=3))
def test_the_lower_bound_of_a_band_belongs_to_it(direction, bounds):
    needs_attention, on_track, exceeds = sorted(bounds)
    bands, tick = Bands(exceeds, on_track, needs_attention), D("0.0000001")
    steps = [(needs_attention, Status.NEEDS_ATTENTION), (on_track, Status.ON_TRACK), (exceeds, Status.EXCEEDS)]
    below = Status.CRITICAL
    for bound, verdict in steps:
        assert status.status_of(bound, direction, bands) is verdict
        assert status.status_of(bound - tick, direction, bands) is below
        below = verdict


@given(NUMBERS, NUMBERS, st.sampled_from([HIGHER, LOWER, IN_RANGE]))
def test_a_higher_attainment_is_never_a_worse_status(one, other, direction):
    low, high = sorted((one, other))
    assert RANKS[status.status_of(low, direction)] <= RANKS[status.status_of(high, direction)]


def test_without_an_attainment_there_is_no_verdict_and_no_text():
    assert status.status_of(None, HIGHER) is Status.NO_TARGET
    assert status.progress_text(None) == ""


# Targets


@pytest.mark.parametrize(
    ("target", "direction", "where"),
    [
        (Target(D(1), period_start=date(2026, 2, 1), period_end=date(2026, 1, 1)), HIGHER, "period_end"),
        (Target(D("NaN")), HIGHER, "value"),
        (Target(D("Infinity")), HIGHER, "value"),
        (Target(D(1), scale=D(0)), HIGHER, "scale"),
        (Target(D(1), scale=D(-1)), HIGHER, "scale"),
        (Target(low=D(1)), IN_RANGE, "high"),
        (Target(high=D(1)), IN_RANGE, "low"),
        (Target(D(1), low=D(1), high=D(2)), IN_RANGE, "value"),
        (Target(low=D(3), high=D(2)), IN_RANGE, "low"),
        (Target(low=D("NaN"), high=D(2)), IN_RANGE, "low"),
        (Target(low=D(1), high=D(2)), HIGHER, "low"),
        (Target(D(1)), IN_RANGE, "value"),
        (Target(D(0)), LOWER, "scale"),
        (Target(D(1)), NEUTRAL, ""),
    ],
)
def test_a_target_is_refused_with_the_field_that_is_wrong(target, direction, where):
    with pytest.raises(InvalidTarget) as error:
        status.check_target(target, direction)
    assert [problem.where for problem in error.value.problems] == [where]


@pytest.mark.parametrize(
    ("target", "direction"),
    [
        (Target(), NEUTRAL),
        (Target(D(0), scale=D(1)), HIGHER),
        (Target(low=D(1), high=D(1), scale=D(1)), IN_RANGE),
        (Target(low=D(0), high=D(0), scale=D(1)), IN_RANGE),
        (Target(D(-5)), LOWER),
    ],
    ids=["one that ends those before", "0 with a scale", "no width, with a scale", "0..0, with a scale", "negative"],
)
def test_a_target_that_can_be_judged_against_is_taken(target, direction):
    status.check_target(target, direction)


@given(st.permutations(range(6)))
def test_the_order_in_which_targets_are_read_does_not_matter(order):
    recorded = [at(f"2026-01-0{n + 1} 00:00") for n in range(6)]
    targets = [Target(D(n), created_at=recorded[n], override=n == 3, id=n) for n in range(6)]
    assert status.target_for(TODAY, [targets[n] for n in order]) is targets[3]


def test_of_targets_recorded_at_one_moment_the_later_row_wins():
    first, second = (Target(D(n), created_at=AFTERNOON, id=n) for n in (1, 2))
    assert status.target_for(TODAY, [second, first]) is second


def test_a_target_without_a_grain_is_for_the_tracking_period():
    kpi = a_kpi(also_tracked=(Grain.WEEKLY,))
    daily, weekly = Target(D(50)), Target(D(250), grain=Grain.WEEKLY)
    assert status.target_for(TODAY, [daily, weekly], kpi, CALENDAR) is daily
    assert status.target_for(span("2026-11-24", Grain.WEEKLY), [daily, weekly], kpi, CALENDAR) is weekly
    assert status.target_for(span("2026-11-24", Grain.MONTHLY), [daily, weekly], kpi, CALENDAR) is None


def test_only_days_can_be_inactive():
    kpi = a_kpi(tracking_period=Grain.WEEKLY, active_days=ActiveDays(frozenset({6})))
    target = Target(D(50))
    assert status.target_for(span("2026-11-24", Grain.WEEKLY), [target], kpi, CALENDAR) is target


def test_a_target_that_ends_before_the_next_span_starts_never_takes_effect():
    kpi = a_kpi(tracking_period=Grain.MONTHLY)
    short = Target(D(1), period_start=date(2026, 11, 10), period_end=date(2026, 11, 20))
    assert status.start_warning(short, kpi, CALENDAR).endswith("it never takes effect")


# Change


@given(NUMBERS, NUMBERS)
def test_a_percentage_is_only_where_it_does_not_mislead(value, prior):
    made = status.change(a_kpi(), value, prior, words="yesterday")
    assert made.amount == value - prior
    misleads = prior == 0 or value * prior < 0
    assert (made.percent is None) == misleads
    if made.percent:
        assert (made.percent > 0) == (value > prior)


@given(NUMBERS, NUMBERS)
def test_percentages_differ_in_points_and_never_in_percent(value, prior):
    made = status.change(a_kpi(unit=Unit.PERCENTAGE), value, prior, words="last week")
    assert made.percent is None
    assert made.text.endswith("pp from last week") == (value != prior)


@given(NUMBERS, NUMBERS)
def test_what_is_favourable_one_way_is_unfavourable_the_other(value, prior):
    up, down, neither = (
        status.change(a_kpi(direction=direction), value, prior, words="").favourable
        for direction in (HIGHER, LOWER, NEUTRAL)
    )
    assert neither is None
    assert up == (None if value == prior else value > prior)
    assert down == (None if value == prior else value < prior)


@pytest.mark.parametrize(
    ("value", "prior", "favourable"), [(72, 60, True), (90, 80, False), (72, 80, None), (60, 95, None), (60, 96, True)]
)
def test_nearer_to_a_range_is_favourable(value, prior, favourable):
    target = Target(low=D(70), high=D(85))
    made = status.change(a_kpi(direction=IN_RANGE), D(value), D(prior), words="yesterday", target=target)
    assert made.favourable is favourable


def test_a_change_names_what_is_missing():
    assert status.change(a_kpi(), None, D(1), words="yesterday").amount is None
    missing = status.change(a_kpi(), D(1), None, words="yesterday")
    assert (missing.amount, missing.text, missing.reason) == (None, "", "no value to compare with (yesterday)")
    assert status.change(a_kpi(), D(5), D(5), words="yesterday").text == "no change from yesterday"


# Pace


@given(SIZES, SIZES, SIZES, SHARES, DIRECTIONS)
def test_pace_is_section_2_with_target_and_scale_multiplied_by_the_weight(value, point, scale, elapsed, direction):
    made = status.pace(a_kpi(direction=direction), value, Target(point, scale=scale), elapsed, 3)
    part = Target(point * elapsed, scale=scale * elapsed)
    assert abs(made.attainment - status.attainment(value, part, direction)) < D("1e-9")
    assert made.expected == point * elapsed


@given(SIZES, SIZES, SIZES, SHARES)
def test_the_pace_of_a_range_is_section_2_with_both_ends_multiplied(value, low, width, elapsed):
    made = status.pace(a_kpi(direction=IN_RANGE), value, Target(low=low, high=low + width), elapsed, 3)
    part = Target(low=low * elapsed, high=(low + width) * elapsed)
    assert abs(made.attainment - status.attainment(value, part, IN_RANGE)) < D("1e-9")
    assert (made.expected, made.expected_high) == (part.low, part.high)


@given(SIZES, SHARES)
def test_who_has_exactly_what_is_due_is_on_pace(point, elapsed):
    made = status.pace(a_kpi(), point * elapsed, Target(point), elapsed, 3)
    assert made.attainment == 1


@pytest.mark.parametrize("direction", [HIGHER, LOWER])
@pytest.mark.parametrize("days", [7, 13, 22, 23, 29])
def test_the_rounding_of_a_kept_weight_decides_no_band(days, direction):
    kept = (D(days) / 30).quantize(D("1e-9"))
    assert status.pace(a_kpi(direction=direction), D(days * 100), Target(D(3000)), kept, 3).attainment == 1
    part = D(days * (80 if direction is HIGHER else 120))
    assert status.pace(a_kpi(direction=direction), part, Target(D(3000)), kept, 3).attainment == D("0.8")


@given(SIZES, SIZES, st.integers(1, 31))
def test_the_required_run_rate_brings_the_value_to_the_target(value, point, days_left):
    assume(value < point)
    rate = status.pace(a_kpi(), value, Target(point), D("0.5"), days_left).required_run_rate
    assert abs(value + rate * days_left - point) < D("1e-12")


@pytest.mark.parametrize(
    ("kpi", "value", "days_left", "rate"),
    [
        (a_kpi(), 120, 2, 0),
        (a_kpi(direction=LOWER), 60, 2, 20),
        (a_kpi(direction=LOWER), 120, 2, None),
        (a_kpi(), 60, 0, None),
    ],
    ids=["met already", "may still be spent", "the limit has passed", "no day is left"],
)
def test_the_required_run_rate_where_there_is_nothing_to_divide(kpi, value, days_left, rate):
    assert status.pace(kpi, D(value), Target(D(100)), D("0.6"), days_left).required_run_rate == rate


@pytest.mark.parametrize(
    ("kpi", "target"),
    [
        (a_kpi(bounds=Bounds()), Target(D(5))),
        (a_kpi(bounds=Bounds(low=D(-1))), Target(D(5))),
        (a_kpi(), Target(D(0), scale=D(5))),
        (a_kpi(), Target(D(-5))),
        (a_kpi(direction=IN_RANGE), Target(low=D(-5), high=D(5))),
        (a_kpi(kind=Kind.STOCK), Target(D(5))),
        (a_kpi(kind=Kind.RATIO), Target(D(5))),
        (a_kpi(), Target()),
    ],
    ids=[
        "bounds say nothing",
        "may be negative",
        "target 0",
        "target below 0",
        "range from below 0",
        "a stock",
        "a ratio",
        "null",
    ],
)
def test_what_has_no_pace(kpi, target):
    assert status.pace(kpi, D(5), target, D("0.5"), 1) is None


def test_a_count_cannot_be_negative_whatever_its_bounds_say_nothing_about():
    counted = a_kpi(bounds=Bounds(), calculation=Calculation.COUNT)
    assert status.has_pace(counted, Target(D(5)))


@given(st.lists(st.one_of(st.none(), st.decimals(0, 1, places=4)), max_size=30))
def test_the_weight_is_known_from_eight_spans_on(shares):
    known = [share for share in shares if share is not None][-8:]
    weight = status.elapsed_weight(shares, D("0.123"))
    if len(known) < 8:
        assert weight == D("0.123")
    else:
        assert min(known) <= weight <= max(known)


@pytest.mark.parametrize(
    ("watermark", "share"),
    [
        ("2026-11-22 12:00", "0"),
        ("2026-11-23 00:00", "0"),
        ("2026-11-23 18:00", "0"),
        ("2026-11-24 00:00", "0.2"),
        ("2026-11-28 12:00", "1"),
        ("2026-12-09 12:00", "1"),
    ],
)
def test_active_days_count_once_they_are_over(watermark, share):
    kpi = a_kpi(active_days=ActiveDays(frozenset({1, 2, 3, 4, 5})))
    assert status.active_share(span("2026-11-24", Grain.WEEKLY), at(watermark), kpi, CALENDAR) == D(share)


def test_a_span_without_an_active_day_has_the_weight_of_its_days():
    kpi = a_kpi(active_days=ActiveDays(frozenset()))
    share = status.active_share(span("2026-11-24", Grain.WEEKLY), at("2026-11-24 00:00"), kpi, CALENDAR)
    assert share == D(1) / 7


# The score


def test_a_closed_day_is_judged_against_its_target():
    closed = scored(a_kpi(), Reading(1, YESTERDAY, D(47)), Target(D(50)), prior=Reading(1, span("2026-11-22"), D(42)))
    assert (closed.state, closed.status, closed.progress) == (SpanState.FINAL, Status.ON_TRACK, D(94))
    assert closed.change.text == "+5 from Sun 22 Nov"
    assert (closed.freshness, closed.late, closed.reason) == (None, False, None)


def an_open_day(value: str = "27", **fields: object) -> Reading:
    given = {"through": at("2026-11-24 14:00"), "elapsed": D("0.6"), "prior": D(25)} | fields
    return Reading(1, TODAY, D(value), **given)


def test_an_open_flow_is_judged_by_its_pace_and_drawn_against_the_whole_target():
    today = scored(a_kpi(), an_open_day(), Target(D(50)), prior=D(48))
    assert (today.status, today.progress, today.pace.attainment) == (Status.ON_TRACK, D(54), D("0.9"))
    assert today.change.text == "+2 from yesterday by 14:00"
    assert today.change.like_for_like
    assert today.freshness == "data to 14:00"


def test_a_clipped_comparison_says_so():
    march = span("2026-03-31", Grain.MONTHLY)
    note = "clipped: February 2026 has only 28 days"
    reading = Reading(1, march, D(50), through=at("2026-03-31 12:00"), elapsed=D("0.97"), prior=D(40), prior_note=note)
    seen = scored(a_kpi(tracking_period=Grain.MONTHLY), reading, Target(D(50)), now=at("2026-03-31 13:00"))
    assert (seen.change.text, seen.change.reason) == ("+10 from all 28 days of last month", note)


def test_a_change_on_a_day_off_is_neither_good_nor_bad():
    sunday, friday = span("2026-11-22"), span("2026-11-20")
    kpi = a_kpi(active_days=ActiveDays(frozenset({1, 2, 3, 4, 5})))
    seen = scored(kpi, Reading(1, sunday, D(7)), Target(D(50)), prior=Reading(1, friday, D(36)))
    assert (seen.change.amount, seen.change.favourable) == (-29, None)
    assert scored(kpi, Reading(1, friday, D(7)), Target(D(50)), prior=D(36)).change.favourable is False


@pytest.mark.parametrize(
    ("direction", "value", "expected"),
    [
        (HIGHER, 30, Status.TOO_EARLY),
        (HIGHER, 45, Status.ON_TRACK),
        (HIGHER, 60, Status.EXCEEDS),
        (LOWER, 80, Status.CRITICAL),
    ],
)
def test_a_distinct_count_that_is_still_growing_is_not_called_bad_before_its_close(direction, value, expected):
    kpi = a_kpi(kind=Kind.DISTINCT, direction=direction)
    reading = Reading(1, TODAY, D(value), through=at("2026-11-24 14:05"))
    seen = scored(kpi, reading, Target(D(50)))
    assert (seen.status, seen.progress) == (expected, 100 * status.attainment(D(value), Target(D(50)), direction))
    closed = Reading(1, YESTERDAY, D(value), have_days=1, of_days=1)
    assert scored(kpi, closed, Target(D(50))).status is not Status.TOO_EARLY


@pytest.mark.parametrize("kind", [Kind.RATIO, Kind.STATISTIC, Kind.DERIVED])
def test_an_open_span_of_other_kinds_is_compared_like_for_like_but_judged_directly(kind):
    today = scored(a_kpi(kind=kind), an_open_day(), Target(D(50)), prior=D(48))
    assert (today.status, today.pace, today.change.prior) == (Status.CRITICAL, None, D(25))


def test_a_guards_verdict_stands_where_a_formula_has_no_meaning():
    runway = a_kpi(kind=Kind.DERIVED)
    reading = Reading(1, YESTERDAY, None, reason="not burning cash", verdict=Status.EXCEEDS)
    seen = scored(runway, reading, Target(D(12)), prior=D(9))
    assert (seen.status, seen.reason, seen.attainment) == (Status.EXCEEDS, "not burning cash", None)
    assert seen.change.amount is None


@pytest.mark.parametrize(
    ("kpi", "reading", "target", "verdict", "says"),
    [
        pytest.param(a_kpi(), None, Target(D(5)), Status.NO_DATA, "no value", id="nothing recorded"),
        pytest.param(a_kpi(kind=Kind.RATIO), Reading(1, YESTERDAY, None, reason="no deals closed"), Target(D(5)),
                     Status.NO_DATA, "no deals closed", id="a zero denominator"),
        pytest.param(a_kpi(), Reading(1, YESTERDAY, D(5)), None, Status.NO_TARGET, "no target", id="no target"),
        pytest.param(a_kpi(), Reading(1, YESTERDAY, D(5)), Target(), Status.NO_TARGET, "no target", id="ended target"),
        pytest.param(a_kpi(direction=NEUTRAL), Reading(1, YESTERDAY, D(5)), None, Status.NO_TARGET, "neutral",
                     id="neutral"),
        pytest.param(a_kpi(direction=IN_RANGE), Reading(1, YESTERDAY, D(5)), Target(D(5)), Status.NO_TARGET,
                     "does not fit", id="a target from before the direction changed"),
        pytest.param(a_kpi(kind=Kind.DISTINCT), Reading(1, YESTERDAY, D(5), have_days=0, of_days=1), Target(D(5)),
                     Status.INCOMPLETE, "incomplete (0 of 1 day)", id="an undercounted distinct"),
        pytest.param(a_kpi(kind=Kind.RATIO), Reading(1, YESTERDAY, D(5), have_days=0, of_days=1), Target(D(5)),
                     Status.EXCEEDS, None, id="a ratio over missing days is still a ratio"),
        pytest.param(a_kpi(), Reading(1, YESTERDAY, D(5), have_days=0, of_days=1, typed=True), Target(D(5)),
                     Status.EXCEEDS, None, id="typed for the whole span"),
        pytest.param(a_kpi(), an_open_day(have_days=0, of_days=1), Target(D(50)), Status.ON_TRACK, None,
                     id="an open flow is not incomplete"),
        pytest.param(a_kpi(), an_open_day(elapsed=D("0.1")), Target(D(50)), Status.TOO_EARLY, "too early",
                     id="too early"),
        pytest.param(a_kpi(bounds=Bounds()), an_open_day(), Target(D(50)), Status.TOO_EARLY, "can fall",
                     id="a flow that can fall"),
        pytest.param(a_kpi(), an_open_day(), Target(D(0), scale=D(9)), Status.TOO_EARLY, "not above 0",
                     id="a target of 0"),
        pytest.param(a_kpi(), an_open_day(elapsed=None), Target(D(50)), Status.TOO_EARLY, "no finer data",
                     id="no finer data"),
    ],
)  # fmt: skip
def test_a_score_says_why_it_is_what_it_is(kpi, reading, target, verdict, says):
    seen = scored(kpi, reading, target)
    assert seen.status is verdict
    assert (seen.reason is None) == (says is None)
    assert says is None or says in seen.reason


def test_an_incomplete_span_is_neither_compared_nor_compared_with():
    october, september = span("2026-10-01", Grain.MONTHLY), span("2026-09-01", Grain.MONTHLY)
    whole = Reading(1, october, D(900), have_days=31, of_days=31)
    part = Reading(1, september, D(700), have_days=27, of_days=30)
    seen = scored(a_kpi(tracking_period=Grain.MONTHLY), whole, Target(D(900)), prior=part)
    assert seen.status is Status.EXCEEDS
    assert (seen.change.amount, seen.change.reason) == (None, "the span before is incomplete (27 of 30 days)")


@pytest.mark.parametrize(
    ("now", "late"), [("2026-11-24 07:59", False), ("2026-11-24 08:00", True), ("2026-11-23 23:00", False)]
)
def test_a_closed_span_is_late_once_it_is_due_and_has_no_value(now, late):
    kpi = a_kpi(due_by="08:00")
    assert scored(kpi, None, now=at(now)).late is late
    assert scored(kpi, Reading(1, YESTERDAY, D(5)), now=at(now)).late is False


def test_an_inactive_day_owes_nothing():
    kpi = a_kpi(due_by="08:00", active_days=ActiveDays(frozenset({2})))
    seen = scored(kpi, None, Target(D(5)))
    assert (seen.late, seen.target) == (False, None)


def test_late_data_keeps_a_closed_span_provisional():
    assert scored(a_kpi(lag_days=2), Reading(1, YESTERDAY, D(5))).state is SpanState.PROVISIONAL


def test_money_is_spoken_of_in_the_companys_currency():
    seen = scored(a_kpi(unit=Unit.CURRENCY), Reading(1, YESTERDAY, D(50)), prior=D(45), currency="EUR")
    assert seen.change.text == "+€5 from Sun 22 Nov"


@given(
    NUMBERS, st.one_of(st.none(), NUMBERS), st.one_of(st.none(), NUMBERS), st.sampled_from(list(Kind)), st.booleans()
)
def test_any_reading_can_be_scored(value, prior, point, kind, typed):
    target = None if point is None else Target(point, scale=D(7))
    for reading in (Reading(1, YESTERDAY, value), an_open_day(str(value), prior=prior, typed=typed)):
        seen = scored(a_kpi(kind=kind), reading, target, prior=prior)
        assert seen.value == value
        assert (seen.progress is None) == (seen.attainment is None)
        assert seen.status.is_verdict or seen.reason


# The board in a sentence


def test_a_board_in_a_sentence():
    judged = [(f"KPI {n}", Status.ON_TRACK) for n in range(30)] + [("Best", Status.EXCEEDS)]
    judged += [(f"Watched {n}", Status.NEEDS_ATTENTION) for n in range(5)]
    judged += [("Daily Revenue", Status.CRITICAL), ("Churn Rate", Status.CRITICAL), ("New", Status.NO_DATA)]
    assert status.summary(judged) == "31 of 38 on track; 2 critical: Daily Revenue, Churn Rate"


@pytest.mark.parametrize(
    ("statuses", "sentence"),
    [
        ([], "Nothing to judge yet"),
        ([("A", Status.TOO_EARLY)], "Nothing to judge yet"),
        ([("A", Status.ON_TRACK)], "1 of 1 on track"),
        ([("A", Status.NEEDS_ATTENTION), ("B", Status.EXCEEDS)], "1 of 2 on track; 1 needs attention: A"),
        ([(name, Status.CRITICAL) for name in "ABCDEFG"], "0 of 7 on track; 7 critical: A, B, C, D, E and 2 more"),
    ],
)
def test_the_sentence_names_the_worst_there_is(statuses, sentence):
    assert status.summary(statuses) == sentence


@pytest.mark.parametrize("number", ["1e29", "1e40", "1e-12", "0.1234567891"])
def test_a_target_that_could_only_be_kept_rounded_is_refused(number):
    with pytest.raises(InvalidTarget, match="out of range"):
        status.check_target(Target(D(number)), Direction.HIGHER)
