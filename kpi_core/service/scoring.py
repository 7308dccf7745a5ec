"""One statement's table of readings -> the scores of a whole board, the same for everyone.

The table stays in columns until it is known which rows matter: of 1,000 KPIs x 45 spans only the judged reading and
the value it is compared with become Python objects; a sparkline is a slice of a list of floats. A row is found by
one number, KPI and day together, for all KPIs at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi_core import periods, status
from kpi_core.model import Grain, Kpi, Reading, Score, Span, SpanState, Target
from kpi_core.periods import Calendar
from kpi_core.service.snapshot import Snapshot
from kpi_core.store import values

__all__ = ["SPARKLINE", "aligned", "score_board", "window_start"]

SPARKLINE = 30
SLACK = {Grain.DAILY: 14, Grain.WEEKLY: 3, Grain.MONTHLY: 3, Grain.QUARTERLY: 3, Grain.YEARLY: 2}
"""How many spans before the sparkline are read too: a comparison skips inactive days, a card may show an older span."""
MOST_DAYS = 4_000_000
"""More days than the calendar has: what a KPI's id is multiplied by to make one number of KPI and day."""

Ints = npt.NDArray[np.int64]
Sparkline = tuple[float | None, ...]


def window_start(span: Span, calendar: Calendar) -> date:
    """The first day whose readings a board of `span` needs."""
    return periods.previous(span, calendar, SPARKLINE + SLACK[span.grain]).start


def aligned(table: pa.Table, grain: Grain, calendar: Calendar) -> pa.Table:
    """The rows of spans that the calendar has: weeks from before the week's first day was changed are kept, but are
    no weeks of this calendar, and would stand in the place of those that are."""
    if grain in (Grain.DAILY, Grain.MONTHLY):
        return table
    days = pc.unique(table["period_date"])
    starts = [day for day in days.to_pylist() if _span_at(day, grain, calendar).start == day]
    return (
        table if len(starts) == len(days) else table.filter(pc.is_in(table["period_date"], pa.array(starts, days.type)))
    )


def score_board(
    table: pa.Table, snapshot: Snapshot, span: Span, now: datetime, *, only: Sequence[Kpi] | None = None
) -> dict[int, Score]:
    """The score of each tracked KPI by id. `table` is values.window() from window_start() to the end of `span`.

    On the present span a KPI is shown once it has data in it, else by its last closed span; an earlier span is
    shown as it is.
    """
    kpis = snapshot.tracked(span.grain) if only is None else list(only)
    calendar = snapshot.calendar
    table = aligned(table, span.grain, calendar)
    rows = _Rows.of(table)
    present = periods.state(span, now, calendar) is SpanState.OPEN
    shown = _shown(rows, kpis, span, calendar) if present else [span] * len(kpis)
    before = _compared(kpis, shown, calendar)
    readings = _readings(table, rows.find(kpis, shown), span.grain, calendar)
    priors = _priors(table, rows.find(kpis, before), span.grain, calendar)
    sparklines = rows.sparklines(kpis, shown)
    currency = snapshot.company.currency
    return {
        kpi.id: status.score(
            kpi,
            span=each,
            now=now,
            calendar=calendar,
            reading=reading,
            prior=prior,
            target=target_of(snapshot, kpi, each),
            sparkline=sparkline,
            currency=currency,
        )
        for kpi, each, reading, prior, sparkline in zip(kpis, shown, readings, priors, sparklines, strict=True)
    }


def target_of(snapshot: Snapshot, kpi: Kpi, span: Span) -> Target | None:
    """The target that applies to a KPI's span."""
    return status.target_for(span, snapshot.targets.get(kpi.id, ()), kpi, snapshot.calendar)


@dataclass(frozen=True)
class _Rows:
    """The table's rows by KPI and then by day: `keys` ascending, one a row."""

    keys: Ints
    floats: npt.NDArray[np.float64]

    @classmethod
    def of(cls, table: pa.Table) -> _Rows:
        days = table.column("period_date").cast(pa.int32()).to_numpy()
        keys = table.column("kpi_id").to_numpy() * MOST_DAYS + days
        return cls(keys, table.column("value_float").to_numpy(zero_copy_only=False))

    def find(self, kpis: Sequence[Kpi], spans: Sequence[Span]) -> Ints:
        """The row of each KPI's span; -1 where there is none."""
        wanted = _keys(kpis, spans)
        found = np.searchsorted(self.keys, wanted)
        return np.where(np.append(self.keys, -1)[found] == wanted, found, -1)

    def sparklines(self, kpis: Sequence[Kpi], spans: Sequence[Span]) -> Iterable[Sparkline]:
        """The values of each KPI up to its span, oldest first, at most 30."""
        ends = np.searchsorted(self.keys, _keys(kpis, spans), side="right")
        firsts = np.searchsorted(self.keys, np.array([kpi.id for kpi in kpis], dtype=np.int64) * MOST_DAYS)
        starts = np.maximum(firsts, ends - SPARKLINE)
        points: list[float | None] = self.floats.tolist()
        for gap in np.flatnonzero(np.isnan(self.floats)).tolist():
            points[gap] = None
        return [tuple(points[start:end]) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


EPOCH = date(1970, 1, 1).toordinal()


def _keys(kpis: Sequence[Kpi], spans: Sequence[Span]) -> Ints:
    return np.array(
        [kpi.id * MOST_DAYS + span.start.toordinal() - EPOCH for kpi, span in zip(kpis, spans, strict=True)],
        dtype=np.int64,
    )


def _compared(kpis: Sequence[Kpi], spans: Sequence[Span], calendar: Calendar) -> list[Span]:
    """The span each is compared with; most KPIs share a few answers."""
    known: dict[tuple[object, ...], Span] = {}
    found = []
    for kpi, span in zip(kpis, spans, strict=True):
        case = (kpi.active_days.weekdays, kpi.active_days.without_holidays, kpi.comparison, span.start)
        if case not in known:
            known[case] = periods.comparison_span(kpi, span, calendar)
        found.append(known[case])
    return found


def _shown(rows: _Rows, kpis: Sequence[Kpi], present: Span, calendar: Calendar) -> list[Span]:
    """The present span of each KPI that has data in it, else its last closed one.

    On a day off, 0 is not yet data: that nobody called anybody on a Sunday is no news, Friday's calls are.
    """
    here = rows.find(kpis, [present] * len(kpis))
    found = np.append(rows.floats, np.nan)[here]
    has_data = (here >= 0) & ~np.isnan(found)
    is_zero = found == 0
    return [
        periods.card_span(present, known and not (zero and _is_off(kpi, present, calendar)), kpi.active_days, calendar)
        for kpi, known, zero in zip(kpis, has_data.tolist(), is_zero.tolist(), strict=True)
    ]


def _is_off(kpi: Kpi, span: Span, calendar: Calendar) -> bool:
    return span.grain is Grain.DAILY and not periods.is_active(span.start, kpi.active_days, calendar)


def _readings(table: pa.Table, rows: Ints, grain: Grain, calendar: Calendar) -> list[Reading | None]:
    found = table.take(pa.array(rows[rows >= 0]))
    readings = iter(values.to_readings(found, lambda day: _span_at(day, grain, calendar)))
    return [next(readings) if row >= 0 else None for row in rows.tolist()]


@lru_cache(maxsize=4096)
def _span_at(day: date, grain: Grain, calendar: Calendar) -> Span:
    return periods.span_of(day, grain, calendar)


def _priors(table: pa.Table, rows: Ints, grain: Grain, calendar: Calendar) -> list[Reading | Decimal | None]:
    """The values compared with; the whole reading where it covers only a part, so that nothing unlike is compared."""
    exact: list[Reading | Decimal | None] = table.column("value").take(pa.array(rows, mask=rows < 0)).to_pylist()
    have, of = (table.column(name).fill_null(0).to_numpy() for name in ("have_days", "of_days"))
    partial = np.flatnonzero((rows >= 0) & (np.append(have < of, False)[rows]))
    found = values.to_readings(table.take(pa.array(rows[partial])), lambda day: _span_at(day, grain, calendar))
    for place, reading in zip(partial.tolist(), found, strict=True):
        exact[place] = reading
    return exact
