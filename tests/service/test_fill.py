"""What a span without an entered value means: unknown, 0, or the value before it (SEMANTICS.md, section 4)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from kpi_core.access import SYSTEM
from kpi_core.catalog import parse_catalog
from kpi_core.model import Grain
from kpi_core.service.tracker import Entry, Tracker
from tests.service.conftest import Clock

JULY, AUGUST, SEPTEMBER, OCTOBER, NOVEMBER = (date(2026, month, 1) for month in (7, 8, 9, 10, 11))


def entered(key: str, grain: str, kind: str, **more: object) -> dict[str, object]:
    return {
        "key": key, "name": key.title(), "category": "custom", "tracking_period": grain, "kind": kind,
        "calculation_method": "manual", **more,
    }  # fmt: skip


@pytest.fixture
def tracker(tracker: Tracker) -> Tracker:
    kpis = [
        entered("progress", "monthly", "stock", missing="carry_forward"),
        entered("accidents", "monthly", "flow", missing="zero"),
        entered("audits", "monthly", "flow"),
        entered("visits", "daily", "flow", missing="zero", also_tracked=["monthly"]),
        {"name": "Step", "category": "custom", "tracking_period": "monthly", "formula": "progress - prev(progress)"},
    ]
    tracker.define(SYSTEM, parse_catalog({"company.yaml": {"kpis": kpis}}))
    return tracker


def values(tracker: Tracker, key: str, first: date = JULY) -> list[Decimal | None]:
    points = tracker.history(SYSTEM, key, Grain.MONTHLY, first, NOVEMBER).points
    return [point.reading.value if point.reading else None for point in points]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("progress", [None, 60, 60, 60, None]),
        ("accidents", [None, 60, 0, 0, None]),
        ("audits", [None, 60, None, None, None]),
    ],
)
def test_closed_spans_after_the_first_value_are_filled_as_the_definition_says(
    tracker: Tracker, key: str, expected: list[int | None]
) -> None:
    tracker.record(SYSTEM, key, [Entry(AUGUST, Decimal(60))])
    assert values(tracker, key) == expected


def test_a_correction_is_carried_on_up_to_the_next_value(tracker: Tracker) -> None:
    tracker.record(SYSTEM, "progress", [Entry(JULY, Decimal(50)), Entry(OCTOBER, Decimal(70))])
    assert values(tracker, "progress") == [50, 50, 50, 70, None]
    tracker.record(SYSTEM, "progress", [Entry(AUGUST, Decimal(55))])
    assert values(tracker, "progress") == [50, 55, 55, 70, None]
    assert values(tracker, "step") == [None, 5, 0, 15, None]


def test_a_span_is_filled_when_it_closes_and_known_from_then(tracker: Tracker, clock: Clock) -> None:
    tracker.record(SYSTEM, "progress", [Entry(OCTOBER, Decimal(70))])
    tracker.recalculate(SYSTEM)
    clock.now = datetime(2026, 12, 1, 8, tzinfo=UTC)
    tracker.recalculate(SYSTEM)
    assert values(tracker, "progress")[-1] == 70
    before = tracker.history(SYSTEM, "progress", Grain.MONTHLY, NOVEMBER, NOVEMBER, datetime(2026, 11, 30, tzinfo=UTC))
    assert before.points[0].reading is None


def test_a_month_of_days_that_mean_0_is_complete(tracker: Tracker, clock: Clock) -> None:
    clock.now = datetime(2026, 10, 5, 12, tzinfo=UTC)
    tracker.record(SYSTEM, "visits", [Entry(date(2026, 10, 1), Decimal(3))])
    clock.now = datetime(2026, 11, 2, 12, tzinfo=UTC)
    tracker.recalculate(SYSTEM)
    october = tracker.history(SYSTEM, "visits", Grain.MONTHLY, OCTOBER, OCTOBER).points[0].reading
    assert october is not None
    assert (october.value, october.have_days, october.of_days) == (3, 31, 31)
