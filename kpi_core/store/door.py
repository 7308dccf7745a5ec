"""The one door to our tables.

Reads are many and see one moment: everything read inside one `read()` is of one snapshot. Writes go one at a time:
DuckDB fails transactions that collide, so they are not let to. Each write is one transaction and raises the data
version with it, which tells boards that what they keep may be old; writes that no board shows (a session's last
seen) leave it alone.

Stage outside, write inside: parse, validate and build Arrow before `write()`, and hold it for less than two seconds.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import exc

from kpi_core.errors import InvalidSetting, StoreInUse, Unavailable
from kpi_core.store import bulk, duckdb_file, postgres
from kpi_core.store.counter import WriteCounter
from kpi_core.store.duckdb_file import DuckDbFile
from kpi_core.store.migrations import MIGRATIONS, Migration, migrate
from kpi_core.store.schema import store_state

__all__ = ["Store", "Versions", "drop_store", "open_store", "utc_now"]

Clock = Callable[[], datetime]

_open_files: weakref.WeakValueDictionary[Path, Store] = weakref.WeakValueDictionary()


_VERSIONS = sa.select(store_state.c.data_version, store_state.c.catalog_version)


class Versions(NamedTuple):
    """Two numbers that only rise: with what boards show, and with what they are read by."""

    data: int
    catalog: int


def utc_now() -> datetime:
    return datetime.now(UTC)


class Store:
    """An open database. Made by `open_store`; safe to share between threads; close it once."""

    def __init__(
        self, engine: sa.Engine, *, clock: Clock, file: DuckDbFile | None = None, counter: WriteCounter | None = None
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.is_duckdb = file is not None
        self._file = file
        self._counter = counter
        self._lock = threading.Lock()
        self._writer: int | None = None
        self._versions = Versions(0, 0)
        self._reads = engine if self.is_duckdb else _snapshots(engine)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection on which everything is read as of one moment."""
        with self._reads.connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, touches_data: bool = True, touches_catalog: bool = False) -> Iterator[sa.Connection]:
        """One transaction under the write lock: all of it, or nothing where the block raises.

        `touches_data=False` is for what no board shows; it counts as a write, but keeps the data version.
        `touches_catalog=True` is for what values are read by: definitions, targets, datasets, the company's settings.
        """
        with self._turn():
            with self._transaction() as connection:
                yield connection
                writes, versions = _count_write(connection, touches_data, touches_catalog)
            self._versions = versions
            if self._counter is not None:
                self._counter.note(writes)

    def data_version(self) -> int:
        """A number that rises with every write that boards may show, whichever process made it."""
        return self.versions().data

    def versions(self) -> Versions:
        """The versions of the data and of the catalog; no statement on DuckDB, one on PostgreSQL."""
        if self.is_duckdb:
            return self._versions
        with self.engine.connect() as connection:
            return Versions(*connection.execute(_VERSIONS).one())

    def bulk_insert(self, connection: sa.Connection, table: sa.Table | str, rows: pa.Table) -> int:
        """Insert an Arrow table by its columns' names; the number of rows. Columns left out take their defaults."""
        return bulk.insert(connection, table, rows)

    def backup(self, path: Path | str) -> Path:
        """A copy of the DuckDB file, whole and of one moment, while everybody goes on reading."""
        if self._file is None:
            raise Unavailable("This database is PostgreSQL: back it up with pg_dump, or with what its host offers.")
        target = Path(path)
        with self._turn():
            self._file.copy_to(target)
        return target

    def close(self) -> None:
        with self._lock:
            if self._file is None:
                self.engine.dispose()
                return
            self._file.close()
            if self._counter is not None:
                self._counter.close()
            if self._file.path is not None:
                _open_files.pop(self._file.path, None)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        me = threading.get_ident()
        if self._writer == me:
            raise RuntimeError("write() inside write(): hand the open connection on instead")
        with self._lock:
            self._writer = me
            try:
                yield
            finally:
                self._writer = None

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self.engine.begin() as connection:
            if not self.is_duckdb:
                postgres.lock_writes(connection)
            yield connection

    def _prepare(self, migrations: Sequence[Migration]) -> None:
        """Bring the tables up to date and compare the write counter with the database."""
        migrate(self._transaction, self.clock, migrations)
        with self.engine.connect() as connection:
            writes = connection.execute(sa.select(store_state.c.writes)).scalar_one()
            self._versions = Versions(*connection.execute(_VERSIONS).one())
        if self._counter is not None:
            self._counter.compare(writes)
            self._counter.note(writes)


def open_store(
    url: str,
    *,
    schema: str | None = None,
    clock: Clock = utc_now,
    memory_limit: str = "2GB",
    threads: int | None = None,
    migrations: Sequence[Migration] = MIGRATIONS,
) -> Store:
    """Open the database at `url`: "duckdb:///data/kpi.duckdb" or "postgresql+psycopg://user:password@host/name".

    `schema` is a place of its own beside the main one: a schema on PostgreSQL, the file `<schema>.duckdb` in the same
    folder with DuckDB. Raises InvalidSetting, StoreInUse or StoreUnusable, each saying what to do.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "postgresql":
        store = Store(postgres.connect(parsed, schema), clock=clock)
    else:
        path = duckdb_file.path_of(parsed.database, schema)
        store = _open_duckdb(path, clock, memory_limit, threads)
    try:
        with postgres.explained(parsed):
            store._prepare(migrations)
    except BaseException:  # an interrupt too lets go of the file
        store.close()
        raise
    return store


def drop_store(url: str, *, schema: str | None = None) -> None:
    """Remove a closed store for good: the DuckDB file and what stands beside it, or a schema with all its tables."""
    parsed = _parsed(url)
    if parsed.get_backend_name() == "postgresql":
        if schema is None:
            raise InvalidSetting("Only a schema of its own can be removed, not the whole database.")
        engine = postgres.connect(parsed, None)
        postgres.drop_schema(engine, schema)
        engine.dispose()
        return
    path = duckdb_file.path_of(parsed.database, schema)
    if path is not None:
        _refuse_open_here(path)
        duckdb_file.remove_files(path)


def _open_duckdb(path: Path | None, clock: Clock, memory_limit: str, threads: int | None) -> Store:
    if path is None:
        file = duckdb_file.open_file(None, memory_limit=memory_limit, threads=threads)
        return Store(file.engine, clock=clock, file=file)
    _refuse_open_here(path)
    file = duckdb_file.open_file(path, memory_limit=memory_limit, threads=threads)
    counter = WriteCounter(path.with_name(path.name + ".writes"))
    if file.is_new:
        counter.remove()
    store = Store(file.engine, clock=clock, file=file, counter=counter)
    _open_files[path] = store
    return store


def _refuse_open_here(path: Path) -> None:
    """A second store on the same file in this process would have a write lock of its own."""
    if path in _open_files:
        raise StoreInUse(
            f"The database file {path} is open in this process already: share that store.", pid=os.getpid()
        )


def _count_write(connection: sa.Connection, touches_data: bool, touches_catalog: bool) -> tuple[int, Versions]:
    """Count this write, as its last statement: the row is locked on PostgreSQL from here to the commit only."""
    state = store_state.c
    counted = (
        sa.update(store_state)
        .values(
            writes=state.writes + 1,
            data_version=state.data_version + int(touches_data),
            catalog_version=state.catalog_version + int(touches_catalog),
        )
        .returning(state.writes, state.data_version, state.catalog_version)
    )
    writes, data, catalog = connection.execute(counted).one()
    return writes, Versions(data, catalog)


def _snapshots(engine: sa.Engine) -> sa.Engine:
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
        backend = parsed.get_backend_name()
    except exc.ArgumentError as error:
        raise InvalidSetting(_bad_url("what was given is no such address")) from error
    if backend not in ("duckdb", "postgresql"):
        raise InvalidSetting(_bad_url(f"{backend!r} is neither"))
    return parsed


def _bad_url(why: str) -> str:
    return (
        "The database is given as duckdb:///path/to/file.duckdb or postgresql+psycopg://user:password@host/name; "
        f"{why}."
    )
