"""The demo company at the moments that are hard: midnight on a Monday, the 1st, mid-month, both clock changes."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
import yaml

from kpi_core.catalog import Catalog, parse_catalog
from kpi_core.demo import Demo

ZONE = "America/New_York"
FOLDER = Path(__file__).parent.parent.parent / "data" / "catalog"


def local(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(ZONE)).astimezone(UTC)


CLOCKS = {
    "Monday 00:05": local(2026, 11, 23, 0, 5),
    "the 1st": local(2026, 12, 1, 0, 5),
    "a Monday that is a 1st": local(2027, 2, 1, 0, 5),
    "mid-month": local(2026, 11, 18, 14, 30),
    "a Sunday evening": local(2026, 11, 22, 21, 0),
    "spring forward": local(2027, 3, 14, 12, 0),
    "fall back": local(2026, 11, 1, 12, 0),
    "New Year's Day": local(2027, 1, 1, 9, 0),
}
NOW = CLOCKS["mid-month"]


@lru_cache(maxsize=3)
def all_records(seed: int, now: datetime) -> dict[str, pa.Table]:
    demo = Demo.today(seed, ZONE, now)
    return dict(demo.records(demo.start, now))


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return parse_catalog({path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))})


@pytest.fixture
def demo() -> Demo:
    return Demo.today(7, ZONE, NOW)


@pytest.fixture
def records() -> dict[str, pa.Table]:
    return all_records(7, NOW)
