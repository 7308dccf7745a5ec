"""A small house of data for the warehouse's tests: one dataset of events, loaded from plain rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from kpi_core.model import (
    Aggregate,
    Category,
    Column,
    ColumnType,
    Company,
    Condition,
    Dataset,
    Grain,
    Kind,
    Kpi,
    Measure,
    Op,
    Term,
)
from kpi_core.store import Store, values
from kpi_core.store import datasets as dataset_table
from kpi_core.warehouse import LoadResult, ensure, load_arrow, recalculate

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
UTC_COMPANY = Company()
EVENTS = Dataset(
    key="events",
    name="Events",
    time_column="time",
    columns=(
        Column("kind", ColumnType.TEXT),
        Column("who", ColumnType.TEXT),
        Column("place", ColumnType.TEXT),
        Column("amount", ColumnType.NUMBER),
        Column("good", ColumnType.BOOLEAN),
        Column("id", ColumnType.TEXT),
    ),
)
KEYED = replace(EVENTS, record_key="id")

Row = dict[str, Any]


def at(day: str, time: str = "12:00") -> datetime:
    return datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=UTC)


def row(day: str, time: str = "12:00", **columns: Any) -> Row:
    return {"time": at(day, time)} | columns


def arrow(rows: Iterable[Row]) -> pa.Table:
    known = list(rows)
    numbers = [None if each.get("amount") is None else Decimal(str(each["amount"])) for each in known]
    return pa.table(
        {
            "time": pa.array([each["time"] for each in known], pa.timestamp("us", tz="UTC")),
            **{name: pa.array([each.get(name) for each in known], pa.string()) for name in ("kind", "who", "place")},
            "amount": pa.array(numbers, pa.decimal128(18, 6)),
            "good": pa.array([each.get("good") for each in known], pa.bool_()),
            "id": pa.array([each.get("id") for each in known], pa.string()),
        }
    )


def set_up(store: Store, *datasets: Dataset) -> None:
    with store.write() as connection:
        for dataset in datasets or (EVENTS,):
            dataset_table.save(connection, dataset, "test", NOW)
            ensure(connection, store, dataset)


def load(
    store: Store,
    rows: Iterable[Row],
    *,
    dataset: Dataset = EVENTS,
    company: Company = UTC_COMPANY,
    watermark: datetime | None = None,
) -> LoadResult:
    with store.write() as connection:
        return load_arrow(connection, store, dataset, arrow(rows), company, watermark)


def kpi(number: int, numerator: Term | Sequence[Term], denominator: Term | Sequence[Term] = (), **more: Any) -> Kpi:
    above = (numerator,) if isinstance(numerator, Term) else tuple(numerator)
    below = (denominator,) if isinstance(denominator, Term) else tuple(denominator)
    factor = more.pop("factor", Decimal(1))
    kind = more.pop("kind", Kind.RATIO if below else Kind.FLOW)
    measure = Measure(above, below, factor)
    return Kpi(
        f"kpi_{number}", f"KPI {number}", Category.SALES, Grain.DAILY, kind=kind, measure=measure, id=number, **more
    )


def count(column: str | None = None, dataset: str = "events", **where: Any) -> Term:
    return Term(dataset, Aggregate.COUNT, column, conditions(where))


def total(column: str = "amount", dataset: str = "events", **where: Any) -> Term:
    return Term(dataset, Aggregate.SUM, column, conditions(where))


def last(segment: str | None = None, start: bool = False, dataset: str = "events", **where: Any) -> Term:
    position = "start" if start else "end"
    return Term(dataset, Aggregate.LAST, "amount", conditions(where), at=position, segment=segment)


def conditions(where: dict[str, Any]) -> tuple[Condition, ...]:
    return tuple(
        value if isinstance(value, Condition) else Condition(column, Op.EQ, value) for column, value in where.items()
    )


def calculate(store: Store, kpis: Sequence[Kpi], *datasets: Dataset, now: datetime = NOW, **more: Any) -> Any:
    company = more.pop("company", UTC_COMPANY)
    return recalculate(store, kpis, datasets or (EVENTS,), company, now, **more)


def reading(store: Store, number: int, grain: Grain, start: str) -> Row | None:
    """The current reading of a KPI for the span that starts on a day."""
    day = date.fromisoformat(start)
    with store.read() as connection:
        rows = values.window(connection, grain, day, day + timedelta(days=1), kpi_ids=[number]).to_pylist()
    return rows[0] if rows else None


def value(store: Store, number: int, grain: Grain, start: str) -> Decimal | None:
    found = reading(store, number, grain, start)
    assert found is not None, "there is no reading"
    found_value: Decimal | None = found["value"]
    return found_value
