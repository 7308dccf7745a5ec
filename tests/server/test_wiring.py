"""The house: what it opens, how the demo comes and goes, and what is left of either.

Most of these start a demo of one KPI, because they are about coming and going; the last ones start the real one.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kpi_core.access import SYSTEM
from kpi_core.catalog import Catalog
from kpi_core.demo import Demo
from kpi_core.errors import Conflict, SignInRefused, StoreInUse
from kpi_core.model import Grain
from kpi_core.server import wiring
from kpi_core.server.definition_files import parse_texts
from kpi_core.server.demo_people import DemoUser
from kpi_core.server.passwords import Passwords
from kpi_core.server.settings import Settings
from kpi_core.server.wiring import House, build
from kpi_core.service.tracker import Entry, Tracker
from kpi_core.store import people
from tests.server.conftest import NOW, PASSWORD, Clock

Load = Callable[..., None]


def small_demo(tracker: Tracker, catalog: Catalog, demo: Demo, *, ids: dict[str, str], progress: object) -> None:
    """Stands in for the demo's loader: one KPI with one value."""
    tracker.define(SYSTEM, parse_texts({"demo.yaml": "{name: Made Up, category: sales, tracking_period: daily}"}))
    tracker.record(SYSTEM, "made_up", [Entry(date(2026, 11, 25), Decimal(demo.seed))])


@pytest.fixture
def quick_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kpi_core.service.demo.load_demo", small_demo)
    monkeypatch.setattr(wiring, "SETTLE_SECONDS", 0.0)


def titles(house: House) -> list[str]:
    return [card.title for card in house.tracker.board(SYSTEM, Grain.DAILY).cards]


def told(house: House, seed: int | None = None) -> list[DemoUser]:
    users: list[DemoUser] = []
    house.start_demo(seed, on_people=users.extend)
    return users


# --- opening ----------------------------------------------------------------------------------------------------------


def test_a_new_house_waits_for_its_administrator_and_for_a_choice(house: House) -> None:
    assert house.needs_setup
    assert house.needs_start
    assert not house.is_demo
    house.sessions.claim("ada", "Ada", PASSWORD)
    house.start_empty()
    assert not house.needs_setup
    assert not house.needs_start


def test_what_was_chosen_is_known_after_a_restart(
    house: House, settings: Settings, clock: Clock, weak_passwords: Passwords
) -> None:
    house.sessions.claim("ada", "Ada", PASSWORD)
    house.start_empty()
    house.close()
    again = build(settings, clock=clock, passwords=weak_passwords)
    try:
        assert not again.needs_setup
        assert not again.needs_start
    finally:
        again.close()


def test_the_secret_lies_outside_the_database(house: House, settings: Settings) -> None:
    path = settings.secrets_dir / "secret_key"
    secret = path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with house.main.read() as conn:
        texts = [str(row) for row in conn.execute(sa.text("SELECT * FROM settings"))]
    assert not any(secret in text for text in texts)


def test_a_second_house_on_the_same_file_is_refused(house: House, settings: Settings) -> None:
    with pytest.raises(StoreInUse):
        build(settings)


def test_there_is_one_house_in_a_process_however_many_ask_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KPI_DATA_DIR", str(tmp_path / "data"))
    found: list[House] = []
    threads = [threading.Thread(target=lambda: found.append(wiring.house())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len(found) == 8
        assert len({id(each) for each in found}) == 1
    finally:
        wiring.leave()


# --- the demo comes and goes ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick_demo")
def test_a_demo_is_shown_in_place_of_the_own_data_and_the_own_data_comes_back(furnished: House) -> None:
    own = titles(furnished)
    told(furnished)
    assert furnished.is_demo
    assert titles(furnished) == ["Made Up"]
    assert furnished.data is not furnished.main
    furnished.remove_demo()
    assert not furnished.is_demo
    assert titles(furnished) == own
    assert furnished.data is furnished.main


@pytest.mark.usefixtures("quick_demo")
def test_every_swap_changes_the_version_that_open_boards_watch(furnished: House) -> None:
    versions = [furnished.version]
    told(furnished)
    versions.append(furnished.version)
    furnished.remove_demo()
    versions.append(furnished.version)
    assert len(set(versions)) == 3


@pytest.mark.usefixtures("quick_demo")
def test_a_demo_is_shown_again_after_a_restart(
    house: House, settings: Settings, clock: Clock, weak_passwords: Passwords
) -> None:
    told(house, seed=7)
    house.close()
    again = build(settings, clock=clock, passwords=weak_passwords)
    try:
        assert again.is_demo
        assert titles(again) == ["Made Up"]
    finally:
        again.close()


@pytest.mark.usefixtures("quick_demo")
def test_the_seed_makes_the_demo(house: House) -> None:
    told(house, seed=7)
    score = house.tracker.kpi(SYSTEM, "made_up").score
    assert score is not None
    assert score.value == 7


@pytest.mark.usefixtures("quick_demo")
def test_demo_people_can_sign_in_with_what_was_told_once(house: House) -> None:
    users = told(house)
    roles = {user.role for user in users}
    assert {"admin", "ceo", "sales_manager", "marketing_manager", "operations_manager", "finance_manager"} <= roles
    assert {"sales_rep", "team_lead", "viewer"} <= roles
    assert len({user.password for user in users}) == len(users)
    for user in users:
        assert house.sessions.sign_in(user.username, user.password, address="here")
        assert user.password not in repr(user)


@pytest.mark.usefixtures("quick_demo")
def test_passwords_are_shown_on_the_terminal_where_nobody_else_takes_them(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.start_demo()
    shown = capsys.readouterr().out
    assert "shown this once" in shown
    assert "sales_manager" in shown


@pytest.mark.usefixtures("quick_demo")
def test_a_demo_person_gives_way_to_a_real_one_of_the_same_name(furnished: House) -> None:
    before = furnished.sessions.sign_in("ada", PASSWORD, address="here")
    names = [user.username for user in told(furnished)]
    assert "demo-ada" in names
    assert furnished.sessions.sign_in("ada", PASSWORD, address="here")
    assert before


@pytest.mark.usefixtures("quick_demo")
def test_with_the_demo_go_its_people_their_sessions_and_its_file(house: House, settings: Settings) -> None:
    user = told(house)[0]
    cookie = house.sessions.exchange(house.sessions.sign_in(user.username, user.password, address="here"))
    session = house.sessions.find(cookie)
    assert session is not None
    assert (settings.data_dir / "demo.duckdb").exists()
    house.remove_demo()
    assert house.sessions.find(cookie) is None
    with pytest.raises(SignInRefused):
        house.sessions.sign_in(user.username, user.password, address="elsewhere")
    with house.main.read() as conn:
        assert not [person for person in people.load(conn) if person.is_demo]
    assert not list(settings.data_dir.glob("demo.duckdb*"))


@pytest.mark.usefixtures("quick_demo")
def test_the_demo_does_not_close_the_way_of_the_first_administrator(house: House) -> None:
    told(house)
    assert house.needs_setup
    house.sessions.claim("grace", "Grace", PASSWORD)
    assert not house.needs_setup


@pytest.mark.usefixtures("quick_demo")
def test_a_second_demo_is_refused_while_one_is_shown(house: House) -> None:
    told(house)
    with pytest.raises(Conflict, match="shown already"):
        told(house)
    house.remove_demo()
    with pytest.raises(Conflict, match="no demo"):
        house.remove_demo()
    told(house, seed=2)
    assert house.is_demo


@pytest.mark.usefixtures("quick_demo")
def test_starting_empty_removes_the_demo(house: House) -> None:
    told(house)
    house.start_empty()
    assert not house.is_demo
    assert titles(house) == []


@pytest.mark.usefixtures("quick_demo")
def test_a_demo_that_fails_halfway_leaves_all_as_it_was(
    furnished: House, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    def fails(*args: Any, **options: Any) -> None:
        small_demo(*args, **options)
        raise OSError("no space left on device")

    monkeypatch.setattr("kpi_core.service.demo.load_demo", fails)
    own = titles(furnished)
    with pytest.raises(OSError, match="no space"):
        told(furnished)
    assert not furnished.is_demo
    assert titles(furnished) == own
    assert not list(settings.data_dir.glob("demo.duckdb*"))
    with furnished.main.read() as conn:
        assert not [person for person in people.load(conn) if person.is_demo]
    monkeypatch.setattr("kpi_core.service.demo.load_demo", small_demo)
    told(furnished)
    assert furnished.is_demo


@pytest.mark.usefixtures("quick_demo")
def test_a_demo_whose_making_was_killed_is_swept_away_at_the_next_start(
    house: House, settings: Settings, clock: Clock, weak_passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: Any, **options: Any) -> None:
        small_demo(*args, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr("kpi_core.service.demo.load_demo", killed)
    monkeypatch.setattr(House, "sweep", lambda self: None)  # a killed process does not clean up
    with pytest.raises(KeyboardInterrupt):
        told(house)
    house.close()
    assert (settings.data_dir / "demo.duckdb").exists()
    monkeypatch.undo()
    again = build(settings, clock=clock, passwords=weak_passwords)
    try:
        assert not again.is_demo
        assert again.needs_start
        assert not (settings.data_dir / "demo.duckdb").exists()
        with again.main.read() as conn:
            assert people.load(conn) == []
    finally:
        again.close()


@pytest.mark.usefixtures("quick_demo")
def test_two_who_start_the_demo_at_once_make_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "PATIENCE_SECONDS", 10.0)
    outcomes: list[str] = []

    def start() -> None:
        try:
            told(house)
            outcomes.append("made")
        except Conflict:
            outcomes.append("refused")

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made", "refused"]


@pytest.mark.usefixtures("quick_demo")
def test_readers_see_one_company_or_the_other_while_the_demo_comes_and_goes(furnished: House) -> None:
    own, seen, stop = titles(furnished), set(), threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        while not stop.is_set():
            try:
                seen.add(tuple(titles(furnished)))
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test must see it
                failures.append(error)

    wiring.SETTLE_SECONDS = 0.3
    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(2):
            told(furnished)
            furnished.remove_demo()
    finally:
        stop.set()
        reader.join()
    assert not failures
    assert seen <= {tuple(own), ("Made Up",)}


def test_a_refresh_gives_way_to_a_change_of_what_is_shown(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(house.tracker, "recalculate", asked.append)
    with house._change():
        house.refresh()  # returns at once
        assert asked == []
    house.refresh()
    assert asked == [SYSTEM]


# --- on PostgreSQL ----------------------------------------------------------------------------------------------------


@pytest.fixture
def two_on_postgres(
    postgres_url: str, tmp_path: Path, clock: Clock, weak_passwords: Passwords
) -> Iterator[tuple[House, House]]:
    """Two processes' worth of houses over one database of their own."""
    admin = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as conn:
        conn.exec_driver_sql("CREATE DATABASE houses")
    url = sa.make_url(postgres_url).set(database="houses").render_as_string(hide_password=False)
    settings = Settings(data_dir=tmp_path / "data", database_url=url)
    houses = (
        build(settings, clock=clock, passwords=weak_passwords),
        build(settings, clock=clock, passwords=weak_passwords),
    )
    yield houses
    for each in houses:
        each.close()
    with admin.connect() as conn:
        conn.exec_driver_sql("DROP DATABASE houses WITH (FORCE)")
    admin.dispose()


@pytest.mark.usefixtures("quick_demo")
def test_another_web_process_follows_when_the_demo_comes_and_goes(two_on_postgres: tuple[House, House]) -> None:
    here, there = two_on_postgres
    told(here)
    there.reconcile()
    assert there.is_demo
    assert titles(there) == ["Made Up"]
    here.remove_demo()
    there.reconcile()
    assert not there.is_demo
    assert titles(there) == []


def test_one_of_several_web_processes_refreshes(
    two_on_postgres: tuple[House, House], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = two_on_postgres
    refreshed: list[str] = []
    monkeypatch.setattr(there.tracker, "recalculate", lambda actor: refreshed.append("there"))
    monkeypatch.setattr(here.tracker, "recalculate", lambda actor: (there.refresh(), refreshed.append("here")))
    here.refresh()
    assert refreshed == ["here"]
    there.refresh()
    assert refreshed == ["here", "there"]


# --- the real demo ----------------------------------------------------------------------------------------------------


def test_the_real_demo_starts_goes_on_and_leaves(house: House, clock: Clock) -> None:
    steps: list[float] = []
    users: list[DemoUser] = []
    house.start_demo(3, lambda share, text: steps.append(round(share, 6)), users.extend)
    assert steps == sorted(steps)
    assert steps[-1] == 1.0
    board = house.tracker.board(SYSTEM, Grain.DAILY)
    assert len(board.cards) >= 20
    assert house.tracker.company(SYSTEM).is_demo
    clock.now = NOW.replace(day=26)
    house.refresh()
    reached = [card.score.through for card in house.tracker.board(SYSTEM, Grain.DAILY).cards if card.score]
    assert max(instant for instant in reached if instant) > NOW
    house.remove_demo()
    assert titles(house) == []
