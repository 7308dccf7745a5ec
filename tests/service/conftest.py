"""The cast and a small company: a sales manager, a finance manager, a stranger; three KPIs entered by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from kpi_core.access import SYSTEM, permissions_of
from kpi_core.catalog import Catalog, parse_catalog
from kpi_core.model import Actor
from kpi_core.service.tracker import Tracker
from kpi_core.store import Store

TUESDAY = datetime(2026, 11, 24, 14, 30, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is told to move."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def actor(name: str, *roles: str, **more: object) -> Actor:
    return Actor(name, name.title(), frozenset(roles), permissions_of(roles), **more)


@pytest.fixture
def clock() -> Clock:
    return Clock(TUESDAY)


@pytest.fixture
def tracker(store: Store, clock: Clock) -> Tracker:
    """A tracker over an empty store, on DuckDB and on PostgreSQL."""
    return Tracker(store, clock=clock)


DEFINITIONS = {
    "kpis": [
        {
            "name": "Calls",
            "category": "sales",
            "tracking_period": "daily",
            "calculation_method": "manual",
            "kind": "flow",
            "bounds": {"low": 0},
            "active_days": {"weekdays": ["mon", "tue", "wed", "thu", "fri"]},
            "target": {"value": 50},
        },
        {
            "name": "Close Rate",
            "category": "sales",
            "tracking_period": "daily",
            "calculation_method": "manual",
            "kind": "ratio",
            "unit": "percentage",
            "factor": 100,
            "target": {"value": 40},
        },
        {
            "name": "Cash",
            "category": "finance",
            "tracking_period": "daily",
            "calculation_method": "manual",
            "kind": "stock",
            "unit": "currency",
            "target": {"value": 1000},
        },
        {
            "name": "Payroll",
            "category": "finance",
            "tracking_period": "monthly",
            "calculation_method": "manual",
            "kind": "flow",
            "unit": "currency",
            "direction": "lower_is_better",
            "confidential": True,
        },
        {
            "name": "Calls Growth",
            "category": "sales",
            "tracking_period": "daily",
            "unit": "percentage",
            "formula": "100 * (calls / prev(calls) - 1)",
        },
    ]
}


@pytest.fixture
def company(tracker: Tracker) -> Tracker:
    """The tracker, with five KPIs defined."""
    tracker.define(SYSTEM, parse_catalog({"company.yaml": DEFINITIONS}))
    return tracker


@pytest.fixture
def manager() -> Actor:
    return actor("sam", "sales_manager")


@pytest.fixture
def stranger() -> Actor:
    return actor("vera", "viewer")


@pytest.fixture
def ceo() -> Actor:
    return actor("carla", "ceo")


def number(value: object) -> Decimal:
    return Decimal(str(value))


__all__ = ["Catalog", "Clock", "actor", "number"]
