"""Real input from end to end, as its owner would go: define, load, calculate, read. By the Tracker, on both engines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from kpi_core.access import SYSTEM
from kpi_core.model import Company, Grain, Status
from kpi_core.server.definition_files import read_catalog
from kpi_core.service.tracker import Tracker
from kpi_core.store import Store, settings
from tests.warehouse.flights import FLIGHTS_FILE, IS_WHOLE, ROOT

NOW = datetime(2014, 2, 1, 12, tzinfo=UTC)
DEFINITIONS = ROOT / "data" / "samples" / "flights.yaml"
whole_file = pytest.mark.skipif(not IS_WHOLE, reason="these numbers need the whole file; the sample ends in February")


@pytest.fixture
def flights(store: Store) -> Iterator[Tracker]:
    with store.write(touches_catalog=True) as conn:
        settings.set_company(conn, Company(time_zone="America/New_York"), None, NOW)
    tracker = Tracker(store, clock=lambda: NOW)
    tracker.define(SYSTEM, read_catalog([DEFINITIONS]))
    tracker.load_records(SYSTEM, "flights", [FLIGHTS_FILE])
    tracker.recalculate(SYSTEM)
    return tracker


def values(tracker: Tracker, grain: Grain, day: date) -> dict[str, Decimal]:
    cards = tracker.board(SYSTEM, grain, day).cards
    return {card.key: round(card.score.value, 6) for card in cards if card.score and card.score.value is not None}


DAY = {
    "flights": Decimal(842),
    "miles": Decimal(907_196),
    "cancelled": Decimal(4),
    "on_time": Decimal("69.434416"),
    "mean_delay": Decimal("12.651023"),
    "aircraft": Decimal(649),
    "delay_q90": Decimal(37),
}


def test_the_tracker_gives_the_flights_of_new_year_and_of_the_second_week(flights: Tracker) -> None:
    assert values(flights, Grain.DAILY, date(2013, 1, 1)) == DAY
    week = values(flights, Grain.WEEKLY, date(2013, 1, 9))
    assert (week["flights"], week["on_time"], week["aircraft"]) == (6_114, Decimal("85.716647"), 2_016)

    first = next(card for card in flights.board(SYSTEM, Grain.WEEKLY, date(2013, 1, 1)).cards if card.key == "flights")
    assert (first.score.value, first.score.status) == (5_166, Status.INCOMPLETE)
    assert first.score.reason == "incomplete (6 of 7 days)"

    change = flights.board(SYSTEM, Grain.DAILY, date(2013, 1, 2)).cards[0].score.change
    assert re.fullmatch(r"\+\d+ from Tue 1 Jan( 2013)?", change.text), change.text


@whole_file
def test_the_tracker_gives_the_flights_of_june(flights: Tracker) -> None:
    june = values(flights, Grain.MONTHLY, date(2013, 6, 15))
    assert june["flights"] == 28_243
    assert june["on_time"] == Decimal("68.476454")
    assert june["aircraft"] == 3_164
    assert june["delay_q90"] == 77
    assert june["mean_delay"] == Decimal("16.481330")
