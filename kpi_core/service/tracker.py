"""What people do: read boards, KPIs and histories; define, set targets, record, load. One object, the actor first.

Every method asks access.py before it answers, so that no screen, route or job can forget permission. The scored board
is the same for everyone: it is computed once per data version, and filtered by actor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Lock

import pyarrow as pa
from sqlalchemy import Connection

from kpi_core import access, display, periods, rollup, status, validate
from kpi_core.access import SYSTEM
from kpi_core.catalog import Catalog
from kpi_core.errors import InvalidInput, InvalidRecord, NotAllowed, NotFound, Problem
from kpi_core.model import (
    Actor,
    Board,
    Calculation,
    Card,
    Category,
    Company,
    Dataset,
    Grain,
    Kpi,
    Reading,
    Score,
    Span,
    SpanState,
    Status,
    Target,
)
from kpi_core.periods import Calendar
from kpi_core.service import scoring
from kpi_core.service.derive import derive, note_derived, stale_since
from kpi_core.service.fill import fill
from kpi_core.service.snapshot import Snapshot, load_snapshot
from kpi_core.store import Store, Versions, audit, definitions, targets, values
from kpi_core.store import datasets as dataset_table
from kpi_core.warehouse import LoadResult, Recalculation, ensure, load_files, recalculate

__all__ = ["Entry", "History", "Overview", "Point", "Tracker"]

BOARD_GRAINS = (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY)
CATEGORY_ORDER = {category: place for place, category in enumerate(Category)}
LONGEST_HISTORY = 20 * 366
"""Days: 20 years of days are 7,300 spans, half a second's work."""
FRESH_FOR = timedelta(minutes=1)
"""How long a scored board is reused without a data change: what is open, late or due moves with the clock."""


@dataclass(frozen=True, slots=True)
class Point:
    """One span of a KPI's history: what was read, and how it stood against its target."""

    span: Span
    label: str
    state: SpanState
    reading: Reading | None
    target: Target | None
    status: Status
    progress: Decimal | None


@dataclass(frozen=True, slots=True)
class History:
    """A KPI over a range of spans, oldest first."""

    kpi: Kpi
    grain: Grain
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """How things are: a sentence, what needs attention (worst first), and the boards it was said of."""

    sentence: str
    attention: tuple[Card, ...]
    boards: Mapping[Grain, Board]


@dataclass(frozen=True, slots=True)
class Entry:
    """A value to record for the span that holds `period_date`; a ratio gives its two parts instead."""

    period_date: date
    value: Decimal | None = None
    numerator: Decimal | None = None
    denominator: Decimal | None = None
    grain: Grain | None = None
    notes: str | None = None


@dataclass(frozen=True)
class _Scored:
    """A board's scores for everyone, until the data or the minute changes."""

    version: int
    at: datetime
    scores: Mapping[int, Score]


class Tracker:
    """One company's KPIs. `clock` gives the present instant in UTC."""

    def __init__(self, store: Store, *, clock: Callable[[], datetime]) -> None:
        self.store = store
        self.clock = clock
        self._lock = Lock()
        self._snapshot: tuple[int, date, Snapshot] | None = None
        self._boards: dict[tuple[Grain, date], _Scored] = {}

    # -- reading ------------------------------------------------------------------------------------------------

    def version(self, actor: Actor) -> int:
        """A number that changes whenever anything that a screen shows may have changed."""
        return self.store.data_version()

    def company(self, actor: Actor) -> Company:
        """The company's settings."""
        return self._snap().company

    def datasets(self, actor: Actor) -> Mapping[str, Dataset]:
        """The datasets whose records are kept here, by key."""
        _allow(actor, "manage")
        snapshot = self._snap()
        return {key: snapshot.datasets[key] for key in snapshot.datasets if key in snapshot.connected}

    def today(self, actor: Actor) -> date:
        """The local date of the company."""
        return periods.local_day(self.clock(), self._snap().calendar)

    def board(self, actor: Actor, grain: Grain, day: date | None = None) -> Board:
        """The cards of a grain for the span that holds `day` (default: the present one).

        A KPI that the actor may not see is a locked card; a confidential one is not there at all.
        """
        now, versions = self.clock(), self.store.versions()
        snapshot = self._snap(versions)
        present = periods.span_of(periods.local_day(now, snapshot.calendar), grain, snapshot.calendar)
        span = periods.span_of(day, grain, snapshot.calendar) if day else present
        scores = self._scores(snapshot, span, now, versions.data)
        cards = [card for kpi in snapshot.tracked(grain) if (card := _card(actor, kpi, grain, scores, snapshot))]
        return Board(
            grain=grain,
            span=span,
            label=periods.label(span, snapshot.calendar),
            is_present=span == present,
            cards=tuple(sorted(cards, key=lambda card: CATEGORY_ORDER[card.category])),
            version=versions.data,
            now=now,
        )

    def overview(self, actor: Actor) -> Overview:
        """The present boards of all grains, summed up; each KPI counts once, at its tracking period."""
        boards = {grain: self.board(actor, grain) for grain in BOARD_GRAINS}
        judged = [
            card
            for board in boards.values()
            for card in board.cards
            if card.kpi and card.score and card.kpi.tracking_period is card.grain
        ]
        sentence = status.summary([(card.title, card.score.status) for card in judged if card.score])
        worst = [card for card in judged if card.score and card.score.status in ATTENTION]
        return Overview(sentence, tuple(sorted(worst, key=_urgency)), boards)

    def kpi(self, actor: Actor, key_or_id: str | int, grain: Grain | None = None) -> Card:
        """One KPI with its present score. NotFound where it may not be known, NotAllowed where it is locked."""
        now, versions = self.clock(), self.store.versions()
        snapshot = self._snap(versions)
        kpi = _seen(actor, snapshot, key_or_id)
        grain = grain or kpi.tracking_period
        span = periods.span_of(periods.local_day(now, snapshot.calendar), grain, snapshot.calendar)
        if grain in kpi.grains and kpi.is_active:
            scores = self._scores(snapshot, span, now, versions.data)
        else:
            scores = self._score(snapshot, span, now, only=[kpi])
        return Card(kpi.key, kpi.name, kpi.category, grain, False, kpi, scores[kpi.id], _connected(kpi, snapshot))

    def history(
        self,
        actor: Actor,
        key_or_id: str | int,
        grain: Grain | None = None,
        start: date | None = None,
        end: date | None = None,
        as_of: datetime | None = None,
    ) -> History:
        """A KPI's spans that start in [start, end] (default: the last 30), as known at `as_of` (default: now).

        As known then is also as judged then: a day that was open at that moment has the verdict of an open day.
        """
        snapshot, now = self._snap(), self.clock()
        moment = now if as_of is None else min(as_of, now)
        kpi = _seen(actor, snapshot, key_or_id)
        grain = grain or kpi.tracking_period
        calendar = snapshot.calendar
        last = periods.span_of(end or periods.local_day(moment, calendar), grain, calendar)
        present = periods.span_of(periods.local_day(now, calendar), grain, calendar)
        last = min(last, present, key=lambda span: span.start)
        first = periods.span_of(start, grain, calendar) if start else periods.previous(last, calendar, 29)
        if (last.end - first.start).days > LONGEST_HISTORY:
            raise InvalidInput(f"a history of {first.start} to {last.start} is too long; ask for at most 20 years")
        with self.store.read() as conn:
            table = values.window(conn, grain, first.start, last.end, as_of=as_of, kpi_ids=[kpi.id])
        readings = _by_start(table, grain, calendar)
        spans = periods.spans_between(first.start, last.end, grain, calendar)
        points = [_point(kpi, span, readings.get(span.start), snapshot, moment, as_of) for span in spans]
        return History(kpi, grain, tuple(points))

    # -- writing ------------------------------------------------------------------------------------------------

    def define(self, actor: Actor, catalog: Catalog) -> tuple[int, int]:
        """Store datasets and KPIs, all or nothing; what exists under the key is changed. Returns (new, changed).

        A dataset that a KPI names and nobody has described becomes one that is not connected yet.
        """
        _allow(actor, "create")
        now = self.clock()
        with self.store.write(touches_catalog=True) as conn:
            for dataset in catalog.datasets:
                dataset_table.save(conn, dataset, actor.id, now)
                ensure(conn, self.store, dataset)
            known = {dataset.key for dataset in dataset_table.load(conn)}
            for key in catalog.not_connected:
                if key not in known:
                    missing = Dataset(key, key.replace("_", " ").capitalize(), "at", ())
                    dataset_table.save(conn, missing, actor.id, now, connected=False)
            before = {kpi.key: kpi for kpi in definitions.load(conn)}
            _allow_changes(actor, catalog, before)
            saved = definitions.save_all(conn, catalog.kpis, actor.id, now)
            targets.add_all(conn, _new_targets(saved, before), actor.id, now)
            keys = {"keys": [kpi.key for kpi in saved]}
            audit.append(conn, audit.Entry(now, actor.id, "kpis.defined", details=keys))
        self._forget()
        changed = sum(kpi.key in before for kpi in saved)
        return len(saved) - changed, changed

    def set_target(self, actor: Actor, key_or_id: str | int, target: Target) -> Target:
        """Record a target; nothing is overwritten. InvalidTarget where it cannot be judged against."""
        kpi = _seen(actor, self._snap(), key_or_id)
        _allow(actor, "set_targets", kpi)
        status.check_target(target, kpi.direction)
        now = self.clock()
        with self.store.write(touches_catalog=True) as conn:
            stored = targets.add(conn, replace(target, kpi_id=kpi.id), actor.id, now)
            audit.append(conn, audit.Entry(now, actor.id, "target.set", f"kpi:{kpi.key}"))
        self._forget()
        return stored

    def record(self, actor: Actor, key_or_id: str | int, entries: Sequence[Entry]) -> int:
        """Record values typed in for whole spans; coarser spans and derived KPIs follow. Returns how many changed."""
        snapshot, now = self._snap(), self.clock()
        kpi = _seen(actor, snapshot, key_or_id)
        _allow(actor, "edit", kpi)
        readings = _entered(kpi, entries, snapshot.calendar, now)
        with self.store.write() as conn:
            changed = _append(conn, readings, actor.id, now)
            if changed:
                self._follow(conn, snapshot, kpi, readings, now)
        return changed

    def load_records(
        self,
        actor: Actor,
        dataset: str,
        paths: Sequence[Path],
        *,
        skip_bad: bool = False,
        progress: Callable[[float, str], None] | None = None,
    ) -> LoadResult:
        """Load raw records from CSV or Parquet files; a bad row stops it all unless `skip_bad`."""
        _allow(actor, "manage")
        snapshot = self._snap()
        if dataset not in snapshot.datasets:
            raise NotFound(f"there is no dataset '{dataset}'; define it first. Known: {', '.join(snapshot.datasets)}")
        result = load_files(
            self.store,
            snapshot.datasets[dataset],
            paths,
            snapshot.company,
            skip_bad=skip_bad,
            progress=progress,
            by=actor.id,
        )
        self._forget()
        return result

    def recalculate(self, actor: Actor, *, full: bool = False) -> Recalculation:
        """Bring every computed reading up to date with the records; `full` does all of it again."""
        _allow(actor, "manage")
        snapshot, now = self._snap(), self.clock()
        kpis = [kpi for kpi in snapshot.kpis.values() if kpi.is_active]
        done = recalculate(
            self.store, kpis, list(snapshot.datasets.values()), snapshot.company, now, full=full, by=actor.id
        )
        with self.store.read() as conn:
            stale = stale_since(conn, snapshot, now)
        if full or done.days or stale:
            since = None if full else min((*done.days, *((stale,) if stale else ())))
            with self.store.write() as conn:
                filled = self._fill(conn, snapshot, now)
                since = min(since, filled) if since and filled else since
                derive(conn, self.store, snapshot, now, None if since == date.min else since)
                note_derived(conn, snapshot, now)
        self._forget()
        return done

    # -- inside -------------------------------------------------------------------------------------------------

    def _snap(self, versions: Versions | None = None) -> Snapshot:
        now = self.clock()
        version = (versions or self.store.versions()).catalog
        kept = self._snapshot
        if kept and kept[0] == version and kept[1] == now.date():
            return kept[2]
        with self.store.read() as conn:
            fresh = load_snapshot(conn, now.date())
        self._snapshot = (version, now.date(), fresh)
        return fresh

    def _forget(self) -> None:
        self._snapshot = None
        self._boards = {}

    def _scores(self, snapshot: Snapshot, span: Span, now: datetime, version: int) -> Mapping[int, Score]:
        key = (span.grain, span.start)
        kept = self._boards.get(key)
        if kept and kept.version == version and now - kept.at < FRESH_FOR:
            return kept.scores
        scores = self._score(snapshot, span, now)
        with self._lock:
            self._boards = {
                k: v for k, v in self._boards.items() if v.version == version and now - v.at < FRESH_FOR
            } | {key: _Scored(version, now, scores)}
        return scores

    def _score(
        self, snapshot: Snapshot, span: Span, now: datetime, only: Sequence[Kpi] | None = None
    ) -> dict[int, Score]:
        start = scoring.window_start(span, snapshot.calendar)
        ids = [kpi.id for kpi in only] if only is not None else None
        with self.store.read() as conn:
            table = values.window(conn, span.grain, start, span.end, kpi_ids=ids)
        return scoring.score_board(table, snapshot, span, now, only=only)

    def _follow(
        self, conn: Connection, snapshot: Snapshot, kpi: Kpi, readings: Iterable[Reading], now: datetime
    ) -> None:
        """Bring the coarser spans and the derived KPIs up to date after values were typed in."""
        days = [reading.span.start for reading in readings if reading.span.grain is Grain.DAILY]
        if days and kpi.tracking_period is Grain.DAILY:
            _append(conn, _coarser(conn, snapshot, kpi, days, now), SYSTEM.id, now)
        filled = self._fill(conn, snapshot, now)
        first = min(reading.span.start for reading in readings)
        derive(conn, self.store, snapshot, now, min(first, filled) if filled else first)

    def _fill(self, conn: Connection, snapshot: Snapshot, now: datetime) -> date | None:
        """Fill what was not entered and need not be, the coarser spans included; the first day that is new."""
        changed = fill(conn, snapshot, now)
        for id_, days in changed.items():
            if snapshot.kpis[id_].tracking_period is Grain.DAILY:
                _append(conn, _coarser(conn, snapshot, snapshot.kpis[id_], days, now), SYSTEM.id, now)
        return min((day for days in changed.values() for day in days), default=None)


ATTENTION = (Status.CRITICAL, Status.NEEDS_ATTENTION)


def _append(conn: Connection, readings: Iterable[Reading], by: str, now: datetime) -> int:
    """Append the readings that say something new; the number of them."""
    return values.append(conn, values.changed_only(conn, values.to_arrow(readings)), by=by, now=now)


def _allow_changes(actor: Actor, catalog: Catalog, before: Mapping[str, Kpi]) -> None:
    """To make KPIs is not yet to change those that exist, their rights and targets, or the datasets they count on."""
    if catalog.datasets:
        _allow(actor, "manage")
    for kpi in catalog.kpis:
        known = before.get(kpi.key)
        if known is None:
            continue
        _allow(actor, "edit", known)
        if kpi.target != known.target:
            _allow(actor, "set_targets", known)
        if (kpi.view_roles, kpi.edit_roles, kpi.confidential) != (
            known.view_roles,
            known.edit_roles,
            known.confidential,
        ):
            _allow(actor, "manage")


def _by_start(table: pa.Table, grain: Grain, calendar: Calendar) -> dict[date, Reading]:
    rows = scoring.aligned(table, grain, calendar)
    found = values.to_readings(rows, lambda day: periods.span_of(day, grain, calendar))
    return {reading.span.start: reading for reading in found}


def _new_targets(saved: Sequence[Kpi], before: Mapping[str, Kpi]) -> list[Target]:
    """The default targets that definitions bring, where they are not what they were."""
    return [
        replace(kpi.target, kpi_id=kpi.id)
        for kpi in saved
        if kpi.target and (kpi.key not in before or before[kpi.key].target != kpi.target)
    ]


def _urgency(card: Card) -> tuple[int, Decimal]:
    """Worst first: by status, then by how far from the target."""
    assert card.score  # noqa: S101 - only judged cards are sorted
    return ATTENTION.index(card.score.status), card.score.attainment or Decimal(0)


def _card(actor: Actor, kpi: Kpi, grain: Grain, scores: Mapping[int, Score], snapshot: Snapshot) -> Card | None:
    match access.visibility(actor, kpi):
        case "open":
            return Card(kpi.key, kpi.name, kpi.category, grain, False, kpi, scores[kpi.id], _connected(kpi, snapshot))
        case "locked":
            return Card(kpi.key, kpi.name, kpi.category, grain, locked=True)
        case _:
            return None


def _connected(kpi: Kpi, snapshot: Snapshot) -> bool:
    if kpi.measure is None:
        return True
    needed = {term.dataset for term in (*kpi.measure.numerator, *kpi.measure.denominator)}
    return needed <= snapshot.connected


def _seen(actor: Actor, snapshot: Snapshot, key_or_id: str | int) -> Kpi:
    """The KPI, if the actor may see it. What may not be known is answered like what is not there."""
    kpi = snapshot.find(key_or_id)
    match access.visibility(actor, kpi):
        case "open":
            return kpi
        case "locked":
            raise NotAllowed(f"you may not see {kpi.name}: {access.can(actor, 'view', kpi).reason}")
        case _:
            raise snapshot.unknown(key_or_id)


def _allow(actor: Actor, action: access.Action, kpi: Kpi | None = None) -> None:
    verdict = access.can(actor, action, kpi)
    if not verdict.allowed:
        raise NotAllowed(f"you may not do this ({action}): {verdict.reason}")


def _entered(kpi: Kpi, entries: Sequence[Entry], calendar: Calendar, now: datetime) -> list[Reading]:
    """The readings of what was typed in; all that is wrong is said at once."""
    problems: list[Problem] = []
    readings: list[Reading] = []
    if kpi.calculation is Calculation.FORMULA:
        raise InvalidInput(f"{kpi.name} is computed from other KPIs; correct those instead")
    for number, entry in enumerate(entries, start=1):
        span = periods.span_of(entry.period_date, entry.grain or kpi.tracking_period, calendar)
        if span.start > periods.local_day(now, calendar):
            problems.append(Problem(f"entry {number}, period_date", f"{entry.period_date} lies in the future"))
            continue
        try:
            value, reason = _entered_value(kpi, entry)
        except InvalidRecord as error:
            problems += [Problem(f"entry {number}, {problem.where}", problem.says) for problem in error.problems]
            continue
        readings.append(
            Reading(
                kpi.id,
                span,
                value,
                numerator=entry.numerator,
                denominator=entry.denominator,
                reason=reason,
                typed=True,
                notes=entry.notes,
            )
        )
    if problems:
        raise InvalidInput(problems)
    return readings


def _entered_value(kpi: Kpi, entry: Entry) -> tuple[Decimal | None, str | None]:
    """The value and, where there is none, the reason. Raises InvalidRecord."""
    if entry.numerator is None and entry.denominator is None:
        if entry.value is None:
            raise InvalidRecord([Problem("value", "is missing; give a number")])
        value = validate.decimal_value(entry.value)
    elif entry.numerator is None or entry.denominator is None:
        raise InvalidRecord([Problem("numerator, denominator", "give both parts of the ratio, or the value alone")])
    else:
        numerator = validate.decimal_value(entry.numerator, "numerator")
        denominator = validate.decimal_value(entry.denominator, "denominator")
        if denominator == 0:
            return None, "the denominator is 0"
        value = kpi.factor * numerator / denominator
        if entry.value is not None and abs(validate.decimal_value(entry.value) - value) > SAME_VALUE:
            says = f"{entry.value} is not what the two parts make, {display.amount_text(value)}; leave it out"
            raise InvalidRecord([Problem("value", says)])
    problem = validate.bound_problem(kpi, value)
    if problem:
        raise InvalidRecord([problem])
    return value, None


SAME_VALUE = Decimal("0.01")
"""How far a value may be from what its two parts make: people round."""


def _coarser(conn: Connection, snapshot: Snapshot, kpi: Kpi, days: Sequence[date], now: datetime) -> list[Reading]:
    calendar = snapshot.calendar
    tomorrow = periods.local_day(now, calendar) + timedelta(days=1)
    rolled: list[Reading] = []
    for grain in (Grain.WEEKLY, Grain.MONTHLY):
        spans = {periods.span_of(day, grain, calendar) for day in days}
        first, last = min(span.start for span in spans), max(span.end for span in spans)
        before = periods.previous(periods.span_of(first, grain, calendar), calendar, rollup.LOOKED_AT).start
        table = values.window(conn, Grain.DAILY, before, last, kpi_ids=[kpi.id])
        known = _by_start(table, Grain.DAILY, calendar)
        made = (rollup.roll_up(kpi, span, known, calendar, tomorrow) for span in sorted(spans, key=lambda s: s.start))
        rolled += [reading for reading in made if reading is not None]
    return rolled


def _point(
    kpi: Kpi,
    span: Span,
    reading: Reading | None,
    snapshot: Snapshot,
    now: datetime,
    as_of: datetime | None,
) -> Point:
    calendar = snapshot.calendar
    target = status.target_for(span, snapshot.targets.get(kpi.id, ()), kpi, calendar, as_of=as_of)
    score = status.score(kpi, span=span, now=now, calendar=calendar, reading=reading, target=target)
    label = periods.label(span, calendar)
    return Point(span, label, score.state, reading, score.target, score.status, score.progress)
