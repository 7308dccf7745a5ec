"""A backup is a file that opens, holds one moment, and never endangers the database it is of."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kpi_core.errors import InvalidInput, Unavailable
from kpi_core.store import Store, open_store, settings

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def put(store: Store, value: object) -> None:
    with store.write() as connection:
        settings.put(connection, "key", value, "ada", NOW)


def value(store: Store) -> object:
    with store.read() as connection:
        return settings.get(connection, "key")


def test_a_backup_holds_what_was_written_and_readers_read_on(duckdb_store: Store, tmp_path: Path) -> None:
    put(duckdb_store, "kept")
    with duckdb_store.read() as connection:
        assert settings.get(connection, "key") == "kept"
        copy = duckdb_store.backup(tmp_path / "backups" / "kpi-2026-11-23.duckdb")
        assert settings.get(connection, "key") == "kept"
    put(duckdb_store, "later")
    with open_store(f"duckdb:///{copy}") as restored:
        assert value(restored) == "kept"


def test_a_backup_of_postgresql_is_left_to_its_own_tools(postgres_store: Store, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="pg_dump"):
        postgres_store.backup(tmp_path / "x")


def test_a_backup_over_an_older_one_holds_the_newer_state(duckdb_store: Store, tmp_path: Path) -> None:
    target = tmp_path / "copy.duckdb"
    for state in ("older", "newer"):
        put(duckdb_store, state)
        duckdb_store.backup(target)
        (tmp_path / "copy.duckdb.wal").write_bytes(b"left behind by somebody who opened the copy")
    duckdb_store.backup(target)
    with open_store(f"duckdb:///{target}") as restored:
        assert value(restored) == "newer"


def test_a_backup_onto_the_database_itself_is_refused(duckdb_store: Store, tmp_path: Path) -> None:
    put(duckdb_store, "safe")
    with pytest.raises(InvalidInput, match="is the database itself"):
        duckdb_store.backup(tmp_path / "kpi.duckdb")
    assert value(duckdb_store) == "safe"


def test_backups_amid_writes_and_reads_hold_one_moment_each(duckdb_store: Store, tmp_path: Path) -> None:
    """Two settings are always written together; no copy may hold one without the other."""
    over = threading.Event()

    def write_pairs() -> None:
        number = 0
        while not over.is_set():
            with duckdb_store.write() as connection:
                settings.put(connection, "left", number, "ada", NOW)
                settings.put(connection, "right", number, "ada", NOW)
            number += 1

    def read_on() -> None:
        while not over.is_set():
            with duckdb_store.read() as connection:
                assert settings.get(connection, "left") == settings.get(connection, "right")

    threads = [threading.Thread(target=work) for work in (write_pairs, read_on, read_on)]
    for thread in threads:
        thread.start()
    copies = [duckdb_store.backup(tmp_path / f"copy_{number}.duckdb") for number in range(5)]
    over.set()
    for thread in threads:
        thread.join()
    for copy in copies:
        with open_store(f"duckdb:///{copy}") as restored, restored.read() as connection:
            assert settings.get(connection, "left") == settings.get(connection, "right")
