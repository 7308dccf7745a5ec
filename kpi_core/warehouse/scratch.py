"""Temporary tables for the length of one calculation.

Nothing passes through them row by row: they are filled from Arrow or by INSERT ... SELECT, and seen by their own
connection only.
"""

from __future__ import annotations

from itertools import count
from types import TracebackType
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from kpi_core.store import bulk

__all__ = ["Scratch"]

_numbers = count(1)


class Scratch:
    """Makes temporary tables on a connection and drops them when the block ends."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self.is_duckdb = connection.dialect.name == "duckdb"
        self._made: list[str] = []

    def __enter__(self) -> Scratch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After an error the transaction is undone, and the tables with it."""
        if kind is None:
            for name in self._made:
                self.connection.exec_driver_sql(f"DROP TABLE {name}")

    def make(self, name: str, *columns: sa.Column[Any]) -> sa.Table:
        """An empty temporary table."""
        table = sa.Table(f"scratch_{name}_{next(_numbers)}", sa.MetaData(), *columns, prefixes=["TEMPORARY"])
        self.connection.execute(CreateTable(table))
        self._made.append(table.name)
        return table

    def put(self, name: str, rows: pa.Table, *columns: sa.Column[Any]) -> sa.Table:
        """A temporary table with these rows. Their columns have the names of `columns`."""
        table = self.make(name, *columns)
        bulk.insert(self.connection, table, rows)
        if not self.is_duckdb:
            self.connection.exec_driver_sql(f"ANALYZE {table.name}")
        return table
