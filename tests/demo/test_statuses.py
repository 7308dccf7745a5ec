"""The demo on its boards: every status occurs whatever the hour, most is well, and each value is what the records say.

One demo is loaded and then goes on from clock to clock, as it does for whoever leaves it running.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from kpi_core.access import SYSTEM
from kpi_core.catalog import Catalog
from kpi_core.demo import Demo
from kpi_core.demo.business import Business
from kpi_core.demo.days import Days
from kpi_core.demo.generator import DATASETS
from kpi_core.demo.measure import over_spans
from kpi_core.model import Card, Grain, Kpi, SpanState, Status
from kpi_core.service.demo import extend_demo, load_demo
from kpi_core.service.tracker import Tracker
from kpi_core.store import open_store
from tests.demo.conftest import CLOCKS, ZONE

GRAINS = (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY)
SOME = ("a Sunday evening", "Monday 00:05", "the 1st")


class Running:
    """A demo that is alive: `at` brings it to a clock that is not before the last one."""

    def __init__(self, folder: Path, catalog: Catalog, seed: int, first: datetime) -> None:
        self.catalog = catalog
        self.now = first
        self.demo = Demo.today(seed, ZONE, first)
        self.store = open_store(f"duckdb:///{folder / 'demo.duckdb'}", clock=lambda: self.now)
        self.tracker = Tracker(self.store, clock=lambda: self.now)
        load_demo(self.tracker, catalog, self.demo)

    def at(self, clock: datetime) -> list[Card]:
        self.now = clock
        extend_demo(self.tracker, self.catalog)
        return [card for board in self.tracker.overview(SYSTEM).boards.values() for card in board.cards]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, catalog: Catalog) -> Iterator[Running]:
    made = Running(tmp_path_factory.mktemp("demo"), catalog, 7, CLOCKS[SOME[0]])
    yield made
    made.store.close()


@pytest.fixture(scope="module", params=SOME)
def cards(running: Running, request: pytest.FixtureRequest) -> list[Card]:
    return running.at(CLOCKS[request.param])


def _is_every_status_there(cards: list[Card]) -> None:
    found = Counter(card.score.status for card in cards if card.score)
    assert set(found) == set(Status)


def _is_most_well(cards: list[Card]) -> None:
    judged = [card.score.status for card in cards if card.score and card.score.status.is_verdict]
    well = sum(status in (Status.EXCEEDS, Status.ON_TRACK) for status in judged)
    assert len(judged) > 35
    assert 0.6 < well / len(judged) < 0.92
    assert 1 <= judged.count(Status.CRITICAL) <= 8


def test_every_status_occurs(cards: list[Card]) -> None:
    _is_every_status_there(cards)


def test_most_is_well_and_a_few_things_are_critical(cards: list[Card]) -> None:
    _is_most_well(cards)


def test_all_65_kpis_stand_on_the_boards(cards: list[Card]) -> None:
    assert len({card.key for card in cards}) == 65
    assert all(card.connected for card in cards)


def test_late_data_says_so(cards: list[Card]) -> None:
    by_key = {(card.key, card.grain): card.score for card in cards}
    mentions, content = by_key["brand_mentions", Grain.WEEKLY], by_key["content_published", Grain.DAILY]
    assert mentions
    assert mentions.status is Status.INCOMPLETE
    assert "of 7 days" in (mentions.reason or "")
    assert content
    assert content.status is Status.NO_DATA


# Values, at every grain


def _closed(running: Running, kpi: Kpi, grain: Grain) -> list[tuple[date, Decimal]]:
    points = running.tracker.history(SYSTEM, kpi.key, grain).points
    return [
        (point.span.start, point.reading.value)
        for point in points
        if point.reading and point.reading.value is not None and point.state is not SpanState.OPEN
    ]


def test_every_kpi_has_sensible_values_at_every_grain(running: Running, catalog: Catalog) -> None:
    for kpi in catalog.kpis:
        for grain in GRAINS:
            values = [value for _, value in _closed(running, kpi, grain)]
            if grain is kpi.tracking_period:
                assert len(values) >= (18 if grain is Grain.DAILY else 25), kpi.key
            low, high = kpi.bounds.low, kpi.bounds.high
            assert all(low is None or value >= low for value in values), (kpi.key, grain)
            assert all(high is None or value <= high for value in values), (kpi.key, grain)


def test_the_warehouse_and_a_plain_second_opinion_agree(running: Running, catalog: Catalog) -> None:
    business = Business(7, Days(running.demo.start, running.now, ZONE))
    days = business.days
    first, until = days.place_of(running.demo.begins), int(running.now.timestamp())
    tables = {
        key: make(business, first, len(days)).between(int(days.midnight[first]), until)
        for key, make in DATASETS.items()
    }
    for kpi in catalog.kpis:
        for grain in GRAINS:
            known = _closed(running, kpi, grain)[-12:-4]  # what has not arrived yet is in nobody's sums
            if kpi.measure and known:
                starts = [days.place(start) for start, _ in known]
                ends = [start + _length(grain, day) for start, (day, _) in zip(starts, known, strict=True)]
                edges = np.column_stack((starts, ends)).ravel()
                opinion = over_spans(kpi.measure, tables, days.midnight[edges])[::2]
                values = [float(value) for _, value in known]
                np.testing.assert_allclose(values, opinion, rtol=1e-6, err_msg=f"{kpi.key}, {grain}")


def _length(grain: Grain, start: date) -> int:
    following = (start + timedelta(days=32)).replace(day=1)
    return {Grain.DAILY: 1, Grain.WEEKLY: 7}.get(grain, (following - start).days)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 42])
def test_every_status_occurs_whatever_the_clock(tmp_path: Path, catalog: Catalog, seed: int) -> None:
    clocks = sorted(CLOCKS.values())
    running = Running(tmp_path, catalog, seed, clocks[0])
    for clock in clocks:
        cards = running.at(clock)
        _is_every_status_there(cards)
        _is_most_well(cards)
    running.store.close()
