"""How far recalculating is from hand-written SQL, on one dataset of millions of records.

    python -m tests.benchmarks.aggregation [--records 10000000]

60 KPIs (counts, sums, averages, ratios, minima, maxima, stocks, five distinct counts and five quantiles) over a table
with a `metric` column and three years of days, all of them by day, week and month. The yardstick is what somebody who
knows DuckDB writes by hand for just these KPIs, over the same table in the same file: one pass `GROUP BY metric, day`
into parts, rolled up; one set of entities a day for the distinct counts; a grouped quantile a grain; the outcome
written to a table like the one that readings are kept in. Both sides start from raw records and an empty outcome, and
the values are compared, all of them.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from kpi_core.model import (
    Aggregate,
    Category,
    Column,
    ColumnType,
    Company,
    Condition,
    Dataset,
    Grain,
    Kind,
    Kpi,
    Measure,
    Op,
    Term,
)
from kpi_core.store import Store, open_store, values
from kpi_core.store import datasets as dataset_table
from kpi_core.warehouse import ensure, load_arrow, recalculate
from tests.benchmarks.timing import Row, misses, print_table

COMPANY = Company()
FIRST = date(2023, 1, 2)
DAYS = 1_092
LAST = FIRST + timedelta(days=DAYS - 1)
NOW = datetime.combine(LAST, datetime.min.time(), UTC) + timedelta(days=5)
"""No span with data is open then: what open spans are compared with is not asked of the yardstick either."""
METRICS = 60
ENTITIES = 50_000
CHUNK = 1_000_000
EVENTS = Dataset(
    key="facts",
    name="Facts",
    time_column="time",
    columns=(
        Column("metric", ColumnType.TEXT),
        Column("entity", ColumnType.TEXT),
        Column("amount", ColumnType.NUMBER),
    ),
)


# --- The KPIs -------------------------------------------------------------------------------------------------------

COUNTS, SUMS, AVERAGES, RATIOS, LOWS, HIGHS, STOCKS, DISTINCTS, QUANTILES = (
    range(0, 15), range(15, 30), range(30, 38), range(38, 44), range(44, 46), range(46, 48), range(48, 50),
    range(50, 55), range(55, 60),
)  # fmt: skip
ADDITIVE = range(0, 50)
HUNDRED = Decimal(100)


def _term(aggregate: Aggregate, metric: int, **more: Any) -> Term:
    column = None if aggregate is Aggregate.COUNT and "column" not in more else more.pop("column", "amount")
    return Term("facts", aggregate, column, (Condition("metric", Op.EQ, f"m{metric:02}"),), **more)


def _measure(number: int) -> tuple[Measure, Kind]:
    known = partial(_term, Aggregate.COUNT, column="amount")
    makers: list[tuple[range, Kind, Callable[[], Measure]]] = [
        (COUNTS, Kind.FLOW, lambda: Measure((_term(Aggregate.COUNT, number),))),
        (SUMS, Kind.FLOW, lambda: Measure((_term(Aggregate.SUM, number),))),
        (AVERAGES, Kind.RATIO, lambda: Measure((_term(Aggregate.SUM, number),), (known(number),))),
        (RATIOS, Kind.RATIO, lambda: Measure((_term(Aggregate.COUNT, number),), (_term(Aggregate.COUNT, 0),), HUNDRED)),
        (LOWS, Kind.STATISTIC, lambda: Measure((_term(Aggregate.MIN, number),))),
        (HIGHS, Kind.STATISTIC, lambda: Measure((_term(Aggregate.MAX, number),))),
        (STOCKS, Kind.STOCK, lambda: Measure((_term(Aggregate.LAST, number),))),
        (DISTINCTS, Kind.DISTINCT, lambda: Measure((_term(Aggregate.DISTINCT, number, column="entity"),))),
        (QUANTILES, Kind.STATISTIC, lambda: Measure((_term(Aggregate.QUANTILE, number, quantile=Decimal("0.9")),))),
    ]
    kind, make = next((kind, make) for numbers, kind, make in makers if number in numbers)
    return make(), kind


def _kpis(numbers: Sequence[int]) -> list[Kpi]:
    made = []
    for number in numbers:
        measure, kind = _measure(number)
        made.append(
            Kpi(f"k{number}", f"K{number}", Category.SALES, Grain.DAILY, kind=kind, measure=measure, id=number + 1)
        )
    return made


# --- The records ----------------------------------------------------------------------------------------------------


def _records(total: int, seed: int = 1) -> Iterator[pa.Table]:
    """In the order of time, as records come: every metric every day, amounts in cents, no two at one instant."""
    rng = np.random.default_rng(seed)
    metric_names = pa.array([f"m{i:02}" for i in range(METRICS)])
    entity_names = pa.array([f"customer-{i:05}" for i in range(ENTITIES)])
    start = int(datetime.combine(FIRST, datetime.min.time(), UTC).timestamp()) * 1_000_000
    step = DAYS * 86_400_000_000 // total
    for first in range(0, total, CHUNK):
        n = min(CHUNK, total - first)
        at = start + (first + np.arange(n, dtype=np.int64)) * step
        cents = rng.integers(1, 1_000_000, n)
        amount = pa.array(cents).cast(pa.decimal128(19, 0))
        yield pa.table(
            {
                "time": pa.array(at).cast(pa.timestamp("us", tz="UTC")),
                "metric": metric_names.take(pa.array(rng.integers(0, METRICS, n))),
                "entity": entity_names.take(pa.array(rng.integers(0, ENTITIES, n))),
                "amount": pa.compute.multiply(amount, pa.scalar(Decimal("0.01"))).cast(pa.decimal128(18, 6)),
            }
        )


def _load(store: Store, total: int) -> None:
    with store.write() as connection:
        dataset_table.save(connection, EVENTS, "bench", NOW)
        ensure(connection, store, EVENTS)
    for rows in _records(total):
        with store.write() as connection:
            load_arrow(connection, store, EVENTS, rows, COMPANY, None)


# --- The yardstick --------------------------------------------------------------------------------------------------

START_OF = {
    "daily": "day",
    "weekly": "CAST(date_trunc('week', day) AS DATE)",
    "monthly": "CAST(date_trunc('month', day) AS DATE)",
}


def _in(numbers: Sequence[int]) -> str:
    return ", ".join(f"'m{number:02}'" for number in numbers)


def _by_hand(connection: duckdb.DuckDBPyConnection, numbers: Sequence[int]) -> None:
    """The SQL that an expert writes for these KPIs. Metric m07 is KPI 8."""
    run = connection.execute
    run("BEGIN")
    run("DROP TABLE IF EXISTS by_hand")
    run("CREATE TABLE by_hand AS SELECT * FROM kpi_values LIMIT 0")
    run(
        "CREATE OR REPLACE TEMP TABLE parts AS SELECT metric, day, count(*) AS n, count(amount) AS known, "
        'sum(amount) AS total, min(amount) AS low, max(amount) AS high, arg_max(amount, "at") AS latest '
        "FROM records_facts GROUP BY metric, day"
    )
    for grain, start in START_OF.items():
        run(_rolled_up(grain, start))
    if set(numbers) >= set(DISTINCTS):
        run(
            "CREATE OR REPLACE TEMP TABLE entities AS "
            f"SELECT DISTINCT metric, day, entity FROM records_facts WHERE metric IN ({_in(DISTINCTS)})"
        )
        for grain, start in START_OF.items():
            run(
                _insert(
                    grain, f"SELECT metric, {start} AS start, count(DISTINCT entity) AS v FROM entities GROUP BY ALL"
                )
            )
    if set(numbers) >= set(QUANTILES):
        for grain, start in START_OF.items():
            quantile = "quantile_cont(CAST(amount AS DOUBLE), 0.9) AS v"
            inner = f"SELECT metric, {start} AS start, {quantile} FROM records_facts "
            run(_insert(grain, inner + f"WHERE metric IN ({_in(QUANTILES)}) GROUP BY ALL"))
    run("COMMIT")


_DAYS_OF = {"daily": "1", "weekly": "7", "monthly": "day(last_day(start))"}


_COLUMNS = (
    "kpi_id, period_type, period_date, value, numerator, denominator, "
    "have_days, of_days, typed, recorded_at, recorded_by"
)


def _written(grain: str) -> str:
    return f"{_DAYS_OF[grain]}, {_DAYS_OF[grain]}, false, now(), 'by hand'"


def _insert(grain: str, select: str) -> str:
    kpi = "CAST(substr(metric, 2) AS INTEGER) + 1"
    row = f"{kpi}, '{grain}', start, v, NULL, NULL, {_written(grain)}"
    return f"INSERT INTO by_hand ({_COLUMNS}) SELECT {row} FROM ({select})"


def _rolled_up(grain: str, start: str) -> str:
    """All additive KPIs of a grain, from the parts of its days."""
    return f"""
        INSERT INTO by_hand ({_COLUMNS})
        WITH spans AS (
            SELECT CAST(substr(metric, 2) AS INTEGER) AS m, {start} AS start, sum(n) AS n, sum(known) AS known,
                sum(total) AS total, min(low) AS low, max(high) AS high, arg_max(latest, day) AS latest
            FROM parts GROUP BY ALL
        ), base AS (SELECT start, n FROM spans WHERE m = 0)
        SELECT m + 1, '{grain}', start,
            CASE WHEN m < 15 THEN s.n WHEN m < 30 THEN total WHEN m < 38 THEN total / known
                WHEN m < 44 THEN 100 * s.n / base.n WHEN m < 46 THEN low WHEN m < 48 THEN high ELSE latest END,
            CASE WHEN m BETWEEN 30 AND 37 THEN total WHEN m BETWEEN 38 AND 43 THEN s.n END,
            CASE WHEN m BETWEEN 30 AND 37 THEN known WHEN m BETWEEN 38 AND 43 THEN base.n END,
            {_written(grain)}
        FROM spans s LEFT JOIN base USING (start) WHERE m < 50"""


def _query_per_kpi(connection: duckdb.DuckDBPyConnection, numbers: Sequence[int]) -> None:
    """What is often done: a query for each KPI and grain, each of them over the records."""
    run = connection.execute
    run("DELETE FROM by_hand")
    for number in numbers:
        expression = _single(number)
        for grain, start in START_OF.items():
            metrics = _in([number, 0]) if number in RATIOS else _in([number])
            inner = f"SELECT 'm{number:02}' AS metric, {start} AS start, {expression} AS v FROM records_facts"
            run(_insert(grain, f"{inner} WHERE metric IN ({metrics}) GROUP BY ALL"))


def _single(number: int) -> str:
    m = f"m{number:02}"
    for numbers, expression in (
        (COUNTS, "count(*)"),
        (SUMS, "sum(amount)"),
        (AVERAGES, "sum(amount) / count(amount)"),
        (RATIOS, f"100 * count(*) FILTER (metric = '{m}') / count(*) FILTER (metric = 'm00')"),
        (LOWS, "min(amount)"),
        (HIGHS, "max(amount)"),
        (STOCKS, 'arg_max(amount, "at")'),
        (DISTINCTS, "count(DISTINCT entity)"),
    ):
        if number in numbers:
            return expression
    return "quantile_cont(CAST(amount AS DOUBLE), 0.9)"


# --- The runs -------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[Store]:
    with open_store(f"duckdb:///{path}", clock=lambda: NOW, memory_limit="6GB") as store:
        yield store


def _forget_readings(store: Store) -> None:
    """An empty outcome for the next run."""
    with store.write() as connection:
        for name in ("kpi_values", "warehouse_parts", "warehouse_kpis", "warehouse_terms", "warehouse_touched"):
            connection.exec_driver_sql(f"DELETE FROM {name}")
    with store.engine.connect() as connection:
        connection.exec_driver_sql("CHECKPOINT")


def _compare(store: Store, numbers: Sequence[int]) -> int:
    """Every value both ways; how many there are. Quotients and quantiles by hand are floats: equal to 10 digits."""
    with store.read() as connection:
        ours = {
            grain.value: values.window(connection, grain, FIRST - timedelta(days=31), LAST + timedelta(days=1))
            for grain in (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY)
        }
    native = _native(store)
    compared = 0
    for grain, rows in ours.items():
        native.execute(
            "SELECT kpi_id, period_date, CAST(value AS DOUBLE) FROM by_hand WHERE period_type = ? ORDER BY 1, 2",
            [grain],
        )
        ids, starts, found = zip(*native.fetchall(), strict=True)
        assert rows["kpi_id"].to_pylist() == list(ids), grain
        assert rows["period_date"].to_pylist() == list(starts), grain
        np.testing.assert_allclose(rows["value_float"].to_numpy(), np.array(found), rtol=1e-10, atol=1e-8)
        compared += rows.num_rows
    assert {each for rows in ours.values() for each in rows["kpi_id"].to_pylist()} == {n + 1 for n in numbers}
    return compared


def _native(store: Store) -> duckdb.DuckDBPyConnection:
    connection = store.engine.raw_connection()
    native: Any = connection.dbapi_connection
    return native.cursor()


def _measure_both(store: Store, numbers: Sequence[int], rounds: int) -> dict[str, list[float]]:
    kpis = _kpis(numbers)
    by_hand = _native(store)
    seconds: dict[str, list[float]] = {"ours": [], "by hand": []}
    for _ in range(rounds):
        _forget_readings(store)
        for name, work in _both(store, kpis, by_hand, numbers).items():
            seconds[name].append(_timed(work))
    return seconds


def _both(
    store: Store, kpis: Sequence[Kpi], by_hand: duckdb.DuckDBPyConnection, numbers: Sequence[int]
) -> dict[str, Callable[[], object]]:
    return {
        "by hand": lambda: _by_hand(by_hand, numbers),
        "ours": lambda: recalculate(store, kpis, [EVENTS], COMPANY, NOW),
    }


def _changed_day(store: Store, kpis: Sequence[Kpi], rounds: int) -> list[float]:
    """Late records arrive for a day of the year before, and everything that depends on them is done again."""
    seconds = []
    for i in range(rounds):
        day = LAST - timedelta(days=500 + 40 * i)
        rows = next(_records(600, seed=100 + i))
        at = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=23, minutes=59)
        moved = rows.set_column(0, "time", pa.repeat(pa.scalar(at, pa.timestamp("us", tz="UTC")), rows.num_rows))
        with store.write() as connection:
            load_arrow(connection, store, EVENTS, moved, COMPANY, None)
        now = NOW + timedelta(minutes=i + 1)
        done = recalculate(store, kpis, [EVENTS], COMPANY, now)
        assert done.days == (day,), done.days
        assert done.readings > len(kpis)
        seconds.append(done.seconds)
    return seconds


def run(records: int, rounds: int) -> list[Row]:
    """Load, measure, compare; the rows of the table."""
    with tempfile.TemporaryDirectory() as folder, _opened(Path(folder) / "bench.duckdb") as store:
        _load(store, records)
        additive = _measure_both(store, ADDITIVE, rounds)
        _compare(store, ADDITIVE)
        everything = range(METRICS)
        full = _measure_both(store, everything, rounds)
        compared = _compare(store, everything)
        sys.stdout.write(f"{compared:,} values equal both ways\n")
        native = _native(store)
        per_kpi = _timed(lambda: _query_per_kpi(native, everything))
        day = _changed_day(store, _kpis(everything), rounds)
    return [
        _row("60 KPIs, by hand (the yardstick)", full["by hand"], full["by hand"]),
        _row("60 KPIs, recalculated", full["ours"], full["by hand"], "at most 1.3"),
        _row("50 additive KPIs, by hand (the yardstick)", additive["by hand"], additive["by hand"]),
        _row("50 additive KPIs, recalculated", additive["ours"], additive["by hand"], "at most 1.5"),
        _row("a query for each KPI and grain (to 60 recalculated)", [per_kpi], full["ours"], "at least 5"),
        _row("one changed day (to 60 recalculated)", day, full["ours"], "at most 0.02"),
    ]


def _timed(work: Callable[[], object]) -> float:
    gc.collect()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _row(name: str, seconds: Sequence[float], yardstick: Sequence[float], bound: str = "") -> Row:
    """By the best of each side, measured in turns: what they cost when nothing else was in the way."""
    return Row(name, min(seconds), min(seconds) / min(yardstick), bound)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    print_table(f"Aggregation of {given.records:,} records", run(given.records, given.rounds))
    return 1 if misses() else 0


if __name__ == "__main__":
    sys.exit(main())
