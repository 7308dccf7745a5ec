"""Spans and calendars: which day, week, month, quarter or year a moment falls in, and what it is compared with.

The rules are those of SEMANTICS.md, section 5. Three choices carry this file:

* A span is a half-open range of *local dates*, never of instants. Dates have no daylight-saving days and no offsets,
  so everything here but `bounds_utc` and `local_day` is plain arithmetic on dates. A day that lasts 23 or 25 hours is
  one day, and the two functions that cross over to instants ask zoneinfo.
* Weeks never nest in months; a span of one grain is never made of spans of another, only of days.
* The part of a span that has passed ends at the watermark (how far the data reaches), not at the clock, and is
  carried over to the span before by whole days and the local wall-clock time: "to 14:00" is 14:00 on both days, even
  where one of them is an hour shorter.

Pure: nothing here asks the clock. Texts are made from fixed English names, since `strftime` follows the locale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kpi_core.errors import InvalidInput, Problem
from kpi_core.model import ActiveDays, Company, Comparison, Grain, Kpi, Reading, Span, SpanState

__all__ = [
    "Calendar",
    "Window",
    "active_days_in",
    "bounds_utc",
    "card_span",
    "comparison_span",
    "comparison_words",
    "day_text",
    "decide",
    "freshness",
    "is_active",
    "label",
    "like_for_like",
    "local_day",
    "next_span",
    "part_words",
    "previous",
    "previous_active_day",
    "same_span_last_year",
    "shift",
    "span_of",
    "spans_between",
    "state",
]

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
NOUNS = {
    Grain.DAILY: "day",
    Grain.WEEKLY: "week",
    Grain.MONTHLY: "month",
    Grain.QUARTERLY: "quarter",
    Grain.YEARLY: "year",
}
MONTHS_IN = {Grain.MONTHLY: 1, Grain.QUARTERLY: 3, Grain.YEARLY: 12}
FIRST_YEAR, LAST_YEAR = 2, 9998
"""Python's dates end in 9999; a span needs room for its end and for the span before it."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The settings that decide where spans begin. `week_start` is an ISO weekday: 1 Monday, 7 Sunday."""

    time_zone: str = "UTC"
    week_start: int = 1
    fiscal_start_month: int = 1
    holidays: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        problems = []
        if not _is_zone(self.time_zone):
            problems.append(
                Problem("time_zone", f"{self.time_zone!r} is not a time zone; write one like Europe/Berlin")
            )
        if self.week_start not in range(1, 8):
            problems.append(Problem("week_start", f"{self.week_start} is not a weekday: 1 is Monday, 7 is Sunday"))
        if self.fiscal_start_month not in range(1, 13):
            problems.append(Problem("fiscal_start_month", f"{self.fiscal_start_month} is not a month: 1 to 12"))
        if problems:
            raise InvalidInput(problems)

    @classmethod
    def of(cls, company: Company) -> Calendar:
        """The calendar of a company's settings."""
        return cls(company.time_zone, company.week_start, company.fiscal_start_month, company.holidays)

    @property
    def is_iso(self) -> bool:
        """Only weeks that start on Monday carry ISO numbers."""
        return self.week_start == 1

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


@lru_cache(maxsize=64)
def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a path, an empty text or a folder's name are no zones
        return False
    return True


# Spans


def span_of(day: date, grain: Grain, calendar: Calendar) -> Span:
    """The span of `grain` that holds `day`. Raises InvalidInput for years outside 2..9998."""
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise InvalidInput(f"{day} is outside the calendar (years {FIRST_YEAR} to {LAST_YEAR})")
    if grain is Grain.DAILY:
        return Span(grain, day, day + DAY)
    if grain is Grain.WEEKLY:
        start = day - timedelta(days=(day.isoweekday() - calendar.week_start) % 7)
        return Span(grain, start, start + WEEK)
    months = MONTHS_IN[grain]
    into = (day.month - calendar.fiscal_start_month) % months
    start = _add_months(day.replace(day=1), -into)
    return Span(grain, start, _add_months(start, months))


def _add_months(first: date, months: int) -> date:
    """Only ever called with the first of a month, so that no day has to be clipped."""
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    return date(year, month + 1, 1)


def shift(span: Span, n: int) -> Span:
    """The span `n` after this one (before it, where negative). Spans of a grain tile, so no calendar is needed."""
    grain = span.grain
    if grain is Grain.DAILY:
        start = span.start + timedelta(days=n)
        return Span(grain, start, start + DAY)
    if grain is Grain.WEEKLY:
        start = span.start + timedelta(days=7 * n)
        return Span(grain, start, start + WEEK)
    months = MONTHS_IN[grain]
    start = _add_months(span.start, n * months)
    return Span(grain, start, _add_months(start, months))


def previous(span: Span, calendar: Calendar, n: int = 1) -> Span:
    """The span `n` before this one."""
    return shift(span, -n)


def next_span(span: Span, calendar: Calendar, n: int = 1) -> Span:
    """The span `n` after this one."""
    return shift(span, n)


def spans_between(start: date, end: date, grain: Grain, calendar: Calendar) -> list[Span]:
    """All spans that overlap the half-open range [start, end) of local dates, oldest first."""
    spans: list[Span] = []
    if start >= end:
        return spans
    span = span_of(start, grain, calendar)
    while span.start < end:
        spans.append(span)
        span = shift(span, 1)
    return spans


def same_span_last_year(span: Span, calendar: Calendar) -> Span:
    """The span a year earlier that is most alike.

    A day: the same weekday 52 weeks before, since a Tuesday is no comparison for a Sunday. An ISO week: the week of
    the same number (W53, where the year before had none, against its last). Months and longer: twelve months before.
    """
    if span.grain is Grain.DAILY:
        return shift(span, -364)
    if span.grain is Grain.WEEKLY:
        return _same_week_last_year(span) if calendar.is_iso else shift(span, -52)
    return shift(span, -12 // MONTHS_IN[span.grain])


def _same_week_last_year(span: Span) -> Span:
    year, week, _ = span.start.isocalendar()
    last_week = date(year - 1, 12, 28).isocalendar().week  # 28 December is always in the last week of its ISO year
    start = date.fromisocalendar(year - 1, min(week, last_week), 1)
    return Span(Grain.WEEKLY, start, start + WEEK)


def label(span: Span, calendar: Calendar) -> str:
    """The name of a span: "Tue 24 Nov 2026", "2026-W48", "Week of 22 Nov 2026", "November 2026", "FY27 Q1"."""
    start = span.start
    if span.grain is Grain.DAILY:
        return day_text(start, year=True)
    if span.grain is Grain.WEEKLY:
        iso = start.isocalendar()
        return f"{iso.year}-W{iso.week:02}" if calendar.is_iso else f"Week of {_date_text(start)} {start.year}"
    if span.grain is Grain.MONTHLY:
        return f"{MONTHS[start.month - 1]} {start.year}"
    return _fiscal_label(span, calendar)


def _fiscal_label(span: Span, calendar: Calendar) -> str:
    """A fiscal year has the number of the calendar year that it ends in; one from January is that year."""
    first = calendar.fiscal_start_month
    year = span.start.year if first == 1 or span.start.month < first else span.start.year + 1
    quarter = (span.start.month - first) % 12 // 3 + 1
    if first == 1:
        return f"Q{quarter} {year}" if span.grain is Grain.QUARTERLY else str(year)
    name = f"FY{year % 100:02}"
    return f"{name} Q{quarter}" if span.grain is Grain.QUARTERLY else name


def day_text(day: date, *, year: bool = False) -> str:
    """A date for people: "Fri 20 Nov", "Fri 20 Nov 2026"."""
    text = f"{WEEKDAYS[day.weekday()][:3]} {_date_text(day)}"
    return f"{text} {day.year}" if year else text


def _date_text(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1][:3]}"


# Instants


def local_day(instant: datetime, calendar: Calendar) -> date:
    """The local date of an instant in the reporting time zone. Raises ValueError for a naive instant."""
    return _local(instant, calendar.time_zone).date()


@lru_cache(maxsize=4096)
def _local(instant: datetime, time_zone: str) -> datetime:
    """Cached: a board asks for the same `now` and the same few watermarks once a KPI."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no time zone; instants are in UTC")
    return instant.astimezone(ZoneInfo(time_zone))


def bounds_utc(span: Span, calendar: Calendar) -> tuple[datetime, datetime]:
    """The instants [start, end) of a span, in UTC. A day may last 23 or 25 hours.

    Where midnight happens twice, the day starts at the first; where it is skipped, at the moment after the gap.
    """
    return _midnight(span.start, calendar), _midnight(span.end, calendar)


def _midnight(day: date, calendar: Calendar) -> datetime:
    return datetime.combine(day, time(), calendar.zone).astimezone(UTC)


def state(span: Span, now: datetime, calendar: Calendar, lag_days: int = 0) -> SpanState:
    """Open: not over. Provisional: over, and late data may come for `lag_days` more days. Final: over for good."""
    today = local_day(now, calendar)
    if today < span.end:
        return SpanState.OPEN
    if lag_days and today < span.end + timedelta(days=lag_days):
        return SpanState.PROVISIONAL
    return SpanState.FINAL


# Active days


def is_active(day: date, active_days: ActiveDays, calendar: Calendar) -> bool:
    """Whether the day carries a target."""
    if day.isoweekday() not in active_days.weekdays:
        return False
    return not (active_days.without_holidays and day in calendar.holidays)


def active_days_in(start: date, end: date, active_days: ActiveDays, calendar: Calendar) -> int:
    """How many days of [start, end) carry a target; 0 where end <= start."""
    if end <= start:
        return 0
    weekdays = active_days.weekdays
    if len(weekdays) == 7 and not active_days.without_holidays:
        return (end - start).days
    weeks, rest = divmod((end - start).days, 7)
    first = start.isoweekday()
    count = weeks * len(weekdays) + sum((first + i - 1) % 7 + 1 in weekdays for i in range(rest))
    if active_days.without_holidays:
        count -= sum(start <= day < end and day.isoweekday() in weekdays for day in calendar.holidays)
    return count


def previous_active_day(day: date, active_days: ActiveDays, calendar: Calendar) -> date:
    """The last active day before `day`; the day before, where a year has none."""
    before = day - DAY
    for _ in range(366):  # days without any active weekday are not worth looking further back for
        if is_active(before, active_days, calendar):
            return before
        before -= DAY
    return day - DAY


# What a span is compared with


def comparison_span(kpi: Kpi, span: Span, calendar: Calendar) -> Span:
    """The span before; for days the previous active day, or the same weekday of last week where the KPI says so."""
    if span.grain is not Grain.DAILY:
        return shift(span, -1)
    if kpi.comparison is Comparison.SAME_WEEKDAY:
        return shift(span, -7)
    before = previous_active_day(span.start, kpi.active_days, calendar)
    return Span(Grain.DAILY, before, before + DAY)


@lru_cache(maxsize=4096)
def comparison_words(span: Span, prior: Span, calendar: Calendar, today: date) -> str:
    """What the change is "from": "yesterday", "Friday", "last week"; for a span that is not the present one, words
    that stay true: "Fri 20 Nov", "the week before"."""
    is_present = span.start <= today < span.end
    if span.grain is Grain.DAILY:
        return _day_words(span.start, prior.start, is_present)
    if prior.end != span.start:
        return label(prior, calendar)
    noun = NOUNS[span.grain]
    return f"last {noun}" if is_present else f"the {noun} before"


def _day_words(day: date, before: date, is_present: bool) -> str:
    ago = (day - before).days
    if is_present and ago == 1:
        return "yesterday"
    if is_present and ago < 7:
        return WEEKDAYS[before.weekday()]
    return day_text(before, year=before.year != day.year)


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the comparison span `span` that an open span is compared with: the instants [start, until) (UTC).

    It is `whole_days` local days and then up to the local wall-clock time `at` (None: up to midnight). `note` says
    what had to be clipped.
    """

    span: Span
    start: datetime
    until: datetime
    whole_days: int
    at: time | None = None
    note: str | None = None


def like_for_like(span: Span, watermark: datetime, calendar: Calendar, prior: Span | None = None) -> Window:
    """The same elapsed part of the span before (or of `prior`), ending at the watermark, not at the clock.

    A shorter span before is taken whole, with a note. A watermark before the span leaves an empty window; one past
    its end, the whole span before.
    """
    prior = prior or shift(span, -1)
    days, at = _elapsed(span, watermark, calendar)
    start, end = bounds_utc(prior, calendar)
    if days > prior.days or (days == prior.days and at is not None):
        note = f"clipped: {label(prior, calendar)} has only {prior.days} days"
        return Window(prior, start, end, prior.days, None, note)
    if days in (prior.days, span.days):
        return Window(prior, start, end, prior.days)
    local = datetime.combine(prior.start + timedelta(days=days), at or time(), calendar.zone)
    return Window(prior, start, local.astimezone(UTC), days, at)


def _elapsed(span: Span, watermark: datetime, calendar: Calendar) -> tuple[int, time | None]:
    """Whole local days of the span before the watermark, and the wall-clock time in the day that it stands in."""
    local = _local(watermark, calendar.time_zone)
    day, at = local.date(), local.time()
    if day < span.start:
        return 0, None
    if day >= span.end:
        return span.days, None
    return (day - span.start).days, at if at != time() else None


@lru_cache(maxsize=4096)
def part_words(span: Span, prior: Span, watermark: datetime, calendar: Calendar, today: date) -> str:
    """What a like-for-like change is "from": "yesterday by 14:00", "the same 22 days of last month".

    Cached: the KPIs of a dataset share a watermark.
    """
    window = like_for_like(span, watermark, calendar, prior)
    words = comparison_words(span, prior, calendar, today)
    if window.note:
        return f"all {prior.days} days of {words}"
    if window.whole_days == prior.days:
        return words
    if window.at is None:
        return f"the same {_days(window.whole_days)} of {words}" if window.whole_days else words
    clock = _clock(window.at)
    day = prior.start + timedelta(days=window.whole_days)
    if span.grain is Grain.DAILY:
        return f"{words} by {clock}"
    if span.grain is Grain.WEEKLY:
        return f"{words} by {WEEKDAYS[day.weekday()][:3]} {clock}"
    return f"{words} by {_date_text(day)}, {clock}"


def _days(count: int) -> str:
    return "day" if count == 1 else f"{count} days"


def _clock(at: time) -> str:
    return f"{at.hour:02}:{at.minute:02}"


@lru_cache(maxsize=4096)
def freshness(span: Span, watermark: datetime, calendar: Calendar) -> str:
    """How far the data of an open span reaches: "data to 14:00", "data to Wed 18 Nov, 14:00", "data to Tue 17 Nov"."""
    local = _local(watermark, calendar.time_zone)
    if local.time() == time():  # midnight is the end of the day before, not the start of a day without data
        return f"data to {day_text(local.date() - DAY)}"
    if span.grain is Grain.DAILY and local.date() == span.start:
        return f"data to {_clock(local.time())}"
    return f"data to {day_text(local.date())}, {_clock(local.time())}"


# Which span a card shows


def card_span(present: Span, has_data: bool, active_days: ActiveDays, calendar: Calendar) -> Span:
    """The present span once the KPI has data in it, else the last closed one.

    For days this is the last closed *active* one: on a Sunday without data, a KPI of Monday to Friday shows Friday,
    not an empty Saturday.
    """
    if has_data:
        return present
    if present.grain is not Grain.DAILY:
        return shift(present, -1)
    day = previous_active_day(present.start, active_days, calendar)
    return Span(Grain.DAILY, day, day + DAY)


def decide(
    present: Span, rows: Sequence[Reading], active_days: ActiveDays, calendar: Calendar
) -> tuple[Span, Reading | None]:
    """`card_span` over one KPI's readings of one grain, oldest first: the span that its card shows, and its reading."""
    now = _reading_of(present, rows)
    if now is not None and now.value is not None:
        return present, now
    span = card_span(present, False, active_days, calendar)
    return span, _reading_of(span, rows)


def _reading_of(span: Span, rows: Sequence[Reading]) -> Reading | None:
    """From the newest back: the span that is looked for is one of the last."""
    for row in reversed(rows):
        if row.span.start == span.start:
            return row
        if row.span.start < span.start:
            return None
    return None
