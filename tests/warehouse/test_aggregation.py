"""How values add up (SEMANTICS.md, section 4), on both engines."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from kpi_core.model import Aggregate, Condition, Grain, Kind, Measure, Op, Term
from kpi_core.store import Store
from kpi_core.warehouse import aggregate, load_arrow
from tests.warehouse.house import (
    EVENTS,
    UTC_COMPANY,
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

DISTINCT = Term("events", Aggregate.DISTINCT, "who")


def test_a_ratio_of_two_days_is_46_36_percent_and_not_30(store: Store) -> None:
    """Day 1 = 1/10 and day 2 = 50/100 make a week of 51/110."""
    set_up(store)
    days = {"2026-11-02": (1, 10), "2026-11-03": (50, 100)}
    load(store, [row(day, kind="seen", good=i < won) for day, (won, of) in days.items() for i in range(of)])
    calculate(store, [kpi(1, count(good=True), count(), factor=Decimal(100))])
    assert value(store, 1, Grain.DAILY, "2026-11-02") == 10
    assert value(store, 1, Grain.DAILY, "2026-11-03") == 50
    week = reading(store, 1, Grain.WEEKLY, "2026-11-02")
    assert week is not None
    assert week["value"] == Decimal("46.363636364")
    assert (week["numerator"], week["denominator"]) == (51, 110)


def test_a_million_records_of_0_01_sum_to_exactly_10000(store: Store) -> None:
    set_up(store)
    n = 1_000_000
    table = pa.table(
        {
            "time": pa.repeat(pa.scalar(at("2026-11-02"), pa.timestamp("us", tz="UTC")), n),
            "amount": pa.repeat(pa.scalar(Decimal("0.010000"), pa.decimal128(18, 6)), n),
            "good": pa.nulls(n, pa.bool_()),
            **{name: pa.nulls(n, pa.string()) for name in ("kind", "who", "place", "id")},
        }
    )
    with store.write() as connection:
        load_arrow(connection, store, EVENTS, table, UTC_COMPANY)
    calculate(store, [kpi(1, total())])
    assert value(store, 1, Grain.DAILY, "2026-11-02") == Decimal("10000.00")


def test_visitors_of_a_week_are_counted_again_and_never_summed(store: Store) -> None:
    set_up(store)
    load(store, [row(day, who=who) for day in ("2026-11-02", "2026-11-03") for who in ("ann", "bob", None)])
    calculate(store, [kpi(1, DISTINCT, kind=Kind.DISTINCT)])
    assert value(store, 1, Grain.DAILY, "2026-11-02") == 2
    assert value(store, 1, Grain.WEEKLY, "2026-11-02") == 2


def test_statistics_of_a_week_are_made_from_its_records(store: Store) -> None:
    set_up(store)
    amounts = {"2026-11-02": (1, 2, 9), "2026-11-03": (3, 4)}
    load(store, [row(day, amount=amount) for day, each in amounts.items() for amount in each])
    wanted = [
        kpi(1, Term("events", Aggregate.QUANTILE, "amount", quantile=Decimal("0.5")), kind=Kind.STATISTIC),
        kpi(2, Term("events", Aggregate.MIN, "amount"), kind=Kind.STATISTIC),
        kpi(3, Term("events", Aggregate.MAX, "amount"), kind=Kind.STATISTIC),
    ]
    calculate(store, wanted)
    assert value(store, 1, Grain.DAILY, "2026-11-03") == Decimal("3.5")
    assert [value(store, i, Grain.WEEKLY, "2026-11-02") for i in (1, 2, 3)] == [3, 1, 9]


def test_a_zero_denominator_gives_no_value_and_the_reason(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-02", kind="lead"), row("2026-11-04", kind="won")])
    calculate(store, [kpi(1, count(kind="won"), count(kind="lead"))])
    found = reading(store, 1, Grain.DAILY, "2026-11-04")
    assert found is not None
    assert found["value"] is None
    assert found["reason"] == "no events in the span: denominator is 0"


def test_a_net_promoter_score_weighs_its_terms(store: Store) -> None:
    """NPS = 100 x (promoters - detractors) / answers."""
    set_up(store)
    load(store, [row("2026-11-02", amount=score) for score in (10, 9, 9, 8, 3)])
    above = count(amount=Condition("amount", Op.GE, Decimal(9)))
    below = Term("events", Aggregate.COUNT, where=(Condition("amount", Op.LE, Decimal(6)),), weight=Decimal(-1))
    calculate(store, [kpi(1, (above, below), count("amount"), factor=Decimal(100))])
    assert value(store, 1, Grain.DAILY, "2026-11-02") == 40


# --- Coverage


def test_inside_the_coverage_no_records_is_0_and_outside_there_is_no_reading(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-03", amount=5)], watermark=at("2026-11-06"))
    calculate(store, [kpi(1, count()), kpi(2, total()), kpi(3, DISTINCT, kind=Kind.DISTINCT)])
    for number in (1, 2, 3):
        assert value(store, number, Grain.DAILY, "2026-11-05") == 0
        assert reading(store, number, Grain.DAILY, "2026-11-02") is None
        assert reading(store, number, Grain.DAILY, "2026-11-07") is None


def test_a_week_that_the_data_covers_in_part_says_how_much(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-04"), row("2026-11-08")])
    calculate(store, [kpi(1, count())])
    week = reading(store, 1, Grain.WEEKLY, "2026-11-02")
    assert week is not None
    assert (week["value"], week["have_days"], week["of_days"]) == (2, 5, 7)


def test_a_kpi_over_two_datasets_knows_what_both_know(store: Store) -> None:
    from dataclasses import replace

    other = replace(EVENTS, key="others", name="Others")
    set_up(store, EVENTS, other)
    load(store, [row("2026-11-02"), row("2026-11-08")])
    load(store, [row("2026-11-04"), row("2026-11-05")], dataset=other)
    calculate(store, [kpi(1, count(), count(dataset="others"))], EVENTS, other)
    week = reading(store, 1, Grain.WEEKLY, "2026-11-02")
    assert week is not None
    assert (week["value"], week["have_days"], week["through"]) == (None, 2, at("2026-11-05"))
    assert week["reason"] == "others reaches only to Thu 5 Nov 2026", "events of later days are not to be mixed in"
    day = reading(store, 1, Grain.DAILY, "2026-11-04")
    assert day is not None
    assert (day["value"], day["reason"]) == (0, None)


# --- Stocks


STOCK = kpi(1, last(segment="place"), kind=Kind.STOCK)


def test_a_stock_takes_the_last_in_the_span_and_sums_its_segments(store: Store) -> None:
    set_up(store)
    snapshots = [("2026-11-02", 100, 10), ("2026-11-04", 120, 30), ("2026-11-09", 90, 40)]
    load(
        store,
        [row(day, place=place, amount=amount) for day, n, s in snapshots for place, amount in (("n", n), ("s", s))],
    )
    calculate(store, [STOCK])
    assert value(store, 1, Grain.DAILY, "2026-11-04") == 150
    assert value(store, 1, Grain.WEEKLY, "2026-11-02") == 150
    assert value(store, 1, Grain.MONTHLY, "2026-11-01") == 130


def test_of_two_snapshots_at_one_instant_the_later_record_counts(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-02", place="n", amount=1)])
    load(store, [row("2026-11-02", place="n", amount=2)])
    calculate(store, [STOCK])
    assert value(store, 1, Grain.DAILY, "2026-11-02") == 2


def test_a_span_without_any_snapshot_takes_none(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-02", place="n", amount=100), row("2026-11-04", place="n", amount=1)])
    calculate(store, [STOCK])
    found = reading(store, 1, Grain.DAILY, "2026-11-03")
    assert found is not None
    assert (found["value"], found["reason"]) == (None, "no events in the span")


def test_a_stock_without_one_of_its_segments_is_withheld(store: Store) -> None:
    """Across segments: the sum, if every segment that had one before has one."""
    set_up(store)
    load(store, [row("2026-11-02", place=place, amount=10) for place in ("n", "s")])
    load(store, [row("2026-11-03", place="n", amount=11)])
    load(store, [row("2026-11-09", place=place, amount=12) for place in ("n", "s", "new")])
    calculate(store, [STOCK])
    found = reading(store, 1, Grain.DAILY, "2026-11-03")
    assert found is not None
    assert found["value"] is None
    assert found["reason"] == "not every place that had a record of events before has one in the span"
    assert value(store, 1, Grain.WEEKLY, "2026-11-02") == 21
    assert value(store, 1, Grain.DAILY, "2026-11-09") == 36


def test_a_segment_that_ended_at_0_is_not_missed(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-02", place="n", amount=10), row("2026-11-02", place="s", amount=5)])
    load(store, [row("2026-11-03", place="n", amount=10), row("2026-11-03", place="s", amount=0)])
    load(store, [row("2026-11-04", place="n", amount=11)])
    calculate(store, [STOCK])
    assert value(store, 1, Grain.DAILY, "2026-11-04") == 11


def test_churn_divides_by_the_customers_before_the_span(store: Store) -> None:
    """A ratio over stocks takes the coarser span's own start."""
    set_up(store)
    base = [("2026-11-01", "a", 80), ("2026-11-01", "b", 20), ("2026-11-03", "a", 90), ("2026-11-08", "a", 200)]
    load(store, [row(day, kind="base", place=place, amount=amount) for day, place, amount in base])
    load(store, [row("2026-11-03", kind="lost"), row("2026-11-04", kind="lost"), row("2026-11-10", kind="lost")])
    churn = kpi(1, count(kind="lost"), last("place", start=True, kind="base"), factor=Decimal(100))
    calculate(store, [churn])
    assert value(store, 1, Grain.WEEKLY, "2026-11-02") == 2
    assert value(store, 1, Grain.DAILY, "2026-11-04") == Decimal("0.909090909")
    assert value(store, 1, Grain.WEEKLY, "2026-11-09") == Decimal("0.454545455")
    first = reading(store, 1, Grain.DAILY, "2026-11-01")
    assert first is not None
    assert (first["value"], first["reason"]) == (None, "no events before the span")


# --- Filters

OPS = [
    (Condition("kind", Op.EQ, "a"), 3),
    (Condition("kind", Op.NE, "a"), 2),
    (Condition("kind", Op.IN, ("a", "b")), 5),
    (Condition("kind", Op.NOT_IN, ("a", "x")), 2),
    (Condition("kind", Op.IS_NULL), 1),
    (Condition("kind", Op.NOT_NULL), 5),
    (Condition("amount", Op.LT, Decimal(2)), 1),
    (Condition("amount", Op.LE, Decimal(2)), 3),
    (Condition("amount", Op.GT, Decimal("2.5")), 2),
    (Condition("amount", Op.GE, Decimal(2)), 4),
    (Condition("amount", Op.EQ, Decimal(2)), 2),
    (Condition("amount", Op.NE, Decimal(2)), 3),
    (Condition("amount", Op.IN, (Decimal(1), Decimal(3))), 2),
    (Condition("amount", Op.IS_NULL), 1),
    (Condition("good", Op.EQ, True), 2),
    (Condition("good", Op.NE, True), 3),
]
ROWS = [
    ("a", 1, True), ("a", 2, True), ("a", 2, False), ("b", 3, False), ("b", None, False), (None, 4, None),
]  # fmt: skip


def test_every_comparison_alone_and_all_in_one_pass(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-02", kind=kind, amount=amount, good=good) for kind, amount, good in ROWS])
    kpis = [kpi(i, Term("events", Aggregate.COUNT, where=(each,))) for i, (each, _) in enumerate(OPS, 1)]
    calculate(store, kpis)
    found = [value(store, each.id, Grain.DAILY, "2026-11-02") for each in kpis]
    assert found == [expected for _, expected in OPS]
    for each, (_, expected) in zip(kpis, OPS, strict=True):
        assert each.measure is not None
        assert _ad_hoc(store, each.measure) == [expected]


def _ad_hoc(store: Store, measure: Measure, kind: Kind = Kind.FLOW) -> list[Decimal | None]:
    with store.read() as connection:
        rows = aggregate(
            connection,
            store,
            {"it": (measure, kind)},
            Grain.DAILY,
            date(2026, 11, 2),
            date(2026, 11, 3),
            UTC_COMPANY,
        )
    found: list[Decimal | None] = rows["value"].to_pylist()
    return found


def test_filters_on_columns_with_many_values_give_the_same(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-02", who=f"w{i}", place=f"p{i % 700}", kind="a") for i in range(3000)])
    kpis = [
        kpi(1, count(who="w7")),
        kpi(2, count(place="p3")),
        kpi(3, Term("events", Aggregate.COUNT, where=(Condition("place", Op.NOT_IN, ("p3", "p4")),))),
        kpi(4, count(place="p3", who="w3")),
        kpi(5, count(kind="a")),
    ]
    calculate(store, kpis)
    assert [value(store, i, Grain.DAILY, "2026-11-02") for i in range(1, 6)] == [1, 5, 2990, 1, 3000]


def test_ad_hoc_values_are_those_that_are_kept(store: Store) -> None:
    set_up(store)
    rng = np.random.default_rng(7)
    days = [f"2026-11-{day:02}" for day in range(1, 23)]
    load(store, [row(day, place=place, amount=int(rng.integers(1, 9))) for day in days for place in ("n", "s")])
    kpis = [kpi(1, total()), STOCK_2, kpi(3, count(), last("place", start=True))]
    calculate(store, kpis)
    with store.read() as connection:
        table = aggregate(
            connection,
            store,
            {str(each.id): (each.measure, each.kind) for each in kpis if each.measure},
            Grain.WEEKLY,
            date(2026, 11, 1),
            date(2026, 11, 23),
            UTC_COMPANY,
        )
    assert table.num_rows == 12
    for each in table.to_pylist():
        kept = reading(store, int(each["series"]), Grain.WEEKLY, each["start"].isoformat())
        assert kept is not None
        names = ("value", "numerator", "denominator", "have_days", "of_days", "reason")
        assert [each[name] for name in names] == [kept[name] for name in names]


STOCK_2 = kpi(2, last(segment="place"), kind=Kind.STOCK)


@pytest.mark.parametrize(
    ("numerator", "denominator", "factor", "expected"),
    [
        ("1", "3", "1", "0.333333333"),
        ("2", "3", "1", "0.666666667"),
        ("-2", "3", "100", "-66.666666667"),
        ("1", "2000000000", "1", "0.000000000"),
        ("3", "2000000000", "1", "0.000000002"),
        ("123456789012.123456", "7", "1", "17636684144.589065143"),
        ("999999999999.999999", "0.000007", "100", "14285714285714285700.000000000"),
    ],
)
def test_a_division_is_exact_and_rounds_half_to_even(
    store: Store, numerator: str, denominator: str, factor: str, expected: str
) -> None:
    set_up(store)
    load(store, [row("2026-11-02", kind="n", amount=numerator), row("2026-11-02", kind="d", amount=denominator)])
    calculate(store, [kpi(1, total(kind="n"), total(kind="d"), factor=Decimal(factor))])
    assert value(store, 1, Grain.DAILY, "2026-11-02") == Decimal(expected)
