"""The command line: exit codes, what goes where, and how it works beside a running server.

Exit codes and second processes are tried with real processes; the rest calls the same entry in this one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from kpi_core.access import SYSTEM
from kpi_core.model import Grain
from kpi_core.server import loopback
from kpi_core.server.api import create_api
from kpi_core.server.cli import app
from kpi_core.server.passwords import Passwords
from kpi_core.server.settings import PROJECT, Settings
from kpi_core.server.wiring import House, build
from tests.server.conftest import PASSWORD, Clock

COMMANDS = ("setup", "load-records", "define", "recalculate", "board", "token create")
FLIGHTS = """
datasets:
  - key: flights
    name: Flights
    time_column: at
    null_values: ["", "NA"]
    columns: {delay: number, plane: text}
kpis:
  - {name: Flights, category: operations, tracking_period: daily, calculation_method: count, dataset: flights}
  - {name: Planes, category: operations, tracking_period: daily, calculation_method: distinct, dataset: flights,
     column: plane}
"""
RECORDS = "at,delay,plane\n2013-01-01T10:00:00Z,5,N1\n2013-01-01T11:00:00Z,NA,N1\n2013-01-02T10:00:00Z,-2.5,N2\n"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> None:
    """Every command works on a data folder of this test's own."""
    monkeypatch.setenv("KPI_DATA_DIR", str(settings.data_dir))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password.txt"
    path.write_text(f"{PASSWORD}\n")
    return path


@pytest.fixture
def flights(tmp_path: Path) -> Path:
    """A definition file; the records stand beside it."""
    (tmp_path / "flights.csv").write_text(RECORDS)
    path = tmp_path / "flights.yaml"
    path.write_text(FLIGHTS)
    return path


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def process(*words: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    environment = {**os.environ, **settings, "PYTHONPATH": os.pathsep.join([str(PROJECT), *_paths()])}
    command = [sys.executable, "-m", "kpi_core", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


def _paths() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def in_order(text: str, *parts: str) -> bool:
    places = [text.find(part) for part in parts]
    return -1 not in places and places == sorted(places)


# --- help and usage ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = call(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_every_command_is_in_the_readme() -> None:
    readme = (PROJECT / "README.md").read_text()
    for command in COMMANDS:
        assert f"python -m kpi_core {command}" in readme


@pytest.mark.parametrize(
    "words",
    [
        ("fly",),
        ("board", "--period", "hourly"),
        ("board", "--date", "yesterday"),
        ("setup",),
        ("setup", "--demo", "--empty"),
        ("setup", "--empty", "--seed", "3"),
        ("setup", "--admin", "ada"),
        ("load-records", "flights", "no-such-file.csv"),
        ("define", "no-such-file.yaml"),
        ("token", "create", "--user", "ada"),
        ("token", "create", "--user", "ada", "--name", "x", "--days", "0"),
    ],
)
def test_wrong_usage_is_exit_code_2(words: tuple[str, ...]) -> None:
    assert call(*words).exit_code == 2


# --- settings and the database ----------------------------------------------------------------------------------------


def test_an_unknown_setting_is_one_line_and_exit_code_2() -> None:
    done = process("board", KPI_PROT="80")
    assert done.returncode == 2
    assert done.stderr == "unknown setting KPI_PROT: did you mean KPI_PORT?\n"
    assert done.stdout == ""


def test_an_unreachable_database_is_one_line_and_exit_code_2_without_the_password() -> None:
    done = process("board", KPI_DATABASE_URL="postgresql://kpi:geheim%40x@127.0.0.1:1/kpi")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "127.0.0.1:1" in done.stderr
    assert "geheim" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_database_is_one_line_and_exit_code_2(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "kpi.duckdb").write_text("this is no database" * 100)
    result = call("board")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_a_file_that_another_process_holds_names_that_process(house: House) -> None:
    done = process("board")
    assert done.returncode == 2
    assert str(os.getpid()) in done.stderr
    assert "Traceback" not in done.stderr


# --- setup ------------------------------------------------------------------------------------------------------------


def test_setup_makes_an_administrator_once(password_file: Path, settings: Settings, clock: Clock) -> None:
    first = process("setup", "--admin", "ada", "--password-file", password_file, "--empty")
    assert first.returncode == 0, first.stderr
    second = call("setup", "--admin", "bob", "--password-file", password_file)
    assert second.exit_code == 1
    assert "administrator already" in second.stderr
    assert PASSWORD not in first.stdout + first.stderr
    house = build(settings)
    try:
        assert house.sessions.sign_in("ada", PASSWORD, address="here")
        assert not house.needs_start
    finally:
        house.close()


def test_a_poor_password_is_refused(tmp_path: Path) -> None:
    (tmp_path / "poor.txt").write_text("short")
    result = call("setup", "--admin", "ada", "--password-file", tmp_path / "poor.txt")
    assert result.exit_code == 1
    assert "password" in result.stderr


def test_setup_describes_the_company(settings: Settings) -> None:
    result = call("setup", "--company", "Widgets & Co", "--currency", "EUR", "--time-zone", "America/New_York")
    assert result.exit_code == 0, result.stderr
    assert call("setup", "--country", "DE").exit_code == 0
    house = build(settings)
    try:
        company = house.tracker.company(SYSTEM)
        assert (company.name, company.currency, company.time_zone) == ("Widgets & Co", "EUR", "America/New_York")
        assert company.holidays
    finally:
        house.close()


@pytest.mark.parametrize(
    ("option", "value"), [("--time-zone", "Mars/Olympus"), ("--country", "ZZ"), ("--week-start", "9")]
)
def test_a_company_that_makes_no_sense_is_refused_and_nothing_kept(option: str, value: str, settings: Settings) -> None:
    assert call("setup", option, value, "--company", "Widgets").exit_code in (1, 2)
    house = build(settings)
    try:
        assert house.tracker.company(SYSTEM).name != "Widgets"
    finally:
        house.close()


# --- define, load, calculate, look ------------------------------------------------------------------------------------


def test_from_definition_to_board(flights: Path, tmp_path: Path) -> None:
    defined = call("define", flights)
    assert defined.exit_code == 0, defined.stderr
    assert "2 KPIs new" in defined.stdout
    loaded = call("load-records", "flights", tmp_path / "flights.csv")
    assert loaded.exit_code == 0, loaded.stderr
    assert "3 records loaded" in loaded.stdout
    calculated = call("recalculate")
    assert calculated.exit_code == 0, calculated.stderr
    shown = call("board", "--period", "daily", "--date", "2013-01-01", "--json")
    assert shown.exit_code == 0, shown.stderr
    board = json.loads(shown.stdout, parse_float=Decimal)
    assert {kpi["key"]: kpi["value"] for kpi in board["kpis"]} == {"flights": 2, "planes": 1}
    assert board["span"] == {"start": "2013-01-01", "end": "2013-01-02"}
    table = call("board", "--date", "2013-01-01").stdout
    assert in_order(table, "Tue 1 Jan 2013", "Flights", "Planes")


def test_all_that_is_wrong_with_definitions_is_said_at_once_and_nothing_applied(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "kpis:\n"
        "  - {name: Good, category: sales, tracking_period: daily}\n"
        "  - {name: Calls, category: salse, tracking_period: daily}\n"
        "  - {name: Leads, category: sales, tracking_period: daly, unti: number}\n"
    )
    done = process("define", bad)
    assert done.returncode == 1
    assert in_order(done.stderr, "bad.yaml: kpis[1].category", "sales", "kpis[2]")
    assert "kpis[2].tracking_period" in done.stderr
    assert "kpis[2].unti" in done.stderr
    assert json.loads(call("board", "--json").stdout)["kpis"] == []


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("a.yaml", "kpis: [unclosed", "a.yaml: line 1"),
        ("a.yaml", "kpis: []\nkpis: []\n", "a.yaml: line 2, column 1: 'kpis' stands twice"),
        ("a.json", '{"kpis": [}', "a.json: line 1, column 11"),
        ("a.json", '{"kpis": [], "kpis": []}', "'kpis' stands twice"),
        ("a.yaml", "!!python/object/apply:os.system ['echo']", "a.yaml: line 1"),
        ("a.json", "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_definition_file_that_does_not_parse_is_told_with_its_place(
    tmp_path: Path, name: str, text: str, place: str
) -> None:
    (tmp_path / name).write_text(text)
    result = call("define", name)
    assert result.exit_code == 1
    assert place in result.stderr


def test_unreadable_definition_files_are_all_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty").mkdir()
    result = call("define", "a.yaml", "empty")
    assert result.exit_code == 1
    assert "a.yaml: is not UTF-8 text" in result.stderr
    assert "empty: no definition files" in result.stderr


def test_the_example_of_the_catalog_imports_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "calls.json").write_text(
        '{"name": "Daily Sales Calls", "description": "Number of outbound sales calls made by the team",'
        ' "category": "sales", "tracking_period": "daily", "unit": "number", "calculation_method": "count",'
        ' "data_source": "crm_api", "target": {"value": 50, "period": "daily"},'
        ' "alerts": [{"type": "below_target", "threshold": 20, "channels": ["email", "slack"]}],'
        ' "permissions": {"view": ["ceo", "sales_manager", "sales_rep"], "edit": ["ceo", "sales_manager"]}}'
    )
    result = call("define", "calls.json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(call("board", "--json").stdout)["kpis"][0]["key"] == "daily_sales_calls"


def test_a_bad_row_is_told_and_nothing_loaded_unless_asked_to_skip(flights: Path, tmp_path: Path) -> None:
    call("define", flights)
    bad = tmp_path / "bad.csv"
    bad.write_text(RECORDS + "2013-01-03T10:00:00Z,much,N3\nnever,1,N3\n")
    refused = call("load-records", "flights", bad)
    assert refused.exit_code == 1
    assert in_order(refused.stderr, "line 5", "delay", "line 6", "at")
    skipped = call("load-records", "flights", bad, "--skip-bad")
    assert skipped.exit_code == 0
    assert "3 records loaded" in skipped.stdout
    assert "2 rows skipped" in skipped.stdout
    assert in_order(skipped.stderr, "line 5", "line 6")


def test_an_unknown_dataset_is_refused_with_those_that_exist(flights: Path, tmp_path: Path) -> None:
    call("define", flights)
    result = call("load-records", "fligths", tmp_path / "flights.csv")
    assert result.exit_code == 1
    assert "flights" in result.stderr.replace("fligths", "")


def test_the_demo_takes_no_data_that_would_go_with_it(
    flights: Path, furnished: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnished.close()
    monkeypatch.setattr(House, "is_demo", property(lambda self: True))
    monkeypatch.setattr(House, "close", lambda self: self.main.close())
    result = call("define", flights)
    assert result.exit_code == 1
    assert "setup --empty" in result.stderr


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_a_token_is_all_that_goes_to_standard_output(password_file: Path, settings: Settings) -> None:
    call("setup", "--admin", "ada", "--password-file", password_file)
    made = call("token", "create", "--user", "ada", "--name", "report", "--scopes", "read", "--scopes", "write")
    assert made.exit_code == 0, made.stderr
    token = made.stdout.strip()
    assert re.fullmatch(r"kpi_[\w-]{43}", token)
    house = build(settings)
    try:
        assert house.sessions.token_actor(token).scopes == {"read", "write"}
    finally:
        house.close()


def test_a_token_for_nobody_is_refused() -> None:
    result = call("token", "create", "--user", "nobody", "--name", "report")
    assert result.exit_code == 1
    assert "nobody" in result.stderr


# --- beside a running server ------------------------------------------------------------------------------------------


@contextmanager
def serving(house: House) -> Iterator[str]:
    """The API of a house, as the server serves it, on a port of its own; its address."""
    outer = FastAPI()
    outer.mount("/api", create_api(lambda: house))
    server = uvicorn.Server(uvicorn.Config(outer, port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        loopback.announce(house.settings, house.command_secret, host="0.0.0.0", port=port)
        yield f"http://127.0.0.1:{port}"
    finally:
        loopback.withdraw(house.settings)
        server.should_exit = True
        thread.join()


def test_while_the_server_runs_the_command_line_is_its_client(house: House, flights: Path, tmp_path: Path) -> None:
    with serving(house):
        for words in (("define", flights), ("load-records", "flights", "flights.csv"), ("recalculate",)):
            done = process(*words)
            assert done.returncode == 0, done.stderr
        board = json.loads(process("board", "--date", "2013-01-01", "--json").stdout)
    assert {kpi["key"]: kpi["value"] for kpi in board["kpis"]} == {"flights": 2, "planes": 1}
    assert [card.title for card in house.tracker.board(SYSTEM, Grain.DAILY).cards] == ["Flights", "Planes"]


def test_the_server_refuses_as_the_command_line_itself_would(house: House, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("kpis: [{name: Calls, category: salse, tracking_period: daily}]")
    here = tmp_path / "bad.yaml"
    with serving(house):
        asked = process("define", here)
        in_vain = process("token", "create", "--user", "nobody", "--name", "x")
    assert (asked.returncode, in_vain.returncode) == (1, 1)
    assert "kpis[0].category" in asked.stderr


def test_nobody_gets_through_the_command_door_without_the_servers_secret(furnished: House) -> None:
    import httpx

    with furnished.main.read() as conn:
        from kpi_core.store import people

        person = people.by_username(conn, "ada")
    assert person is not None
    token = furnished.sessions.create_token(person.id, "all", scopes=("read", "write", "admin"))
    with serving(furnished) as address:
        for credential in ("", "Bearer", f"Bearer {token}", "Bearer wrong"):
            headers = {"Authorization": credential}
            body = {"command": "recalculate", "arguments": {}}
            for answer in (
                httpx.get(f"{address}/api/internal/ping", headers=headers),
                httpx.post(f"{address}/api/internal/commands", headers=headers, json=body),
            ):
                assert answer.status_code == 404


def test_a_run_file_that_was_left_behind_is_no_server(settings: Settings) -> None:
    loopback.announce(settings, "secret", host="127.0.0.1", port=1)
    assert loopback.find(settings) is None
    assert call("board").exit_code == 0
    settings.run_file.write_text("{")
    assert call("board").exit_code == 0


def test_a_defect_in_the_server_is_told_and_does_not_hang(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(house.tracker, "board", fails)
    with serving(house):
        result = call("board")
    assert result.exit_code == 2
    assert "log says why" in result.stderr


# --- the demo ---------------------------------------------------------------------------------------------------------


def test_the_demo_is_set_up_and_removed(weak_passwords: Passwords, settings: Settings) -> None:
    done = process("setup", "--demo", "--seed", "5")
    assert done.returncode == 0, done.stderr
    assert "sales_manager" in done.stdout
    board = json.loads(call("board", "--period", "monthly", "--json").stdout)
    assert len(board["kpis"]) >= 20
    assert call("setup", "--demo").exit_code == 1
    assert call("setup", "--empty").exit_code == 0
    assert not (settings.data_dir / "demo.duckdb").exists()
    assert json.loads(call("board", "--json").stdout)["kpis"] == []
