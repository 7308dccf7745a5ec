"""Values of any measures for any spans, asked for once: formula inputs, cross-checks. Nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from kpi_core import periods
from kpi_core.model import Aggregate, Company, Dataset, Grain, Kind, Measure
from kpi_core.periods import Calendar
from kpi_core.store import Store
from kpi_core.store import datasets as dataset_table
from kpi_core.warehouse import tables
from kpi_core.warehouse.calculate import calculate
from kpi_core.warehouse.open_spans import Reach
from kpi_core.warehouse.parts import PARTS, Source, day_parts, put_parts
from kpi_core.warehouse.plan import ADDITIVE, Plan, Series, plan
from kpi_core.warehouse.recalculation import SpanTable, shared_reach
from kpi_core.warehouse.scratch import Scratch
from kpi_core.warehouse.windows import as_dates

__all__ = ["AGGREGATED", "aggregate"]

_DECIMAL = pa.decimal128(38, 9)
AGGREGATED = pa.schema(
    [
        ("series", pa.string()),
        ("start", pa.date32()),
        ("value", _DECIMAL),
        ("numerator", _DECIMAL),
        ("denominator", _DECIMAL),
        ("have_days", pa.int32()),
        ("of_days", pa.int32()),
        ("reason", pa.string()),
    ]
)


def aggregate(
    connection: sa.Connection,
    store: Store,
    series: Mapping[str, tuple[Measure, Kind]],
    grain: Grain,
    start: date,
    end: date,
    company: Company,
) -> pa.Table:
    """The values of `series` for the spans of `grain` that overlap [start, end), by AGGREGATED's columns.

    A span that the data does not cover at all has no row. Days are those that the records were stored with, in the
    zone of the last recalculation.
    """
    calendar = Calendar.of(company)
    names = list(series)
    wanted = [Series(number, *series[name]) for number, name in enumerate(names)]
    spans = SpanTable.of(periods.spans_between(start, end, grain, calendar), calendar, date.max)
    with _writable(connection, store) as own, Scratch(own) as scratch:
        datasets = {dataset.key: dataset for dataset in dataset_table.load(own)}
        reaches = _reaches(own, wanted, datasets, calendar)
        planned = plan(each for each in wanted if each.datasets in reaches)
        todo = _todo(planned, spans, reaches)
        if todo.num_rows == 0:
            return AGGREGATED.empty_table()
        parts = _parts(scratch, planned, datasets, spans)
        made = calculate(scratch, planned, datasets, [parts], spans.windows, todo)
    sids = todo["sid"].to_numpy()
    of_days = (spans.ends - spans.starts)[sids].astype(np.int32)
    columns = {
        "series": pa.array(names, pa.string()).take(todo["series"]),
        "start": as_dates(spans.starts[sids]),
        "of_days": pa.array(of_days),
        "have_days": todo["have_days"],
    }
    return pa.table(
        [columns.get(field.name) if field.name in columns else made[field.name] for field in AGGREGATED],
        AGGREGATED,
    )


@contextmanager
def _writable(connection: sa.Connection, store: Store) -> Iterator[sa.Connection]:
    """The connection itself; where it may only read (PostgreSQL), one that may make temporary tables."""
    if connection.dialect.name == "postgresql":
        read_only = connection.exec_driver_sql("SHOW transaction_read_only").scalar_one()
        if read_only == "on":
            with store.engine.connect() as own:
                yield own
            return
    yield connection


def _reaches(
    connection: sa.Connection, wanted: list[Series], datasets: Mapping[str, Dataset], calendar: Calendar
) -> dict[frozenset[str], Reach]:
    coverages = dataset_table.coverages(connection)
    latest = {row.dataset: row.latest for row in connection.execute(sa.select(tables.kept_datasets))}
    return {
        each.datasets: shared_reach(each.datasets, coverages, latest, calendar)
        for each in wanted
        if each.terms and all(key in datasets and key in coverages for key in each.datasets)
    }


def _todo(planned: Plan, spans: SpanTable, reaches: Mapping[frozenset[str], Reach]) -> pa.Table:
    rows = []
    for series in planned.series:
        have = spans.have(reaches[series.datasets])
        sids = np.flatnonzero(spans.is_touched(reaches[series.datasets]))
        numbers = np.full(len(sids), series.id, dtype=np.int64)
        rows.append(pa.table({"series": numbers, "sid": sids, "have_days": have[sids].astype(np.int32)}))
    empty = pa.table(
        {"series": np.array([], np.int64), "sid": np.array([], np.int64), "have_days": np.array([], np.int32)}
    )
    return pa.concat_tables([empty, *rows])


def _parts(scratch: Scratch, planned: Plan, datasets: Mapping[str, Dataset], spans: SpanTable) -> sa.Table:
    """Parts of the days asked for; of what stands until it changes, of all days before as well."""
    made = [PARTS.empty_table()]
    first, last = spans.spans[0].start, spans.spans[-1].end
    for key in sorted({term.dataset for term in planned.terms.values()}):
        table = tables.records(datasets[key])
        before_end = table.c.day < last
        window = Source(table, (table.c.day >= first, before_end))
        made.append(day_parts(scratch, datasets[key], planned.of_dataset(key, ADDITIVE), window))
        state = planned.of_dataset(key, frozenset({Aggregate.LAST}))
        made.append(day_parts(scratch, datasets[key], state, Source(table, (before_end,))))
    return put_parts(scratch, pa.concat_tables(made))
