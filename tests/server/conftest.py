"""A house in a folder of its own, at a moment that the test moves; and the people who ask."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from kpi_core.access import SYSTEM
from kpi_core.server import log
from kpi_core.server.definition_files import parse_texts
from kpi_core.server.passwords import Passwords
from kpi_core.server.settings import PREFIX, Settings
from kpi_core.server.wiring import House, build
from kpi_core.service.tracker import Entry

NOW = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)  # a Wednesday
PASSWORD = "correct horse battery"

DEFINITIONS = """
kpis:
  - {name: Calls, description: '<b>"Jörg" & Co</b> – 50 %', category: sales, tracking_period: daily,
     also_tracked: [weekly], kind: flow, target: {value: 50}}
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


@pytest.fixture(autouse=True, scope="session")
def logs_as_in_the_product(tmp_path_factory: pytest.TempPathFactory) -> None:
    log.configure(Settings(data_dir=tmp_path_factory.mktemp("logs")))


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


@pytest.fixture(scope="session")
def furnished_folder(tmp_path_factory: pytest.TempPathFactory, weak_passwords: Passwords) -> Path:
    """The data folder of a furnished house, made once; each test gets a copy."""
    folder = tmp_path_factory.mktemp("furnished")
    house = build(Settings(data_dir=folder), clock=Clock(), passwords=weak_passwords)
    tracker = house.tracker
    tracker.define(SYSTEM, parse_texts({"five.yaml": DEFINITIONS}))
    today = date(2026, 11, 25)
    tracker.record(SYSTEM, "calls", [Entry(today - timedelta(days=n), Decimal(47 - n)) for n in range(10)])
    tracker.record(SYSTEM, "cash", [Entry(today, Decimal("1234567890123456.123456789"))])
    tracker.record(SYSTEM, "margin", [Entry(date(2026, 10, 1), numerator=Decimal(1), denominator=Decimal(3))])
    tracker.record(SYSTEM, "salaries", [Entry(today, Decimal(99))])
    house.sessions.claim("ada", "Ada", PASSWORD)
    house.sessions.add_person("sam", "Sam", PASSWORD, roles=["viewer"], categories=["sales"])
    house.sessions.add_person("eve", "Eve", PASSWORD, roles=["viewer"])
    house.close()
    return folder


@pytest.fixture
def furnished(furnished_folder: Path, settings: Settings, clock: Clock, weak_passwords: Passwords) -> Iterator[House]:
    """Five KPIs, typed in, and three people: ada (admin), sam (sees sales), eve (sees nothing)."""
    shutil.copytree(furnished_folder, settings.data_dir)
    built = build(settings, clock=clock, passwords=weak_passwords)
    yield built
    built.close()


class AsgiClient:
    """Asks an ASGI application as a program would. Cookies are what the test says, nothing is kept between calls."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._request(method, path, options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    async def _request(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **options)
