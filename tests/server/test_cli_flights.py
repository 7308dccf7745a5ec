"""Real input through the command line alone, each command a process of its own, on DuckDB and on PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from kpi_core.server.settings import PROJECT
from tests.warehouse.flights import FLIGHTS_FILE, IS_WHOLE

PASSWORD = "a long enough password"


class Terminal:
    """A shell with the product's settings."""

    def __init__(self, folder: Path, url: str | None) -> None:
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("KPI_")}
        self.env |= {"KPI_DATA_DIR": str(folder)} | ({"KPI_DATABASE_URL": url} if url else {})

    def run(self, *arguments: object) -> str:
        command = [sys.executable, "-m", "kpi_core", *map(str, arguments)]
        options = {"cwd": PROJECT, "env": self.env, "capture_output": True, "text": True, "timeout": 300}
        done = subprocess.run(command, check=False, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def board(self, period: str, day: str) -> dict[str, dict[str, object]]:
        shown = json.loads(self.run("board", "--period", period, "--date", day, "--json"), parse_float=Decimal)
        return {kpi["key"]: kpi for kpi in shown["kpis"]}


@pytest.fixture(params=["duckdb", "postgresql"])
def terminal(request: pytest.FixtureRequest, tmp_path: Path) -> Terminal:
    if request.param == "duckdb":
        return Terminal(tmp_path, None)
    return Terminal(tmp_path, request.getfixturevalue("own_database"))


@pytest.fixture
def own_database(postgres_url: str) -> str:
    """A database of its own on the tests' server: the command line uses the default schema."""
    import sqlalchemy as sa

    name = f"cli_{os.getpid()}"
    engine = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        conn.execute(sa.text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        conn.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return sa.make_url(postgres_url).set(database=name).render_as_string(hide_password=False)


def test_the_command_line_gives_the_flights_of_2013(terminal: Terminal, tmp_path: Path) -> None:
    password = tmp_path / "password.txt"
    password.write_text(PASSWORD)
    terminal.run("setup", "--admin", "ada", "--password-file", password, "--empty", "--time-zone", "America/New_York")
    terminal.run("define", PROJECT / "data" / "samples" / "flights.yaml")
    terminal.run("load-records", "flights", FLIGHTS_FILE)
    terminal.run("recalculate")

    day = terminal.board("daily", "2013-01-01")
    assert {key: round(kpi["value"], 6) for key, kpi in day.items()} == {
        "flights": 842,
        "miles": 907_196,
        "cancelled": 4,
        "on_time": Decimal("69.434416"),
        "mean_delay": Decimal("12.651023"),
        "aircraft": 649,
        "delay_q90": 37,
    }
    assert terminal.board("weekly", "2013-01-01")["flights"]["status"] == "incomplete"
    if IS_WHOLE:
        june = terminal.board("monthly", "2013-06-01")
        assert (june["flights"]["value"], june["aircraft"]["value"]) == (28_243, 3_164)
        assert round(june["on_time"]["value"], 6) == Decimal("68.476454")
