"""Opening a store: it opens, or says in one line why not and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from kpi_core.errors import InvalidSetting, StoreInUse, StoreUnusable
from kpi_core.store import drop_store, open_store

HOLD = """
import sys
from kpi_core.store import open_store
store = open_store(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_the_file_and_what_to_do(duckdb_url: str) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, duckdb_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StoreInUse) as refused:
            open_store(duckdb_url)
        assert refused.value.pid == holder.pid
        assert f"in use by process {holder.pid}" in str(refused.value)
        assert f"stop process {holder.pid} and try again" in str(refused.value)
    finally:
        holder.communicate("")
    open_store(duckdb_url).close()


def test_a_second_store_in_one_process_is_refused_until_the_first_is_closed(duckdb_url: str) -> None:
    with open_store(duckdb_url):
        with pytest.raises(StoreInUse, match="share that store") as refused:
            open_store(duckdb_url)
        assert refused.value.pid == os.getpid()
        with pytest.raises(StoreInUse):
            drop_store(duckdb_url)
    open_store(duckdb_url).close()


@pytest.mark.parametrize("url", ["mysql://root@localhost/kpi", "kpi.duckdb", "", "sqlite:///kpi.db"])
def test_an_address_of_nothing_we_know_is_refused_with_the_two_that_are(url: str) -> None:
    with pytest.raises(InvalidSetting, match=r"duckdb:///path.*or postgresql\+psycopg://"):
        open_store(url)


def test_an_unreachable_postgresql_is_one_line_without_the_password() -> None:
    with pytest.raises(StoreUnusable, match="cannot be reached") as refused:
        open_store("postgresql+psycopg://kpi:secret-word@127.0.0.1:1/kpi")
    assert "secret-word" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "kpi.duckdb"
    path.write_bytes(b"date,value\n2026-01-01,5\n" * 1000)
    with pytest.raises(StoreUnusable, match="cannot be opened"):
        open_store(f"duckdb:///{path}")
    assert path.read_bytes().startswith(b"date,value")


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnusable, match="cannot be opened"):
        open_store(f"duckdb:///{tmp_path}/file/kpi.duckdb")


@pytest.mark.parametrize("schema", ["Demo", "x; DROP TABLE users", "", "1st"])
def test_a_schema_needs_a_plain_name(postgres_url: str, schema: str) -> None:
    with pytest.raises(InvalidSetting, match="no name for a schema"):
        open_store(postgres_url, schema=schema)


def test_the_whole_of_postgresql_is_never_dropped(postgres_url: str) -> None:
    with pytest.raises(InvalidSetting, match="not the whole database"):
        drop_store(postgres_url)


def test_dropping_a_file_takes_all_that_stands_beside_it(duckdb_url: str, tmp_path: Path) -> None:
    open_store(duckdb_url).close()
    drop_store(duckdb_url)
    assert list(tmp_path.iterdir()) == []


def test_a_database_in_memory_works_and_leaves_nothing() -> None:
    with open_store("duckdb:///:memory:") as store, store.write():
        assert store.data_version() == 0


def test_a_user_who_may_not_make_tables_is_told_what_to_grant(postgres_url: str) -> None:
    admin = sa.create_engine(postgres_url)
    with admin.begin() as connection:
        connection.exec_driver_sql("CREATE ROLE reader LOGIN PASSWORD 'x'")
    as_reader = sa.make_url(postgres_url).set(username="reader", password="x").render_as_string(hide_password=False)
    try:
        with pytest.raises(StoreUnusable, match="GRANT CREATE ON SCHEMA"):
            open_store(as_reader)
        with pytest.raises(StoreUnusable, match="does not let this user"):
            open_store(as_reader, schema="of_its_own")
    finally:
        with admin.begin() as connection:
            connection.exec_driver_sql("DROP ROLE reader")
        admin.dispose()


def test_the_database_file_is_for_its_owner_alone(duckdb_url: str) -> None:
    with open_store(duckdb_url):
        pass
    path = Path(duckdb_url.removeprefix("duckdb:///"))
    assert path.stat().st_mode & 0o077 == 0
