"""The tables come to be in steps; killed at any moment they are as before or complete."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from kpi_core.access import ROLES
from kpi_core.errors import StoreUnusable
from kpi_core.store import Store, open_store, people
from kpi_core.store.migrations import MIGRATIONS, Migration, schema_version
from kpi_core.store.schema import metadata, schema_migrations

NEXT = Migration(
    len(MIGRATIONS) + 1, "next", ("CREATE TABLE next_thing (id BIGINT)", "INSERT INTO next_thing VALUES (1)")
)
BROKEN = Migration(NEXT.version, "broken", (*NEXT.steps, "CREATE TABLE broken (id NO_SUCH_TYPE)"))

MIGRATE_AND_SAY = """
import sys
from kpi_core.store import open_store
from kpi_core.store.migrations import MIGRATIONS, Migration
steps = tuple(f"CREATE TABLE t{n} AS SELECT 1 AS id" for n in range(60))
migrations = (*MIGRATIONS, Migration(2, "sixty", steps)) if sys.argv[3] == "later" else MIGRATIONS
print("ready", flush=True)
open_store(sys.argv[1], schema=sys.argv[2] or None, migrations=migrations)
print("done", flush=True)
sys.stdin.read()
"""


def columns(connection: sa.Connection, table: str) -> list[tuple[str, str]]:
    asked = sa.text(
        "SELECT column_name, is_nullable FROM information_schema.columns"
        " WHERE table_name = :table AND table_schema = current_schema() ORDER BY ordinal_position"
    )
    return [(name, nullable) for name, nullable in connection.execute(asked, {"table": table})]


def tables(connection: sa.Connection) -> set[str]:
    asked = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
    return set(connection.exec_driver_sql(asked).scalars())


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_what_the_migrations_make_is_what_the_schema_says(store: Store, table: sa.Table) -> None:
    with store.read() as connection:
        found = dict(columns(connection, table.name))
        assert list(found) == [column.name for column in table.columns]
        said = {column.name: "YES" if column.nullable else "NO" for column in table.columns}
        assert found == said
        connection.execute(sa.select(table)).all()


def test_nothing_else_is_made(store: Store) -> None:
    with store.read() as connection:
        assert tables(connection) == set(metadata.tables)


def test_the_record_says_what_ran_and_when(store: Store) -> None:
    with store.read() as connection:
        (row,) = connection.execute(sa.select(schema_migrations))
    assert (row.version, row.name, row.ran_at) == (1, "ground", store.clock())


def test_the_roles_to_start_with_are_there(store: Store) -> None:
    with store.read() as connection:
        assert people.load_roles(connection) == ROLES


def reopened(store: Store, url: str, migrations: tuple[Migration, ...]) -> Store:
    """The same database, opened again by another release."""
    with store.read() as connection:
        schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    store.close()
    return open_store(url, schema=None if store.is_duckdb else schema, migrations=migrations)


def test_a_later_release_runs_only_what_is_new(store: Store, duckdb_url: str, postgres_url: str) -> None:
    url = duckdb_url if store.is_duckdb else postgres_url
    with reopened(store, url, (*MIGRATIONS, NEXT)) as later, later.read() as connection:
        assert schema_version(connection) == NEXT.version
        assert connection.exec_driver_sql("SELECT count(*) FROM next_thing").scalar_one() == 1


def test_a_newer_database_is_refused(store: Store, duckdb_url: str, postgres_url: str) -> None:
    url = duckdb_url if store.is_duckdb else postgres_url
    later = reopened(store, url, (*MIGRATIONS, NEXT))
    with pytest.raises(StoreUnusable, match="is of version 2, and this program knows versions up to 1"):
        reopened(later, url, MIGRATIONS)


def test_a_migration_that_fails_leaves_the_database_as_before(store: Store, duckdb_url: str, postgres_url: str) -> None:
    url = duckdb_url if store.is_duckdb else postgres_url
    with store.read() as connection:
        before = tables(connection)
        schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    with pytest.raises(sa.exc.DBAPIError):
        reopened(store, url, (*MIGRATIONS, BROKEN))
    again = open_store(url, schema=None if store.is_duckdb else schema)
    with again, again.read() as connection:
        assert tables(connection) == before
        assert schema_version(connection) == 1


def start_and_kill(url: str, schema: str | None, release: str, after: float) -> None:
    """Open the database in another process and kill that so many seconds after it began to open."""
    command = [sys.executable, "-c", MIGRATE_AND_SAY, url, schema or "", release]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(after)
    process.kill()
    process.communicate()


@pytest.mark.parametrize("after", [0.0, 0.01, 0.03, 0.06, 0.1])
def test_killed_during_the_very_first_start_the_next_one_begins_anew(duckdb_url: str, after: float) -> None:
    start_and_kill(duckdb_url, None, "first", after)
    with open_store(duckdb_url) as store, store.read() as connection:
        assert tables(connection) == set(metadata.tables)
        assert people.load_roles(connection) == ROLES


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("engine", ["duckdb", "postgresql"])
def test_killed_while_migrating_the_database_is_as_before_or_complete(
    request: pytest.FixtureRequest, engine: str, seed: int
) -> None:
    url = request.getfixturevalue("duckdb_url" if engine == "duckdb" else "postgres_url")
    schema = f"killed_{seed}" if engine == "postgresql" else None
    open_store(url, schema=schema).close()
    start_and_kill(url, schema, "later", random.Random(seed).uniform(0.0, 0.4))
    later = (*MIGRATIONS, Migration(2, "one", ("CREATE TABLE t0 AS SELECT 2 AS id",)))
    with open_store(url, schema=schema, migrations=later) as store, store.read() as connection:
        made = tables(connection) - set(metadata.tables)
        assert schema_version(connection) == 2
        assert made in ({"t0"}, {f"t{number}" for number in range(60)})


def test_of_two_processes_that_start_at_once_on_postgresql_one_migrates(postgres_url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from kpi_core.store import drop_store

    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: open_store(postgres_url, schema="at_once"), range(4)))
    with stores[0].read() as connection:
        assert schema_version(connection) == 1
    for store in stores:
        store.close()
    drop_store(postgres_url, schema="at_once")


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    assert [migration.version for migration in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


def test_a_file_can_be_read_with_the_engine_s_own_shell(duckdb_store: Store, tmp_path: Path) -> None:
    import duckdb

    duckdb_store.close()
    with duckdb.connect(str(tmp_path / "kpi.duckdb"), read_only=True) as shell:
        assert shell.execute("SELECT count(*) FROM kpi_definitions").fetchone() == (0,)
