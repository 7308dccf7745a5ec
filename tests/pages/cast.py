"""A small company for the tests of screens: one KPI for each way in which a card can look, and people who may see them.

    the chief     sees everything
    the rep       sees sales only: other KPIs are locked cards, and the confidential one is not there

The clock stands on Wednesday 18 November 2026, 15:00 UTC. Values are typed in, so that every number is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from streamlit.testing.v1 import AppTest

from kpi_core.access import SYSTEM
from kpi_core.catalog import Catalog
from kpi_core.model import Actor, Category, Direction, Grain, Kind, Kpi, Target, Unit
from kpi_core.service.tracker import Entry, Tracker
from kpi_core.store import Store

NOW = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)
TODAY = date(2026, 11, 18)
PAGES = Path(__file__).parents[2] / "pages"
NAMES = ("overview", "daily", "weekly", "monthly", "custom", "kpi")
HOSTILE = "*Evil* [link](http://x.example) :red[x] <b>b</b> $a$ :smile: -> `c` #1"
CHIEF = Actor("chief", "The chief", frozenset({"ceo"}), frozenset({"kpis.view_all"}))
REP = Actor("rep", "The rep", frozenset({"sales_rep"}), frozenset({"kpis.sales.view"}))


def stock(key: str, category: Category, **more: object) -> Kpi:
    """A daily KPI whose open span compares directly with its target of 100."""
    name = str(more.pop("name", key.replace("_", " ").capitalize()))
    kpi = Kpi(key, name, category, Grain.DAILY, kind=Kind.STOCK, target=Target(value=Decimal(100), grain=Grain.DAILY))
    return replace(kpi, **more)  # type: ignore[arg-type]  # fields by name


KPIS = (
    stock("open_deals", Category.SALES),
    stock("pipeline", Category.SALES, unit=Unit.CURRENCY),
    stock("hostile", Category.SALES, name=HOSTILE),
    stock("leads", Category.MARKETING),
    stock("visits", Category.MARKETING, target=None),
    stock("silence", Category.OPERATIONS),
    stock("backlog", Category.OPERATIONS, direction=Direction.LOWER),
    stock("cash", Category.FINANCE, unit=Unit.CURRENCY, also_tracked=(Grain.WEEKLY,)),
    stock("salaries", Category.FINANCE, confidential=True),
    stock("morale", Category.CUSTOM, tracking_period=Grain.WEEKLY, target=Target(value=Decimal(8), grain=Grain.WEEKLY)),
)
LATEST: Mapping[str, tuple[str, str]] = {
    "open_deals": ("120", "115"),  # exceeds, up by 5
    "pipeline": ("1234567", "1234567"),  # exceeds by far, unchanged
    "hostile": ("85", "90"),  # on track
    "leads": ("70", "75"),  # needs attention
    "visits": ("50", "40"),  # no target
    "backlog": ("150", "140"),  # critical, and more is worse
    "cash": ("30", "40"),  # critical
    "salaries": ("99", "98"),
}
"""Each KPI's value of today and of yesterday; `silence` has none."""


def company(store: Store) -> Tracker:
    """The tracker over a company with the KPIs above."""
    tracker = Tracker(store, clock=lambda: NOW)
    tracker.define(SYSTEM, Catalog(KPIS))
    for key, (today, before) in LATEST.items():
        history = [Entry(TODAY - timedelta(days=ago), Decimal(before)) for ago in range(40, 0, -1)]
        tracker.record(SYSTEM, key, [*history, Entry(TODAY, Decimal(today))])
    tracker.record(SYSTEM, "morale", [Entry(date(2026, 11, 9), Decimal("7")), Entry(TODAY, Decimal("7.5"))])
    return tracker


SHELL = """
import streamlit as st

pages = [st.Page(f"{folder}/{{name}}.py", url_path=name, default=name == {first!r}) for name in {names!r}]
st.navigation(pages).run()
"""


def screen(page: str, /, **url: str) -> AppTest:
    """A page as the shell shows it, at an address. Not yet run."""
    at = AppTest.from_string(SHELL.replace("{folder}", str(PAGES)).format(first=page, names=NAMES), default_timeout=30)
    for name, value in url.items():
        at.query_params[name] = value
    return at
