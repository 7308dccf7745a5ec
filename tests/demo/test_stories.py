"""What happened to the company can be read in its raw records; and the records agree with one another."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from kpi_core.demo import Demo, Story, story
from tests.demo.conftest import CLOCKS, NOW, ZONE, all_records

Tables = dict[str, pa.Table]


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(ZONE))


def during(table: pa.Table, start: date, end: date, **equal: str | bool) -> pa.Table:
    rows = pc.and_(pc.greater_equal(table["at"], midnight(start)), pc.less(table["at"], midnight(end)))
    for column, value in equal.items():
        rows = pc.and_(rows, pc.equal(table[column], value))
    return table.filter(rows)


def total(table: pa.Table, column: str) -> Decimal:
    return pc.sum(table[column]).as_py() or Decimal(0)


def balance(table: pa.Table, at: datetime, column: str, **equal: str) -> Decimal:
    """The last snapshot before an instant, summed over what it is split by."""
    for name, value in equal.items():
        table = table.filter(pc.equal(table[name], value))
    before = table.filter(pc.less(table["at"], at))
    return total(before.filter(pc.equal(before["at"], pc.max(before["at"]))), column)


@pytest.fixture(params=[7, 8], ids=["seed 7", "seed 8"])
def told(request: pytest.FixtureRequest) -> tuple[Tables, Story]:
    return all_records(request.param, NOW), Demo.today(request.param, ZONE, NOW).story


def test_the_outage_stands_in_uptime_errors_and_tickets(told: tuple[Tables, Story]) -> None:
    tables, happened = told
    day, after = happened.outage, happened.outage + timedelta(days=1)
    week_before = day - timedelta(days=7)
    health, usual = (
        during(tables["requests"], day, after),
        during(tables["requests"], week_before, after - timedelta(7)),
    )
    lost = total(health, "minutes") - total(health, "minutes_up")
    assert 500 < lost < 700
    assert total(usual, "minutes") - total(usual, "minutes_up") < 30
    assert total(health, "errors") > 20 * total(usual, "errors")
    opened = during(tables["tickets"], day, after, event="opened").num_rows
    assert opened > 2 * during(tables["tickets"], week_before, after - timedelta(7), event="opened").num_rows


def test_the_month_of_churn_lost_more_than_twice_as_many_customers(told: tuple[Tables, Story]) -> None:
    tables, happened = told
    month = happened.churn_month
    after = (month + timedelta(days=32)).replace(day=1)
    lost = during(tables["subscriptions"], month, after, event="cancelled").num_rows
    before = during(
        tables["subscriptions"], (month - timedelta(days=1)).replace(day=1), month, event="cancelled"
    ).num_rows
    assert lost > 2.2 * before


def test_in_the_missed_week_two_of_five_invoices_are_missing_and_come_two_weeks_later(
    told: tuple[Tables, Story],
) -> None:
    tables, happened = told
    weeks = [happened.missed_week + timedelta(weeks=count) for count in (-1, 0, 1, 2)]
    sums = [total(during(tables["invoices"], week, week + timedelta(7), event="issued"), "amount") for week in weeks]
    assert sums[1] < Decimal("0.75") * sums[0]
    assert sums[3] > Decimal("1.25") * sums[0]


def test_the_campaign_cost_more_and_brought_more(told: tuple[Tables, Story]) -> None:
    tables, happened = told
    start, end = happened.campaign_start, happened.campaign_end
    earlier = start - (end - start)
    assert total(during(tables["ad_spend"], start, end), "amount") > Decimal("1.3") * total(
        during(tables["ad_spend"], earlier, start), "amount"
    )
    created = during(tables["leads"], start, end, event="created").num_rows
    assert created > 1.3 * during(tables["leads"], earlier, start, event="created").num_rows
    won = during(tables["deals"], start, end + timedelta(days=40), campaign="Quiet Season", outcome="won")
    cost = during(tables["ad_spend"], start, end, campaign="Quiet Season")
    assert total(won, "amount") > 2 * total(cost, "amount")


def test_another_seed_puts_the_stories_elsewhere(demo: Demo) -> None:
    stories = {story(seed, demo.start) for seed in range(20)}
    assert len({told.outage for told in stories}) > 5
    assert len({told.churn_month for told in stories}) > 2
    assert len({told.missed_week for told in stories}) > 4
    assert len({told.campaign_start for told in stories}) > 8


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_stories_are_over_and_recent_enough_to_be_seen(clock: datetime) -> None:
    today = clock.astimezone(ZoneInfo(ZONE)).date()
    for seed in range(50):
        happened = Demo.today(seed, ZONE, clock).story
        assert timedelta(0) < today - happened.outage < timedelta(days=60)
        assert timedelta(weeks=4) < today - happened.missed_week < timedelta(weeks=22)
        assert (happened.churn_month + timedelta(days=32)).replace(day=1) < today
        assert today - happened.churn_month < timedelta(days=260)
        assert happened.campaign_end < today
        assert str(happened).count(".") == 4


# One company, one truth


def test_whoever_signs_a_first_contract_becomes_a_customer(records: Tables) -> None:
    signed = records["deals"].filter(
        pc.and_(records["deals"]["first_contract"], pc.equal(records["deals"]["outcome"], "won"))
    )
    started = records["subscriptions"].filter(pc.equal(records["subscriptions"]["event"], "started"))
    assert sorted(signed["customer"].to_pylist()) == sorted(started["customer"].to_pylist())
    assert total(signed, "amount") == 12 * total(started, "mrr_change")


def test_customers_at_the_end_are_those_at_the_start_and_the_new_less_the_lost(records: Tables, demo: Demo) -> None:
    start, end = date(2025, 3, 1), date(2026, 3, 1)
    events = records["subscriptions"]
    new, lost = (during(events, start, end, event=event).num_rows for event in ("started", "cancelled"))
    base = records["customer_base"]
    assert balance(base, midnight(end), "customers") == balance(base, midnight(start), "customers") + new - lost
    more = total(during(events, start, end), "mrr_change")
    assert balance(base, midnight(end), "mrr") == balance(base, midnight(start), "mrr") + more


def test_receivables_grow_by_what_is_invoiced_and_shrink_by_what_is_paid(records: Tables) -> None:
    start, end = date(2025, 6, 1), date(2026, 7, 1)
    issued, paid = (
        total(during(records["invoices"], start, end, event=event), "amount") for event in ("issued", "paid")
    )
    owed = [balance(records["balances"], midnight(day), "amount", kind="receivable") for day in (start, end)]
    assert owed[1] == owed[0] + issued - paid


def test_cash_moves_by_what_comes_in_and_goes_out(records: Tables) -> None:
    start, end = date(2025, 6, 1), date(2026, 7, 1)
    came, went = (total(during(records["cash"], start, end, direction=way), "amount") for way in ("in", "out"))
    held = [balance(records["balances"], midnight(day), "amount", kind="cash") for day in (start, end)]
    assert held[1] == held[0] + came - went
    assert held[1] > 1_000_000


def test_what_advertising_cost_is_what_the_ledger_says(records: Tables) -> None:
    start, end = date(2026, 1, 1), date(2026, 4, 1)
    assert total(during(records["ad_spend"], start, end), "amount") == total(
        during(records["ledger"], start, end, line="advertising"), "amount"
    )


def test_what_customers_paid_is_what_came_in(records: Tables) -> None:
    start, end = date(2025, 1, 1), date(2026, 1, 1)
    paid = total(during(records["invoices"], start, end, event="paid"), "amount")
    assert paid == total(during(records["cash"], start, end, direction="in"), "amount")


def test_person_months_add_up_to_the_average_headcount(records: Tables) -> None:
    month = during(records["hours"], date(2026, 3, 1), date(2026, 4, 1))
    people = pc.count_distinct(month["person"]).as_py()
    assert people - 3 <= total(month, "person_months") <= people


def test_nothing_is_collected_beyond_what_was_due(records: Tables) -> None:
    week = during(records["invoices"], date(2026, 3, 2), date(2026, 3, 9))
    due = total(week.filter(pc.equal(week["event"], "due")), "amount")
    assert Decimal("0.6") * due < total(week, "collected") < due


def test_offices_are_closed_at_weekends_and_on_public_holidays(records: Tables) -> None:
    christmas = during(records["calls"], date(2025, 12, 25), date(2025, 12, 26))
    sunday = during(records["calls"], date(2026, 3, 8), date(2026, 3, 9))
    assert christmas.num_rows == sunday.num_rows == 0
    assert during(records["tickets"], date(2026, 3, 8), date(2026, 3, 9)).num_rows > 10


def test_the_company_grows(records: Tables) -> None:
    years = [(date(2024, 10, 1), date(2025, 10, 1)), (date(2025, 10, 1), date(2026, 10, 1))]
    first, second = (total(during(records["invoices"], *year, event="issued"), "amount") for year in years)
    assert Decimal("1.15") * first < second < Decimal("1.6") * first
