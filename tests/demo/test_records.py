"""Deterministic, prefix-stable, alive up to the given instant: what the store relies on when the demo goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from kpi_core.catalog import Catalog
from kpi_core.demo import DATASETS, Demo, beginning, generate
from kpi_core.model import ColumnType
from tests.demo.conftest import CLOCKS, NOW, ZONE, all_records, local

TYPES = {ColumnType.TEXT: pa.string(), ColumnType.NUMBER: pa.decimal128(18, 6), ColumnType.BOOLEAN: pa.bool_()}
LATE = {"mentions", "content"}


def test_the_same_seed_gives_the_same_records(demo: Demo, records: dict[str, pa.Table]) -> None:
    again = dict(Demo(7, ZONE, demo.start).records(demo.start, NOW))
    assert all(again[key].equals(records[key]) for key in DATASETS)


def test_another_seed_gives_other_records(records: dict[str, pa.Table]) -> None:
    other = all_records(8, NOW)
    assert not any(other[key].equals(records[key]) for key in DATASETS)


@pytest.mark.parametrize("hours", [1, 24, 24 * 40], ids=["an hour", "a day", "forty days"])
def test_extending_a_demo_adds_records_and_never_changes_earlier_ones(demo: Demo, hours: int) -> None:
    later = NOW + timedelta(hours=hours)
    whole = dict(demo.records(demo.start, later))
    before, after = all_records(7, NOW), dict(demo.records(NOW, later))
    for key in DATASETS:
        assert pa.concat_tables([before[key], after[key]]).equals(whole[key]), key


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_windows_fit_together_at_every_clock(clock: datetime) -> None:
    demo = Demo.today(3, ZONE, clock)
    middle = clock - timedelta(days=1, minutes=7)
    whole = dict(demo.records(clock - timedelta(days=3), clock))
    first, second = dict(demo.records(clock - timedelta(days=3), middle)), dict(demo.records(middle, clock))
    for key in DATASETS:
        assert pa.concat_tables([first[key], second[key]]).equals(whole[key]), key


def test_there_are_at_least_300_000_records_in_more_than_fifteen_datasets(records: dict[str, pa.Table]) -> None:
    assert sum(table.num_rows for table in records.values()) >= 300_000
    assert len(records) == len(DATASETS) == 25
    assert all(table.num_rows > 1_000 for table in records.values())


def test_columns_are_those_that_the_catalog_declares(catalog: Catalog, records: dict[str, pa.Table]) -> None:
    for dataset in catalog.datasets:
        fields = [("at", pa.timestamp("us", tz="UTC")), *((c.name, TYPES[c.type]) for c in dataset.columns)]
        assert records[dataset.key].schema.equals(pa.schema(fields)), dataset.key


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_records_start_26_months_back_and_reach_up_to_the_hour(clock: datetime) -> None:
    demo = Demo.today(7, ZONE, clock)
    assert demo.start == beginning(clock.astimezone(ZoneInfo(ZONE)).date())
    for key, table in all_records(7, clock).items():
        first, last = pc.min_max(table["at"]).as_py().values()
        assert first >= demo.begins
        assert last < demo.watermark(key, clock) <= clock
    requests = all_records(7, clock)["requests"]["at"]
    assert clock - pc.max(requests).as_py() <= timedelta(hours=1)


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_two_datasets_stopped_delivering_some_days_ago(clock: datetime) -> None:
    demo = Demo.today(7, ZONE, clock)
    for key in DATASETS:
        behind = clock - demo.watermark(key, clock)
        assert timedelta(days=3) <= behind < timedelta(days=11) if key in LATE else not behind


def test_late_records_arrive_with_the_next_export_on_monday(demo: Demo) -> None:
    sunday, monday = (datetime(2026, 11, day, 5, 0, tzinfo=UTC) for day in (22, 23))
    arrived = dict(demo.records(sunday, monday))["mentions"]
    first, last = pc.min_max(arrived["at"]).as_py().values()
    assert local(2026, 11, 12, 18) <= first < local(2026, 11, 13)
    assert local(2026, 11, 19, 12) < last < local(2026, 11, 19, 18)
    assert dict(demo.records(monday, monday + timedelta(days=2)))["mentions"].num_rows == 0


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"])
def test_any_time_zone_will_do(zone: str) -> None:
    demo = Demo.today(7, zone, NOW)
    tables = dict(demo.records(NOW - timedelta(days=2), NOW))
    assert all(table.num_rows for key, table in tables.items() if key not in LATE)


def test_days_of_23_and_25_hours_have_as_many_minutes() -> None:
    for clock, hours in (("spring forward", 23), ("fall back", 25)):
        day = CLOCKS[clock].astimezone(ZoneInfo(ZONE)).date()
        demo = Demo.today(7, ZONE, CLOCKS[clock])
        minutes = pc.sum(dict(demo.records(day, day + timedelta(days=1)))["requests"]["minutes"]).as_py()
        assert minutes == 2 * 60 * hours


def test_generating_tells_how_far_it_is(demo: Demo) -> None:
    told: list[tuple[float, str]] = []
    tables = generate(7, demo.start, demo.start + timedelta(days=2), ZONE, lambda share, key: told.append((share, key)))
    assert [key for key, _ in tables] == list(DATASETS) == [key for _, key in told]
    assert told[-1][0] == 1.0


def test_a_window_without_time_has_no_records(demo: Demo) -> None:
    assert list(demo.records(NOW, NOW)) == []
