"""The frame around every page: what strangers, people and the first visitor get to see of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from argon2 import PasswordHasher
from streamlit.testing.v1 import AppTest

from kpi_core.model import Company
from kpi_core.server.passwords import Passwords
from kpi_core.server.sessions import Sessions
from kpi_core.store import Store
from pages.ui import session

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"


@dataclass
class House:
    """As much of the house as the frame asks for."""

    main: Store
    sessions: Sessions
    needs_start: bool = False
    is_demo: bool = False
    shortest_password: int = 10
    settings: object = None
    tracker: Any = field(default_factory=lambda: SimpleNamespace(company=lambda _: Company(name="*Acme* & <Co>")))

    @property
    def data(self) -> Store:
        return self.main

    @property
    def needs_setup(self) -> bool:
        return self.sessions.is_unclaimed

    def start_empty(self) -> None:
        self.needs_start = False

    def start_demo(self, *, on_progress: Callable[[float, str], None]) -> None:
        for share in (0.0, 0.5, 1.2):
            on_progress(share, "Founding")
        self.needs_start, self.is_demo = False, True

    def remove_demo(self) -> None:
        self.is_demo = False


@pytest.fixture
def home(duckdb_store: Store) -> House:
    weak = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    return House(duckdb_store, Sessions(duckdb_store, secret="a secret of thirty-two characters", passwords=weak))


@pytest.fixture
def open_shell(home: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., AppTest]]:
    """open_shell("username", "account.py"): the shell as that person's browser shows it; None is a stranger."""

    def run(username: str | None = None, page: str | None = None, **query: str) -> AppTest:
        monkeypatch.setattr(session, "house", lambda: home)
        monkeypatch.setattr(session, "session_id", lambda: session_of(home, username) if username else None)
        shell = AppTest.from_file(str(ROOT / "pages" / "shell.py"), default_timeout=30)
        for name, value in query.items():
            shell.query_params[name] = value
        shell.run()
        if page:
            shell.switch_page(page).run()
        assert not shell.exception
        return shell

    return run


def session_of(home: House, username: str) -> str | None:
    if username not in _signed_in:
        ticket = home.sessions.sign_in(username, PASSWORD, address="here")
        _signed_in[username] = home.sessions.exchange(ticket)
    found = home.sessions.find(_signed_in[username])
    return found.id if found else None


_signed_in: dict[str, str] = {}


@pytest.fixture(autouse=True)
def nobody_signed_in() -> None:
    _signed_in.clear()


def buttons(shell: AppTest) -> list[str]:
    return [button.label for button in shell.button]


def press(shell: AppTest, label: str) -> AppTest:
    return next(button for button in shell.button if button.label == label).click().run()


def texts(shell: AppTest) -> str:
    return "\n".join(str(element.value) for element in (*shell.markdown, *shell.caption, *shell.error))


def fill(shell: AppTest, **values: str) -> None:
    labels = {name.replace("_", " "): value for name, value in values.items()}
    for box in shell.text_input:
        if (value := labels.get(box.label.lower().replace(",", ""))) is not None:
            box.set_value(value)


# -- the first run --------------------------------------------------------------------------------------------------


def test_the_first_visitor_is_asked_to_make_the_administrator(open_shell: Callable[..., AppTest]) -> None:
    shell = open_shell(code="abc")
    assert buttons(shell) == ["Create account"]
    assert shell.text_input[0].value == "abc"


def test_the_two_passwords_must_be_the_same(open_shell: Callable[..., AppTest], home: House) -> None:
    shell = open_shell(code=home.sessions.setup_code() or "")
    fill(shell, your_name="Ada", user_name="ada", password=PASSWORD, password_once_more=f"{PASSWORD}!")
    press(shell, "Create account")
    assert "The two passwords are not the same." in texts(shell)
    assert home.sessions.is_unclaimed


def test_the_administrator_is_made_with_the_code(open_shell: Callable[..., AppTest], home: House) -> None:
    shell = open_shell(code=home.sessions.setup_code() or "")
    fill(shell, your_name="Ada", user_name="ada", password=PASSWORD, password_once_more=PASSWORD)
    press(shell, "Create account")
    assert not shell.exception
    assert not home.sessions.is_unclaimed
    assert buttons(shell) == []


@pytest.mark.parametrize(("choice", "is_demo"), [("Start empty", False), ("Show me the demo company", True)])
def test_the_administrator_chooses_how_to_begin(
    open_shell: Callable[..., AppTest], home: House, choice: str, is_demo: bool
) -> None:
    home.sessions.claim("ada", "Ada", PASSWORD)
    home.needs_start = True
    shell = open_shell("ada")
    assert buttons(shell) == ["Show me the demo company", "Start empty"]
    next(button for button in shell.button if button.label == choice).click()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AppTest, "exception", property(lambda _: []))  # the boards behind ask for more house than this
        shell.run()
    assert (home.needs_start, home.is_demo) == (False, is_demo)


def test_nobody_else_chooses(open_shell: Callable[..., AppTest], home: House) -> None:
    home.sessions.claim("ada", "Ada", PASSWORD)
    home.sessions.add_person("vera", "Vera", PASSWORD, roles=["viewer"])
    home.needs_start = True
    assert buttons(open_shell("vera")) == []


# -- strangers and people -------------------------------------------------------------------------------------------


def test_a_stranger_gets_the_sign_in_and_nothing_else(open_shell: Callable[..., AppTest], home: House) -> None:
    home.sessions.claim("ada", "Ada", PASSWORD)
    shell = open_shell()
    assert buttons(shell) == ["Sign in"]
    assert "Acme" not in texts(shell)


def test_a_wrong_password_is_answered_in_words(open_shell: Callable[..., AppTest], home: House) -> None:
    home.sessions.claim("ada", "Ada", PASSWORD)
    shell = open_shell()
    fill(shell, user_name="ada", password="wrong horse battery")
    press(shell, "Sign in")
    assert "That name and password do not fit together." in texts(shell)
    fill(shell, user_name="", password="")
    press(shell, "Sign in")
    assert "Please enter your user name and your password." in texts(shell)


def test_a_right_password_leaves_no_secret_in_the_tabs_memory(open_shell: Callable[..., AppTest], home: House) -> None:
    home.sessions.claim("ada", "Ada", PASSWORD)
    shell = open_shell()
    fill(shell, user_name="ada", password=PASSWORD)
    press(shell, "Sign in")
    assert buttons(shell) == []
    assert session.TICKET not in shell.session_state


def test_the_sidebar_names_company_and_person_as_they_are(open_shell: Callable[..., AppTest], home: House) -> None:
    home.sessions.claim("ada", "_Ada_ [x](y)", PASSWORD)
    shell = open_shell("ada", "account.py")
    assert r"**\*Acme\* \& \<Co\>**" in texts(shell)
    assert r"\_Ada\_ \[x\]\(y\)" in texts(shell)


def test_the_demo_is_labelled_and_removed_by_administrators_only(
    open_shell: Callable[..., AppTest], home: House
) -> None:
    home.sessions.claim("ada", "Ada", PASSWORD)
    home.sessions.add_person("vera", "Vera", PASSWORD, roles=["viewer"])
    home.is_demo = True
    remove = ":small[Remove the demo]"
    assert "People and numbers are made up" in texts(open_shell("vera", "account.py"))
    assert remove not in buttons(open_shell("vera", "account.py"))
    assert remove in buttons(open_shell("ada", "account.py"))
    home.is_demo = False
    assert "made up" not in texts(open_shell("ada", "account.py"))


def test_signing_out_ends_the_session(open_shell: Callable[..., AppTest], home: House) -> None:
    home.sessions.claim("ada", "Ada", PASSWORD)
    shell = open_shell("ada", "account.py")
    press(shell, "Sign out")
    assert session_of(home, "ada") is None
    assert "Sign in" in buttons(shell.run())


def test_a_password_is_changed_on_the_account_page(open_shell: Callable[..., AppTest], home: House) -> None:
    home.sessions.claim("ada", "Ada", PASSWORD)
    shell = open_shell("ada", "account.py")
    fill(shell, present_password=PASSWORD, new_password="short", new_password_once_more="short")
    press(shell, "Change password")
    assert "at least 10 characters" in texts(shell)
    new = "battery staple horse"
    fill(shell, present_password=PASSWORD, new_password=new, new_password_once_more=new)
    press(shell, "Change password")
    assert "Your password is changed" in "".join(str(success.value) for success in shell.success)
    assert home.sessions.sign_in("ada", new, address="elsewhere")
