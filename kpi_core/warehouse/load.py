"""Raw records in: parsed and staged outside the write lock, then all of them or none in one transaction.

A record that comes again under its key replaces the one before, in the same load (the later row wins) or in a later
one; loading the same file twice then changes nothing. What a load touched is noted by day, for the next
recalculation: the days of new and replaced records, and those that the coverage newly reaches, since a day inside
the coverage without records counts as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from kpi_core.errors import InvalidRecord, Problem
from kpi_core.model import Company, Coverage, Dataset
from kpi_core.periods import Calendar, local_day
from kpi_core.store import Store, bulk
from kpi_core.store import datasets as dataset_table
from kpi_core.warehouse import tables
from kpi_core.warehouse.cells import ARROW, INSTANT, type_columns
from kpi_core.warehouse.files import read_file
from kpi_core.warehouse.scratch import Scratch

__all__ = ["LoadResult", "coverage", "load_arrow", "load_files"]

Progress = Callable[[float, str], None]
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load did. `skipped` names every row that was left out, with line, column and reason; `skipped_rows`
    counts them, since one row can have several problems."""

    dataset: str
    loaded: int
    replaced: int = 0
    skipped: tuple[Problem, ...] = ()
    skipped_rows: int = 0
    first_day: date | None = None
    last_day: date | None = None


def coverage(connection: sa.Connection, key: str) -> Coverage | None:
    """From when to when a dataset's data reaches; None before there is any."""
    return dataset_table.coverage(connection, key)


def load_files(
    store: Store,
    dataset: Dataset,
    paths: Sequence[Path | str],
    company: Company,
    *,
    skip_bad: bool = False,
    progress: Progress | None = None,
    by: str = "system",
    batch_id: int | None = None,
) -> LoadResult:
    """Load CSV or Parquet files. A bad row stops all of it (InvalidRecord, with every problem) unless `skip_bad`."""
    say = progress or (lambda share, text: None)
    staged: list[pa.Table] = []
    problems: list[Problem] = []
    refused = 0
    for number, path in enumerate(map(Path, paths)):
        say(0.8 * number / len(paths), f"Reading {path.name}")
        typed = read_file(path, dataset, company.time_zone)
        staged.append(typed.rows)
        problems.extend(typed.problems)
        refused += typed.refused
    if problems and not skip_bad:
        raise InvalidRecord(problems)
    rows = pa.concat_tables(staged) if staged else _empty(dataset)
    say(0.8, f"Storing {rows.num_rows:,} records")
    with store.write() as connection:
        tables.ensure(connection, store, dataset)
        result = _store(connection, dataset, rows, company, None, batch_id)
    say(1.0, f"{result.loaded:,} records")
    return LoadResult(
        dataset.key, result.loaded, result.replaced, tuple(problems), refused, result.first_day, result.last_day
    )


def load_arrow(
    connection: sa.Connection,
    store: Store,
    dataset: Dataset,
    table: pa.Table,
    company: Company,
    watermark: datetime | None = None,
    *,
    batch_id: int | None = None,
) -> LoadResult:
    """Load records given as Arrow, inside the caller's transaction. `watermark`: the end of a successful fetch, up to
    which there is nothing more; without it the latest record's instant. InvalidRecord names bad rows."""
    typed = type_columns(dataset, company.time_zone, table, lambda places: [place + 1 for place in places])
    if typed.problems:
        raise InvalidRecord(
            [Problem(problem.where.replace("line ", "row ", 1), problem.says) for problem in typed.problems]
        )
    return _store(connection, dataset, typed.rows, company, watermark, batch_id)


def _empty(dataset: Dataset) -> pa.Table:
    fields = [("at", INSTANT), ("day", pa.date32()), ("record_key", pa.string())]
    declared = [(tables.column_name(column.name), ARROW[column.type]) for column in dataset.columns]
    return pa.schema([*fields, *declared]).empty_table()


def _store(
    connection: sa.Connection,
    dataset: Dataset,
    rows: pa.Table,
    company: Company,
    watermark: datetime | None,
    batch_id: int | None,
) -> LoadResult:
    rows = _last_of_each_key(rows) if dataset.record_key is not None else rows
    rows = rows.take(pc.sort_indices(rows, [("day", "ascending"), ("at", "ascending")])) if rows.num_rows else rows
    replaced, left_days = _replace(connection, dataset, rows) if dataset.record_key is not None else (0, [])
    _insert(connection, dataset, rows, batch_id)
    days = pc.unique(rows["day"]).to_pylist()
    reach = _extend_coverage(connection, dataset, rows, company, watermark)
    _touch(connection, dataset, {*days, *left_days, *reach})
    return LoadResult(dataset.key, rows.num_rows, replaced, (), 0, min(days, default=None), max(days, default=None))


def _last_of_each_key(rows: pa.Table) -> pa.Table:
    """Of several rows with one key, the last stands."""
    numbered = rows.select(["record_key"]).append_column("place", pa.array(np.arange(rows.num_rows)))
    last = numbered.group_by("record_key").aggregate([("place", "max")])["place_max"]
    return rows if len(last) == rows.num_rows else rows.take(last.take(pc.sort_indices(last)))


def _replace(connection: sa.Connection, dataset: Dataset, rows: pa.Table) -> tuple[int, list[date]]:
    """Take out the records that come again; how many, and the days that they stood on."""
    table = tables.records(dataset)
    with Scratch(connection) as scratch:
        keys = scratch.put("keys", rows.select(["record_key"]), sa.Column("record_key", sa.Text))
        again = table.c.record_key.in_(sa.select(keys.c.record_key))
        found = sa.select(table.c.day, sa.func.count().label("n")).where(again).group_by(table.c.day)
        by_day = {row.day: row.n for row in connection.execute(found)}
        if by_day:
            connection.execute(sa.delete(table).where(again))
    return sum(by_day.values()), list(by_day)


def _insert(connection: sa.Connection, dataset: Dataset, rows: pa.Table, batch_id: int | None) -> None:
    if rows.num_rows == 0:
        return
    table = tables.records(dataset)
    newest = connection.execute(sa.select(sa.func.max(table.c.record_id))).scalar() or 0
    numbers = pa.array(np.arange(newest + 1, newest + 1 + rows.num_rows))
    batches = pa.repeat(pa.scalar(batch_id, pa.int64()), rows.num_rows)
    numbered = rows.append_column("record_id", numbers).append_column("batch_id", batches)
    bulk.insert(connection, table, numbered.combine_chunks())


def _extend_coverage(
    connection: sa.Connection, dataset: Dataset, rows: pa.Table, company: Company, watermark: datetime | None
) -> list[date]:
    """Note how far the data reaches now; the days that it newly reaches."""
    before = dataset_table.coverage(connection, dataset.key)
    latest = pc.max(rows["at"]).as_py()
    _note_latest(connection, dataset, latest, company.time_zone)
    ends = [end for end in (before.watermark if before else None, watermark or latest) if end is not None]
    starts = [before.first_day] if before else []
    if rows.num_rows:
        starts.append(pc.min(rows["day"]).as_py())
    if not starts or not ends:
        return []
    now = Coverage(min(starts), max(ends))
    if now == before:
        return []
    dataset_table.set_coverage(connection, dataset.key, now.first_day, now.watermark)
    return _newly_reached(before, now, Calendar.of(company))


def _newly_reached(before: Coverage | None, now: Coverage, calendar: Calendar) -> list[date]:
    end = local_day(now.watermark, calendar)
    if before is None:
        return _days(now.first_day, end)
    earlier = _days(now.first_day, before.first_day) if now.first_day < before.first_day else []
    later = _days(local_day(before.watermark, calendar), end) if now.watermark > before.watermark else []
    return earlier + later


def _days(first: date, last: date) -> list[date]:
    return [first + i * DAY for i in range((last - first).days + 1)]


def _note_latest(connection: sa.Connection, dataset: Dataset, latest: datetime | None, time_zone: str) -> None:
    kept = tables.kept_datasets
    mine = kept.c.dataset == dataset.key
    row: Any = connection.execute(sa.select(kept.c.latest).where(mine)).first()
    if row is None:
        connection.execute(sa.insert(kept).values(dataset=dataset.key, time_zone=time_zone, latest=latest))
    elif latest is not None and (row.latest is None or row.latest < latest):
        connection.execute(sa.update(kept).where(mine).values(latest=latest))


def _touch(connection: sa.Connection, dataset: Dataset, days: set[date]) -> None:
    if not days:
        return
    ordered = pa.array(sorted(days), pa.date32())
    names = pa.repeat(pa.scalar(dataset.key), len(ordered))
    bulk.insert(connection, tables.touched, pa.table({"dataset": names, "day": ordered}))
