"""The demo itself: any window of its life as records, values entered by hand, targets, people.

`records(start, until)` gives what arrives in [start, until), so that two calls for neighbouring windows give exactly
what one call for both would: tomorrow's records never change yesterday's. Two datasets come from an agency that sends
its export on Mondays and leaves out everything since Thursday evening; they show what a board says about late data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from kpi_core.catalog import Catalog
from kpi_core.demo import finance, marketing, operations, sales
from kpi_core.demo.business import Business
from kpi_core.demo.calibrate import targets
from kpi_core.demo.company import COMPANY, PEOPLE, RIGHTS, UNCONNECTED, Person, Right
from kpi_core.demo.days import COUNTRY, Days
from kpi_core.demo.entered import Entered, entered
from kpi_core.demo.story import Story, beginning, story
from kpi_core.demo.tables import Table
from kpi_core.model import Target

__all__ = ["DATASETS", "LATE", "Demo", "generate"]

Maker = Callable[[Business, int, int], Table]

DATASETS: Mapping[str, Maker] = {
    "calls": sales.calls,
    "leads": sales.leads,
    "deals": sales.deals,
    "pipeline": sales.pipeline,
    "visits": marketing.visits,
    "ad_spend": marketing.ad_spend,
    "emails": marketing.emails,
    "social": marketing.social,
    "mentions": marketing.mentions,
    "content": marketing.content,
    "tickets": operations.tickets,
    "surveys": operations.surveys,
    "requests": operations.requests,
    "usage": operations.usage,
    "capacity": operations.capacity,
    "automation": operations.automation,
    "audits": operations.audits,
    "hours": operations.hours,
    "subscriptions": sales.subscriptions,
    "customer_base": sales.customer_base,
    "invoices": finance.invoices,
    "cash": finance.cash,
    "balances": finance.balances,
    "ledger": finance.ledger,
    "budgets": finance.budgets,
}

LATE = ("mentions", "content")
"""Delivered on Mondays, up to the evening of the Thursday before."""
THURSDAY, EVENING = 3, time(18)


@dataclass(frozen=True)
class Demo:
    """The demo company of one seed, whose first day is `start`: see `Demo.today` for one made now."""

    seed: int
    time_zone: str
    start: date

    @classmethod
    def today(cls, seed: int, time_zone: str, now: datetime) -> Demo:
        """A demo as it is made at `now`: 26 months back."""
        return cls(seed, time_zone, beginning(now.astimezone(ZoneInfo(time_zone)).date()))

    @property
    def company(self) -> Mapping[str, Any]:
        """The company's settings."""
        return {
            "name": COMPANY,
            "currency": "USD",
            "time_zone": self.time_zone,
            "country": COUNTRY,
            "week_start": 1,
            "fiscal_start_month": 1,
            "is_demo": True,
        }

    @property
    def people(self) -> tuple[Person, ...]:
        """A user for each role."""
        return PEOPLE

    @property
    def grants(self) -> tuple[Right, ...]:
        """Rights to single KPIs."""
        return RIGHTS

    @property
    def unconnected(self) -> Mapping[str, Any]:
        """A definition document to show, beside the catalog, what a KPI looks like before its data is connected."""
        return UNCONNECTED

    @cached_property
    def story(self) -> Story:
        """What happened, and when."""
        return story(self.seed, self.start)

    @cached_property
    def begins(self) -> datetime:
        """The first instant."""
        return datetime.combine(self.start, time(), ZoneInfo(self.time_zone)).astimezone(UTC)

    def records(self, start: date | datetime, until: date | datetime) -> Iterator[tuple[str, pa.Table]]:
        """What arrives in [start, until): a table for each dataset, maybe empty, in order of time."""
        low, high = max(self._instant(start), self.begins), self._instant(until)
        if low >= high:
            return
        business = Business(self.seed, Days(self.start, high, self.time_zone))
        for key, make in DATASETS.items():
            table = self._window(business, make, self.watermark(key, low), self.watermark(key, high))
            yield key, table.arrow()

    def watermark(self, dataset: str, now: datetime) -> datetime:
        """Up to when a dataset's records have arrived at `now`; records before it that are not there never were."""
        if dataset not in LATE:
            return now
        zone = ZoneInfo(self.time_zone)
        today = now.astimezone(zone).date()
        thursday = today - timedelta(days=today.weekday() + 7 - THURSDAY)
        return max(datetime.combine(thursday, EVENING, zone).astimezone(UTC), self.begins)

    def entered(self, start: date | datetime, until: date | datetime) -> Iterable[Entered]:
        """The values that people typed in during [start, until)."""
        return entered(self.seed, self.start, self.time_zone, self._instant(start), self._instant(until))

    def targets(
        self, catalog: Catalog, until: date | datetime, since: date | None = None
    ) -> Mapping[str, tuple[Target, ...]]:
        """The targets of each KPI, a new one each quarter, up to the quarter of `until`.

        Given `since`, only those of quarters that start after it.
        """
        return targets(self, catalog, self._instant(until), since)

    def _instant(self, moment: date | datetime) -> datetime:
        if isinstance(moment, datetime):
            return moment.astimezone(UTC)
        return datetime.combine(moment, time(), ZoneInfo(self.time_zone)).astimezone(UTC)

    def _window(self, business: Business, make: Maker, low: datetime, high: datetime) -> Table:
        days = business.days
        table = make(business, days.place_of(low), days.place_of(high) + 1)
        return table.between(_seconds(low), _seconds(high))


def _seconds(moment: datetime) -> int:
    """Whole seconds since 1970, rounded up: records lie on whole seconds, so none falls in between."""
    return -int(-moment.timestamp() // 1)


def generate(
    seed: int,
    start: date,
    until: date | datetime,
    time_zone: str = "UTC",
    on_progress: Callable[[float, str], None] | None = None,
) -> Iterator[tuple[str, pa.Table]]:
    """All records of the demo of that seed from its first day, `start`, up to `until`."""
    for number, (key, table) in enumerate(Demo(seed, time_zone, start).records(start, until), start=1):
        if on_progress:
            on_progress(number / len(DATASETS), key)
        yield key, table
