"""Temporary tables for the length of one calculation.

Nothing passes through them row by row: they are filled by INSERT ... SELECT, or are Arrow tables that DuckDB reads
where they are (PostgreSQL gets them by COPY). Only their own connection sees them.
"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import count
from types import TracebackType
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from kpi_core.store import bulk

__all__ = ["Scratch"]

_numbers = count(1)


class Scratch:
    """Makes temporary tables on a connection; they are gone when the block ends."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self.is_duckdb = connection.dialect.name == "duckdb"
        self._lent = ExitStack()
        self._made: list[str] = []

    def __enter__(self) -> Scratch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """PostgreSQL drops them with the transaction. After an error it is undone, on either engine."""
        self._lent.close()
        if kind is None and self.is_duckdb:
            for name in self._made:
                self.connection.exec_driver_sql(f"DROP TABLE {name}")

    def make(self, name: str, *columns: sa.Column[Any]) -> sa.Table:
        """An empty temporary table."""
        table = sa.Table(f"scratch_{name}_{next(_numbers)}", sa.MetaData(), *columns)
        kinds = (f"{column.name} {column.type.compile(self.connection.dialect)}" for column in columns)
        at_end = "" if self.is_duckdb else " ON COMMIT DROP"
        self.connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {table.name} ({', '.join(kinds)}){at_end}")
        self._made.append(table.name)
        return table

    def put(self, name: str, rows: pa.Table, *columns: sa.Column[Any]) -> sa.Table:
        """A table with these rows to select from. Their columns have the names of `columns`."""
        rows = rows.select([column.name for column in columns]).combine_chunks()
        if self.is_duckdb:
            lent = self._lent.enter_context(bulk.staged(self.connection, rows))
            return sa.Table(lent, sa.MetaData(), *columns)
        table = self.make(name, *columns)
        bulk.insert(self.connection, table, rows)
        self.connection.exec_driver_sql(f"ANALYZE {table.name}")
        return table
