"""The engine on real input: every day, week and month against numbers computed in another way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest

from kpi_core.model import Company, Grain
from kpi_core.store import Store, drop_store, open_store, values
from kpi_core.store import datasets as dataset_table
from kpi_core.warehouse import coverage, load_files, recalculate
from tests.warehouse.flights import BY_KEY, DATASET, FLIGHTS_FILE, IS_WHOLE, KPIS, NEW_YORK

NOW = datetime(2014, 2, 1, tzinfo=UTC)
MICRO = Decimal("0.000001")
whole_file = pytest.mark.skipif(not IS_WHOLE, reason="these numbers need the whole file; the sample ends in February")


def _open(engine: str, request: pytest.FixtureRequest, name: str) -> tuple[str, str | None]:
    if engine == "duckdb":
        folder = request.getfixturevalue("tmp_path_factory").mktemp("flights")
        return f"duckdb:///{folder / name}.duckdb", None
    return request.getfixturevalue("postgres_url"), f"flights_{name}_{os.getpid()}"


@contextmanager
def _calculated(url: str, schema: str | None, company: Company) -> Iterator[Store]:
    with open_store(url, schema=schema, clock=lambda: NOW) as store:
        with store.write() as connection:
            dataset_table.save(connection, DATASET, "test", NOW)
        load_files(store, DATASET, [FLIGHTS_FILE], company, by="test")
        recalculate(store, KPIS, [DATASET], company, NOW)
        yield store


@pytest.fixture(scope="module", params=["duckdb", "postgresql"])
def new_york(request: pytest.FixtureRequest) -> Iterator[Store]:
    url, schema = _open(request.param, request, "new_york")
    with _calculated(url, schema, NEW_YORK) as store:
        yield store
    if schema:
        drop_store(url, schema=schema)


@pytest.fixture(scope="module")
def utc(request: pytest.FixtureRequest) -> Iterator[Store]:
    url, schema = _open("duckdb", request, "utc")
    with _calculated(url, schema, Company()) as store:
        yield store


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """The same file by way of pandas, which shares nothing with the engine."""
    return pd.read_csv(FLIGHTS_FILE, na_values=["NA"], parse_dates=["time_hour"])


def _value(store: Store, key: str, grain: Grain, start: date) -> Decimal | None:
    with store.read() as connection:
        rows = values.window(connection, grain, start, start + timedelta(days=1), kpi_ids=[BY_KEY[key].id]).to_pylist()
    return rows[0]["value"] if rows else None


NEW_YEAR = [
    ("flights", Decimal(842)),
    ("miles", Decimal(907_196)),
    ("cancelled", Decimal(4)),
    ("on_time", Decimal("69.434416")),
    ("mean_delay", Decimal("12.651023")),
    ("aircraft", Decimal(649)),
    ("delay_q90", Decimal("37.0")),
]


@pytest.mark.parametrize(("key", "expected"), NEW_YEAR)
def test_new_years_day_in_new_york(new_york: Store, key: str, expected: Decimal) -> None:
    value = _value(new_york, key, Grain.DAILY, date(2013, 1, 1))
    assert value is not None
    assert value.quantize(MICRO) == expected


@pytest.mark.parametrize(
    ("key", "expected"), [("flights", Decimal(6114)), ("on_time", Decimal("85.716647")), ("aircraft", Decimal(2016))]
)
def test_the_second_week(new_york: Store, key: str, expected: Decimal) -> None:
    value = _value(new_york, key, Grain.WEEKLY, date(2013, 1, 7))
    assert value is not None
    assert value.quantize(MICRO) == expected


def test_the_first_week_is_incomplete_and_says_so(new_york: Store) -> None:
    with new_york.read() as connection:
        week = values.window(connection, Grain.WEEKLY, date(2012, 12, 31), date(2013, 1, 1), kpi_ids=[1]).to_pylist()[0]
    assert (week["value"], week["have_days"], week["of_days"]) == (5166, 6, 7)


@whole_file
@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("flights", Decimal(28_243)),
        ("on_time", Decimal("68.476454")),
        ("aircraft", Decimal(3164)),
        ("delay_q90", Decimal("77.0")),
        ("mean_delay", Decimal("16.481330")),
    ],
)
def test_june(new_york: Store, key: str, expected: Decimal) -> None:
    value = _value(new_york, key, Grain.MONTHLY, date(2013, 6, 1))
    assert value is not None
    assert value.quantize(MICRO) == expected


def test_in_utc_the_same_day_holds_other_flights(utc: Store) -> None:
    assert _value(utc, "flights", Grain.DAILY, date(2013, 1, 1)) == 709


def test_the_coverage_goes_from_the_first_day_to_the_last_record(new_york: Store, frame: pd.DataFrame) -> None:
    with new_york.read() as connection:
        reach = coverage(connection, "flights")
    assert reach is not None
    assert reach.first_day == date(2013, 1, 1)
    assert reach.watermark == frame["time_hour"].max()


PERIODS = {Grain.DAILY: "D", Grain.WEEKLY: "W-SUN", Grain.MONTHLY: "M"}


def _by_pandas(frame: pd.DataFrame, zone: str, grain: Grain) -> pd.DataFrame:
    local = frame["time_hour"].dt.tz_convert(zone).dt.tz_localize(None)
    start = local.dt.to_period(PERIODS[grain]).dt.start_time
    groups = frame.groupby(start)
    known = groups["arr_delay"].count()
    return pd.DataFrame(
        {
            "flights": groups.size(),
            "on_time": 100 * (frame["arr_delay"] < 15).groupby(start).sum() / known,
            "mean_delay": groups["arr_delay"].sum() / known,
            "miles": groups["distance"].sum(),
            "aircraft": groups["tailnum"].nunique(),
            "delay_q90": groups["dep_delay"].quantile(0.9),
            "cancelled": frame["dep_time"].isna().groupby(start).sum(),
        }
    )


def _assert_every_span_agrees(store: Store, frame: pd.DataFrame, zone: str, grain: Grain) -> None:
    expected = _by_pandas(frame, zone, grain)
    with store.read() as connection:
        rows = values.window(connection, grain, date(2012, 1, 1), date(2015, 1, 1)).to_pandas()
    for key, kpi in BY_KEY.items():
        ours = rows[rows["kpi_id"] == kpi.id].set_index("period_date")["value"].astype(float)
        ours.index = pd.to_datetime(ours.index)
        ours = ours.sort_index()
        theirs = expected[key].astype(float)
        assert list(ours.index) == list(theirs.index), key
        assert ours.to_numpy() == pytest.approx(theirs.to_numpy(), rel=1e-9, abs=1e-8, nan_ok=True), key


@pytest.mark.parametrize("grain", list(PERIODS))
def test_every_span_agrees_with_pandas(new_york: Store, frame: pd.DataFrame, grain: Grain) -> None:
    _assert_every_span_agrees(new_york, frame, "America/New_York", grain)


@pytest.mark.parametrize("grain", list(PERIODS))
def test_every_span_agrees_with_pandas_in_utc(utc: Store, frame: pd.DataFrame, grain: Grain) -> None:
    _assert_every_span_agrees(utc, frame, "UTC", grain)


def test_moving_to_another_time_zone_moves_the_days(utc: Store) -> None:
    """The last test on this store: it stays in New York."""
    assert _value(utc, "flights", Grain.DAILY, date(2013, 1, 1)) == 709
    recalculate(utc, KPIS, [DATASET], NEW_YORK, NOW)
    assert _value(utc, "flights", Grain.DAILY, date(2013, 1, 1)) == 842
