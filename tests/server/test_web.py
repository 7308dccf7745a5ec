"""The gate and the session's routes, over the wire but without a browser."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher
from starlette.applications import Starlette
from starlette.exceptions import StarletteDeprecationWarning
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from kpi_core.errors import InvalidSetting
from kpi_core.server import web
from kpi_core.server.greeting import greet
from kpi_core.server.passwords import Passwords
from kpi_core.server.sessions import Sessions
from kpi_core.store import Store, people

with warnings.catch_warnings():
    warnings.simplefilter("ignore", StarletteDeprecationWarning)  # it would rather have another HTTP library than ours
    from starlette.testclient import TestClient

HERE = "http://kpi.test"
FROM_HERE = {"Origin": HERE}
STREAM = "ws://kpi.test/_stcore/stream"
PASSWORD = "correct horse battery"
PAGE = "<html><script>\n first() </script><script type='module' src='x.js'></script></html>"


async def echo(request: Request) -> JSONResponse:
    """What the application behind the gate would see."""
    return JSONResponse({"identity": request.headers.getlist(web.IDENTITY), "headers": dict(request.headers)})


async def echo_socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_json(socket.headers.getlist(web.IDENTITY))
    await socket.receive()


@pytest.fixture
def sessions(duckdb_store: Store) -> Sessions:
    weak = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    sessions = Sessions(duckdb_store, secret="a secret of thirty-two characters", passwords=weak)
    sessions.claim("ada", "Ada Lovelace", PASSWORD)
    return sessions


def client_of(sessions: Sessions, public_url: str = "", base: str = HERE) -> TestClient:
    app = Starlette(
        routes=[
            *web.routes(lambda: sessions, https=public_url.startswith("https")),
            WebSocketRoute("/_stcore/stream", echo_socket),
            Route("/{path:path}", echo, methods=["GET", "POST", "PUT", "DELETE"]),
        ],
        middleware=[
            Middleware(web.Gate, sessions=lambda: sessions, policy=web.content_policy(PAGE), public_url=public_url)
        ],
    )
    return TestClient(app, base_url=base)


@pytest.fixture
def client(sessions: Sessions) -> Iterator[TestClient]:
    with client_of(sessions) as client:
        yield client


def ticket(sessions: Sessions) -> str:
    return sessions.sign_in("ada", PASSWORD, address="here")


def sign_in(client: TestClient, sessions: Sessions) -> str:
    """Sign the client in; the cookie."""
    assert client.post("/session", json={"ticket": ticket(sessions)}, headers=FROM_HERE).status_code == 204
    return client.cookies[web.COOKIE]


def test_a_ticket_becomes_a_cookie_that_no_script_reads_and_no_other_site_sends(
    client: TestClient, sessions: Sessions
) -> None:
    answer = client.post("/session", json={"ticket": ticket(sessions)}, headers=FROM_HERE)
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 204
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie
    assert answer.headers["cache-control"] == "no-store"


def test_over_https_the_cookie_is_secure_and_pinned_to_the_host(sessions: Sessions) -> None:
    with client_of(sessions, public_url="https://kpi.example.com", base="http://internal:8501") as client:
        headers = {"Origin": "https://kpi.example.com"}
        answer = client.post("/session", json={"ticket": ticket(sessions)}, headers=headers)
    assert answer.headers["set-cookie"].startswith("__Host-kpi_session=")
    assert "Secure" in answer.headers["set-cookie"]
    assert "max-age" in answer.headers["strict-transport-security"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://kpi.test.evil.example"},
        {"Origin": HERE, "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=["none", "another", "null", "alike", "browser says cross-site", "neighbour"],
)
def test_a_ticket_from_another_origin_is_refused(
    client: TestClient, sessions: Sessions, headers: dict[str, str]
) -> None:
    kept = ticket(sessions)
    assert client.post("/session", json={"ticket": kept}, headers=headers).status_code == 403
    assert not client.cookies
    assert client.post("/session", json={"ticket": kept}, headers=FROM_HERE).status_code == 204


@pytest.mark.parametrize("body", ["", "{}", "[]", "null", '{"ticket": 5}', '{"ticket": ""}', "\x00\xff", "x" * 5_000])
def test_a_body_that_is_no_ticket_is_a_bad_request(client: TestClient, body: str) -> None:
    assert client.post("/session", content=body, headers=FROM_HERE).status_code == 400


def test_a_used_or_invented_ticket_is_refused(client: TestClient, sessions: Sessions) -> None:
    used = ticket(sessions)
    assert client.post("/session", json={"ticket": used}, headers=FROM_HERE).status_code == 204
    for refused in (used, "invented"):
        assert client.post("/session", json={"ticket": refused}, headers=FROM_HERE).status_code == 403


def test_signing_in_anew_ends_the_session_before(client: TestClient, sessions: Sessions) -> None:
    before = sign_in(client, sessions)
    after = sign_in(client, sessions)
    assert before != after
    assert sessions.find(before) is None


def test_signing_out_is_a_post_that_ends_the_session_and_clears_the_cookie(
    client: TestClient, sessions: Sessions
) -> None:
    cookie = sign_in(client, sessions)
    client.get("/sign-out")
    assert sessions.find(cookie) is not None
    assert client.post("/sign-out", headers={"Origin": "https://evil.example"}).status_code == 403
    assert sessions.find(cookie) is not None
    assert client.post("/sign-out", headers=FROM_HERE).status_code == 204
    assert sessions.find(cookie) is None
    assert web.COOKIE not in client.cookies


def test_the_gate_says_who_it_is(client: TestClient, sessions: Sessions) -> None:
    session = sessions.find(sign_in(client, sessions))
    assert session is not None
    assert client.get("/daily").json()["identity"] == [session.id]


@pytest.mark.parametrize("name", ["X-Kpi-Session", "x-kpi-session", "X_Kpi_Session", "X-KPI_SESSION"])
def test_a_forged_identity_is_taken_away(client: TestClient, sessions: Sessions, name: str) -> None:
    session = sessions.find(sign_in(client, sessions))
    assert session is not None
    client.cookies.clear()
    forged = {name: session.id}
    seen = client.get("/daily", headers=forged).json()
    assert session.id not in str(seen)
    with client.websocket_connect(STREAM, headers=forged) as socket:
        assert socket.receive_json() == []


def test_an_unknown_cookie_is_nobody(client: TestClient) -> None:
    assert client.get("/daily", headers={"Cookie": f"{web.COOKIE}=invented"}).json()["identity"] == []


@pytest.mark.parametrize("path", ["/media/abc.csv", "/MEDIA/abc.csv", "/_stcore/upload_file/a/b"])
def test_what_only_signed_in_people_need_is_not_there_for_others(
    client: TestClient, sessions: Sessions, path: str
) -> None:
    assert client.get(path).status_code == 404
    sign_in(client, sessions)
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/_stcore/metrics",
        "/_stcore/agent/interact",
        "/_stcore/agent/mcp",
        "/_stcore/agent/openapi.json",
        "/_stcore/script-health-check",
        "/auth/login",
        "/auth/logout",
        "/oauth2callback",
    ],
)
def test_doors_of_streamlit_that_we_do_not_use_are_not_there_for_anybody(
    client: TestClient, sessions: Sessions, path: str
) -> None:
    sign_in(client, sessions)
    assert client.get(path).status_code == 404
    assert client.post(path, headers=FROM_HERE).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_change_that_the_cookie_speaks_for_must_come_from_our_pages(
    client: TestClient, sessions: Sessions, method: str
) -> None:
    sign_in(client, sessions)
    assert client.request(method, "/api/kpis").status_code == 403
    assert client.request(method, "/api/kpis", headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.request(method, "/api/kpis", headers=FROM_HERE).status_code == 200


def test_a_program_without_a_cookie_needs_no_origin(client: TestClient) -> None:
    assert client.post("/api/kpis", headers={"Authorization": "Bearer kpi_x"}).status_code == 200


def test_a_socket_from_another_origin_is_refused(client: TestClient, sessions: Sessions) -> None:
    sign_in(client, sessions)
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(STREAM, headers={"Origin": "https://evil.example"}),
    ):
        pass
    with client.websocket_connect(STREAM, headers=FROM_HERE) as socket:
        assert len(socket.receive_json()) == 1


def test_anonymous_sockets_are_capped_and_signed_in_ones_are_not(
    client: TestClient, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "ANONYMOUS_SOCKETS_OF_ONE", 1)
    with client.websocket_connect(STREAM) as first:
        assert first.receive_json() == []
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(STREAM):
            pass
        sign_in(client, sessions)
        with client.websocket_connect(STREAM) as own:
            assert len(own.receive_json()) == 1
        client.cookies.clear()
    with client.websocket_connect(STREAM) as next_one:
        assert next_one.receive_json() == []


def test_every_answer_carries_the_safety_headers(client: TestClient) -> None:
    for path in ("/", "/media/x", "/session.js"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "same-origin"


def test_the_policy_allows_the_pages_own_inline_script_by_its_hash_and_no_other() -> None:
    scripts = re.search(r"script-src ([^;]*)", web.content_policy(PAGE))
    assert scripts is not None
    assert scripts[1].split().count("'self'") == 1
    assert len(re.findall(r"'sha256-[^']+'", scripts[1])) == 1
    assert "unsafe-inline" not in scripts[1]
    assert "'unsafe-eval'" not in scripts[1]


def test_the_server_does_not_start_on_options_that_would_undo_the_sign_in() -> None:
    web.check_options(lambda name: web.REQUIRED_OPTIONS[name])
    with pytest.raises(InvalidSetting, match="trustedUserHeaders"):
        web.check_options(lambda name: {} if name == "server.trustedUserHeaders" else web.REQUIRED_OPTIONS[name])


def test_the_configuration_file_sets_the_options_that_safety_hangs_on() -> None:
    import tomllib

    from kpi_core.server.settings import PROJECT

    options = tomllib.loads((PROJECT / ".streamlit" / "config.toml").read_text())
    web.check_options(lambda name: options[name.partition(".")[0]].get(name.partition(".")[2]))


def test_the_terminal_shows_the_setup_link_only_while_there_is_nobody(
    duckdb_store: Store, sessions: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    greet(sessions, HERE)
    assert capsys.readouterr().out == ""
    with duckdb_store.write() as connection:
        for person in people.load(connection):
            people.remove(connection, person.id)
    fresh = Sessions(duckdb_store, secret="a secret of thirty-two characters")
    greet(fresh, HERE)
    assert f"{HERE}/?code={fresh.setup_code()}" in capsys.readouterr().out
