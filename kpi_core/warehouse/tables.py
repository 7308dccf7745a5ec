"""The warehouse's own tables: one of raw records per dataset, and what is kept to make recalculating cheap.

A dataset's table has the declared columns under their own names (one that we use ourselves gets an underscore), its
rows roughly in the order of their days, so that the engine skips what a window does not need. Beside them:

- `warehouse_datasets`: the zone in which `day` was computed, and the newest record's instant.
- `warehouse_touched`: the days of a dataset that changed since the last recalculation.
- `warehouse_terms`: every distinct term in use, by its text; its number is how parts refer to it.
- `warehouse_parts`: one mergeable part per term and day (and segment): how many records, and their sum, minimum,
  maximum or last value.
- `warehouse_kpis`: what each KPI's readings were made with, and for which moment its open spans. Where one of them
  differs, they are made again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from kpi_core.errors import InvalidDefinition, Problem
from kpi_core.model import Column, ColumnType, Dataset
from kpi_core.store import Store
from kpi_core.store.schema import Instant

__all__ = ["column_name", "ensure", "ensure_kept", "kept_datasets", "kpis", "parts", "records", "terms", "touched"]

RESERVED = frozenset({"record_id", "record_key", "at", "day", "batch_id"})
PART = sa.Numeric(38, 6)
_TYPES: dict[ColumnType, sa.types.TypeEngine[Any]] = {
    ColumnType.TEXT: sa.Text(),
    ColumnType.NUMBER: sa.Numeric(18, 6),
    ColumnType.BOOLEAN: sa.Boolean(),
}
metadata = sa.MetaData()

kept_datasets = sa.Table(
    "warehouse_datasets",
    metadata,
    sa.Column("dataset", sa.Text, primary_key=True),
    sa.Column("time_zone", sa.Text, nullable=False),
    sa.Column("latest", Instant),
)
touched = sa.Table(
    "warehouse_touched",
    metadata,
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
)
terms = sa.Table(
    "warehouse_terms",
    metadata,
    sa.Column("id", sa.BigInteger, nullable=False),
    sa.Column("signature", sa.Text, nullable=False),
)
parts = sa.Table(
    "warehouse_parts",
    metadata,
    sa.Column("term_id", sa.BigInteger, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("segment", sa.Text),
    sa.Column("n", sa.BigInteger, nullable=False),
    sa.Column("amount", PART),
)
kpis = sa.Table(
    "warehouse_kpis",
    metadata,
    sa.Column("kpi_id", sa.BigInteger, nullable=False),
    sa.Column("signature", sa.Text, nullable=False),
    sa.Column("open_at", sa.Text, nullable=False),
)


def column_name(name: str) -> str:
    """The name that a declared column has in the table: its own, unless we use that ourselves."""
    return f"{name}_" if name.rstrip("_") in RESERVED else name


@lru_cache(maxsize=256)
def records(dataset: Dataset) -> sa.Table:
    """The table of a dataset's raw records."""
    return sa.Table(
        f"records_{dataset.key}",
        sa.MetaData(),
        sa.Column("record_id", sa.BigInteger, nullable=False),
        sa.Column("record_key", sa.Text),
        sa.Column("at", Instant, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("batch_id", sa.BigInteger),
        *(sa.Column(column_name(column.name), _TYPES[column.type]) for column in dataset.columns),
    )


def ensure_kept(connection: sa.Connection) -> None:
    """Make the tables beside the records, where they are not there yet."""
    there = sa.text(
        "SELECT count(*) FROM information_schema.tables "
        "WHERE table_schema = current_schema() AND table_name LIKE 'warehouse!_%' ESCAPE '!'"
    )
    if connection.execute(there).scalar_one() == len(metadata.tables):
        return
    for table in metadata.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
    if connection.dialect.name == "postgresql":
        index = sa.Index("warehouse_parts_by_term", parts.c.term_id, parts.c.day)
        connection.execute(CreateIndex(index, if_not_exists=True))
        parts.indexes.discard(index)


def ensure(connection: sa.Connection, store: Store, dataset: Dataset) -> None:
    """Make the dataset's table, or add the columns that it lacks. InvalidDefinition where a column's type changed
    under records that are there already; columns no longer declared stay as they are."""
    ensure_kept(connection)
    table = records(dataset)
    known = _known_columns(connection, table.name)
    if not known:
        connection.execute(CreateTable(table))
        _index(connection, table)
        return
    _refuse_changed_types(connection, dataset, known)
    for column in dataset.columns:
        name = column_name(column.name)
        if name not in known:
            _add_column(connection, table, name)


def _known_columns(connection: sa.Connection, table: str) -> dict[str, str]:
    found = sa.text(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_name = :table AND table_schema = current_schema()"
    )
    return {row.column_name: row.data_type.lower() for row in connection.execute(found, {"table": table})}


_LOOKS_LIKE = {
    ColumnType.TEXT: ("text", "varchar", "character varying"),
    ColumnType.NUMBER: ("numeric", "decimal"),
    ColumnType.BOOLEAN: ("boolean",),
}


def _refuse_changed_types(connection: sa.Connection, dataset: Dataset, known: dict[str, str]) -> None:
    changed = [column for column in dataset.columns if not _fits(column, known)]
    if not changed:
        return
    table = records(dataset)
    if connection.execute(sa.select(table.c.record_id).limit(1)).first() is None:
        quote = connection.dialect.identifier_preparer.quote
        for column in changed:
            name = column_name(column.name)
            connection.exec_driver_sql(f"ALTER TABLE {quote(table.name)} DROP COLUMN {quote(name)}")
            known.pop(name)
        return
    raise InvalidDefinition(
        [
            Problem(
                f"dataset {dataset.key!r}, column {column.name!r}",
                f"cannot become {column.type.value}: there are records with another type; declare a new column",
            )
            for column in changed
        ]
    )


def _fits(column: Column, known: dict[str, str]) -> bool:
    kind = known.get(column_name(column.name))
    return kind is None or kind.startswith(_LOOKS_LIKE[column.type])


def _add_column(connection: sa.Connection, table: sa.Table, name: str) -> None:
    quote = connection.dialect.identifier_preparer.quote
    kind = table.c[name].type.compile(connection.dialect)
    connection.exec_driver_sql(f"ALTER TABLE {quote(table.name)} ADD COLUMN {quote(name)} {kind}")


def _index(connection: sa.Connection, table: sa.Table) -> None:
    """PostgreSQL needs to be told how to find days and keys; DuckDB skips by what it knows of each row group."""
    if connection.dialect.name != "postgresql":
        return
    for name in ("record_id", "day", "record_key"):
        short = f"{table.name[:50]}_{name}"
        index = sa.Index(short, table.c[name])
        connection.execute(CreateIndex(index, if_not_exists=True))
        table.indexes.discard(index)
