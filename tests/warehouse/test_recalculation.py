"""Only what changed is done again, and the outcome is the same as doing all of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count as counting
from typing import Any

import pytest
import sqlalchemy as sa

from kpi_core.model import ActiveDays, Aggregate, Company, Comparison, Condition, Grain, Kind, Kpi, Op, Term
from kpi_core.store import Store, drop_store, open_store
from kpi_core.store.schema import kpi_values
from kpi_core.warehouse import tables
from tests.warehouse.house import (
    EVENTS,
    KEYED,
    NOW,
    Row,
    at,
    calculate,
    count,
    kpi,
    last,
    load,
    reading,
    row,
    set_up,
    total,
    value,
)


def _readings(store: Store) -> int:
    with store.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(kpi_values)).scalar_one()


def _current(store: Store) -> list[tuple[Any, ...]]:
    """What every reading says now, whenever it was recorded."""
    with store.read() as connection:
        rows = connection.execute(sa.select(kpi_values).order_by(kpi_values.c.recorded_at, kpi_values.c.id)).mappings()
        current = {(each["kpi_id"], each["period_type"], each["period_date"]): each for each in rows}
    said = ("value", "numerator", "denominator", "reason", "have_days", "of_days", "through", "elapsed", "prior")
    return sorted((*place, *(str(each[name]) for name in (*said, "prior_note"))) for place, each in current.items())


def test_a_second_run_appends_nothing(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-02"), row("2026-11-20")])
    first = calculate(store, [kpi(1, count())])
    second = calculate(store, [kpi(1, count())])
    assert first.readings == 19 + 3 + 1
    assert (second.readings, second.days) == (0, ())


def test_late_data_touches_just_its_day_and_the_spans_that_hold_it(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-10-01"), row("2026-11-20")])
    calculate(store, [kpi(1, count())])
    load(store, [row("2026-11-03")])
    done = calculate(store, [kpi(1, count())], now=NOW + timedelta(hours=1))
    assert done.days == (date(2026, 11, 3),)
    assert done.readings == 3
    assert value(store, 1, Grain.DAILY, "2026-11-03") == 1
    assert value(store, 1, Grain.MONTHLY, "2026-11-01") == 2


def test_records_that_change_nothing_append_nothing(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-02", amount=5), row("2026-11-03")])
    calculate(store, [kpi(1, total())])
    load(store, [row("2026-11-02", amount=0)])
    assert calculate(store, [kpi(1, total())]).readings == 0


def test_a_changed_filter_does_that_kpi_again(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-02", kind="a"), row("2026-11-02", kind="b"), row("2026-11-03", kind="b")])
    other = kpi(2, count())
    calculate(store, [kpi(1, count(kind="a")), other])
    done = calculate(store, [kpi(1, count(kind="b")), other], now=NOW + timedelta(hours=1))
    assert done.readings == 3, "the 3rd, the week and the month of one KPI; the 2nd stays as it was"
    assert value(store, 1, Grain.DAILY, "2026-11-03") == 1


def test_a_kpi_that_rests_and_comes_back_is_right(store: Store) -> None:
    set_up(store)
    both = [kpi(1, count(kind="a")), kpi(2, count())]
    load(store, [row("2026-11-02", kind="a"), row("2026-11-04")])
    calculate(store, both)
    load(store, [row("2026-11-02", kind="a")])
    calculate(store, both[1:], now=NOW + timedelta(hours=1))
    calculate(store, both, now=NOW + timedelta(hours=2))
    assert value(store, 1, Grain.DAILY, "2026-11-02") == 2


def test_a_changed_week_start_makes_other_weeks(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-01"), row("2026-11-02"), row("2026-11-08")])
    calculate(store, [kpi(1, count())])
    calculate(store, [kpi(1, count())], company=Company(week_start=7), now=NOW + timedelta(hours=1))
    assert value(store, 1, Grain.WEEKLY, "2026-11-01") == 2


def test_a_stock_that_was_corrected_long_ago_changes_what_comes_after(store: Store) -> None:
    set_up(store)
    churn = kpi(1, count(kind="lost"), last("place", start=True, kind="base"), factor=Decimal(100))
    load(store, [row("2026-10-01", kind="base", place="n", amount=100), row("2026-11-10", kind="lost")])
    calculate(store, [churn])
    assert value(store, 1, Grain.DAILY, "2026-11-10") == 1
    load(store, [row("2026-10-01", "13:00", kind="base", place="n", amount=50)])
    calculate(store, [churn], now=NOW + timedelta(hours=1))
    assert value(store, 1, Grain.DAILY, "2026-11-10") == 2


# --- Incremental = full

KPIS = [
    kpi(1, count()),
    kpi(2, total(kind="a")),
    kpi(3, count(kind="a"), count(), factor=Decimal(100)),
    kpi(4, Term("events", Aggregate.DISTINCT, "who"), kind=Kind.DISTINCT),
    kpi(5, Term("events", Aggregate.QUANTILE, "amount", quantile=Decimal("0.5")), kind=Kind.STATISTIC),
    kpi(6, last(segment="place"), kind=Kind.STOCK),
    kpi(7, count(kind="b"), last("place", start=True)),
    kpi(8, Term("events", Aggregate.MAX, "amount", (Condition("amount", Op.LT, Decimal(5)),)), kind=Kind.STATISTIC),
    kpi(9, count(), active_days=ActiveDays(frozenset({1, 2, 3, 4, 5})), comparison=Comparison.SAME_WEEKDAY),
    kpi(10, (total(), total(dataset="others")), count(dataset="others")),
]
OTHERS = replace(EVENTS, key="others", name="Others")


def _random_rows(rng: random.Random) -> list[Row]:
    first = date(2026, 9, 20)
    return [
        row(
            (first + timedelta(days=rng.randrange(60))).isoformat(),
            f"{rng.randrange(24):02}:{rng.randrange(60):02}",
            kind=rng.choice("abc"),
            who=rng.choice(["ann", "bob", "cy", None]),
            place=rng.choice(["n", "s"]),
            amount=rng.choice([None, 0, 1, "2.5", 7]),
            id=str(rng.randrange(300)),
        )
        for _ in range(rng.randrange(1, 60))
    ]


@pytest.fixture
def second_store(store: Store, request: pytest.FixtureRequest) -> Iterator[Store]:
    """Another empty store on the same engine."""
    if store.is_duckdb:
        with open_store("duckdb:///:memory:", clock=lambda: NOW) as other:
            yield other
        return
    url, schema = request.getfixturevalue("postgres_url"), "recalculated_in_full"
    with open_store(url, schema=schema, clock=lambda: NOW) as other:
        yield other
    drop_store(url, schema=schema)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_after_any_loads_the_outcome_is_that_of_a_full_run(store: Store, second_store: Store, seed: int) -> None:
    rng = random.Random(seed)
    for each in (store, second_store):
        set_up(each, KEYED, OTHERS)
    clock = counting()
    now = datetime(2026, 11, 18, 15, tzinfo=UTC)
    for _ in range(rng.randrange(2, 6)):
        dataset = rng.choice([KEYED, KEYED, OTHERS])
        rows = _random_rows(rng)
        watermark = rng.choice([None, at("2026-11-18", "14:30")])
        for each in (store, second_store):
            load(each, rows, dataset=dataset, watermark=watermark)
        known: list[Kpi] = rng.sample(KPIS, rng.randrange(1, len(KPIS)))
        calculate(store, known, KEYED, OTHERS, now=now + timedelta(hours=7 * next(clock)))
    calculate(store, KPIS, KEYED, OTHERS, now=now + timedelta(days=2))
    calculate(second_store, KPIS, KEYED, OTHERS, now=now + timedelta(days=2), full=True)
    assert _current(store) == _current(second_store)
    assert calculate(store, KPIS, KEYED, OTHERS, now=now + timedelta(days=2), full=True).readings == 0


# --- Open spans


def test_an_open_span_says_how_far_its_data_reaches(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-20")], watermark=at("2026-11-23", "09:00"))
    calculate(store, [kpi(1, count())])
    today = reading(store, 1, Grain.DAILY, "2026-11-23")
    yesterday = reading(store, 1, Grain.DAILY, "2026-11-22")
    assert today is not None
    assert yesterday is not None
    assert (today["value"], today["through"]) == (0, at("2026-11-23", "09:00"))
    assert yesterday["through"] is None


def test_today_is_compared_with_the_same_part_of_yesterday(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-22", time) for time in ("00:30", "08:59", "09:00", "17:00")])
    load(store, [row("2026-11-23", "08:00")], watermark=at("2026-11-23", "09:00"))
    calculate(store, [kpi(1, count()), kpi(2, Term("events", Aggregate.DISTINCT, "who"), kind=Kind.DISTINCT)])
    today = reading(store, 1, Grain.DAILY, "2026-11-23")
    assert today is not None
    assert (today["value"], today["prior"]) == (1, 2)


def test_up_to_the_latest_record_counts_that_instant_on_both_days(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-22", "09:00"), row("2026-11-22", "09:01"), row("2026-11-23", "09:00")])
    calculate(store, [kpi(1, count())])
    today = reading(store, 1, Grain.DAILY, "2026-11-23")
    assert today is not None
    assert (today["value"], today["prior"]) == (1, 1)


def test_the_months_first_days_are_compared_with_the_last_months_first_days(store: Store) -> None:
    set_up(store)
    days = [date(2026, 10, 1) + timedelta(days=i) for i in range(53)]
    load(
        store,
        [row(day.isoformat(), "10:00", who=str(day.day % 5)) for day in days],
        watermark=at("2026-11-23", "09:00"),
    )
    distinct = kpi(2, Term("events", Aggregate.DISTINCT, "who"), kind=Kind.DISTINCT)
    calculate(store, [kpi(1, count()), distinct, kpi(3, count(), count("who"))])
    month = reading(store, 1, Grain.MONTHLY, "2026-11-01")
    assert month is not None
    assert (month["value"], month["prior"]) == (22, 22)
    assert [_prior(store, number) for number in (2, 3)] == [5, 1]


def _prior(store: Store, number: int) -> Decimal | None:
    found = reading(store, number, Grain.MONTHLY, "2026-11-01")
    assert found is not None
    prior: Decimal | None = found["prior"]
    return prior


def test_a_span_before_the_data_is_no_comparison_and_says_so(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-20")], watermark=at("2026-11-23", "09:00"))
    calculate(store, [kpi(1, count())])
    month = reading(store, 1, Grain.MONTHLY, "2026-11-01")
    assert month is not None
    assert (month["prior"], month["prior_note"]) == (None, "the data starts on Fri 20 Nov 2026")


def test_the_share_of_a_day_that_has_passed_is_learned_from_its_weekdays(store: Store) -> None:
    """Of eight Mondays with 4 records, 1 is there by 09:00."""
    set_up(store)
    mondays = [date(2026, 11, 23) - timedelta(days=7 * i) for i in range(1, 11)]
    load(store, [row(day.isoformat(), time) for day in mondays for time in ("08:00", "10:00", "12:00", "16:00")])
    load(store, [], watermark=at("2026-11-23", "09:00"))
    calculate(store, [kpi(1, count())])
    today = reading(store, 1, Grain.DAILY, "2026-11-23")
    assert today is not None
    assert (today["value"], today["elapsed"]) == (0, Decimal("0.25"))


def test_a_stock_is_compared_with_the_close_before_and_has_no_pace(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-22", amount=5), row("2026-11-23", "08:00", amount=6)])
    calculate(store, [kpi(1, last(), kind=Kind.STOCK)])
    today = reading(store, 1, Grain.DAILY, "2026-11-23")
    assert today is not None
    assert (today["value"], today["prior"], today["elapsed"]) == (6, None, None)


def test_a_failed_run_leaves_everything_as_it_was(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from kpi_core.warehouse import recalculation

    set_up(store)
    load(store, [row("2026-11-02")])
    monkeypatch.setattr(recalculation._Run, "note_done", _fail)
    with pytest.raises(ZeroDivisionError):
        calculate(store, [kpi(1, count())])
    monkeypatch.undo()
    assert _readings(store) == 0
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(tables.parts)).scalar_one() == 0
    assert calculate(store, [kpi(1, count())]).readings == 3


def _fail(_: object) -> None:
    raise ZeroDivisionError


def test_a_fetch_that_ended_inside_a_day_does_not_cover_it(store: Store) -> None:
    """Up to 6 o'clock: the open day has its value so far; once it is over without more, its count is incomplete."""
    set_up(store)
    load(store, [row("2026-11-18"), row("2026-11-20")], watermark=at("2026-11-22", "06:00"))
    calculate(store, [kpi(1, count())], now=at("2026-11-22", "12:00"))
    today = reading(store, 1, Grain.DAILY, "2026-11-22")
    assert today is not None
    assert (today["value"], today["have_days"], today["of_days"]) == (0, 0, 1)
    yesterday = reading(store, 1, Grain.DAILY, "2026-11-21")
    assert yesterday is not None
    assert (yesterday["value"], yesterday["have_days"]) == (0, 1)
    week = reading(store, 1, Grain.WEEKLY, "2026-11-16")
    assert week is not None
    assert (week["have_days"], week["of_days"]) == (4, 7)


def test_a_fetch_that_ended_at_midnight_knows_nothing_of_the_day_that_began(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-18")], watermark=at("2026-11-22", "00:00"))
    calculate(store, [kpi(1, count())], now=at("2026-11-22", "12:00"))
    assert reading(store, 1, Grain.DAILY, "2026-11-22") is None
    yesterday = reading(store, 1, Grain.DAILY, "2026-11-21")
    assert yesterday is not None
    assert (yesterday["value"], yesterday["have_days"]) == (0, 1)


def test_the_next_fetch_completes_the_day_that_the_last_one_left(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-18")], watermark=at("2026-11-21", "06:00"))
    calculate(store, [kpi(1, count())], now=at("2026-11-21", "12:00"))
    load(store, [row("2026-11-21")], watermark=at("2026-11-22", "06:00"))
    calculate(store, [kpi(1, count())], now=at("2026-11-22", "12:00"))
    day = reading(store, 1, Grain.DAILY, "2026-11-21")
    assert day is not None
    assert (day["value"], day["have_days"]) == (1, 1)
