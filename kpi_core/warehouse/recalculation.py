"""Readings from records: only what the records or the definitions changed is done again.

    1. Parts. Days touched since the last run are aggregated anew; a term that nobody asked for before gets all days.
    2. Spans. A KPI is calculated for the spans that hold a touched day of one of its datasets (a stock also for the
       later ones, since its state carries on), for the spans that are open, and, where its definition or the calendar
       changed, for all.
    3. Open spans also learn what they are compared with, and how much of them has passed.
    4. Readings that say something else than the last time are appended; the others leave no trace.

All in one transaction: parts, readings and the notes on what is done agree at any moment, or nothing happened.
Inside the coverage a count or sum without records is 0; a span that the coverage does not reach gets no reading, and
one that it covers in part says how many of its days it has.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from kpi_core import periods
from kpi_core.model import Aggregate, Company, Coverage, Dataset, Grain, Kpi, Measure, Span
from kpi_core.periods import Calendar
from kpi_core.store import Store, bulk, values
from kpi_core.store import datasets as dataset_table
from kpi_core.store.codec import encode
from kpi_core.store.schema import kpi_values
from kpi_core.warehouse import tables
from kpi_core.warehouse.calculate import calculate
from kpi_core.warehouse.open_spans import GRAINS, Against, OpenSpans, Reach, ask
from kpi_core.warehouse.parts import Source, day_parts
from kpi_core.warehouse.plan import ADDITIVE, Plan, Series, plan, series_of, signature
from kpi_core.warehouse.scratch import Scratch
from kpi_core.warehouse.windows import EPOCH, Windows, as_dates

__all__ = ["Recalculation", "SpanTable", "recalculate", "shared_reach"]

Ints = npt.NDArray[np.int64]
DAY = timedelta(days=1)
_IN_PARTS = ADDITIVE | {Aggregate.LAST}
_FEW_DAYS = 7
_MADE_BY = 1
"""The version of these rules: raise it, and every reading is made again."""


_INSTANT_STEP = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Recalculation:
    """What a run did: the days whose records were aggregated again, the readings appended, and how long it took."""

    days: tuple[date, ...]
    readings: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SpanTable:
    """Spans in columns; a span's number is its place."""

    spans: Sequence[Span]
    starts: Ints
    ends: Ints
    ends_at: Ints
    """The instant at which each ends, in microseconds since 1970."""

    @classmethod
    def of(cls, spans: Sequence[Span], calendar: Calendar, since: date = date.min) -> SpanTable:
        """`since`: spans that end before it are not asked at which instant."""
        starts = np.array([(span.start - EPOCH).days for span in spans], dtype=np.int64)
        ends = np.array([(span.end - EPOCH).days for span in spans], dtype=np.int64)
        instants = (_microseconds(periods.bounds_utc(span, calendar)[1]) if span.end >= since else 0 for span in spans)
        ends_at = np.array(list(instants), dtype=np.int64)
        return cls(spans, starts, ends, ends_at)

    @property
    def windows(self) -> Windows:
        return Windows(self.starts, self.ends - self.starts)

    def have(self, reach: Reach) -> Ints:
        """How many days of each span the data covers to their ends."""
        first, last = (reach.first - EPOCH).days, (reach.whole - EPOCH).days
        covered: Ints = np.minimum(self.ends, last + 1) - np.maximum(self.starts, first)
        return np.maximum(covered, 0)

    def is_touched(self, reach: Reach) -> npt.NDArray[np.bool_]:
        """Which spans the data covers at least a part of."""
        first, last = (reach.first - EPOCH).days, (reach.last - EPOCH).days
        touched: npt.NDArray[np.bool_] = (self.starts <= last) & (self.ends > first)
        return touched


def _microseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1_000_000)


def shared_reach(
    datasets: Iterable[str],
    coverages: Mapping[str, Coverage],
    latest: Mapping[str, datetime | None],
    calendar: Calendar,
) -> Reach:
    """The reach that datasets have in common: what a KPI over all of them can know."""
    keys = list(datasets)
    first = max(coverages[key].first_day for key in keys)
    narrowest = min(keys, key=lambda key: coverages[key].watermark)
    watermark = coverages[narrowest].watermark
    newest = latest.get(narrowest)
    is_record = newest is not None and newest >= watermark
    last = periods.local_day(watermark if is_record else watermark - _INSTANT_STEP, calendar)
    is_whole = is_record or periods.local_day(watermark, calendar) > last
    ends = {periods.local_day(coverages[key].watermark - _INSTANT_STEP, calendar) for key in keys}
    short = f"{narrowest} reaches only to {periods.day_text(last, year=True)}" if len(ends) > 1 else None
    return Reach(first, last, last if is_whole else last - DAY, watermark, is_record, short)


def recalculate(
    store: Store,
    kpis: Sequence[Kpi],
    datasets: Sequence[Dataset],
    company: Company,
    now: datetime,
    *,
    full: bool = False,
    by: str = "system",
) -> Recalculation:
    """Bring every reading that is made from records up to date; `full` trusts nothing that was kept."""
    began = time.perf_counter()
    with store.write() as connection, Scratch(connection) as scratch:
        tables.ensure_kept(connection)
        run = _Run.begin(scratch, kpis, datasets, company, now, full)
        run.refresh_parts()
        made = run.readings().combine_chunks()
        changed = values.changed_only(connection, made) if _has_readings(connection) else made
        appended = values.append(connection, changed, by=by, now=now)
        run.note_done()
        days = run.days_done()
    return Recalculation(days, appended, time.perf_counter() - began)


@dataclass(frozen=True, slots=True)
class _Group:
    """What decides which spans of a series are done."""

    datasets: frozenset[str]
    carries_on: bool
    is_redefined: bool
    is_asked: bool
    was_open: int
    """The day of the last run: the spans that were open then and are over now lose what only open ones say."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One recalculation, its inputs read once."""

    scratch: Scratch
    kpis: Mapping[int, Kpi]
    datasets: Mapping[str, Dataset]
    coverages: Mapping[str, Coverage]
    plan: Plan
    reaches: Mapping[frozenset[str], Reach]
    made_with: Mapping[int, tuple[str, str]]
    kept_kpis: Mapping[int, tuple[str, str]]
    kept_terms: Mapping[int, str]
    redefined: frozenset[int]
    fresh_terms: frozenset[int]
    stale_terms: frozenset[int]
    touched: Mapping[str, Ints]
    calendar: Calendar
    now: datetime
    full: bool

    @classmethod
    def begin(
        cls,
        scratch: Scratch,
        kpis: Sequence[Kpi],
        datasets: Sequence[Dataset],
        company: Company,
        now: datetime,
        full: bool,
    ) -> _Run:
        connection = scratch.connection
        calendar = Calendar.of(company)
        by_key = {dataset.key: dataset for dataset in datasets}
        stored = {row.dataset: row for row in connection.execute(sa.select(tables.kept_datasets))}
        elsewhere = {key for key, row in stored.items() if row.time_zone != company.time_zone}
        moved = _into_zone(connection, by_key, elsewhere, company.time_zone)
        coverages = dataset_table.coverages(connection)
        series = [each for each in series_of(kpis) if all(key in coverages and key in by_key for key in each.datasets)]
        numbers = {row.signature: row.id for row in connection.execute(sa.select(tables.terms))}
        planned = plan(series, numbers)
        fresh = {number for number, term in planned.terms.items() if full or term.dataset in moved}
        latest = {key: row.latest for key, row in stored.items()}
        reaches = {each.datasets: shared_reach(each.datasets, coverages, latest, calendar) for each in series}
        known = {kpi.id: kpi for kpi in kpis}
        today = periods.local_day(now, calendar)
        made_with = {
            each.id: (
                _signature(each, calendar),
                _open_at(known[each.id], reaches[each.datasets], today, now, calendar),
            )
            for each in series
        }
        kept = {row.kpi_id: (row.signature, row.open_at) for row in connection.execute(sa.select(tables.kpis))}
        redefined = {id_ for id_, (text, _) in made_with.items() if full or kept.get(id_, ("", ""))[0] != text}
        return cls(
            scratch=scratch,
            kpis=known,
            datasets=by_key,
            coverages=coverages,
            plan=planned,
            reaches=reaches,
            made_with=made_with,
            kept_kpis=kept,
            kept_terms={number: text for text, number in numbers.items()},
            redefined=frozenset(redefined),
            fresh_terms=frozenset(fresh | (planned.terms.keys() - set(numbers.values()))),
            stale_terms=frozenset(set(numbers.values()) - planned.terms.keys()),
            touched=_touched(connection),
            calendar=calendar,
            now=now,
            full=full,
        )

    # -- 1. Parts

    def refresh_parts(self) -> None:
        self._forget(sorted(self.fresh_terms | self.stale_terms))
        for key in sorted({term.dataset for term in self.plan.terms.values()}):
            terms = self.plan.of_dataset(key, _IN_PARTS)
            table = tables.records(self.datasets[key])
            fresh = {number: term for number, term in terms.items() if number in self.fresh_terms}
            self._keep(day_parts(self.scratch, self.datasets[key], fresh, Source(table)))
            others = {number: term for number, term in terms.items() if number not in self.fresh_terms}
            if others and key in self.touched:
                self._refresh_days(key, others)

    def _forget(self, terms: Sequence[int]) -> None:
        if not terms:
            return
        chosen = None if self.full else tables.parts.c.term_id.in_(terms)
        statement = sa.delete(tables.parts)
        self.scratch.connection.execute(statement if chosen is None else statement.where(chosen))

    def _refresh_days(self, key: str, terms: Mapping[int, object]) -> None:
        """Aggregate the touched days of a dataset again."""
        days = self.touched[key]
        kept = self.scratch.put("touched", pa.table({"day": as_dates(days)}), sa.Column("day", sa.Date))
        chosen = sa.select(kept.c.day)
        part = tables.parts.c
        first, last = _date(days[0]), _date(days[-1])
        self.scratch.connection.execute(
            sa.delete(tables.parts).where(
                part.term_id.in_(list(terms)), part.day.in_(chosen), part.day >= first, part.day <= last
            )
        )
        table = tables.records(self.datasets[key])
        where: tuple[sa.ColumnElement[bool], ...] = (table.c.day >= first, table.c.day <= last)
        if len(days) < (last - first).days + 1:
            where = (*where, table.c.day.in_(chosen))
        known = {number: self.plan.terms[number] for number in terms}
        source = Source(table, where, is_small=len(days) <= _FEW_DAYS)
        self._keep(day_parts(self.scratch, self.datasets[key], known, source))

    def _keep(self, parts: pa.Table) -> None:
        bulk.insert(self.scratch.connection, tables.parts, parts)

    # -- 2. Spans

    def readings(self) -> pa.Table:
        """The readings of all spans that are to be done, complete."""
        if not self.reaches:
            return values.READINGS.empty_table()
        first = self._first_day()
        last = max(reach.last for reach in self.reaches.values())
        spans = [span for grain in GRAINS for span in periods.spans_between(first, last + DAY, grain, self.calendar)]
        since = min(reach.last for reach in self.reaches.values())
        known = SpanTable.of(spans, self.calendar, since)
        asked = self._asked()
        todo = self._todo(known, frozenset(question.kpi.id for question in asked.questions))
        if todo.num_rows == 0:
            return values.READINGS.empty_table()
        parts = [tables.parts, *asked.clipped_parts(self.scratch, self.plan, self.datasets)]
        pairs = pa.concat_tables([todo.select(["series", "sid"]), asked.todo(after=len(spans))])
        made = calculate(self.scratch, self.plan, self.datasets, parts, known.windows + asked.windows, pairs)
        readings = _as_readings(made.slice(0, todo.num_rows), todo, known)
        return self._with_open_spans(readings, asked.answers(made.slice(todo.num_rows)), todo, known)

    def _first_day(self) -> date:
        """Where the spans that may have to be done begin."""
        first = min(reach.first for reach in self.reaches.values())
        if self.redefined:
            return first
        today = (periods.local_day(self.now, self.calendar) - EPOCH).days
        touched = [int(days[0]) for days in self.touched.values()]
        return max(first, _date(min([today, *touched, *map(self._last_run, self.made_with)])))

    def _asked(self) -> OpenSpans:
        """Open spans are done again where time went on, or where something that they are compared with changed."""
        asked = ask(self.plan, self.kpis, self.reaches, self.calendar, self.now)
        same = frozenset(
            id_ for id_, (_, open_at) in self.kept_kpis.items() if self.made_with.get(id_, ("", ""))[1] == open_at
        )
        stale = frozenset(self.made_with) - same
        return asked.only(stale | self.redefined | asked.depend_on(self.touched))

    def _todo(self, known: SpanTable, asked: frozenset[int]) -> pa.Table:
        """Which series are calculated for which spans; KPIs that need the same are laid out together."""
        groups: dict[_Group, list[int]] = {}
        for series in self.plan.series:
            key = _Group(
                series.datasets,
                series.carries_on,
                series.id in self.redefined,
                series.id in asked,
                self._last_run(series.id),
            )
            groups.setdefault(key, []).append(series.id)
        return pa.concat_tables(
            _laid_out(ids, self._spans_to_do(known, group), known, self.reaches[group.datasets])
            for group, ids in groups.items()
        ).combine_chunks()

    def _last_run(self, kpi_id: int) -> int:
        """The day on which its open spans were made last, as days since 1970."""
        _, open_at = self.kept_kpis.get(kpi_id, ("", ""))
        return (date.fromisoformat(open_at.split()[0]) - EPOCH).days if open_at else 0

    def _spans_to_do(self, known: SpanTable, group: _Group) -> Ints:
        covered = known.is_touched(self.reaches[group.datasets])
        if group.is_redefined:
            return np.flatnonzero(covered)
        today = (periods.local_day(self.now, self.calendar) - EPOCH).days
        wanted = (known.starts <= today) & (known.ends > today) & group.is_asked
        wanted |= (known.starts <= group.was_open) & (known.ends > group.was_open) & (known.ends <= today)
        touched = [self.touched[key] for key in group.datasets if key in self.touched]
        if touched:
            days = np.unique(np.concatenate(touched))
            wanted |= np.searchsorted(days, known.ends) > np.searchsorted(days, known.starts)
            if group.carries_on:
                wanted |= known.ends > days[0]
        return np.flatnonzero(covered & wanted)

    # -- 3. Open spans

    def _with_open_spans(
        self, readings: pa.Table, against: Mapping[tuple[int, Grain], Against], todo: pa.Table, known: SpanTable
    ) -> pa.Table:
        today = (periods.local_day(self.now, self.calendar) - EPOCH).days
        sids = todo["sid"].to_numpy()
        is_open = (known.starts[sids] <= today) & (known.ends[sids] > today)
        places = np.flatnonzero(is_open)
        series = todo["series"].to_numpy()[places].tolist()
        grains = [known.spans[sid].grain for sid in sids[places].tolist()]
        found = [against.get((id_, grain), Against()) for id_, grain in zip(series, grains, strict=True)]
        index = np.zeros(readings.num_rows, dtype=np.int64)
        index[places] = np.arange(1, len(places) + 1)
        at = pa.array(index)
        elapsed = pa.array([None, *(_quantized(each.elapsed) for each in found)], _ROUNDED)
        prior = pa.array([None, *(_quantized(each.prior) for each in found)], _ROUNDED)
        notes = pa.array([None, *(each.note for each in found)], pa.string())
        return (
            readings.append_column("elapsed", elapsed.take(at))
            .append_column("prior", prior.take(at))
            .append_column("prior_note", notes.take(at))
        )

    # -- 4. Notes on what is done

    def note_done(self) -> None:
        connection = self.scratch.connection
        connection.execute(sa.delete(tables.touched))
        terms = {number: signature(term) for number, term in self.plan.terms.items()}
        if terms != self.kept_terms:
            _rewrite(connection, tables.terms, id=list(terms), signature=list(terms.values()))
        if self.made_with != self.kept_kpis:
            signatures, open_at = zip(*self.made_with.values(), strict=True) if self.made_with else ((), ())
            _rewrite(connection, tables.kpis, kpi_id=list(self.made_with), signature=signatures, open_at=open_at)

    def days_done(self) -> tuple[date, ...]:
        used = {key for datasets in self.reaches for key in datasets}
        done = {int(day) for key in used if key in self.touched for day in self.touched[key]}
        for series in self.plan.series:
            if series.id in self.redefined:
                reach = self.reaches[series.datasets]
                done.update(range((reach.first - EPOCH).days, (reach.last - EPOCH).days + 1))
        return tuple(_date(day) for day in sorted(done))


_ROUNDED = pa.decimal128(38, 9)
_STEP = Decimal("1e-9")


def _quantized(number: Decimal | None) -> Decimal | None:
    return None if number is None else number.quantize(_STEP, ROUND_HALF_EVEN)


def _date(day: int) -> date:
    return EPOCH + timedelta(days=int(day))


def _signature(series: Series, calendar: Calendar) -> str:
    """All that its closed readings depend on, beside the records."""
    return f"{_MADE_BY} {series.kind.value} {calendar.time_zone} {calendar.week_start} {_measure(series.measure)}"


@lru_cache(maxsize=16_384)
def _measure(measure: Measure) -> str:
    return json.dumps(encode(measure), sort_keys=True)


def _open_at(kpi: Kpi, reach: Reach, today: date, now: datetime, calendar: Calendar) -> str:
    """The moment for which its open spans are made, and what else their comparison depends on."""
    at = min(reach.watermark, now).isoformat()
    weekdays = "".join(map(str, sorted(kpi.active_days.weekdays)))
    holidays = calendar.holidays if kpi.active_days.without_holidays else ()
    left_out = zlib.crc32(" ".join(map(str, sorted(holidays))).encode())
    return f"{today} {at} {reach.is_record} {kpi.comparison.value} {weekdays} {left_out}"


def _has_readings(connection: sa.Connection) -> bool:
    return connection.execute(sa.select(kpi_values.c.kpi_id).limit(1)).first() is not None


def _touched(connection: sa.Connection) -> dict[str, Ints]:
    """The days touched since the last run, by dataset, ascending."""
    found = sa.select(tables.touched.c.dataset, tables.touched.c.day).distinct()
    days: dict[str, list[int]] = {}
    for row in connection.execute(found):
        days.setdefault(row.dataset, []).append((row.day - EPOCH).days)
    return {key: np.array(sorted(each), dtype=np.int64) for key, each in days.items()}


def _into_zone(
    connection: sa.Connection, datasets: Mapping[str, Dataset], elsewhere: Iterable[str], time_zone: str
) -> frozenset[str]:
    """Where the reporting time zone changed, records move to the local days of the new one; which datasets moved."""
    kept = tables.kept_datasets.c
    moved = frozenset(key for key in elsewhere if key in datasets)
    for key in moved:
        table = tables.records(datasets[key])
        day = sa.cast(sa.func.timezone(time_zone, table.c.at), sa.Date)
        connection.execute(sa.update(table).values(day=day))
        mine = sa.update(tables.kept_datasets).where(kept.dataset == key)
        connection.execute(mine.values(time_zone=time_zone))
        first = connection.execute(sa.select(sa.func.min(table.c.day))).scalar()
        covered = dataset_table.coverage(connection, key)
        if covered is not None and first is not None:
            dataset_table.set_coverage(connection, key, first, covered.watermark)
    return moved


def _laid_out(ids: Sequence[int], sids: Ints, known: SpanTable, reach: Reach) -> pa.Table:
    """Every series with every span, and what is the same for all of them: days had, and how far the data reaches."""
    have = known.have(reach)[sids]
    watermark = _microseconds(reach.watermark)
    is_short = known.ends_at[sids] > watermark
    through = pa.array(np.where(is_short, watermark, 0), mask=~is_short).cast(pa.timestamp("us", tz="UTC"))
    places = pa.array(np.tile(np.arange(len(sids)), len(ids)))
    return pa.table(
        {
            "series": pa.array(np.repeat(np.array(ids, dtype=np.int64), len(sids))),
            "sid": pa.array(np.tile(sids.astype(np.int64), len(ids))),
            "have_days": pa.array(have.astype(np.int32)).take(places),
            "through": through.take(places),
            "short": _short(known.ends[sids], reach).take(places),
        }
    )


def _short(ends: Ints, reach: Reach) -> pa.Array:
    """Why there can be no value: of a KPI's datasets, one has not delivered what the others have."""
    if reach.short is None:
        return pa.nulls(len(ends), pa.string())
    known_until = (reach.last - EPOCH).days + 1
    return pa.array([reach.short if end > known_until else None for end in ends.tolist()], pa.string())


_GRAIN_NAMES = pa.array([grain.value for grain in GRAINS])


def _as_readings(made: pa.Table, todo: pa.Table, known: SpanTable) -> pa.Table:
    sids = todo["sid"].to_numpy()
    grains = np.array([GRAINS.index(span.grain) for span in known.spans], dtype=np.int8)
    of_days = (known.ends - known.starts)[sids].astype(np.int32)
    return pa.table(
        {
            "kpi_id": todo["series"],
            "period_type": _GRAIN_NAMES.take(pa.array(grains[sids])),
            "period_date": as_dates(known.starts[sids]),
            **_values(made, todo["short"]),
            "have_days": todo["have_days"],
            "of_days": pa.array(of_days),
            "through": todo["through"],
        }
    )


def _values(made: pa.Table, short: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    """What was calculated; where one dataset falls short of the others, nothing rather than what mixes both."""
    if short.null_count == len(short):
        return {name: made[name] for name in ("value", "numerator", "denominator", "reason")}
    is_short = pc.is_valid(short)
    numbers = ("value", "numerator", "denominator")
    kept = {name: pc.if_else(is_short, pa.scalar(None, made[name].type), made[name]) for name in numbers}
    return {**kept, "reason": pc.coalesce(short, made["reason"])}


def _rewrite(connection: sa.Connection, table: sa.Table, **columns: Sequence[object]) -> None:
    """Make the table say just this."""
    connection.execute(sa.delete(table))
    schema = bulk.arrow_schema(table.c[name] for name in columns)
    arrays = [pa.array(values, field.type) for values, field in zip(columns.values(), schema, strict=True)]
    bulk.insert(connection, table, pa.table(arrays, schema))
