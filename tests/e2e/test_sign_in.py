"""Getting in, staying in, being out: in a real browser, and over the bare wire where a browser is too well-behaved."""

from __future__ import annotations

import hashlib
import hmac
import re
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from kpi_core.server.web import COOKIE, IDENTITY
from tests.e2e.conftest import ADMIN, PASSWORD, Server, fill_sign_in

PAGES = ("", "overview", "daily", "weekly", "monthly", "custom", "kpi?key=daily_revenue", "account", "nowhere")
DATA = re.compile(rb"revenue|churn|conversion|on track|quillhaven|demo company", re.IGNORECASE)
"""Words that stand on boards, and none of which a stranger may read. None can occur in a random id by chance."""


def cookie_of(context: BrowserContext) -> str:
    return next(cookie["value"] for cookie in context.cookies() if cookie["name"] == COOKIE)


def with_cookie(context: BrowserContext, server: Server, cookie: str) -> Page:
    context.add_cookies([{"name": COOKIE, "value": cookie, "url": server.url}])
    page = context.new_page()
    page.goto(server.url)
    return page


def expect_sign_in(page: Page) -> None:
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Sign out", exact=True)).not_to_be_attached()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect_sign_in(page)


def status_of(url: str, *, method: str = "GET", headers: dict[str, str] | None = None) -> int:
    request = urllib.request.Request(url, method=method, headers=headers or {}, data=b"{}" if method != "GET" else None)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def run_over_the_wire(
    server: Server, page: str = "", *, resume: str = "", headers: dict[str, str] | None = None
) -> tuple[str, bytes]:
    """Run a page as a bare client does: the tab's id that the server gave, and every byte that it sent."""
    name, _, query = page.partition("?")
    asked = BackMsg()
    asked.rerun_script.page_name = name
    asked.rerun_script.query_string = query
    spoken = [Subprotocol(word) for word in ("streamlit", "none", resume) if word]
    url = server.url.replace("http", "ws") + "/_stcore/stream"
    with connect(url, subprotocols=spoken, additional_headers=headers or {}, max_size=None) as socket:
        socket.send(asked.SerializeToString())
        tab, heard = "", b""
        while True:
            frame = socket.recv(timeout=30)
            assert isinstance(frame, bytes)
            heard += frame
            said = ForwardMsg.FromString(frame)
            if said.WhichOneof("type") == "new_session":
                tab = said.new_session.initialize.session_id
            if said.WhichOneof("type") == "script_finished":
                return tab, heard


# -- the first run --------------------------------------------------------------------------------------------------


def make_account(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_role("textbox", name="Your name", exact=True).fill("Ada Lovelace")
    page.get_by_role("textbox", name="User name", exact=True).fill(ADMIN)
    page.get_by_role("textbox", name="Password", exact=True).fill(PASSWORD)
    page.get_by_role("textbox", name="Password, once more", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()


def test_the_first_run_leads_in_two_steps_to_a_signed_in_demo_board(new_server: Server, page: Page) -> None:
    make_account(page, new_server.setup_link)
    page.get_by_role("button", name="Show me the demo company").click()
    expect(page.get_by_text("People and numbers are made up.")).to_be_visible(timeout=180_000)
    expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_attached()
    assert "code=" not in page.url

    page.get_by_role("button", name="Remove the demo").click()
    page.get_by_role("button", name="Remove it", exact=True).click()
    expect(page.get_by_text("People and numbers are made up.")).not_to_be_attached()
    expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_attached()


def test_the_first_run_may_start_empty_and_its_way_is_gone_afterwards(
    new_server: Server, page: Page, new_context: Callable[..., BrowserContext]
) -> None:
    link = new_server.setup_link
    make_account(page, link.partition("?")[0] + "?code=0000000000")
    expect(page.get_by_text("This is not the setup code")).to_be_visible()
    make_account(page, link)
    page.get_by_role("button", name="Start empty").click()
    expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_attached()
    expect(page.get_by_text("People and numbers are made up.")).not_to_be_attached()

    stranger = new_context().new_page()
    stranger.goto(link)
    expect_sign_in(stranger)


# -- in and out -----------------------------------------------------------------------------------------------------


def test_a_right_password_signs_in_and_a_reload_keeps_the_session(
    page: Page, sign_in: Callable[..., None], server: Server
) -> None:
    sign_in(page)
    page.reload()
    expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_attached()
    other_tab = page.context.new_page()
    other_tab.goto(f"{server.url}/weekly")
    expect(other_tab.get_by_role("button", name="Sign out", exact=True)).to_be_attached()


@pytest.mark.parametrize("username", [ADMIN, "nobody-of-this-name"])
def test_a_wrong_password_and_an_unknown_name_read_the_same(page: Page, server: Server, username: str) -> None:
    page.goto(server.url)
    fill_sign_in(page, username, "wrong horse battery")
    expect(page.get_by_text("That name and password do not fit together.")).to_be_visible()
    assert not [cookie for cookie in page.context.cookies() if cookie["name"] == COOKIE]


def test_the_cookie_is_out_of_reach_of_scripts_and_the_only_one_that_says_who(
    page: Page, sign_in: Callable[..., None]
) -> None:
    sign_in(page)
    cookies = {cookie["name"]: cookie for cookie in page.context.cookies()}
    assert set(cookies) <= {COOKIE, "_streamlit_xsrf"}
    assert cookies[COOKIE]["httpOnly"]
    assert cookies[COOKIE]["sameSite"] == "Strict"
    assert cookies[COOKIE]["value"] not in page.evaluate("document.cookie")


def test_after_signing_out_a_copied_cookie_is_dead(
    page: Page, sign_in: Callable[..., None], server: Server, new_context: Callable[..., BrowserContext]
) -> None:
    sign_in(page)
    copied = cookie_of(page.context)
    thief = with_cookie(new_context(), server, copied)
    expect(thief.get_by_role("button", name="Sign out", exact=True)).to_be_attached()
    sign_out(page)
    assert not [cookie for cookie in page.context.cookies() if cookie["name"] == COOKIE]

    expect_sign_in(with_cookie(new_context(), server, copied))
    thief.locator(f"[href='{server.url}/weekly']").click()
    expect_sign_in(thief)
    assert not DATA.search(run_over_the_wire(server, headers={"Cookie": f"{COOKIE}={copied}"})[1])


@pytest.mark.long
def test_a_tab_that_nobody_touches_ends_within_a_minute(
    page: Page, sign_in: Callable[..., None], server: Server
) -> None:
    sign_in(page)
    idle = page.context.new_page()
    idle.goto(f"{server.url}/account")
    expect(idle.get_by_text("Change your password")).to_be_visible()
    sign_out(page)
    expect(idle.get_by_role("button", name="Sign in", exact=True)).to_be_visible(timeout=60_000)
    expect(idle.get_by_text("Change your password")).not_to_be_attached()


def test_a_new_password_signs_out_everywhere_else(
    new_server: Server, page: Page, new_context: Callable[..., BrowserContext]
) -> None:
    make_account(page, new_server.setup_link)
    page.get_by_role("button", name="Start empty").click()
    expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_attached()
    elsewhere = new_context().new_page()
    elsewhere.goto(f"{new_server.url}/account")
    fill_sign_in(elsewhere, ADMIN, PASSWORD)
    expect(elsewhere.get_by_text("Change your password")).to_be_visible()

    page.goto(f"{new_server.url}/account")
    page.get_by_role("textbox", name="Present password", exact=True).fill(PASSWORD)
    page.get_by_role("textbox", name="New password", exact=True).fill("battery staple horse")
    page.get_by_role("textbox", name="New password, once more", exact=True).fill("battery staple horse")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("Your password is changed.")).to_be_visible()
    elsewhere.reload()
    expect_sign_in(elsewhere)
    page.reload()
    expect(page.get_by_text("Change your password")).to_be_visible()


# -- strangers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_a_cold_deep_link_shows_the_sign_in_and_no_data(page: Page, server: Server, path: str) -> None:
    heard: list[bytes] = []

    def listen(payload: bytes | str) -> None:
        heard.append(payload if isinstance(payload, bytes) else payload.encode())

    page.on("websocket", lambda socket: socket.on("framereceived", listen))
    page.goto(f"{server.url}/{path}")
    expect_sign_in(page)
    assert heard
    assert not DATA.search(b"".join(heard) + page.content().encode())


def test_a_deep_link_survives_the_sign_in(page: Page, sign_in: Callable[..., None], server: Server) -> None:
    sign_in(page, path="/weekly?category=sales")
    assert page.url.startswith(f"{server.url}/weekly?")
    assert "category=sales" in page.url


@pytest.mark.parametrize("path", PAGES)
def test_a_client_without_a_session_gets_no_data_over_the_bare_wire(server: Server, path: str) -> None:
    assert not DATA.search(run_over_the_wire(server, path)[1])


def test_a_forged_identity_is_ignored(page: Page, sign_in: Callable[..., None], server: Server) -> None:
    sign_in(page)
    cookie = cookie_of(page.context)
    secret = (server.data_dir / "secrets" / "secret_key").read_text().strip()
    session = hmac.new(secret.encode(), cookie.encode(), hashlib.sha256).hexdigest()
    assert DATA.search(run_over_the_wire(server, headers={"Cookie": f"{COOKIE}={cookie}"})[1])
    for name in (IDENTITY, IDENTITY.lower(), IDENTITY.replace("-", "_")):
        assert not DATA.search(run_over_the_wire(server, headers={name: session})[1])


def test_somebody_elses_tab_cannot_be_resumed(page: Page, sign_in: Callable[..., None], server: Server) -> None:
    sign_in(page)
    own = {"Cookie": f"{COOKIE}={cookie_of(page.context)}"}
    tab, heard = run_over_the_wire(server, headers=own)
    assert DATA.search(heard)
    assert run_over_the_wire(server, headers=own, resume=tab)[0] == tab
    stolen, heard = run_over_the_wire(server, resume=tab)
    assert stolen != tab
    assert not DATA.search(heard)


@pytest.mark.parametrize(
    "path",
    [
        "/media/0123456789abcdef.csv",
        "/_stcore/metrics",
        "/_stcore/upload_file/a/b",
        "/_stcore/agent/openapi.json",
        "/_stcore/agent/interact",
        "/_stcore/agent/mcp",
    ],
)
def test_a_stranger_finds_no_files_no_metrics_no_uploads_and_no_agent_door(server: Server, path: str) -> None:
    assert status_of(server.url + path) == 404
    own = {"Origin": server.url}
    assert {status_of(server.url + path, method=method, headers=own) for method in ("POST", "PUT", "DELETE")} == {404}


@pytest.mark.parametrize("path", ["/session", "/sign-out"])
def test_a_post_from_another_origin_is_refused(
    page: Page, sign_in: Callable[..., None], server: Server, path: str
) -> None:
    sign_in(page)
    cookie = f"{COOKIE}={cookie_of(page.context)}"
    for headers in ({"Origin": "https://evil.example"}, {}, {"Origin": server.url, "Sec-Fetch-Site": "cross-site"}):
        assert status_of(server.url + path, method="POST", headers={"Cookie": cookie, **headers}) == 403
    page.reload()
    expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_attached()


# -- as it looks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_the_sign_in_fits_the_screen(
    new_context: Callable[..., BrowserContext], server: Server, width: int, dark: bool
) -> None:
    page = new_context(width, 844, dark=dark).new_page()
    page.goto(server.url)
    expect_sign_in(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.wait_for_function("[...document.fonts].some(font => /Inter/.test(font.family) && font.status === 'loaded')")
