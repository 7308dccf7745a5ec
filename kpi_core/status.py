"""Judging a reading: attainment, bands, targets over time, change, pace, and the score that holds them together.

The rules are those of SEMANTICS.md, sections 2, 3, 5 (change) and 6 (pace). How a reading comes to its status:

    a guard's verdict      where a formula's value has no meaning, the definition says what that means
    no value               no_data, with the reason
    a closed flow with     incomplete: the parts that are missing may be the ones that would have met the target
      missing days
    no target              no_target: none set, none on this day, or a neutral KPI
    an open flow           its pace: a morning's revenue is not a day's. too_early until a fifth of the span's weight
                           has passed; a flow without a pace waits for its close
    all else               attainment against the target, in bands

Everything is computed on read from unrounded decimals and never clamped. A board scores a thousand KPIs in one go, so
`score` does each piece of Decimal work once and asks cached functions for texts that KPIs share.

A distinct count over missing days undercounts just as a sum does, so `incomplete` is for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from statistics import median
from typing import NamedTuple

from kpi_core import display, periods
from kpi_core.errors import InvalidTarget, Problem
from kpi_core.model import (
    Bands,
    Calculation,
    Change,
    Direction,
    Grain,
    Kind,
    Kpi,
    Pace,
    Reading,
    Score,
    Span,
    SpanState,
    Status,
    Target,
    Unit,
)
from kpi_core.periods import Calendar

__all__ = [
    "EARLIEST",
    "HISTORY",
    "active_share",
    "attainment",
    "change",
    "check_target",
    "elapsed_weight",
    "has_pace",
    "is_complete",
    "pace",
    "progress_text",
    "score",
    "start_warning",
    "status_of",
    "summary",
    "target_for",
]

ZERO, ONE, HUNDRED = Decimal(0), Decimal(1), Decimal(100)
EARLIEST = Decimal("0.20")
"""The share of a span's weight before which nobody can tell how it will go."""
HISTORY = 8
"""How many complete spans it takes to know how the weight is spread over a span."""
W_ROUNDING = Decimal("3e-9")
"""What the ninth place of a kept W can do to an attainment: half a step of 1e-9, of a W of 0.20 or more."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)
PARTS_ADD_UP = (Kind.FLOW, Kind.DISTINCT)
DEFAULT_BANDS = Bands()

INACTIVE = "not an active day: it carries no target"
NO_TARGET = "no target is set for this span"
NEUTRAL = "a neutral KPI has no target"
MISFIT = "the target does not fit the KPI's direction"
NO_READING = "no value for this span yet"
WAITS = "waits for its close: there is no finer data to pace it by"
WAITS_SIGNED = "waits for its close: a sum that can fall has no pace"
WAITS_TARGET = "waits for its close: a target that is not above 0 has no pace"
STILL_GROWING = "waits for its close: a distinct count is still growing"
TOO_EARLY = "too early to judge: less than a fifth of the span's weight has passed"
NOT_LIKE = "the same part of the span before is not known"


# Attainment and bands (section 2)


def attainment(value: Decimal, target: Target | None, direction: Direction) -> Decimal | None:
    """Actual against target, 1 = met: `1 + s * (V - T) / D`; for a range `1 - d / D`. Unrounded and never clamped.

    None without a target, for a neutral KPI, and where the target does not fit the direction.
    """
    if target is None or direction is Direction.NEUTRAL:
        return None
    if direction is Direction.IN_RANGE:
        return _in_range(value, target)
    point = target.value
    full_miss = point if point is None else target.scale or abs(point)
    if point is None or not full_miss:
        return None
    gain = value - point if direction is Direction.HIGHER else point - value
    return ONE + gain / full_miss


def _in_range(value: Decimal, target: Target) -> Decimal | None:
    low, high = target.low, target.high
    if low is None or high is None:
        return None
    if low <= value <= high:
        return ONE
    outside = low - value if value < low else value - high
    full_miss = target.scale or (high - low) / 2
    return ONE - outside / full_miss if full_miss else None


def status_of(attainment: Decimal | None, direction: Direction, bands: Bands = DEFAULT_BANDS) -> Status:
    """The band that an attainment falls in; lower bounds are inclusive. Inside a range is on track, never more."""
    if attainment is None:
        return Status.NO_TARGET
    if attainment >= bands.exceeds:
        return Status.ON_TRACK if direction is Direction.IN_RANGE else Status.EXCEEDS
    if attainment >= bands.on_track:
        return Status.ON_TRACK
    return Status.NEEDS_ATTENTION if attainment >= bands.needs_attention else Status.CRITICAL


def progress_text(attainment: Decimal | None, bands: Bands = DEFAULT_BANDS) -> str:
    """An attainment as people see it: "94 %", "79.9 %"; empty without one."""
    return "" if attainment is None else display.percent_text(attainment, bands)


# Targets over time (section 3)


def check_target(target: Target, direction: Direction) -> None:
    """Raises InvalidTarget, with every problem, for a target that nothing could be judged against."""
    problems = [*_period_problems(target), *_number_problems(target), *_shape_problems(target, direction)]
    if problems:
        raise InvalidTarget(problems)


def _period_problems(target: Target) -> Iterable[Problem]:
    start, end = target.period_start, target.period_end
    if start and end and end < start:
        yield Problem("period_end", f"ends on {end}, before it starts on {start}")


def _number_problems(target: Target) -> Iterable[Problem]:
    for name in ("value", "low", "high", "scale"):
        number: Decimal | None = getattr(target, name)
        if number is not None and not number.is_finite():
            yield Problem(name, f"{number} is not a number that can be judged against")
        elif number is not None and not _fits(number):
            yield Problem(name, f"{number} is out of range: up to 29 digits before the point and 9 after it are kept")
    if target.scale is not None and target.scale.is_finite() and target.scale <= 0:
        yield Problem("scale", f"{target.scale} must be above 0: it is how far from the target a full miss is")


def _fits(number: Decimal) -> bool:
    """Whether it can be kept exactly, as NUMERIC(38, 9): a target that was rounded to 0 would be another one."""
    exponent = number.normalize().as_tuple().exponent
    return not number or (number.adjusted() < 29 and isinstance(exponent, int) and exponent >= -9)


def _shape_problems(target: Target, direction: Direction) -> Iterable[Problem]:
    if (target.low is None) != (target.high is None):
        yield Problem("low" if target.low is None else "high", "a range needs both a low and a high end")
    elif target.is_range and target.value is not None:
        yield Problem("value", "a target is a value or a range (low and high), not both")
    elif target.is_null:
        return
    elif direction is Direction.NEUTRAL:
        yield Problem("", "a neutral KPI takes no target: choose a direction for it first")
    elif target.is_range:
        yield from _range_problems(target, direction)
    elif direction is Direction.IN_RANGE:
        yield Problem("value", "an in_range KPI needs a range: low and high")
    elif target.value == 0 and target.scale is None:
        yield Problem("scale", "a target of 0 needs a scale: how far from 0 is a full miss?")


def _range_problems(target: Target, direction: Direction) -> Iterable[Problem]:
    low, high = target.low, target.high
    if direction is not Direction.IN_RANGE:
        yield Problem("low", f"a {direction} KPI needs a single value, not a range")
    elif low is None or high is None or not (low.is_finite() and high.is_finite()):
        return
    elif low > high:
        yield Problem("low", f"{low} is above the high end, {high}")
    elif low == high and target.scale is None:
        yield Problem("scale", f"a range of one value, {low}, needs a scale: how far outside is a full miss?")


def target_for(
    span: Span,
    targets: Iterable[Target],
    kpi: Kpi | None = None,
    calendar: Calendar | None = None,
    *,
    as_of: datetime | None = None,
) -> Target | None:
    """The target that applies to a span, as known at `as_of` (None: now); None where there is none.

    It applies to spans of its grain (default: the KPI's tracking period) whose start lies in its period. Of several, an
    override wins, then the later recorded; a null target that wins ends them. Given the KPI and the calendar, a day
    that is not active has none.
    """
    if kpi and calendar and _is_inactive(kpi, span, calendar):
        return None
    best: Target | None = None
    for target in targets:
        if _applies(target, span, kpi, as_of) and (best is None or _rank(target) >= _rank(best)):
            best = target
    return None if best is None or best.is_null else best


def _applies(target: Target, span: Span, kpi: Kpi | None, as_of: datetime | None) -> bool:
    grain = target.grain or (kpi.tracking_period if kpi else span.grain)
    if grain is not span.grain:
        return False
    if target.period_start is not None and span.start < target.period_start:
        return False
    if target.period_end is not None and span.start > target.period_end:
        return False
    return as_of is None or target.created_at is None or target.created_at <= as_of


def _rank(target: Target) -> tuple[bool, datetime, int]:
    return target.override, target.created_at or LONG_AGO, target.id


def _is_inactive(kpi: Kpi, span: Span, calendar: Calendar) -> bool:
    return span.grain is Grain.DAILY and not periods.is_active(span.start, kpi.active_days, calendar)


def start_warning(target: Target, kpi: Kpi, calendar: Calendar) -> str | None:
    """What to tell who sets a target that starts inside a span: it takes effect with the next one, if ever."""
    start = target.period_start
    if start is None:
        return None
    inside = periods.span_of(start, target.grain or kpi.tracking_period, calendar)
    if inside.start == start:
        return None
    following = periods.next_span(inside, calendar)
    says = f"{periods.day_text(start, year=True)} is inside {periods.label(inside, calendar)}"
    if target.period_end is not None and target.period_end < following.start:
        return f"{says}, and the target ends before the next span starts: it never takes effect"
    first = periods.day_text(following.start, year=True)
    return f"{says}: the target takes effect with {periods.label(following, calendar)}, from {first}"


# Change (section 5)

NOTHING = Change(None, None, None, None, False, "")


def change(
    kpi: Kpi,
    value: Decimal | None,
    prior: Decimal | None,
    *,
    words: str,
    like_for_like: bool = False,
    reason: str | None = None,
    target: Target | None = None,
    currency: str | None = None,
) -> Change:
    """A value against the comparison span's: "+5 from yesterday". `words` name that span.

    Without either value there is no change, and `reason` says why; beside one, `reason` says what was clipped. From 0
    it is "new", across a change of sign absolute only, and percentages and NPS differ in points. In a range,
    favourable is what comes nearer to it: that needs the `target`.
    """
    if value is None:
        return NOTHING
    if prior is None:
        return Change(None, None, None, None, like_for_like, "", reason or f"no value to compare with ({words})")
    amount = value - prior
    percent = None if kpi.points or kpi.unit is Unit.PERCENTAGE else _percent(value, prior, amount)
    favourable = _favourable(kpi.direction, value, prior, amount, target)
    text = _change_words(kpi, prior, amount, words, currency)
    return Change(prior, amount, percent, favourable, like_for_like, text, reason)


def _percent(value: Decimal, prior: Decimal, amount: Decimal) -> Decimal | None:
    """None from zero and across a change of sign, where a percentage would mislead."""
    if not prior or (value < 0 < prior) or (prior < 0 < value):
        return None
    return HUNDRED * amount / abs(prior)


def _change_words(kpi: Kpi, prior: Decimal, amount: Decimal, words: str, currency: str | None) -> str:
    in_points = kpi.points or kpi.unit is Unit.PERCENTAGE
    if not amount:
        return f"no change from {words}" if prior or in_points else "no change"
    if not prior and not in_points:  # points need no division: 2.3 % after 0 % is +2.3 pp
        return "new"
    return f"{display.change_text(amount, kpi, currency=currency)} from {words}"


def _favourable(
    direction: Direction, value: Decimal, prior: Decimal, amount: Decimal, target: Target | None
) -> bool | None:
    if not amount or direction is Direction.NEUTRAL:
        return None
    if direction is Direction.HIGHER:
        return amount > 0
    if direction is Direction.LOWER:
        return amount < 0
    if target is None or target.low is None or target.high is None:
        return None
    nearer = _outside(prior, target.low, target.high) - _outside(value, target.low, target.high)
    return nearer > 0 if nearer else None


def _outside(value: Decimal, low: Decimal, high: Decimal) -> Decimal:
    return max(low - value, value - high, ZERO)


# Pace (section 6)


def elapsed_weight(shares: Sequence[Decimal | None], otherwise: Decimal | None = None) -> Decimal | None:
    """W, the share of a span's weight that has passed: the median of the last 8 complete spans' cumulative shares.

    `shares`, oldest first, are taken at the same point of complete spans (daily: of the same weekday); None stands for
    a span that totals 0, which is left out. With fewer than 8 it is `otherwise`: see `active_share`.
    """
    known = [share for share in shares if share is not None][-HISTORY:]
    return otherwise if len(known) < HISTORY else median(known)


def active_share(span: Span, watermark: datetime, kpi: Kpi, calendar: Calendar) -> Decimal:
    """The share of a span's active days that has passed; of its days, where none is active.

    A day counts once it is over: without a history nobody knows how a day's weight is spread over its hours, and by
    the clock every morning would be behind.
    """
    day = min(max(periods.local_day(watermark, calendar), span.start), span.end)
    total = periods.active_days_in(span.start, span.end, kpi.active_days, calendar)
    if not total:
        return Decimal((day - span.start).days) / span.days
    return Decimal(periods.active_days_in(span.start, day, kpi.active_days, calendar)) / total


def has_pace(kpi: Kpi, target: Target) -> bool:
    """Only flows that cannot be negative, against targets above 0, can be paced."""
    return kpi.kind is Kind.FLOW and not _can_fall(kpi) and _is_above_zero(target)


def _can_fall(kpi: Kpi) -> bool:
    """A count cannot; of other flows only `bounds` can tell, and where they are silent it must be supposed."""
    low = kpi.bounds.low
    return kpi.calculation is not Calculation.COUNT if low is None else low < 0


def _is_above_zero(target: Target) -> bool:
    if target.low is not None and target.high is not None:
        return target.low >= 0 and target.high > 0
    return target.value is not None and target.value > 0


def pace(kpi: Kpi, value: Decimal, target: Target, elapsed: Decimal, active_days_left: int) -> Pace | None:
    """How an open flow stands against the part of its target that is due by now; None where it has no pace.

    Target, range and scale are all multiplied by W, which is to say that V / W is judged against the whole target:
    1 + s * (V - T * W) / (D * W) = 1 + s * (V / W - T) / D. `attainment` is None while it is too early (W < 0.20).

    W is kept with 9 places, which is not to decide a band: 2,300 of 3,000 after 23 of 30 days is met, and not short of
    it by the rounding of 0.766666667.
    """
    expected = target.value if target.low is None else target.low
    if expected is None or not has_pace(kpi, target):
        return None
    judged = None if elapsed < EARLIEST else _settled(attainment(value / elapsed, target, kpi.direction), kpi.bands)
    high = None if target.high is None else target.high * elapsed
    return Pace(
        elapsed, expected * elapsed, judged, _run_rate(kpi, value, target, active_days_left), active_days_left, high
    )


def _settled(attainment: Decimal | None, bands: Bands) -> Decimal | None:
    """The bound of a band, where it is within W's own rounding of it; else as it is."""
    if attainment is not None:
        for bound in (bands.exceeds, bands.on_track, bands.needs_attention):
            if abs(attainment - bound) < W_ROUNDING:
                return bound
    return attainment


def _run_rate(kpi: Kpi, value: Decimal, target: Target, days_left: int) -> Decimal | None:
    """What each active day that is left must bring (lower_is_better: may bring) for the target to be met.

    0 where it is met already; None where no rate can meet it, since a sum that does not fall has passed its limit.
    """
    needed = target.value if target.low is None else target.low
    limit = target.value if kpi.direction is Direction.LOWER else target.high
    if needed is None or not days_left or (limit is not None and value > limit):
        return None
    return max((needed - value) / days_left, ZERO)


# The score


class _Verdict(NamedTuple):
    status: Status
    reason: str | None = None
    attainment: Decimal | None = None
    pace: Pace | None = None


INACTIVE_DAY, TARGETLESS, NEUTRAL_KPI, MISFITTING = (
    _Verdict(Status.NO_TARGET, INACTIVE),
    _Verdict(Status.NO_TARGET, NO_TARGET),
    _Verdict(Status.NO_TARGET, NEUTRAL),
    _Verdict(Status.NO_TARGET, MISFIT),
)
"""Verdicts that are always the same."""


@dataclass(slots=True)
class _Case:
    """All that a reading is judged by, gathered once."""

    kpi: Kpi
    span: Span
    state: SpanState
    today: date
    calendar: Calendar
    reading: Reading
    target: Target | None
    inactive: bool
    currency: str | None
    is_part: bool
    """An open span holds a part of its value, unless the value was typed in for all of it."""


def score(
    kpi: Kpi,
    *,
    span: Span,
    now: datetime,
    calendar: Calendar,
    reading: Reading | None,
    prior: Reading | Decimal | None = None,
    target: Target | None = None,
    sparkline: tuple[float | None, ...] = (),
    currency: str | None = None,
) -> Score:
    """A reading judged. `prior` is the comparison span's reading, or only its value; `target` is `target_for` the span.

    Of an open flow, `attainment` and `progress` are against the whole target (what a bar draws), `status` and
    `pace.attainment` against the part that is due. A value typed in for a span is complete even while it is open.
    `currency` is the company's, for texts about KPIs that name none.
    """
    state = periods.state(span, now, calendar, kpi.lag_days)
    inactive = _is_inactive(kpi, span, calendar)
    if target is not None and (inactive or target.is_null):
        target = None
    if reading is None:  # the same as a reading without a value: there is just nothing more to say about it
        reading, given = Reading(kpi.id, span, None), None
    else:
        given = reading
    today = periods.local_day(now, calendar)
    is_part = state is SpanState.OPEN and not reading.typed
    case = _Case(kpi, span, state, today, calendar, reading, target, inactive, currency, is_part)
    verdict = _verdict(case)
    through = reading.through
    return Score(
        kpi_id=kpi.id,
        span=span,
        state=state,
        reading=given,
        value=reading.value,
        target=target,
        attainment=verdict.attainment,
        progress=None if verdict.attainment is None else verdict.attainment * HUNDRED,
        status=verdict.status,
        reason=verdict.reason,
        change=_without_verdict(_change(case, prior)) if inactive else _change(case, prior),
        pace=verdict.pace,
        sparkline=sparkline,
        through=through,
        late=verdict.status is Status.NO_DATA and not inactive and _is_late(kpi, span, now, calendar),
        freshness=periods.freshness(span, through, calendar) if through is not None and case.is_part else None,
    )


def _verdict(case: _Case) -> _Verdict:
    kpi, reading = case.kpi, case.reading
    value = reading.value
    if reading.verdict is not None and not case.inactive:
        return _Verdict(reading.verdict, reading.reason)
    if value is None:
        return _Verdict(Status.NO_DATA, reading.reason or NO_READING)
    if case.state is not SpanState.OPEN and not is_complete(kpi, reading):
        return _Verdict(Status.INCOMPLETE, f"incomplete ({reading.have_days} of {_days(reading.of_days)})")
    target = case.target
    reached = attainment(value, target, kpi.direction)
    if target is None or reached is None:
        return _untargeted(case)
    if case.is_part and kpi.kind is Kind.FLOW:
        return _open_flow(case, value, target, reached)
    return _directly(case, reached)


def _directly(case: _Case, reached: Decimal) -> _Verdict:
    kpi = case.kpi
    status = status_of(reached, kpi.direction, kpi.bands)
    growing = case.is_part and kpi.kind is Kind.DISTINCT and kpi.direction is Direction.HIGHER
    if growing and status in (Status.NEEDS_ATTENTION, Status.CRITICAL):  # it can only rise: not bad, not yet there
        return _Verdict(Status.TOO_EARLY, STILL_GROWING, reached)
    return _Verdict(status, None, reached)


def _untargeted(case: _Case) -> _Verdict:
    if case.inactive:
        return INACTIVE_DAY
    if case.kpi.direction is Direction.NEUTRAL:
        return NEUTRAL_KPI
    return TARGETLESS if case.target is None else MISFITTING


def is_complete(kpi: Kpi, reading: Reading) -> bool:
    """Whether the reading's data covers its whole span, for kinds that a missing day makes too small."""
    have, of = reading.have_days, reading.of_days
    return have is None or of is None or have >= of or reading.typed or kpi.kind not in PARTS_ADD_UP


def _days(count: int | None) -> str:
    return "1 day" if count == 1 else f"{count} days"


def _open_flow(case: _Case, value: Decimal, target: Target, reached: Decimal) -> _Verdict:
    """An open flow is judged by its pace, else every morning would be red."""
    kpi, elapsed = case.kpi, case.reading.elapsed
    stands = None if elapsed is None else pace(kpi, value, target, elapsed, _days_left(case))
    if stands is None:
        return _Verdict(Status.TOO_EARLY, _waits(kpi, target), reached)
    if stands.attainment is None:
        return _Verdict(Status.TOO_EARLY, TOO_EARLY, reached, stands)
    return _Verdict(status_of(stands.attainment, kpi.direction, kpi.bands), None, reached, stands)


def _waits(kpi: Kpi, target: Target) -> str:
    if _can_fall(kpi):
        return WAITS_SIGNED
    return WAITS if has_pace(kpi, target) else WAITS_TARGET


def _days_left(case: _Case) -> int:
    """Active days of the span that the data does not cover yet; the one that it stands in is among them."""
    span, through = case.span, case.reading.through
    first = span.start if through is None else max(span.start, periods.local_day(through, case.calendar))
    return periods.active_days_in(first, span.end, case.kpi.active_days, case.calendar)


def _is_late(kpi: Kpi, span: Span, now: datetime, calendar: Calendar) -> bool:
    """A closed span owes its value at `due_by`, local time, on the day after it ends."""
    if not kpi.due_by or periods.local_day(now, calendar) < span.end:
        return False
    hour, _, minute = kpi.due_by.partition(":")
    due = datetime.combine(span.end, time(int(hour) % 24, int(minute or 0)), calendar.zone)
    return now >= due + timedelta(days=int(hour) // 24)


# The change that a score carries


def _change(case: _Case, prior: Reading | Decimal | None) -> Change:
    kpi, span, reading = case.kpi, case.span, case.reading
    if reading.value is None:
        return NOTHING
    other = prior if isinstance(prior, Reading) else None
    before = other.span if other else periods.comparison_span(kpi, span, case.calendar)
    if case.is_part and kpi.kind is not Kind.STOCK:
        return _part_change(case, before)
    withheld = _unlike(kpi, reading, other)
    if withheld:
        return Change(None, None, None, None, False, "", withheld)
    value = prior.value if isinstance(prior, Reading) else prior
    words = periods.comparison_words(span, before, case.calendar, case.today)
    return change(kpi, reading.value, value, words=words, target=case.target, currency=case.currency)


def _without_verdict(change: Change) -> Change:
    """On a day off nothing is due, so that less than on the last active day is neither good nor bad."""
    return change if change.favourable is None else replace(change, favourable=None)


def _part_change(case: _Case, before: Span) -> Change:
    """Like for like: the same elapsed part of the span before, or nothing rather than what is unlike."""
    reading = case.reading
    if reading.prior is None:
        return Change(None, None, None, None, True, "", reading.prior_note or NOT_LIKE)
    return change(
        case.kpi,
        reading.value,
        reading.prior,
        words=_part_words(case, before),
        like_for_like=True,
        reason=reading.prior_note,
        target=case.target,
        currency=case.currency,
    )


def _part_words(case: _Case, before: Span) -> str:
    through = case.reading.through
    if through is None:
        return periods.comparison_words(case.span, before, case.calendar, case.today)
    return periods.part_words(case.span, before, through, case.calendar, case.today)


def _unlike(kpi: Kpi, reading: Reading, prior: Reading | None) -> str | None:
    """Why two whole spans may not be compared: the sum of 27 days is not like the sum of 31."""
    for side, name in ((reading, "this span"), (prior, "the span before")):
        if side is not None and not is_complete(kpi, side):
            return f"{name} is incomplete ({side.have_days} of {_days(side.of_days)})"
    return None


# The board in a sentence

MOST_NAMES = 5


def summary(statuses: Iterable[tuple[str, Status]]) -> str:
    """A board in a sentence, of the KPIs with a verdict: "31 of 38 on track; 2 critical: Daily Revenue, Churn Rate".

    Where nothing is critical, it names what needs attention.
    """
    judged = [(name, status) for name, status in statuses if status.is_verdict]
    if not judged:
        return "Nothing to judge yet"
    good = sum(status in (Status.EXCEEDS, Status.ON_TRACK) for _, status in judged)
    says = f"{good} of {len(judged)} on track"
    critical = [name for name, status in judged if status is Status.CRITICAL]
    if critical:
        return f"{says}; {len(critical)} critical: {_names(critical)}"
    watched = [name for name, status in judged if status is Status.NEEDS_ATTENTION]
    if watched:
        return f"{says}; {len(watched)} {'needs' if len(watched) == 1 else 'need'} attention: {_names(watched)}"
    return says


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES} more"
