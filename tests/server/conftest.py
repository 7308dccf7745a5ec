"""A house in a folder of its own, at a moment that the test moves; and the people who ask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from kpi_core.access import SYSTEM
from kpi_core.server.definition_files import parse_texts
from kpi_core.server.passwords import Passwords
from kpi_core.server.settings import PREFIX, Settings
from kpi_core.server.wiring import House, build
from kpi_core.service.tracker import Entry

NOW = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)  # a Wednesday
PASSWORD = "correct horse battery"

DEFINITIONS = """
kpis:
  - {name: Calls, category: sales, tracking_period: daily, also_tracked: [weekly], kind: flow, target: {value: 50}}
  - {name: Cash, category: finance, tracking_period: daily, unit: currency, kind: stock}
  - {name: Margin, category: finance, tracking_period: monthly, unit: percentage, target: {value: 40}}
  - {name: Load, category: operations, tracking_period: weekly, unit: percentage, kind: stock, direction: in_range,
     target: {low: 70, high: 85}}
  - {name: Salaries, category: finance, tracking_period: daily, unit: currency, kind: flow, confidential: true}
"""


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, by: timedelta) -> None:
        self.now += by


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's own environment says must not decide a test."""
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def weak_passwords() -> Passwords:
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def house(settings: Settings, clock: Clock, weak_passwords: Passwords) -> Iterator[House]:
    """An empty house over a DuckDB file."""
    built = build(settings, clock=clock, passwords=weak_passwords)
    yield built
    built.close()


@pytest.fixture
def furnished(house: House) -> House:
    """Five KPIs, typed in, and three people: ada (admin), sam (sees sales), eve (sees nothing)."""
    tracker = house.tracker
    tracker.define(SYSTEM, parse_texts({"five.yaml": DEFINITIONS}))
    today = date(2026, 11, 25)
    days = [Entry(today - timedelta(days=n), Decimal(47 - n)) for n in range(10)]
    tracker.record(SYSTEM, "calls", days)
    tracker.record(SYSTEM, "cash", [Entry(today, Decimal("1234567890123456.123456789"))])
    tracker.record(SYSTEM, "margin", [Entry(date(2026, 10, 1), numerator=Decimal(1), denominator=Decimal(3))])
    tracker.record(SYSTEM, "salaries", [Entry(today, Decimal(99))])
    house.sessions.claim("ada", "Ada", PASSWORD)
    house.sessions.add_person("sam", "Sam", PASSWORD, roles=["viewer"], categories=["sales"])
    house.sessions.add_person("eve", "Eve", PASSWORD, roles=["viewer"])
    return house
