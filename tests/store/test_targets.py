"""Targets: nothing is overwritten, and what was known at a moment can be asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from kpi_core.model import Grain, Target
from kpi_core.store import Store, targets

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
POINT = Target(Decimal("50.5"), kpi_id=1, period_start=date(2024, 12, 1), period_end=date(2024, 12, 31), notes="Q4")
RANGE = Target(low=Decimal(70), high=Decimal(85), grain=Grain.WEEKLY, scale=Decimal("0.5"), override=True, kpi_id=2)
NULL = Target(kpi_id=1)


def test_a_target_comes_back_with_who_set_it_and_when(store: Store) -> None:
    with store.write() as connection:
        stored = [targets.add(connection, target, "ada", NOW) for target in (POINT, RANGE)]
    assert stored[0] == replace(POINT, id=1, set_by="ada", created_at=NOW)
    with store.read() as connection:
        assert targets.load(connection) == {1: [stored[0]], 2: [stored[1]]}
        assert targets.load(connection, kpi_ids=[2]) == {2: [stored[1]]}


def test_a_later_target_stands_beside_the_earlier_and_as_of_leaves_it_out(store: Store) -> None:
    with store.write() as connection:
        first = targets.add(connection, POINT, "ada", NOW)
        ended = targets.add(connection, NULL, "ben", LATER)
        assert targets.load(connection) == {1: [first, ended]}
        assert targets.load(connection, as_of=NOW) == {1: [first]}
        assert targets.load(connection, as_of=NOW - timedelta(seconds=1)) == {}


def test_many_targets_are_added_at_once(store: Store) -> None:
    with store.write() as connection:
        assert targets.add_all(connection, [replace(POINT, kpi_id=kpi) for kpi in range(500)], "ada", NOW) == 500
        assert targets.add_all(connection, [], "ada", NOW) == 0
        loaded = targets.load(connection)
    assert len(loaded) == 500
    assert replace(loaded[499][0], id=0) == replace(POINT, kpi_id=499, set_by="ada", created_at=NOW)
