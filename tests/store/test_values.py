"""Values are append-only, and a window gives the version current at a moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from kpi_core.errors import InvalidRecord
from kpi_core.model import Grain, Reading, Span, Status
from kpi_core.store import Store, values

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 10, 8, 0, tzinfo=UTC)


def day(on: date) -> Span:
    return Span(Grain.DAILY, on, on + timedelta(days=1))


def reading(kpi_id: int, on: date, value: str | None, **more: Any) -> Reading:
    return Reading(kpi_id, day(on), Decimal(value) if value is not None else None, **more)


MONDAY = date(2026, 11, 16)
TUESDAY = date(2026, 11, 17)
FULL = Reading(
    7,
    day(MONDAY),
    Decimal("46.363636364"),
    numerator=Decimal(51),
    denominator=Decimal(110),
    reason='a "reason", with\nlines',
    have_days=6,
    of_days=7,
    through=datetime(2026, 11, 16, 14, 0, tzinfo=UTC),
    typed=True,
    elapsed=Decimal("0.6"),
    prior=Decimal("-12.5"),
    prior_note="",
    verdict=Status.EXCEEDS,
    recorded_at=FEBRUARY,
    recorded_by="ada",
    notes="Holiday impact",
    batch_id=41,
)


def test_a_reading_comes_back_as_it_was_recorded(store: Store) -> None:
    with store.write() as connection:
        assert values.append(connection, [FULL], by="somebody else", now=NOW) == 1
    with store.read() as connection:
        (version,) = values.versions(connection, 7, FULL.span)
    assert replace(version, id=0) == FULL


def test_a_window_is_sorted_by_kpi_and_date_and_holds_nothing_from_outside(store: Store) -> None:
    with store.write() as connection:
        values.append(
            connection,
            [
                reading(2, TUESDAY, "4"),
                reading(1, TUESDAY, "2"),
                reading(2, MONDAY, "3"),
                reading(1, MONDAY, "1"),
                reading(1, MONDAY - timedelta(days=1), "0"),
                reading(1, TUESDAY + timedelta(days=1), "0"),
                replace(reading(1, MONDAY, "0"), span=Span(Grain.WEEKLY, MONDAY, MONDAY + timedelta(days=7))),
            ],
            by="ada",
            now=NOW,
        )
    with store.read() as connection:
        window = values.window(connection, Grain.DAILY, MONDAY, TUESDAY + timedelta(days=1))
    assert window.column_names == values.WINDOW
    assert window["kpi_id"].to_pylist() == [1, 1, 2, 2]
    assert window["period_date"].to_pylist() == [MONDAY, TUESDAY, MONDAY, TUESDAY]
    assert window["value"].to_pylist() == [1, 2, 3, 4]
    assert window["value_float"].to_pylist() == [1.0, 2.0, 3.0, 4.0]


def test_a_correction_is_a_new_row_and_the_old_one_stays_as_known_then(store: Store) -> None:
    published = reading(1, MONDAY, "100", recorded_at=FEBRUARY, recorded_by="ada")
    corrected = reading(1, MONDAY, "112", recorded_at=NOW, recorded_by="import", batch_id=41, notes="batch 41")
    for version in (published, corrected):
        with store.write() as connection:
            values.append(connection, [version], by=None, now=NOW)
    with store.read() as connection:
        window = (connection, Grain.DAILY, MONDAY, TUESDAY)
        assert values.window(*window)["value"].to_pylist() == [112]
        assert values.window(*window, as_of=NOW - timedelta(seconds=1))["value"].to_pylist() == [100]
        assert values.window(*window, as_of=FEBRUARY)["value"].to_pylist() == [100]
        assert values.window(*window, as_of=FEBRUARY - timedelta(seconds=1)).num_rows == 0
        told = [(each.value, each.recorded_by, each.notes, each.batch_id) for each in _versions(connection)]
    assert told == [(100, "ada", None, None), (112, "import", "batch 41", 41)]


def _versions(connection: sa.Connection) -> list[Reading]:
    return values.versions(connection, 1, day(MONDAY))


def test_an_observation_recorded_twice_in_the_same_moment_goes_by_the_order_of_recording(store: Store) -> None:
    with store.write() as connection:
        values.append(connection, [reading(1, MONDAY, "1")], by="ada", now=NOW)
        values.append(connection, [reading(1, MONDAY, "2")], by="ada", now=NOW)
        values.append(connection, [reading(1, MONDAY, "3", recorded_at=FEBRUARY)], by="ada", now=NOW)
        assert values.window(connection, Grain.DAILY, MONDAY, TUESDAY)["value"].to_pylist() == [2]


def test_a_window_can_be_of_some_kpis_alone_and_a_history_of_one(store: Store) -> None:
    with store.write() as connection:
        values.append(connection, [reading(kpi, MONDAY, "1") for kpi in range(5)], by="ada", now=NOW)
        window = values.window(connection, Grain.DAILY, MONDAY, TUESDAY, kpi_ids=[3, 1, 99])
        assert window["kpi_id"].to_pylist() == [1, 3]
        assert values.window(connection, Grain.DAILY, MONDAY, TUESDAY, kpi_ids=[]).num_rows == 0
        assert values.history(connection, 4, Grain.DAILY, MONDAY, TUESDAY)["kpi_id"].to_pylist() == [4]


def test_a_window_is_one_statement_whatever_the_number_of_kpis(duckdb_store: Store) -> None:
    statements: list[str] = []
    with duckdb_store.write() as connection:
        values.append(connection, [reading(kpi, MONDAY, "1") for kpi in range(1000)], by="ada", now=NOW)
    sa.event.listen(duckdb_store.engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
    with duckdb_store.read() as connection:
        assert values.window(connection, Grain.DAILY, MONDAY, TUESDAY).num_rows == 1000
    assert len(statements) == 1


def test_readings_survive_the_way_through_a_window(store: Store) -> None:
    with store.write() as connection:
        values.append(connection, [FULL, reading(8, MONDAY, None, reason="no records")], by="ada", now=NOW)
        window = values.window(connection, Grain.DAILY, MONDAY, TUESDAY)
    first, second = values.to_readings(window, day)
    assert first == replace(FULL, notes=None, batch_id=None, id=first.id)
    assert (second.value, second.reason, second.recorded_by) == (None, "no records", "ada")


def test_only_what_changed_is_told_apart(store: Store) -> None:
    known = [FULL, reading(1, MONDAY, "1"), reading(2, MONDAY, None, reason="no records")]
    with store.write() as connection:
        values.append(connection, [reading(1, MONDAY, "7", recorded_at=FEBRUARY)], by="ada", now=NOW)
        values.append(connection, known, by="ada", now=NOW)
        said_again = [
            replace(each, recorded_by="import", batch_id=9, notes="again", recorded_at=None) for each in known
        ]
        assert values.changed_only(connection, values.to_arrow(said_again)).num_rows == 0
        news = [
            replace(FULL, prior_note=None),
            reading(1, MONDAY, "7"),
            reading(2, MONDAY, None, reason="no records yet"),
            reading(2, TUESDAY, None, reason="no records"),
            replace(reading(1, MONDAY, "1"), span=Span(Grain.WEEKLY, MONDAY, MONDAY + timedelta(days=7))),
        ]
        told = values.to_arrow([*said_again, *news])
        changed = values.changed_only(connection, told)
    assert changed.equals(told.slice(3))


def test_nothing_to_compare_is_nothing_changed(store: Store) -> None:
    with store.write() as connection:
        assert values.changed_only(connection, values.to_arrow([])).num_rows == 0


def test_an_arrow_table_may_leave_out_what_it_does_not_know(store: Store) -> None:
    rows = pa.table(
        {
            "kpi_id": pa.array([1, 2], pa.int32()),
            "period_type": pa.array(["daily", "daily"]).dictionary_encode(),
            "period_date": pa.array([MONDAY, MONDAY]),
            "value": pa.array([Decimal("0.12345678950"), Decimal("0.12345678949")], pa.decimal128(20, 11)),
        }
    )
    with store.write() as connection:
        assert values.append(connection, rows, by="import", now=NOW) == 2
        window = values.window(connection, Grain.DAILY, MONDAY, TUESDAY)
    assert window["value"].to_pylist() == [Decimal("0.123456790"), Decimal("0.123456789")]
    assert window["typed"].to_pylist() == [False, False]
    assert window["recorded_by"].to_pylist() == ["import", "import"]
    assert window["recorded_at"].to_pylist() == [NOW, NOW]


def test_money_does_not_drift_on_its_way_through_the_store(store: Store) -> None:
    cents = [reading(kpi, MONDAY, "0.01") for kpi in range(10_000)]
    with store.write() as connection:
        values.append(connection, cents, by="ada", now=NOW)
        total = connection.exec_driver_sql("SELECT sum(value) FROM kpi_values").scalar_one()
    assert total == Decimal("100.00")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e29", "-1e40"])
def test_a_number_that_cannot_be_kept_is_refused_with_its_place(number: str) -> None:
    with pytest.raises(InvalidRecord, match=r"^KPI 1, daily 2026-11-16: .* is no number that can be kept"):
        values.to_arrow([reading(1, MONDAY, number)])
