"""Targets for the demo: set at the start of each quarter, so that every status occurs whatever the day.

A demo knows its own future. So each KPI has an attainment to aim at (exceeds at 1.1, on track at 0.9, critical at
0.4 ...), and its target for a quarter is what its records of that quarter will make of that, rounded as people round.
Whatever follows from the noise, the season or the story then shows as better or worse than usual. Targets that are
the same everywhere (an uptime of 99.9 %, a range for utilization) stay as the catalog has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import floor, isnan, log10
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from kpi_core import formula
from kpi_core.catalog import Catalog
from kpi_core.demo.business import Business
from kpi_core.demo.company import PEOPLE
from kpi_core.demo.days import Days
from kpi_core.demo.marketing import ad_budget
from kpi_core.demo.measure import Tables, over_spans
from kpi_core.demo.noise import Bools, Floats, Ints
from kpi_core.model import Calculation, Direction, Grain, Kpi, Target, Unit

if TYPE_CHECKING:
    from kpi_core.demo.generator import Demo

__all__ = ["AIMS", "UNTARGETED", "levels", "targets"]

AIMS: Mapping[str, float] = {
    # Sales
    "sales_calls": 0.93,
    "leads_generated": 1.06,
    "demos_scheduled": 0.95,
    "deals_closed": 0.97,
    "revenue_generated": 1.05,
    "pipeline_value": 1.08,
    "sales_conversion_rate": 0.96,
    "average_deal_size": 0.95,
    "sales_cycle_length": 0.90,
    "win_rate": 1.04,
    "new_customers": 0.93,
    "customer_acquisition_cost": 0.94,
    # Marketing
    "website_visitors": 0.98,
    "social_media_engagement": 1.10,
    "email_open_rate": 0.71,
    "content_published": 0.90,
    "lead_quality_score": 0.95,
    "marketing_qualified_leads": 0.90,
    "cost_per_lead": 0.86,
    "campaign_performance": 1.12,
    "brand_mentions": 0.95,
    "marketing_roi": 0.97,
    "customer_lifetime_value": 1.06,
    "ltv_cac_ratio": 0.93,
    "marketing_conversion_rate": 0.42,
    # Operations
    "tickets_resolved": 1.03,
    "average_response_time": 0.50,
    "active_users": 0.96,
    "error_rate": 1.12,
    "customer_satisfaction": 0.92,
    "first_contact_resolution": 0.71,
    "quality_score": 1.03,
    "net_promoter_score": 0.94,
    "employee_productivity": 0.94,
    "operational_costs": 0.97,
    # Finance
    "cash_balance": 0.95,
    "daily_revenue": 0.95,
    "daily_expenses": 0.95,
    "accounts_receivable": 0.42,
    "burn_rate": 0.90,
    "payment_collection_rate": 0.76,
    "profit_margin": 1.05,
    "monthly_recurring_revenue": 0.97,
    "gross_margin": 0.95,
    "operating_expenses": 0.93,
    "ebitda": 0.90,
    # Custom
    "churn_rate": 0.40,
    "team_productivity": 0.95,
}
"""The attainment that a KPI has on an ordinary day."""

UNTARGETED = ("process_efficiency",)
"""Nobody has agreed on a target yet."""

SETTERS = {person.role: person.username for person in PEOPLE}
AHEAD = timedelta(days=10)
"""How long before a quarter its targets are set."""


def targets(demo: Demo, catalog: Catalog, until: datetime, since: date | None = None) -> dict[str, tuple[Target, ...]]:
    """By KPI, the targets of each quarter that holds a day of the demo up to `until`, and starts after `since`."""
    last = _quarter(until.astimezone(ZoneInfo(demo.time_zone)).date())
    quarters = [quarter for quarter in _quarters(_quarter(demo.start), last) if since is None or quarter > since]
    if not quarters:
        return {}
    end = datetime.combine(_next(quarters[-1]) + timedelta(days=8), time(), UTC)
    business = Business(demo.seed, Days(demo.start, end, demo.time_zone))
    known = levels(business, catalog, quarters)
    made: dict[str, tuple[Target, ...]] = {key: (_none(quarters[0]),) for key in UNTARGETED if since is None}
    made["ad_spend"] = tuple(_of_budget(business, quarter) for quarter in quarters)
    made["strategic_goal_progress"] = tuple(target for quarter in quarters for target in _of_programme(quarter))
    for kpi in catalog.kpis:
        if kpi.key in AIMS:
            grains = kpi.grains
            made[kpi.key] = tuple(
                _target(business, kpi, grain, quarter, level)
                for grain in grains
                for quarter, level in zip(quarters, known[kpi.key, grain], strict=True)
                if not isnan(level)
            )
    return made


def levels(business: Business, catalog: Catalog, quarters: list[date]) -> dict[tuple[str, Grain], list[float]]:
    """What each KPI that has an aim usually comes to in each quarter: the median over its spans."""
    tables = _tables(business, quarters[0], _next(quarters[-1]) + timedelta(days=7))
    by_key = {kpi.key: kpi for kpi in catalog.kpis}
    found: dict[tuple[str, Grain], list[float]] = {}
    for key in AIMS:
        for grain in by_key[key].grains:
            starts, edges = _spans(business.days, grain, quarters)
            values = _values(by_key[key], by_key, tables, edges)
            if grain is Grain.DAILY:
                values = np.where(_active(business.days, by_key[key], starts), values, np.nan)
            found[key, grain] = [
                _median(values[(starts >= quarter.toordinal()) & (starts < _next(quarter).toordinal())])
                for quarter in quarters
            ]
    return found


def _values(kpi: Kpi, by_key: Mapping[str, Kpi], tables: Tables, edges: Ints) -> Floats:
    if kpi.measure:
        return over_spans(kpi.measure, tables, edges)
    parsed = formula.parse(kpi.formula or "")
    inputs = {name: _values(by_key[name], by_key, tables, edges) for name in parsed.names - set(kpi.inputs)}
    inputs |= {name: over_spans(measure, tables, edges) for name, measure in kpi.inputs.items()}
    return np.array([_evaluated(parsed, inputs, number) for number in range(len(edges) - 1)], dtype=np.float64)


def _evaluated(parsed: formula.Formula, inputs: Mapping[str, Floats], number: int) -> float:
    def lookup(name: str, offset: int) -> Decimal | None:
        value = float(inputs[name][number - offset]) if number >= offset else float("nan")
        return None if isnan(value) else Decimal(repr(value))

    value = formula.evaluate(parsed, lookup).value
    return float("nan") if value is None else float(value)


def _tables(business: Business, start: date, end: date) -> Tables:
    from kpi_core.demo.generator import DATASETS  # noqa: PLC0415 - the generator needs this module too

    days = business.days
    first, last = max(days.place(start), 0), min(days.place(end), len(days))
    low, high = int(days.midnight[first]), int(days.midnight[last])
    since = {key: 0 if key in _STOCKS else low for key in DATASETS}
    return {key: make(business, first - 1, last).between(since[key], high) for key, make in DATASETS.items()}


_STOCKS = ("customer_base", "balances", "pipeline")
"""Their last record before the first span is asked for."""


def _spans(days: Days, grain: Grain, quarters: list[date]) -> tuple[Ints, Ints]:
    """The first days (ordinals) of the spans that start in the quarters, and their edges in seconds."""
    first, last = quarters[0].toordinal(), _next(quarters[-1]).toordinal()
    ordinals = days.ordinal[max(first - int(days.ordinal[0]), 0) : last - int(days.ordinal[0]) + 8]
    place = ordinals - int(days.ordinal[0])
    if grain is Grain.WEEKLY:
        place = place[days.weekday[place] == 0]
    elif grain is Grain.MONTHLY:
        place = place[np.diff(days.month[place], prepend=-1) != 0]
    place = place[: np.searchsorted(days.ordinal[place], last) + 1]
    return days.ordinal[place[:-1]], days.midnight[place]


def _active(days: Days, kpi: Kpi, starts: Ints) -> Bools:
    place = starts - int(days.ordinal[0])
    weekdays = np.isin(days.weekday[place] + 1, sorted(kpi.active_days.weekdays))
    return weekdays & days.working[place] if kpi.active_days.without_holidays else weekdays


def _median(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _target(business: Business, kpi: Kpi, grain: Grain, quarter: date, level: float) -> Target:
    """The target at which `level` has the attainment that is aimed at, give or take a little."""
    nudge = business.noise.uniform(f"target/{kpi.key}", np.array([quarter.toordinal()]))[0] - 0.5
    aim = AIMS[kpi.key] + 0.02 * float(nudge)
    scale = kpi.target.scale if kpi.target else None
    gap = 1 - aim if kpi.direction is Direction.HIGHER else aim - 1
    wanted = level / (1 - gap) if scale is None else level + gap * float(scale)
    return Target(
        value=_rounded(wanted, kpi),
        scale=scale,
        grain=grain,
        period_start=quarter,
        period_end=_next(quarter) - timedelta(days=1),
        set_by=SETTERS.get(kpi.owner_role or "", "carlos"),
        notes=f"Plan for Q{(quarter.month + 2) // 3} {quarter.year}",
        created_at=_set_at(quarter),
    )


def _rounded(value: float, kpi: Kpi) -> Decimal:
    """As people write targets: whole pieces, minutes, and no more digits than anybody would remember."""
    if value == 0:
        return Decimal(0)
    if kpi.unit is Unit.TIME:
        step = 60.0 if value < 7_200 else 900.0 if value < 172_800 else 43_200.0
    elif kpi.calculation in (Calculation.COUNT, Calculation.DISTINCT) and 4 <= value < 200:
        step = 1.0
    else:
        step = 5.0 * 10.0 ** (floor(log10(abs(value))) - 2)
    return Decimal(repr(round(round(value / step) * step, 6))).normalize() + 0


def _of_budget(business: Business, quarter: date) -> Target:
    budget = Decimal(round(float(ad_budget(business)[max(business.days.place(quarter), 0)])))
    return Target(
        low=budget * Decimal("0.8"),
        high=budget * Decimal("1.05"),
        grain=Grain.DAILY,
        period_start=quarter,
        period_end=_next(quarter) - timedelta(days=1),
        set_by=SETTERS["marketing_manager"],
        notes=f"80 to 105 % of a budget of {budget:,} a day",
        created_at=_set_at(quarter),
    )


def _of_programme(quarter: date) -> Iterator[Target]:
    """A programme of a year is to be at 9 % after January, and at 97 % after December."""
    for month in range(quarter.month, quarter.month + 3):
        yield Target(
            value=Decimal(8 * month + 1),
            grain=Grain.MONTHLY,
            period_start=quarter.replace(month=month),
            period_end=quarter.replace(month=month, day=28),
            set_by=SETTERS["ceo"],
            notes=f"Programme of {quarter.year}",
            created_at=_set_at(quarter),
        )


def _none(quarter: date) -> Target:
    return Target(period_start=quarter, set_by="olga", notes="No target agreed yet", created_at=_set_at(quarter))


def _set_at(quarter: date) -> datetime:
    return datetime.combine(quarter - AHEAD, time(9), UTC)


def _quarter(day: date) -> date:
    return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)


def _next(quarter: date) -> date:
    return _quarter(quarter + timedelta(days=100))


def _quarters(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first = _next(first)
