"""Datasets: what is known of each table of raw records, and how far its data reaches.

The records themselves are the warehouse's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from kpi_core.errors import NotFound
from kpi_core.model import Coverage, Dataset
from kpi_core.store import codec
from kpi_core.store.schema import datasets

__all__ = ["connections", "coverage", "coverages", "load", "load_one", "save", "set_connected", "set_coverage"]

_ELSEWHERE = frozenset({"id"})
_TABLE = datasets.c


def load(connection: sa.Connection) -> list[Dataset]:
    """All datasets, in the order they were made, in one statement."""
    found = sa.select(_TABLE.id, _TABLE.definition).order_by(_TABLE.id)
    return [_dataset(row) for row in connection.execute(found)]


def load_one(connection: sa.Connection, key: str) -> Dataset:
    """The dataset with this key, else NotFound."""
    row = connection.execute(sa.select(_TABLE.id, _TABLE.definition).where(_TABLE.key == key)).first()
    if row is None:
        raise NotFound(f"There is no dataset {key!r}.")
    return _dataset(row)


def save(
    connection: sa.Connection, dataset: Dataset, by: str | None, now: datetime, *, connected: bool = True
) -> Dataset:
    """Store a dataset under its key, new or changed; its coverage stays. Returns it with its id."""
    document = {"name": dataset.name, "definition": codec.encode(dataset, without=_ELSEWHERE), "updated_at": now}
    known = connection.execute(sa.select(_TABLE.id).where(_TABLE.key == dataset.key)).scalar()
    if known is not None:
        connection.execute(sa.update(datasets).where(_TABLE.id == known).values(connected=connected, **document))
        return replace(dataset, id=known)
    made = {"key": dataset.key, "connected": connected, "created_by": by, "created_at": now}
    fresh = connection.execute(sa.insert(datasets).values(**document, **made).returning(_TABLE.id)).scalar_one()
    return replace(dataset, id=fresh)


def coverage(connection: sa.Connection, key: str) -> Coverage | None:
    """From when to when the dataset's data reaches; None before there is any."""
    return coverages(connection).get(key)


def coverages(connection: sa.Connection) -> dict[str, Coverage]:
    """The coverage of every dataset that has data, by key, in one statement."""
    found = sa.select(_TABLE.key, _TABLE.first_day, _TABLE.watermark)
    rows = connection.execute(found.where(_TABLE.first_day.is_not(None), _TABLE.watermark.is_not(None)))
    return {row.key: Coverage(row.first_day, row.watermark) for row in rows}


def set_coverage(connection: sa.Connection, key: str, first_day: date | None, watermark: datetime | None) -> None:
    """Say how far the data reaches now; None twice where there is none any more."""
    reach = {"first_day": first_day, "watermark": watermark}
    connection.execute(sa.update(datasets).where(_TABLE.key == key).values(reach))


def connections(connection: sa.Connection) -> dict[str, bool]:
    """Whether each dataset's source is connected, by key."""
    return {row.key: row.connected for row in connection.execute(sa.select(_TABLE.key, _TABLE.connected))}


def set_connected(connection: sa.Connection, key: str, connected: bool) -> None:
    connection.execute(sa.update(datasets).where(_TABLE.key == key).values(connected=connected))


def _dataset(row: sa.Row[*tuple[Any, ...]]) -> Dataset:
    return codec.decode(Dataset, row.definition, id=row.id)
