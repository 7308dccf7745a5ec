"""The days of a demo as parallel arrays: working days, weekdays, months, seasons, and when each begins in UTC.

The axis starts two whole months before the demo does, so that on its first day there are leads in progress, unpaid
invoices and returning visitors; and it ends past `until`, because what happens on a day may have effects later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo

import holidays
import numpy as np

from kpi_core.demo.noise import Bools, Floats, Ints

__all__ = ["ALWAYS", "COUNTRY", "EVENING", "OFFICE", "WEB", "Days", "Profile", "spread"]

COUNTRY = "US"
BEFORE = 2
"""Months of run-up."""
AFTER = timedelta(days=50)
CLOCK_CHANGE = 3 * 3600

Profile = tuple[float, ...]

ALWAYS: Profile = (1.0,) * 24
OFFICE: Profile = (*[0.0] * 8, 0.7, 1.2, 1.4, 1.2, 0.7, 1.0, 1.3, 1.3, 1.0, 0.5, *[0.0] * 6)
WEB: Profile = (0.45, 0.3, 0.2, 0.15, 0.15, 0.25, 0.5, 0.8, 1.1, 1.3, 1.4, 1.4, 1.3, 1.3, 1.4, 1.4, 1.3, 1.2, 1.1)
WEB = (*WEB, 1.2, 1.25, 1.1, 0.8, 0.6)
EVENING: Profile = (*[0.0] * 9, 0.3, 0.5, 0.6, 0.8, 0.9, 1.0, 1.3, 1.6, 1.2, *[0.0] * 6)


def spread(counts: Ints) -> tuple[Ints, Ints]:
    """For so many records a day: the position of each record's day, and its index within that day."""
    place = np.repeat(np.arange(len(counts)), counts)
    return place, np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)


@lru_cache(maxsize=8)
def _holidays(first: int, last: int) -> frozenset[int]:
    return frozenset(day.toordinal() for day in holidays.country_holidays(COUNTRY, years=range(first, last + 1)))


def _months_on(day: date, months: int) -> date:
    count = day.year * 12 + day.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)


@dataclass(frozen=True)
class Days:
    """`start` is the demo's first day (a first of a month); `until` an instant that lies on the axis."""

    start: date
    until: datetime
    time_zone: str

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @cached_property
    def first(self) -> date:
        return _months_on(self.start, -BEFORE)

    @cached_property
    def ordinal(self) -> Ints:
        """Every day of the axis; the last one ends a month."""
        end = _months_on(self.until.astimezone(self.zone).date() + AFTER, 1)
        return np.arange(self.first.toordinal(), end.toordinal(), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.ordinal)

    @cached_property
    def midnight(self) -> Ints:
        """When each day starts, in seconds since 1970 (UTC); one more for the end of the last."""
        ends = [*self.ordinal.tolist(), int(self.ordinal[-1]) + 1]
        starts = (datetime.combine(date.fromordinal(day), time(), self.zone) for day in ends)
        return np.array([int(start.astimezone(UTC).timestamp()) for start in starts], dtype=np.int64)

    @cached_property
    def weekday(self) -> Ints:
        """0 is Monday."""
        return (self.ordinal + 6) % 7

    @cached_property
    def working(self) -> Bools:
        """Monday to Friday, without public holidays."""
        years = date.fromordinal(int(self.ordinal[0])).year, date.fromordinal(int(self.ordinal[-1])).year
        closed = np.isin(self.ordinal, sorted(_holidays(*years)))
        return np.asarray((self.weekday < 5) & ~closed)

    @cached_property
    def next_working(self) -> Ints:
        """The position of the first working day that is not before each day."""
        places = np.where(self.working, np.arange(len(self)), len(self) - 1)
        return np.minimum.accumulate(places[::-1])[::-1]

    @cached_property
    def month(self) -> Ints:
        """Months since year 0, so that equal numbers are the same month."""
        dates = [date.fromordinal(day) for day in self.ordinal.tolist()]
        return np.array([day.year * 12 + day.month - 1 for day in dates], dtype=np.int64)

    @cached_property
    def working_in_month(self) -> Ints:
        """How many working days each day's month has."""
        number = self.month - self.month[0]
        return np.asarray(np.bincount(number, weights=self.working)[number], dtype=np.int64)

    @cached_property
    def working_in_week(self) -> Ints:
        """How many working days each day's week has (Monday to Sunday)."""
        number = (self.ordinal - 1) // 7
        number = number - number[0]
        return np.asarray(np.bincount(number, weights=self.working)[number], dtype=np.int64)

    @cached_property
    def working_number(self) -> Ints:
        """How many working days of the month lie before each day."""
        before: Ints = np.cumsum(self.working, dtype=np.int64) - self.working
        starts = np.flatnonzero(np.diff(self.month, prepend=-1))
        return np.asarray(before - before[starts][self.month - self.month[0]], dtype=np.int64)

    @cached_property
    def quarter_start(self) -> Ints:
        """The position of the first day of each day's quarter (in the run-up, at the earliest of the axis)."""
        return np.asarray(np.searchsorted(self.month, self.month // 3 * 3), dtype=np.int64)

    @cached_property
    def months_on(self) -> Floats:
        """Months since the demo's start, with fractions; negative in the run-up."""
        return (self.ordinal - self.start.toordinal()) / 30.4375

    def season(self, peak: int, height: float) -> Floats:
        """A yearly wave around 1, highest on day `peak` of the year."""
        turns = (self.ordinal - date(2024, 1, 1).toordinal() - peak) / 365.25
        return np.asarray(1.0 + height * np.cos(2.0 * np.pi * turns), dtype=np.float64)

    def place(self, day: date) -> int:
        """The position of a date on the axis."""
        return day.toordinal() - int(self.ordinal[0])

    def place_of(self, instant: datetime) -> int:
        """The position of the local day that holds an instant."""
        return self.place(instant.astimezone(self.zone).date())

    def moments(self, place: Ints, chance: Floats, profile: Profile) -> Ints:
        """Instants (seconds) within local days, spread as the 24 hours of `profile` weigh."""
        bounds = np.concatenate(([0.0], np.cumsum(profile))) / sum(profile)
        seconds = np.interp(chance, bounds, np.arange(25) * 3600.0).astype(np.int64)
        return self.clock(place, seconds)

    def clock(self, place: Ints, seconds: Ints | int) -> Ints:
        """Instants at a time of day (seconds) by the local clock: in a day of 23 or 25 hours the rest is shifted.

        Where in the night the clock changes differs by country; 3 o'clock is near enough for a demo.
        """
        length = self.midnight[place + 1] - self.midnight[place]
        shift = np.where(np.asarray(seconds) >= CLOCK_CHANGE, length - 86_400, 0)
        return np.asarray(self.midnight[place] + np.clip(seconds + shift, 0, length - 1), dtype=np.int64)

    def place_at(self, seconds: Ints) -> Ints:
        """The positions of the local days that hold instants."""
        return np.asarray(np.searchsorted(self.midnight, seconds, side="right") - 1, dtype=np.int64)

    @cached_property
    def _working_places(self) -> Ints:
        return np.flatnonzero(self.working)

    def working_after(self, place: Ints, count: Ints) -> Ints:
        """The positions of the working days so many after each day (0: the next one that is not before it)."""
        which = np.searchsorted(self._working_places, place) + count
        return np.asarray(self._working_places[np.minimum(which, len(self._working_places) - 1)], dtype=np.int64)
