"""PostgreSQL as our engine: how it is reached, and what stands in for the one process that holds a DuckDB file.

Several web processes may write here. They take turns, by an advisory lock that lasts as long as the transaction, so
that what is right on DuckDB (one writer at a time; read, decide, write) is right here too. Readers never wait. A
schema of one's own is reached through `search_path`: no statement names it, so the same statements run anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import exc

from kpi_core.errors import InvalidSetting, StoreUnusable

__all__ = ["connect", "drop_schema", "explained", "lock_writes"]

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_LOCK_WRITES = sa.text("SELECT pg_advisory_xact_lock(7101, hashtext(current_schema()))")

_LOCK_SCHEMAS = sa.text("SELECT pg_advisory_xact_lock(7101, 0)")
"""IF NOT EXISTS is no help against two processes at once: both look, both create, one fails."""


def connect(url: sa.URL, schema: str | None) -> sa.Engine:
    """An engine whose connections live in `schema` (made if it is not there) and count time in UTC."""
    options = "-c timezone=UTC -c client_min_messages=warning"
    if schema is not None:
        options += f" -c search_path={_checked(schema)}"
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={"options": options, "connect_timeout": 10},
        pool_size=10,
        max_overflow=40,
        pool_pre_ping=True,
    )
    try:
        with explained(url):
            _ensure_schema(engine, schema)
    except StoreUnusable:
        engine.dispose()
        raise
    return engine


@contextmanager
def explained(url: sa.URL) -> Iterator[None]:
    """Turn what a server refuses at the start into one line that says what to do."""
    try:
        yield
    except exc.OperationalError as error:
        raise StoreUnusable(f"PostgreSQL at {_where(url)} cannot be reached: {_first_line(error)}") from error
    except exc.ProgrammingError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        raise StoreUnusable(
            f"PostgreSQL at {_where(url)} does not let this user make tables there: {_first_line(error)}. "
            f"Let the user create in its schema (GRANT CREATE ON SCHEMA ... TO ...), or make it the database's owner."
        ) from error


def lock_writes(connection: sa.Connection) -> None:
    """Wait for this schema's turn to write; it ends with the transaction."""
    connection.execute(_LOCK_WRITES)


def drop_schema(engine: sa.Engine, schema: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {_checked(schema)} CASCADE")


def _ensure_schema(engine: sa.Engine, schema: str | None) -> None:
    with engine.begin() as connection:
        if schema is None:
            return
        connection.execute(_LOCK_SCHEMAS)
        known = sa.text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
        if connection.execute(known, {"name": schema}).first() is None:
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")


def _checked(schema: str) -> str:
    if not _NAME.fullmatch(schema):
        raise InvalidSetting(f"{schema!r} is no name for a schema: use a-z, 0-9 and _, starting with a letter.")
    return schema


def _where(url: sa.URL) -> str:
    return url.set(password=None).render_as_string()


def _first_line(error: exc.DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0]
