"""Rows by the thousand go in and out as Arrow, and come out as they went in."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
import sqlalchemy as sa

from kpi_core.store import Store, bulk
from kpi_core.store.schema import kpi_values
from kpi_core.store.values import READINGS

NOW = datetime(2026, 11, 23, 9, 30, 15, 123456, tzinfo=UTC)
TEXTS = [
    "",
    None,
    "NULL",
    "\\N",
    "a,b",
    'a "quoted" one',
    "two\nlines",
    "\r\n",
    "ünï\tcode",
    "t",
    "NaN",
    "'; DROP TABLE x",
]
SMALLEST = Decimal("-" + "9" * 29 + "." + "9" * 9)
LARGEST = Decimal("9" * 29 + "." + "9" * 9)


def rows(**columns: list[object]) -> pa.Table:
    length = len(next(iter(columns.values())))
    needed = {
        "kpi_id": [1] * length,
        "period_type": ["daily"] * length,
        "period_date": [date(2026, 1, 1)] * length,
        "typed": [False] * length,
        "recorded_at": [NOW] * length,
    }
    told = needed | columns
    return pa.table([pa.array(told[name], READINGS.field(name).type) for name in told], names=list(told))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("reason", TEXTS),
        ("value", [None, Decimal(0), LARGEST, SMALLEST, Decimal("-0.000000001"), Decimal("0.1")]),
        ("typed", [True, False]),
        ("have_days", [None, 0, -1, 31]),
        ("through", [None, NOW, datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)]),
        ("period_date", [date(1900, 1, 1), date(2100, 12, 31)]),
        ("batch_id", [None, 2**62]),
    ],
)
def test_every_type_survives_the_way_in_and_out(store: Store, name: str, given: list[object]) -> None:
    with store.write() as connection:
        assert store.bulk_insert(connection, kpi_values, rows(**{name: given})) == len(given)
        found = bulk.fetch(connection, sa.select(kpi_values.c[name]).order_by(kpi_values.c.id))
    assert found.schema.field(name).type == READINGS.field(name).type
    assert found[name].to_pylist() == given


def test_ids_are_given_in_the_order_of_the_rows(store: Store) -> None:
    with store.write() as connection:
        store.bulk_insert(connection, "kpi_values", rows(have_days=list(range(100))))
        found = bulk.fetch(
            connection, sa.select(kpi_values.c.id, kpi_values.c.have_days).order_by(kpi_values.c.have_days)
        )
    assert found["id"].to_pylist() == list(range(1, 101))


def test_no_rows_are_no_work(store: Store) -> None:
    with store.write() as connection:
        assert store.bulk_insert(connection, kpi_values, rows(have_days=[])) == 0
        found = bulk.fetch(connection, sa.select(kpi_values.c.id, kpi_values.c.value, kpi_values.c.through))
    assert found.num_rows == 0
    assert found.column_names == ["id", "value", "through"]


def test_a_bulk_insert_is_undone_with_its_transaction(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as connection:  # noqa: PT012 - the block is what fails
        store.bulk_insert(connection, kpi_values, rows(have_days=[1, 2]))
        raise ZeroDivisionError
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(kpi_values)).scalar_one() == 0


def test_a_name_is_quoted_wherever_it_comes_from(store: Store) -> None:
    with store.write() as connection:
        connection.exec_driver_sql('CREATE TABLE "odd ""name" ("at" INTEGER, "a b" TEXT)')
        store.bulk_insert(connection, 'odd "name', pa.table({"at": [1], "a b": ["x"]}))
        assert connection.exec_driver_sql('SELECT "at", "a b" FROM "odd ""name"').all() == [(1, "x")]


def test_staged_rows_are_gone_after_the_block(store: Store) -> None:
    with store.write() as connection:
        with bulk.staged(connection, rows(have_days=[3, 4]), kpi_values) as name:
            assert connection.exec_driver_sql(f"SELECT sum(have_days) FROM {name}").scalar_one() == 7
        undo = nullcontext() if store.is_duckdb else connection.begin_nested()
        with pytest.raises(sa.exc.DBAPIError), undo:
            connection.exec_driver_sql(f"SELECT * FROM {name}")
