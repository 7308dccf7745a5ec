"""The web's edge: the gate that every request passes, and the routes that set and clear the session cookie.

Streamlit knows a visitor by the headers of the WebSocket. So the gate takes away any identity header that a client
sends, looks the cookie up, and puts in its own; `server.trustedUserHeaders` maps that one into `st.user`. Streamlit
resumes a tab's script session only for the same `st.user`, so that who holds somebody's tab id gets nothing with it.

What the gate refuses, all with as little said as possible:

- from another origin: every WebSocket and every request that changes something;
- without a session: `/media/*` (charts and tables as files) and `/_stcore/upload_file` (memory for the asking);
- from everybody: doors of Streamlit that the product does not use, the agent API, its metrics, its own sign-in;
- more anonymous sockets than a sign-in page needs: each costs a script session.

The pages' one script is served from here, so that the content security policy can do without inline scripts; what
Streamlit's own page has inline is allowed by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kpi_core.errors import InvalidSetting, SignInRefused
from kpi_core.server.sessions import ABSOLUTE, Sessions

__all__ = ["IDENTITY", "REQUIRED_OPTIONS", "Gate", "check_options", "content_policy", "routes"]

IDENTITY: Final = "X-Kpi-Session"
COOKIE: Final = "kpi_session"
SECURE_COOKIE: Final = "__Host-kpi_session"
PUBLIC: Final = ("/static/", "/app/static/", "/_stcore/health", "/_stcore/host-config", "/favicon.png")
FOR_SIGNED_IN: Final = ("/media", "/_stcore/upload_file")
FOR_NOBODY: Final = (
    "/_stcore/agent",
    "/_stcore/metrics",
    "/_stcore/script-health-check",
    "/auth/login",
    "/auth/logout",
    "/oauth2callback",
)
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
ANONYMOUS_SOCKETS: Final = 1_000
ANONYMOUS_SOCKETS_OF_ONE: Final = 250
"""From one address; a whole office may come from one, with a tab left open on every desk."""
LARGEST_BODY: Final = 4_096

REQUIRED_OPTIONS: Final[dict[str, object]] = {
    "server.trustedUserHeaders": {IDENTITY: "session"},
    "server.enableXsrfProtection": True,
    "server.enableCORS": True,
    "server.enableAgentApi": False,
    "server.baseUrlPath": "",
    "client.showErrorDetails": "none",
    "browser.gatherUsageStats": False,
}
"""Streamlit's options that safety hangs on, as .streamlit/config.toml sets them."""

SCRIPT: Final = """\
// Posts what the page that loads it says, then loads the page anew: a WebSocket can neither set nor clear a cookie.
(() => {
  const { post, ticket } = document.currentScript.dataset;
  if (post !== "/session" && post !== "/sign-out") return;
  const body = ticket ? JSON.stringify({ ticket }) : "{}";
  const headers = { "Content-Type": "application/json" };
  fetch(post, { method: "POST", credentials: "same-origin", headers, body }).finally(() => {
    const here = new URL(window.location.href);
    here.searchParams.delete("code");
    window.location.replace(here);
  });
})();
"""


def check_options(option: Callable[[str], object]) -> None:
    """Refuse to start on Streamlit options that would undo the sign-in. Raises InvalidSetting."""
    wrong = [name for name, value in REQUIRED_OPTIONS.items() if option(name) != value]
    if wrong:
        raise InvalidSetting(
            f"{', '.join(wrong)}: not as .streamlit/config.toml of this product sets it; the sign-in depends on it. "
            "Restore that file, and set nothing of it in the environment or on the command line."
        )


def content_policy(page: str) -> str:
    """The content security policy for Streamlit's page. Its inline scripts are allowed by their hashes."""
    inline = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inline]
    scripts = " ".join(["'self'", "'wasm-unsafe-eval'", *(f"'sha256-{digest}'" for digest in hashes)])
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src {scripts}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def routes(sessions: Callable[[], Sessions], *, https: bool = False) -> list[Route]:
    """`POST /session` (ticket to cookie), `POST /sign-out`, and the script that posts to them."""
    door = _Door(sessions, https=https)
    return [
        Route("/session", door.session, methods=["POST"]),
        Route("/sign-out", door.sign_out, methods=["POST"]),
        Route("/session.js", _script, methods=["GET"]),
    ]


class _Door:
    def __init__(self, sessions: Callable[[], Sessions], *, https: bool) -> None:
        self._sessions = sessions
        self._https = https

    async def session(self, request: Request) -> Response:
        """Set the cookie for a ticket, once. A session that the browser has already ends."""
        ticket = await _ticket_of(request)
        if ticket is None:
            return _plain(400)
        before = _cookie_of(request.headers)
        try:
            token = await run_in_threadpool(self._begin, ticket, before, request.headers.get("user-agent"))
        except SignInRefused:
            return _plain(403)
        response = Response(status_code=204)
        self._set(response, request, token, int(ABSOLUTE.total_seconds()))
        return response

    async def sign_out(self, request: Request) -> Response:
        """End the session and clear the cookie. Without a session it does the same, and says the same."""
        await run_in_threadpool(self._end, _cookie_of(request.headers))
        response = Response(status_code=204)
        self._set(response, request, "", 0)
        return response

    def _begin(self, ticket: str, before: str | None, user_agent: str | None) -> str:
        token = self._sessions().exchange(ticket, user_agent=(user_agent or "")[:256] or None)
        self._end(before)
        return token

    def _end(self, token: str | None) -> None:
        if session := self._sessions().find(token):
            self._sessions().end(session.id)

    def _set(self, response: Response, request: Request, token: str, seconds: int) -> None:
        """A session cookie that no script reads and no other site sends; over https under a name that pins it here."""
        secure = self._https or request.url.scheme == "https"
        response.set_cookie(
            SECURE_COOKIE if secure else COOKIE,
            token,
            max_age=seconds,
            path="/",
            secure=secure,
            httponly=True,
            samesite="strict",
        )
        response.headers["Cache-Control"] = "no-store"


class Gate:
    """ASGI middleware, outermost. `policy` is the content security policy; `public_url` where a proxy serves us."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        sessions: Callable[[], Sessions],
        policy: str,
        public_url: str = "",
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._own_hosts = {urlsplit(public_url).netloc.lower()} - {""}
        self._headers = _safety_headers(policy, https=public_url.startswith("https://"))
        self._anonymous: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, self._with_headers(send))
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, path = Headers(scope=scope), scope["path"]
        if _is_under(path, FOR_NOBODY):
            await _plain(404)(scope, receive, send)
            return
        if scope["method"] not in SAFE_METHODS and not self._is_from_here(headers, _needs_origin(headers, path)):
            await _plain(403)(scope, receive, send)
            return
        who = None if path.startswith(PUBLIC) else await self._who(headers)
        if who is None and _is_under(path, FOR_SIGNED_IN):
            await _plain(404)(scope, receive, send)
            return
        await self._app(_identified(scope, who), receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if not self._is_from_here(headers, needs_origin=False):
            await send({"type": "websocket.close", "code": 1008})
            return
        who = await self._who(headers)
        if who is not None:
            await self._app(_identified(scope, who), receive, send)
            return
        await self._anonymous_socket(_identified(scope, None), receive, send)

    async def _anonymous_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = _address_of(scope)
        if self._anonymous.total() >= ANONYMOUS_SOCKETS or self._anonymous[address] >= ANONYMOUS_SOCKETS_OF_ONE:
            await send({"type": "websocket.close", "code": 1013})
            return
        self._anonymous[address] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._anonymous[address] -= 1
            if not self._anonymous[address]:
                del self._anonymous[address]

    async def _who(self, headers: Headers) -> str | None:
        """The id of the cookie's session. The memory answers nearly always, else the store, off the event loop."""
        token = _cookie_of(headers)
        if token is None:
            return None
        session = await run_in_threadpool(self._sessions().find, token)
        return session.id if session else None

    def _is_from_here(self, headers: Headers, needs_origin: bool) -> bool:
        """Whether a request comes from a page of ours, or (if it needs none) from a program that names no origin."""
        origin, fetched_from = headers.get("origin"), headers.get("sec-fetch-site")
        if fetched_from is not None and fetched_from not in ("same-origin", "none"):
            return False
        if origin is None:
            return not needs_origin or fetched_from == "same-origin"
        return urlsplit(origin).netloc.lower() in {headers.get("host", "").lower(), *self._own_hosts} - {""}

    def _with_headers(self, send: Send) -> Send:
        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        return sender


def _safety_headers(policy: str, *, https: bool) -> dict[str, str]:
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }
    return headers | ({"Strict-Transport-Security": "max-age=31536000"} if https else {})


def _identified(scope: Scope, session_id: str | None) -> Scope:
    """The scope with our identity header, or with none: what a client sent under that name is gone either way."""
    name = IDENTITY.lower().encode()
    headers = [(key, value) for key, value in scope["headers"] if _canonical(key) != name]
    if session_id is not None:
        headers.append((name, session_id.encode()))
    return {**scope, "headers": headers}


def _canonical(name: bytes) -> bytes:
    """Proxies and frameworks take `_` for `-`; a forged header shall not slip through in that disguise."""
    return name.lower().replace(b"_", b"-")


def _needs_origin(headers: Headers, path: str) -> bool:
    """Whether a request must prove its page: where the cookie speaks for it, and where cookies are set."""
    return path in ("/session", "/sign-out") or _cookie_of(headers) is not None


def _is_under(path: str, roots: Iterable[str]) -> bool:
    plain = re.sub(r"/{2,}", "/", path).lower()
    return any(plain == root or plain.startswith(f"{root}/") for root in roots)


def _cookie_of(headers: Headers) -> str | None:
    """The session cookie; the one that is pinned to this host first."""
    cookies: dict[str, str] = {}
    for pair in headers.get("cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        cookies.setdefault(name, value)
    return cookies.get(SECURE_COOKIE) or cookies.get(COOKIE) or None


def _address_of(scope: Scope) -> str:
    client: Any = scope.get("client")
    return str(client[0]) if client else ""


async def _ticket_of(request: Request) -> str | None:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            return None
    try:
        said = json.loads(body)
    except ValueError:
        return None
    ticket = said.get("ticket") if isinstance(said, dict) else None
    return ticket if isinstance(ticket, str) and ticket else None


async def _script(request: Request) -> Response:
    return Response(SCRIPT, media_type="text/javascript", headers={"Cache-Control": "no-cache"})


def _plain(status: int) -> Response:
    says = {400: "Bad request", 403: "Not allowed", 404: "Not found"}[status]
    return PlainTextResponse(says, status_code=status)
