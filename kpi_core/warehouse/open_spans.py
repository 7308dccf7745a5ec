"""What an open span is measured against: the same part of the span before, and how much of a span has usually passed.

`ask` says which windows answer that; they are calculated together with the spans, and `OpenSpans.answers` reads them.

Both end at the watermark, how far the data reaches, and not at the clock. Where the watermark is the latest record's
instant, that record counts, so the earlier parts include that instant too; the end of a fetch they do not include.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from kpi_core import periods, status
from kpi_core.model import Aggregate, Dataset, Grain, Kind, Kpi, Span
from kpi_core.periods import Calendar
from kpi_core.warehouse import tables
from kpi_core.warehouse.parts import PARTS, Source, day_parts, put_parts
from kpi_core.warehouse.plan import ADDITIVE, Plan
from kpi_core.warehouse.scratch import Scratch
from kpi_core.warehouse.windows import EPOCH, Windows

__all__ = ["Against", "OpenSpans", "Reach", "ask"]

GRAINS = (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY)
_LOOKED_AT = {Grain.DAILY: 16, Grain.WEEKLY: 10, Grain.MONTHLY: 10}
"""Spans looked at for the 8 that are needed: those that total 0, as on holidays, are left out."""
_INSTANT_STEP = timedelta(microseconds=1)
Ints = npt.NDArray[np.int64]
_WINDOW = tuple[date, int, datetime | None]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the data of one or several datasets reaches: first and last local day, and the watermark."""

    first: date
    last: date
    whole: date
    """The last day that is covered to its end; a fetch may have ended in the middle of `last`."""
    watermark: datetime
    is_record: bool
    """Whether the watermark is the instant of a record, rather than the end of a fetch."""
    short: str | None = None
    """Of datasets that reach to different days: which one ends first, in words."""


@dataclass(frozen=True, slots=True)
class Against:
    """For one KPI's open span: what it is compared with, and the share of its weight that has passed."""

    elapsed: Decimal | None = None
    prior: Decimal | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class _Question:
    """The windows that answer for one KPI's open span."""

    kpi: Kpi
    datasets: frozenset[str]
    span: Span
    watermark: datetime
    prior: _WINDOW | None
    note: str | None
    shares: tuple[tuple[_WINDOW, _WINDOW], ...]

    @property
    def windows(self) -> Iterator[_WINDOW]:
        if self.prior is not None:
            yield self.prior
        for part, whole in self.shares:
            yield part
            yield whole


@dataclass(frozen=True, slots=True)
class OpenSpans:
    """The questions of all KPIs, and the windows that answer them, each once."""

    questions: Sequence[_Question]
    numbers: Mapping[_WINDOW, int]
    asked: Sequence[tuple[int, int]]
    windows: Windows
    calendar: Calendar

    def only(self, series: frozenset[int]) -> OpenSpans:
        """The questions of these series."""
        return _collected([each for each in self.questions if each.kpi.id in series], self.calendar)

    def depend_on(self, touched: Mapping[str, Ints]) -> frozenset[int]:
        """The series whose answers, or whose open spans themselves, hold a touched day of their datasets."""
        kept: dict[tuple[frozenset[str], _WINDOW], bool] = {}
        found = set()
        for question in self.questions:
            for window in (*question.windows, (question.span.start, question.span.days, None)):
                key = (question.datasets, window)
                if key not in kept:
                    kept[key] = any(_holds(window, touched[name]) for name in question.datasets if name in touched)
                if kept[key]:
                    found.add(question.kpi.id)
                    break
        return frozenset(found)

    def todo(self, after: int) -> pa.Table:
        """series and sid of each pair asked for, the windows numbered after `after` others."""
        pairs = np.array(self.asked, dtype=np.int64).reshape(-1, 2)
        return pa.table({"series": pairs[:, 0].copy(), "sid": pairs[:, 1] + after})

    def clipped_parts(self, scratch: Scratch, plan: Plan, datasets: Mapping[str, Dataset]) -> list[sa.Table]:
        """Parts of the parts of days, where there are any."""
        return [_clipped_parts(scratch, plan, datasets, self.windows)] if self.windows.clips else []

    def answers(self, rows: pa.Table) -> dict[tuple[int, Grain], Against]:
        """By KPI and grain, from the rows calculated for `todo`."""
        outcomes = zip(rows["value"].to_pylist(), rows["reason"].to_pylist(), strict=True)
        found = dict(zip(self.asked, outcomes, strict=True))
        return {
            (question.kpi.id, question.span.grain): _answer(question, self.numbers, found, self.calendar)
            for question in self.questions
        }


def ask(
    plan: Plan,
    kpis: Mapping[int, Kpi],
    reaches: Mapping[frozenset[str], Reach],
    calendar: Calendar,
    now: datetime,
) -> OpenSpans:
    """For the spans that are open `now` and have data in them."""
    return _collected(list(_questions(plan, kpis, reaches, calendar, now)), calendar)


def _holds(window: _WINDOW, days: Ints) -> bool:
    start, length, until = window
    first = (start - EPOCH).days
    return bool(np.searchsorted(days, first + length + (until is not None)) > np.searchsorted(days, first))


def _collected(questions: Sequence[_Question], calendar: Calendar) -> OpenSpans:
    numbers: dict[_WINDOW, int] = {}
    asked: dict[tuple[int, int], None] = {}
    for question in questions:
        for window in question.windows:
            asked[question.kpi.id, numbers.setdefault(window, len(numbers))] = None
    return OpenSpans(questions, numbers, list(asked), Windows.of(list(numbers)), calendar)


def _questions(
    plan: Plan,
    kpis: Mapping[int, Kpi],
    reaches: Mapping[frozenset[str], Reach],
    calendar: Calendar,
    now: datetime,
) -> Iterator[_Question]:
    """What is the same for KPIs of the same data and comparison is worked out once."""
    today = periods.local_day(now, calendar)
    spans = [periods.span_of(today, grain, calendar) for grain in GRAINS]
    kept: dict[Any, tuple[_WINDOW | None, str | None]] = {}
    shares: dict[Any, tuple[tuple[_WINDOW, _WINDOW], ...]] = {}
    for series in plan.series:
        reach = reaches[series.datasets]
        kpi = kpis[series.id]
        watermark = reach.watermark  # which may lie ahead of `now`, where records do: values hold those too
        for span in spans:
            if reach.last < span.start or reach.first >= span.end:
                continue
            if kpi.kind is Kind.STOCK:  # compared with the close of the span before, which is a reading of its own
                yield _Question(kpi, series.datasets, span, watermark, None, None, ())
                continue
            before = periods.comparison_span(kpi, span, calendar)
            key = (series.datasets, span, before)
            if key not in kept:
                kept[key] = _prior(span, before, watermark, reach, calendar)
            usual = (series.datasets, span)
            if kpi.kind is Kind.FLOW and usual not in shares:
                shares[usual] = tuple(_shares(span, watermark, reach, calendar))
            prior, note = kept[key]
            yield _Question(
                kpi, series.datasets, span, watermark, prior, note, shares[usual] if kpi.kind is Kind.FLOW else ()
            )


def _prior(
    span: Span, before: Span, watermark: datetime, reach: Reach, calendar: Calendar
) -> tuple[_WINDOW | None, str | None]:
    if before.start < reach.first:
        return None, f"the data starts on {periods.day_text(reach.first, year=True)}"
    part = periods.like_for_like(span, watermark, calendar, before)
    return _window(part, reach), part.note


def _window(part: periods.Window, reach: Reach) -> _WINDOW:
    if part.at is None:
        return part.span.start, part.whole_days, None
    until = part.until + _INSTANT_STEP if reach.is_record else part.until
    return part.span.start, part.whole_days, until


def _shares(span: Span, watermark: datetime, reach: Reach, calendar: Calendar) -> Iterator[tuple[_WINDOW, _WINDOW]]:
    """The same point of earlier complete spans, and those spans whole; the oldest first."""
    step = 7 if span.grain is Grain.DAILY else 1
    for n in range(_LOOKED_AT[span.grain], 0, -1):
        earlier = periods.previous(span, calendar, n * step)
        if earlier.start >= reach.first and earlier.end <= reach.whole:
            part = periods.like_for_like(span, watermark, calendar, earlier)
            yield _window(part, reach), (earlier.start, earlier.days, None)


def _clipped_parts(scratch: Scratch, plan: Plan, datasets: Mapping[str, Dataset], windows: Windows) -> sa.Table:
    """Parts of the parts of days."""
    clips = windows.put_clips(scratch)
    days = sorted({clip.day for clip in windows.clips})
    made = [PARTS.empty_table()]
    for key in sorted({term.dataset for term in plan.terms.values()}):
        table = tables.records(datasets[key])
        source = Source(
            table,
            (table.c.day.in_(days),),
            day=clips.c.slot,
            joined=clips,
            on=sa.and_(clips.c.day == table.c.day, table.c.at < clips.c.until),
            is_small=True,
        )
        made.append(day_parts(scratch, datasets[key], plan.of_dataset(key, ADDITIVE | {Aggregate.LAST}), source))
    return put_parts(scratch, pa.concat_tables(made))


def _answer(
    question: _Question,
    numbers: Mapping[_WINDOW, int],
    found: Mapping[tuple[int, int], tuple[Decimal | None, str | None]],
    calendar: Calendar,
) -> Against:
    kpi = question.kpi
    prior, reason = found[kpi.id, numbers[question.prior]] if question.prior is not None else (None, None)
    if kpi.kind is not Kind.FLOW:
        return Against(None, prior, question.note or reason)
    shares = [
        _share(found[kpi.id, numbers[part]][0], found[kpi.id, numbers[whole]][0]) for part, whole in question.shares
    ]
    otherwise = status.active_share(question.span, question.watermark, kpi, calendar)
    return Against(status.elapsed_weight(shares, otherwise), prior, question.note or reason)


def _share(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    return part / whole if part is not None and whole else None
