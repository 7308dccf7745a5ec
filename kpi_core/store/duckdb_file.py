"""A DuckDB file as our engine: how it is opened, locked down, copied and removed.

One process holds the file, and within it every connection of the pool is a cursor of one root connection, so that all
of them see one database under one configuration. Whatever lets SQL reach past the database (files, extensions, other
databases, Python variables) is switched off and the configuration is locked before anything else runs: no text from
people that ends up in SQL can read or write a file.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
import sqlalchemy as sa
from duckdb_sqlalchemy import ConnectionWrapper

from kpi_core.errors import InvalidInput, StoreInUse, StoreUnusable, Unavailable

__all__ = ["MEMORY", "DuckDbFile", "open_file", "path_of", "remove_files"]

MEMORY = ":memory:"
_HOLDER = re.compile(r"\(PID (\d+)\)")
_LOCKED_DOWN = (
    "SET GLOBAL TimeZone = 'UTC'",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


@dataclass(frozen=True, slots=True)
class DuckDbFile:
    """An open file: `root` holds it, `engine` hands out cursors of it. `path` is None for a database in memory."""

    path: Path | None
    root: duckdb.DuckDBPyConnection
    engine: sa.Engine
    is_new: bool

    def close(self) -> None:
        self.engine.dispose()
        self.root.close()

    def copy_to(self, target: Path) -> None:
        """A copy as of now. Call it under the write lock: nothing may change between checkpoint and copy.

        A reader in the middle of a transaction can keep the checkpoint from emptying the log; the log is then copied
        too, and DuckDB replays it when the copy is opened.
        """
        if self.path is None:
            raise Unavailable("A database in memory has no file to copy.")
        if target.resolve() == self.path:
            raise InvalidInput(f"{target} is the database itself: a backup needs a place of its own.")
        with suppress(duckdb.TransactionException):
            self.root.execute("CHECKPOINT")
        target.parent.mkdir(parents=True, exist_ok=True)
        log = _beside(self.path, ".wal")
        _beside(target, ".wal").unlink(missing_ok=True)  # of an older copy: it must not be replayed over this one
        if log.exists():
            _copy(log, _beside(target, ".wal"))
        _copy(self.path, target)


def path_of(database: str | None, schema: str | None) -> Path | None:
    """The file of a URL's database part. A schema of its own is a file of its own, in the same folder."""
    if not database or database == MEMORY:
        return None
    path = Path(database).expanduser().resolve()
    return path.with_name(f"{schema}.duckdb") if schema else path


def open_file(path: Path | None, *, memory_limit: str, threads: int | None) -> DuckDbFile:
    is_new = path is None or not path.exists()
    root = _connect(path, memory_limit, threads or os.cpu_count() or 1)
    if path is not None:
        path.chmod(0o600)  # password hashes are in it, and every number that somebody may not see
    for statement in _LOCKED_DOWN:
        root.execute(statement)
    engine = sa.create_engine(
        "duckdb://",
        creator=lambda: ConnectionWrapper(root.cursor()),
        poolclass=sa.QueuePool,
        pool_size=10,
        max_overflow=90,
        pool_timeout=30,
    )
    return DuckDbFile(path, root, engine, is_new)


def remove_files(path: Path) -> None:
    """The database file and everything that stands beside it for its sake."""
    for suffix in ("", ".wal", ".writes"):
        _beside(path, suffix).unlink(missing_ok=True)
    shutil.rmtree(_beside(path, ".tmp"), ignore_errors=True)


def _connect(path: Path | None, memory_limit: str, threads: int) -> duckdb.DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "threads": threads,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "python_enable_replacements": False,
    }
    if path is None:
        return duckdb.connect(MEMORY, config=config)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return duckdb.connect(str(path), config=config)
    except (duckdb.Error, OSError) as error:
        raise _explained(path, error) from error


def _explained(path: Path, error: Exception) -> StoreInUse | StoreUnusable:
    says = str(error)
    if "Could not set lock" not in says:
        first_line = says.splitlines()[0] if says else type(error).__name__
        return StoreUnusable(f"The database file {path} cannot be opened: {first_line}")
    holder = _HOLDER.search(says)
    pid = int(holder[1]) if holder else None
    who = f"process {pid}" if pid else "another process"
    return StoreInUse(
        f"The database file {path} is in use by {who}; one process at a time can hold it. "
        f"If the server is running, use it (the command line asks it by itself), or stop {who} and try again.",
        pid=pid,
    )


def _copy(source: Path, target: Path) -> None:
    """Under another name first: a copy that was interrupted never looks like one that is whole."""
    unfinished = _beside(target, ".part")
    with source.open("rb") as there, unfinished.open("wb") as here:
        shutil.copyfileobj(there, here, 1 << 20)
        here.flush()
        os.fsync(here.fileno())
    unfinished.replace(target)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
