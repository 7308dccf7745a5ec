"""The whole product in a process of its own, and a browser that uses it as people do.

    server        with the demo company loaded; shared by all browser tests, so a test changes nothing that others see
    new_server    starts one with nothing in it, for tests of the first run
    page          a fresh browser context, 1400 x 900; fails the test if it asks anybody but the server for anything
    sign_in       sign_in(page, "username") signs in and waits for the menu

The browser is the system's Chromium (`KPI_CHROMIUM` names another). Without one these tests skip; under CI they fail.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
ADMIN = "ada"
PASSWORD = "correct horse battery"
PATIENCE = 30_000
"""Milliseconds that the slowest machine may take for one step."""
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True, slots=True)
class Server:
    """A running product. `usernames` finds a demo person by role; `passwords` are by user name."""

    url: str
    data_dir: Path
    log: Path
    passwords: Mapping[str, str] = field(default_factory=dict)
    usernames: Mapping[str, str] = field(default_factory=dict)

    @property
    def setup_link(self) -> str:
        """The link that the terminal shows on the first run."""
        found = re.search(r"http://\S+\?code=\w+", self.log.read_text())
        assert found, self.log.read_text()
        return found[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(data_dir: Path) -> dict[str, str]:
    """This machine's, without settings of the product that happen to be there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KPI_", "STREAMLIT_"))}
    return {**kept, "KPI_DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def start(data_dir: Path) -> tuple[Server, subprocess.Popen[bytes]]:
    """Start the product as the README says, on a free port, and wait until it answers."""
    port = free_port()
    log = data_dir / "server.log"
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(data_dir) | {"KPI_PORT": str(port)}, stdout=out, stderr=out
        )
    server = Server(f"http://localhost:{port}", data_dir, log)
    until = time.monotonic() + 90
    while not answers(f"{server.url}/_stcore/health"):
        if process.poll() is not None or time.monotonic() > until:
            stop(process)
            pytest.fail(f"the server did not start:\n{log.read_text()}")
        time.sleep(0.2)
    return server, process


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def set_up_demo(data_dir: Path) -> list[tuple[str, str, str]]:
    """Make the administrator and the demo company by the command line; its people as (user name, role, password)."""
    password_file = data_dir / "password"
    password_file.write_text(f"{PASSWORD}\n")
    command = [sys.executable, "-m", "kpi_core", "setup", "--demo", "--admin", ADMIN, "--password-file", password_file]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(data_dir), capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = (re.split(r"\s{2,}", line.strip()) for line in done.stdout.partition("password")[2].splitlines())
    people = [(row[0], row[1], row[2]) for row in rows if len(row) == 3 and row != ["user name", "role", "password"]]
    assert people, done.stdout
    return people


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data_dir = tmp_path_factory.mktemp("demo")
    people = set_up_demo(data_dir)
    running, process = start(data_dir)
    try:
        yield Server(
            running.url,
            data_dir,
            running.log,
            passwords={ADMIN: PASSWORD, **{username: password for username, _, password in people}},
            usernames={role: username for username, role, _ in people},
        )
    finally:
        stop(process)


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Server]:
    running, process = start(tmp_path)
    try:
        yield running
    finally:
        stop(process)


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    chromium = os.environ.get("KPI_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium: install it, or name one in KPI_CHROMIUM")
        pytest.skip("there is no Chromium here: install it, or name one in KPI_CHROMIUM")
    opened = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
    yield opened
    opened.close()


@pytest.fixture
def new_context(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """new_context(width=390, dark=True): a browser of its own, with no cookie."""
    opened: list[BrowserContext] = []

    def make(width: int = 1400, height: int = 900, *, dark: bool = False) -> BrowserContext:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", locale="en-US"
        )
        context.set_default_timeout(PATIENCE)
        opened.append(context)
        return context

    expect.set_options(timeout=PATIENCE)
    yield make
    for context in opened:
        context.close()


@pytest.fixture
def page(new_context: Callable[..., BrowserContext]) -> Iterator[Page]:
    page = new_context().new_page()
    strangers: list[str] = []
    refused: list[str] = []
    page.on("request", lambda request: strangers.append(request.url) if is_strange(request.url) else None)
    page.on("console", lambda said: refused.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    assert not strangers, f"the page asked others: {strangers}"
    assert not refused, f"the page wanted more than its policy allows: {refused}"


def is_strange(url: str) -> bool:
    return not re.match(r"(https?|wss?)://(localhost|127\.0\.0\.1)[:/]|data:|blob:|about:", url)


@pytest.fixture
def sign_in(server: Server) -> Callable[..., None]:
    """sign_in(page, username, path="/"): as a demo person or the administrator ("ada"), ending up at `path`."""

    def enter(page: Page, username: str = ADMIN, path: str = "/") -> None:
        page.goto(server.url + path)
        fill_sign_in(page, username, server.passwords[username])
        expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_attached()

    return enter


def fill_sign_in(page: Page, username: str, password: str) -> None:
    page.get_by_role("textbox", name="User name", exact=True).fill(username)
    page.get_by_role("textbox", name="Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()
