"""Datasets keep their definition, their coverage and whether their source is connected."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from kpi_core.errors import NotFound
from kpi_core.model import Column, ColumnType, Coverage, Dataset
from kpi_core.store import Store, datasets

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
FLIGHTS = Dataset(
    "flights",
    "Flights",
    "time_hour",
    (Column("distance", ColumnType.NUMBER), Column("tailnum", ColumnType.TEXT)),
    time_zone="UTC",
    record_key="flight",
    null_values=("", "NA"),
    source="csv",
)


def test_a_dataset_comes_back_as_it_was_declared(store: Store) -> None:
    with store.write() as connection:
        stored = datasets.save(connection, FLIGHTS, "ada", NOW)
    assert stored == replace(FLIGHTS, id=1)
    with store.read() as connection:
        assert datasets.load(connection) == [stored]
        assert datasets.load_one(connection, "flights") == stored
        assert datasets.connections(connection) == {"flights": True}
        with pytest.raises(NotFound, match="'nothing'"):
            datasets.load_one(connection, "nothing")


def test_a_changed_dataset_keeps_its_id_and_its_coverage(store: Store) -> None:
    reach = Coverage(date(2013, 1, 1), datetime(2014, 1, 1, 4, tzinfo=UTC))
    with store.write() as connection:
        datasets.save(connection, FLIGHTS, "ada", NOW)
        assert datasets.coverage(connection, "flights") is None
        datasets.set_coverage(connection, "flights", reach.first_day, reach.watermark)
        changed = datasets.save(connection, replace(FLIGHTS, name="All flights"), "ben", NOW + timedelta(days=1))
        assert changed.id == 1
        assert datasets.load(connection) == [changed]
        assert datasets.coverage(connection, "flights") == reach
        datasets.set_coverage(connection, "flights", None, None)
        assert datasets.coverages(connection) == {}


def test_a_dataset_may_wait_for_its_connection(store: Store) -> None:
    with store.write() as connection:
        datasets.save(connection, FLIGHTS, "ada", NOW, connected=False)
        assert datasets.connections(connection) == {"flights": False}
        datasets.set_connected(connection, "flights", True)
        assert datasets.connections(connection) == {"flights": True}
