"""Committed writes that a damaged log lost are noticed at the next start, and said loudly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kpi_core.errors import StoreUnusable
from kpi_core.store import open_store

WRITE_AND_DIE = """
import os, signal, sys
from kpi_core.store import open_store, settings
store = open_store(sys.argv[1])
for number in range(10):
    with store.write() as connection:
        settings.put(connection, f"key {number}", "x" * 500, "ada", store.clock())
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(duckdb_url: str, tmp_path: Path) -> Path:
    """A database whose process was killed after ten commits, which are in the log alone."""
    open_store(duckdb_url).close()
    subprocess.run([sys.executable, "-c", WRITE_AND_DIE, duckdb_url], check=False)
    assert (tmp_path / "kpi.duckdb.wal").stat().st_size > 5000
    return tmp_path


def test_a_killed_process_loses_no_committed_write(duckdb_url: str, killed: Path) -> None:
    with open_store(duckdb_url) as store, store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM settings").scalar_one() == 10


def test_a_log_cut_short_is_said_with_the_number_of_writes_lost(duckdb_url: str, killed: Path) -> None:
    log = killed / "kpi.duckdb.wal"
    log.write_bytes(log.read_bytes()[:3000])
    with pytest.raises(StoreUnusable, match=r"^\d committed writes? (is|are) missing") as refused:
        open_store(duckdb_url)
    assert "Restore the newest backup" in str(refused.value)
    assert "delete" in str(refused.value)


def test_a_removed_log_is_noticed_and_the_way_on_that_is_named_works(duckdb_url: str, killed: Path) -> None:
    (killed / "kpi.duckdb.wal").unlink()
    for _ in range(2):
        with pytest.raises(StoreUnusable, match=r"^10 committed writes are missing"):
            open_store(duckdb_url)
    (killed / "kpi.duckdb.writes").unlink()
    open_store(duckdb_url).close()


def test_a_database_ahead_of_the_counter_is_fine(duckdb_url: str, killed: Path) -> None:
    (killed / "kpi.duckdb.writes").write_text("00000000000000000007\n")
    open_store(duckdb_url).close()
    assert int((killed / "kpi.duckdb.writes").read_text()) == 10


@pytest.mark.parametrize("torn", ["", "\0" * 21, "seven"])
def test_a_counter_that_cannot_be_read_says_nothing(duckdb_url: str, killed: Path, torn: str) -> None:
    (killed / "kpi.duckdb.writes").write_text(torn)
    open_store(duckdb_url).close()


def test_a_new_database_does_not_inherit_the_counter_of_one_that_was_deleted(duckdb_url: str, killed: Path) -> None:
    (killed / "kpi.duckdb").unlink()
    (killed / "kpi.duckdb.wal").unlink()
    with open_store(duckdb_url) as store:
        assert store.data_version() == 0
