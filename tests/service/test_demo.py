"""The demo company in the store: loaded up to now, going on by itself, the same whether it was watched or not."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kpi_core.access import SYSTEM
from kpi_core.catalog import Catalog
from kpi_core.demo import Demo
from kpi_core.model import Grain
from kpi_core.server.definition_files import read_catalog
from kpi_core.service.demo import extend_demo, load_demo
from kpi_core.service.tracker import Tracker
from kpi_core.store import open_store
from tests.service.conftest import Clock

SATURDAY = datetime(2026, 11, 21, 22, 30, tzinfo=UTC)
ZONE = "Europe/Berlin"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return read_catalog([Path(__file__).parents[2] / "data" / "catalog"])


def loaded(path: Path, catalog: Catalog, clock: Clock, first: datetime) -> Tracker:
    tracker = Tracker(open_store(f"duckdb:///{path}", clock=clock), clock=clock)
    load_demo(tracker, catalog, Demo.today(5, ZONE, first))
    return tracker


def everything(tracker: Tracker) -> dict[tuple[str, str], object]:
    """What each present board says of each KPI."""
    return {
        (grain, card.key): (card.score.span, card.score.value, card.score.status, card.score.change.text)
        for grain in (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY)
        for card in tracker.board(SYSTEM, grain).cards
        if card.score
    }


def test_a_demo_that_went_on_by_itself_is_the_one_that_was_made_later(tmp_path: Path, catalog: Catalog) -> None:
    """Over a night, a week's end and half a day: the same numbers as if it had been loaded then."""
    clock = Clock(SATURDAY)
    grown = loaded(tmp_path / "grown.duckdb", catalog, clock, SATURDAY)
    for hours in (1, 4, 36):
        clock.now += timedelta(hours=hours)
        assert extend_demo(grown, catalog)
    assert not extend_demo(grown, catalog), "no time has passed"
    made = loaded(tmp_path / "made.duckdb", catalog, clock, SATURDAY)
    mine, theirs = everything(grown), everything(made)
    assert {key: value for key, value in mine.items() if value != theirs[key]} == {}
    assert len(mine) >= 65
    assert Counter(value[2] for value in mine.values()).total() == len(mine)
    grown.store.close()
    made.store.close()
