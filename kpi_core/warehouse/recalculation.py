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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from kpi_core import periods
from kpi_core.model import Aggregate, Company, Coverage, Dataset, Grain, Kpi, Span
from kpi_core.periods import Calendar
from kpi_core.store import Store, bulk, values
from kpi_core.store import datasets as dataset_table
from kpi_core.store.codec import encode
from kpi_core.warehouse import tables
from kpi_core.warehouse.calculate import calculate
from kpi_core.warehouse.open_spans import GRAINS, Against, Reach, ask
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
    def of(cls, spans: Sequence[Span], calendar: Calendar) -> SpanTable:
        starts = np.array([(span.start - EPOCH).days for span in spans], dtype=np.int64)
        ends = np.array([(span.end - EPOCH).days for span in spans], dtype=np.int64)
        ends_at = np.array([_microseconds(periods.bounds_utc(span, calendar)[1]) for span in spans], dtype=np.int64)
        return cls(spans, starts, ends, ends_at)

    @property
    def windows(self) -> Windows:
        return Windows(self.starts, self.ends - self.starts)

    def have(self, reach: Reach) -> Ints:
        """How many days of each span the data covers."""
        first, last = (reach.first - EPOCH).days, (reach.last - EPOCH).days
        covered: Ints = np.minimum(self.ends, last + 1) - np.maximum(self.starts, first)
        return np.maximum(covered, 0)


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
    return Reach(first, periods.local_day(watermark, calendar), watermark, is_record)


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
        changed = values.changed_only(connection, run.readings())
        appended = values.append(connection, changed, by=by, now=now)
        run.note_done()
        days = run.days_done()
    return Recalculation(days, appended, time.perf_counter() - began)


@dataclass(frozen=True, slots=True)
class _Run:
    """One recalculation, its inputs read once."""

    scratch: Scratch
    kpis: Mapping[int, Kpi]
    datasets: Mapping[str, Dataset]
    coverages: Mapping[str, Coverage]
    plan: Plan
    reaches: Mapping[frozenset[str], Reach]
    signatures: Mapping[int, str]
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
        moved = _into_zone(connection, by_key, company.time_zone)
        coverages = dataset_table.coverages(connection)
        series = [each for each in series_of(kpis) if all(key in coverages and key in by_key for key in each.datasets)]
        numbers = {row.signature: row.id for row in connection.execute(sa.select(tables.terms))}
        planned = plan(series, numbers)
        fresh = {number for number, term in planned.terms.items() if full or term.dataset in moved}
        latest = {row.dataset: row.latest for row in connection.execute(sa.select(tables.kept_datasets))}
        signatures = {each.id: _kpi_signature(each, calendar) for each in series}
        kept = {row.kpi_id: row.signature for row in connection.execute(sa.select(tables.kpis))}
        return cls(
            scratch=scratch,
            kpis={kpi.id: kpi for kpi in kpis},
            datasets=by_key,
            coverages=coverages,
            plan=planned,
            reaches={each.datasets: shared_reach(each.datasets, coverages, latest, calendar) for each in series},
            signatures=signatures,
            redefined=frozenset(id_ for id_, text in signatures.items() if full or kept.get(id_) != text),
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
        first = min(reach.first for reach in self.reaches.values())
        last = max(reach.last for reach in self.reaches.values())
        spans = [span for grain in GRAINS for span in periods.spans_between(first, last + DAY, grain, self.calendar)]
        known = SpanTable.of(spans, self.calendar)
        todo = self._todo(known)
        if todo.num_rows == 0:
            return values.READINGS.empty_table()
        asked = ask(self.plan, self.kpis, self.reaches, self.calendar, self.now)
        parts = [tables.parts, *asked.clipped_parts(self.scratch, self.plan, self.datasets)]
        pairs = pa.concat_tables([todo.select(["series", "sid"]), asked.todo(after=len(spans))])
        made = calculate(self.scratch, self.plan, self.datasets, parts, known.windows + asked.windows, pairs)
        readings = _as_readings(made.slice(0, todo.num_rows), todo, known)
        return self._with_open_spans(readings, asked.answers(made.slice(todo.num_rows)), todo, known)

    def _todo(self, known: SpanTable) -> pa.Table:
        """Which series are calculated for which spans; KPIs that need the same are laid out together."""
        groups: dict[tuple[frozenset[str], bool, bool], list[int]] = {}
        for series in self.plan.series:
            key = (series.datasets, series.has_last, series.id in self.redefined)
            groups.setdefault(key, []).append(series.id)
        tables_ = [
            _laid_out(ids, self._spans_to_do(known, datasets, has_last, all_), known, self.reaches[datasets])
            for (datasets, has_last, all_), ids in groups.items()
        ]
        return pa.concat_tables(tables_)

    def _spans_to_do(self, known: SpanTable, datasets: frozenset[str], has_last: bool, all_: bool) -> Ints:
        covered = known.have(self.reaches[datasets]) > 0
        if all_:
            return np.flatnonzero(covered)
        today = (periods.local_day(self.now, self.calendar) - EPOCH).days
        wanted = known.ends > today
        touched = [self.touched[key] for key in datasets if key in self.touched]
        if touched:
            days = np.unique(np.concatenate(touched))
            wanted |= np.searchsorted(days, known.ends) > np.searchsorted(days, known.starts)
            if has_last:
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
        _rewrite(connection, tables.terms, {n: signature(term) for n, term in self.plan.terms.items()}, "id")
        _rewrite(connection, tables.kpis, self.signatures, "kpi_id")

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


def _kpi_signature(series: Series, calendar: Calendar) -> str:
    """All that its closed readings depend on, beside the records."""
    made_with = [_MADE_BY, encode(series.measure), series.kind.value, calendar.time_zone, calendar.week_start]
    return json.dumps(made_with, sort_keys=True)


def _touched(connection: sa.Connection) -> dict[str, Ints]:
    """The days touched since the last run, by dataset, ascending."""
    found = sa.select(tables.touched.c.dataset, tables.touched.c.day).distinct()
    days: dict[str, list[int]] = {}
    for row in connection.execute(found):
        days.setdefault(row.dataset, []).append((row.day - EPOCH).days)
    return {key: np.array(sorted(each), dtype=np.int64) for key, each in days.items()}


def _into_zone(connection: sa.Connection, datasets: Mapping[str, Dataset], time_zone: str) -> frozenset[str]:
    """Where the reporting time zone changed, records move to the local days of the new one; which datasets moved."""
    kept = tables.kept_datasets.c
    found = connection.execute(sa.select(kept.dataset).where(kept.time_zone != time_zone)).scalars()
    moved = frozenset(key for key in found if key in datasets)
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
        }
    )


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
            "value": made["value"],
            "numerator": made["numerator"],
            "denominator": made["denominator"],
            "reason": made["reason"],
            "have_days": todo["have_days"],
            "of_days": pa.array(of_days),
            "through": todo["through"],
        }
    )


def _rewrite(connection: sa.Connection, table: sa.Table, rows: Mapping[int, str], number: str) -> None:
    """Make the table say just this, and touch it only where it says something else."""
    kept = {row[0]: row[1] for row in connection.execute(sa.select(table.c[number], table.c.signature))}
    if kept == dict(rows):
        return
    connection.execute(sa.delete(table))
    columns = {number: pa.array(list(rows), pa.int64()), "signature": pa.array(list(rows.values()), pa.string())}
    bulk.insert(connection, table, pa.table(columns))
