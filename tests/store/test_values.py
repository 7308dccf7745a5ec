"""Values are append-only, and a window gives the version current at a moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from kpi_core.model import Grain, Reading, Span, Status
from kpi_core.store import Store, values

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 10, 8, 0, tzinfo=UTC)


def day(on: date) -> Span:
    return Span(Grain.DAILY, on, on + timedelta(days=1))


def reading(kpi_id: int, on: date, value: str | None, **more: object) -> Reading:
    return Reading(kpi_id, day(on), Decimal(value) if value is not None else None, **more)  # type: ignore[arg-type]


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


def _versions(connection: object) -> list[Reading]:
    return values.versions(connection, 1, day(MONDAY))  # type: ignore[arg-type]
