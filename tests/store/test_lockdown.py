"""No SQL from people reaches the file system, other databases, extensions or the program's own variables."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from kpi_core.store import Store

secret_of_this_program = pa.table({"secret": ["a password"]})

ATTACKS = {
    "read a file": "SELECT * FROM read_csv('/etc/passwd')",
    "read a file as a table": "SELECT * FROM '/etc/passwd'",
    "read text": "SELECT * FROM read_text('/etc/passwd')",
    "list files": "SELECT * FROM glob('/*')",
    "write a file": "COPY (SELECT 1) TO '{folder}/out.csv'",
    "export everything": "EXPORT DATABASE '{folder}/out'",
    "attach another database": "ATTACH '{folder}/other.duckdb'",
    "install an extension": "INSTALL httpfs",
    "load an extension": "LOAD '{folder}/evil.duckdb_extension'",
    "unlock": "SET enable_external_access = true",
    "unlock the lock": "SET lock_configuration = false",
    "take all memory": "SET memory_limit = '100GB'",
    "read the program's variables": "SELECT * FROM secret_of_this_program",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_sql_that_reaches_out_is_refused(duckdb_store: Store, tmp_path: Path, name: str) -> None:
    before = set(tmp_path.iterdir())
    with duckdb_store.read() as connection, pytest.raises(sa.exc.DBAPIError):
        connection.exec_driver_sql(ATTACKS[name].format(folder=tmp_path)).all()
    assert set(tmp_path.iterdir()) == before


def test_memory_and_time_zone_hold_for_every_connection(duckdb_store: Store) -> None:
    asked = "SELECT current_setting('memory_limit'), current_setting('TimeZone')"
    with duckdb_store.read() as first, duckdb_store.read() as second:
        for connection in (first, second):
            assert connection.exec_driver_sql(asked).one() == ("1.8 GiB", "UTC")


def test_a_question_larger_than_memory_still_spills_to_disk(duckdb_url: str) -> None:
    from kpi_core.store import open_store

    large = "SELECT count(*) FROM (SELECT range AS n, random() AS r FROM range(3000000) ORDER BY r)"
    with open_store(duckdb_url, memory_limit="64MB", threads=1) as store, store.read() as connection:
        assert connection.exec_driver_sql(large).scalar_one() == 3_000_000
