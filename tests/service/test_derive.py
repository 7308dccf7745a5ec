"""Derived KPIs over records: parts are compared with parts, wholes with wholes, and nothing with what is incomplete."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from kpi_core.access import SYSTEM
from kpi_core.catalog import parse_catalog
from kpi_core.model import Grain, Reading, Span
from kpi_core.service.tracker import Entry, Tracker
from kpi_core.store.values import versions
from kpi_core.warehouse import load_arrow
from tests.service.conftest import Clock

ORDERS = {"key": "orders", "name": "Orders", "time_column": "at", "columns": {"amount": "number"}}
SALES = {
    "name": "Sales",
    "category": "sales",
    "tracking_period": "monthly",
    "calculation_method": "sum",
    "dataset": "orders",
    "column": "amount",
    "bounds": {"low": 0},
}
NOVEMBER, OCTOBER, SEPTEMBER, AUGUST = (date(2026, month, 1) for month in (11, 10, 9, 8))


def derived(name: str, formula: str) -> dict[str, object]:
    return {"name": name, "category": "sales", "tracking_period": "monthly", "formula": formula}


def define(tracker: Tracker, *kpis: dict[str, object]) -> None:
    tracker.define(SYSTEM, parse_catalog({"orders.yaml": {"datasets": [ORDERS], "kpis": [SALES, *kpis]}}))


def sell(tracker: Tracker, first: date, days: int) -> None:
    """100 a day, at noon."""
    times = [datetime(first.year, first.month, first.day, 12, tzinfo=UTC) + timedelta(days=n) for n in range(days)]
    amounts = pa.array([Decimal(100)] * days, pa.decimal128(18, 6))
    rows = pa.table({"at": pa.array(times, pa.timestamp("us", tz="UTC")), "amount": amounts})
    dataset = tracker.datasets(SYSTEM)["orders"]
    with tracker.store.write() as connection:
        load_arrow(connection, tracker.store, dataset, rows, tracker.company(SYSTEM))


def reading(tracker: Tracker, key: str, month: date) -> Reading:
    found = tracker.history(SYSTEM, key, Grain.MONTHLY, month, month).points[0].reading
    assert found is not None
    return found


@pytest.fixture
def shop(tracker: Tracker) -> Tracker:
    """100 a day from 20 July to 24 November, 14:30 (its half of July is incomplete)."""
    define(
        tracker,
        derived("Growth", "100 * (sales / prev(sales) - 1)"),
        derived("Over Two Months", "100 * (sales / prev(sales, 2) - 1)"),
        derived("Doubled", "sales * 2"),
        derived("Doubled Growth", "100 * (doubled / prev(doubled) - 1)"),
        derived("Usual", "mean(sales, 3)"),
        derived("Against Usual", "sales / mean(sales, 3)"),
    )
    sell(tracker, date(2026, 7, 20), 128)
    tracker.recalculate(SYSTEM)
    return tracker


def test_an_open_month_grows_against_the_same_days_of_the_month_before(shop: Tracker) -> None:
    assert reading(shop, "growth", NOVEMBER).value == 0


def test_an_open_month_is_never_held_against_a_whole_one(shop: Tracker) -> None:
    assert reading(shop, "over_two_months", OCTOBER).value == 0
    for key in ("over_two_months", "doubled_growth", "against_usual"):
        assert reading(shop, key, NOVEMBER).value is None, key
    assert reading(shop, "over_two_months", NOVEMBER).reason == "the same part of September 2026 is not known: sales"


def test_a_mean_alone_is_that_of_the_closed_months(shop: Tracker) -> None:
    assert reading(shop, "usual", NOVEMBER).value == reading(shop, "usual", OCTOBER).value
    assert reading(shop, "usual", NOVEMBER).value == Decimal("3066.666666667")


@pytest.mark.parametrize(("key", "month"), [("growth", AUGUST), ("over_two_months", SEPTEMBER), ("usual", SEPTEMBER)])
def test_nothing_is_made_of_an_earlier_month_that_is_incomplete(shop: Tracker, key: str, month: date) -> None:
    found = reading(shop, key, month)
    assert (found.value, found.reason) == (None, "sales is incomplete in July 2026 (12 of 31 days)")


def test_a_value_typed_in_is_complete_while_its_month_is_open(tracker: Tracker) -> None:
    payroll = {"name": "Payroll", "category": "sales", "tracking_period": "monthly", "calculation_method": "manual"}
    define(tracker, payroll, derived("Rise", "payroll - prev(payroll)"), derived("Typical", "mean(payroll, 2)"))
    tracker.record(SYSTEM, "payroll", [Entry(OCTOBER, Decimal(100)), Entry(NOVEMBER, Decimal(110))])
    assert (reading(tracker, "rise", NOVEMBER).value, reading(tracker, "typical", NOVEMBER).value) == (10, 105)


def test_a_changed_formula_is_followed_by_the_next_recalculation(shop: Tracker) -> None:
    define(shop, derived("Doubled", "sales * 3"))
    shop.recalculate(SYSTEM)
    assert reading(shop, "doubled", OCTOBER).value == 9300
    with shop.store.read() as connection:
        before = versions(connection, shop.kpi(SYSTEM, "doubled").kpi.id, Span(Grain.MONTHLY, OCTOBER, NOVEMBER))
    shop.recalculate(SYSTEM)
    assert len(before) == 2


def test_a_month_that_closed_is_derived_as_closed_though_nothing_came_in(shop: Tracker, clock: Clock) -> None:
    sell(shop, date(2026, 11, 25), 6)
    clock.now = datetime(2026, 11, 30, 20, tzinfo=UTC)
    shop.recalculate(SYSTEM)
    assert reading(shop, "over_two_months", NOVEMBER).value is None
    clock.now = datetime(2026, 12, 1, 8, tzinfo=UTC)
    shop.recalculate(SYSTEM)
    assert reading(shop, "over_two_months", NOVEMBER).value == 0
