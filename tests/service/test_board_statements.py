"""A board takes at most two statements, however many KPIs there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from kpi_core.access import SYSTEM
from kpi_core.catalog import Catalog
from kpi_core.model import Category, Grain, Kpi, Reading, Target
from kpi_core.periods import Calendar, span_of
from kpi_core.service.tracker import Tracker
from kpi_core.store import Store, values

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def filled(store: Store, kpis: int) -> Tracker:
    tracker = Tracker(store, clock=lambda: NOW)
    definitions = (
        Kpi(f"kpi_{n}", f"KPI {n}", Category.SALES, Grain.DAILY, target=Target(Decimal(n))) for n in range(kpis)
    )
    tracker.define(SYSTEM, Catalog(tuple(definitions)))
    days = [span_of(NOW.date() - timedelta(days=n), Grain.DAILY, Calendar()) for n in range(40)]
    readings = [Reading(kpi + 1, span, Decimal(kpi), typed=True) for kpi in range(kpis) for span in days]
    with store.write() as conn:
        values.append(conn, values.to_arrow(readings), by="test", now=NOW)
    return tracker


def count(store: Store, tracker: Tracker, grain: Grain = Grain.DAILY) -> list[str]:
    """The statements that one board takes after a change of the data."""
    tracker.board(SYSTEM, grain)
    with store.write():
        pass
    said: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        said.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        board = tracker.board(SYSTEM, grain)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert board.cards
    return said


def test_a_board_of_1000_kpis_takes_at_most_two_statements(store: Store) -> None:
    tracker = filled(store, 1_000)
    said = count(store, tracker)
    assert 1 <= len(said) <= 2, said
    assert len(tracker.board(SYSTEM, Grain.DAILY).cards) == 1_000
