"""The board of 1,000 KPIs x 5 years of days (1.8 M values) against its single hand-written query.

    python -m tests.benchmarks.board

Cold: after a change of the data, so that everything is read and scored again. Warm: without one.
"""

from __future__ import annotations

import random
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from kpi_core.access import SYSTEM
from kpi_core.catalog import Catalog
from kpi_core.model import ActiveDays, Calculation, Category, Direction, Grain, Kpi, Target
from kpi_core.service.tracker import Tracker
from kpi_core.store import Store, bulk, open_store, values
from tests.benchmarks.timing import Row, median_seconds, print_table

KPIS = 1_000
DAYS = 5 * 365
NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
FIRST = NOW.date() - timedelta(days=DAYS)

HAND_WRITTEN = """
    WITH current AS (
        SELECT DISTINCT ON (kpi_id, period_date) kpi_id, period_date, value
        FROM kpi_values
        WHERE period_type = 'daily' AND period_date >= DATE '{start}' AND period_date < DATE '{end}'
        ORDER BY kpi_id, period_date, recorded_at DESC, id DESC
    ), target AS (
        SELECT DISTINCT ON (kpi_id) kpi_id, target_value, low, high, scale
        FROM kpi_targets
        WHERE coalesce(period_start <= DATE '{day}', TRUE) AND coalesce(period_end >= DATE '{day}', TRUE)
        ORDER BY kpi_id, is_override DESC, created_at DESC, id DESC
    )
    SELECT k.id, k.name,
        max(value) FILTER (period_date = DATE '{day}') AS value,
        max(value) FILTER (period_date = DATE '{day}' - 1) AS before,
        list(CAST(value AS DOUBLE) ORDER BY period_date) AS points,
        any_value(target_value), any_value(low), any_value(high), any_value(scale)
    FROM kpi_definitions k LEFT JOIN current v ON v.kpi_id = k.id LEFT JOIN target t ON t.kpi_id = k.id
    GROUP BY k.id, k.name ORDER BY k.id
"""
"""What somebody who knows the tables would write for a board: value, value before, target and points of each KPI."""


def fill(store: Store, kpis: int = KPIS, days: int = DAYS) -> None:
    """Definitions with targets, and a value for each day; a few have been corrected since."""
    rng = random.Random(7)
    directions = [Direction.HIGHER, Direction.HIGHER, Direction.LOWER]
    catalog = Catalog(
        tuple(
            Kpi(
                key=f"kpi_{n}",
                name=f"KPI {n}",
                category=list(Category)[n % 5],
                tracking_period=Grain.DAILY,
                calculation=Calculation.MANUAL,
                direction=rng.choice(directions),
                target=Target(value=100),
                active_days=ActiveDays(frozenset({1, 2, 3, 4, 5})) if n % 2 else ActiveDays(),
            )
            for n in range(kpis)
        )
    )
    Tracker(store, clock=lambda: NOW).define(SYSTEM, catalog)
    with store.write() as conn:
        values.append(conn, _values(kpis, days), by="bench", now=NOW - timedelta(days=1))


def _values(kpis: int, days: int) -> pa.Table:
    numbers = np.random.default_rng(7).integers(50_000, 120_000, kpis * days)
    dates = np.repeat(np.arange(days), kpis) + np.datetime64(NOW.date() - timedelta(days=days), "D").astype(int)
    return pa.table(
        {
            "kpi_id": pa.array(np.tile(np.arange(1, kpis + 1), days)),
            "period_type": pa.repeat(pa.scalar("daily"), kpis * days),
            "period_date": pa.array(dates.astype("datetime64[D]")),
            "value": pa.array(numbers / 1000).cast(pa.decimal128(38, 9)),
        }
    )


def hand_written(store: Store, start: date, end: date) -> int:
    """Run the query and fetch it by column, as the board does."""
    with store.read() as conn:
        day = end - timedelta(days=1)
        found = bulk.fetch(conn, sa.text(HAND_WRITTEN.format(start=start, end=end, day=day)))
    return found.num_rows


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, open_store(f"duckdb:///{Path(folder) / 'bench.duckdb'}") as store:
        fill(store)
        tracker = Tracker(store, clock=lambda: NOW)

        def cold() -> None:
            with store.write():
                pass
            tracker.board(SYSTEM, Grain.DAILY)

        span = tracker.board(SYSTEM, Grain.DAILY).span
        start = span.start - timedelta(days=44)
        hand = median_seconds(lambda: hand_written(store, start, span.end))
        board = median_seconds(cold)
        warm = median_seconds(lambda: tracker.board(SYSTEM, Grain.DAILY))
        print_table(
            f"The board of {KPIS:,} KPIs x 5 years",
            [
                Row("one hand-written query", hand),
                Row("board after a change of the data", board, board / hand, "at most 2"),
                Row("board again, nothing changed", warm, warm / board, "at most 0.2"),
            ],
        )


if __name__ == "__main__":
    main()
