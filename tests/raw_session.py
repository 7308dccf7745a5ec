"""A browser tab without a browser: the small half of Streamlit's WebSocket protocol that a tab speaks.

What a page shows is what the browser draws, but what it *sent* is in the frames: a hidden column, the data of a chart,
a widget's options. So the tests of who sees what read frames, and the load benchmark counts the time until a run's last
one, without the cost of a hundred browsers.

`Conversation` is the protocol alone: bytes to send, bytes heard. `RawSession` puts a blocking socket under it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

from google.protobuf.message import Message
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from tests.shown_cards import ShownCard, shown_cards

__all__ = ["COOKIE", "STREAM", "Conversation", "RawSession", "Refused", "Run", "post", "protocols", "sign_in"]

COOKIE = "kpi_session"
STREAM = "/_stcore/stream"
LARGEST_FRAME = 64 * 2**20
PATIENCE = 20.0
Query = Mapping[str, str | list[str]]
Value = str | int | list[str]


class Refused(Exception):
    """The server would not take the socket, or closed it."""


@dataclass
class Run:
    """What one run of the script sent, in order."""

    frames: list[bytes] = field(default_factory=list)
    messages: list[ForwardMsg] = field(default_factory=list)
    is_over: bool = False
    seconds: float = 0.0

    def elements(self, kind: str = "") -> Iterator[Any]:
        """The elements that were put on the page: all, or those of a kind (`metric`, `markdown`, `button_group`)."""
        for message in self.messages:
            if message.delta.WhichOneof("type") == "new_element":
                element = message.delta.new_element
                found = element.WhichOneof("type")
                if found and kind in ("", found):
                    yield getattr(element, found)

    @property
    def texts(self) -> list[str]:
        """Every text of every element and block, whatever it is for."""
        return [text for message in self.messages if message.HasField("delta") for text in _strings(message.delta)]

    @property
    def cards(self) -> list[ShownCard]:
        """The cards that were put on the page."""
        return shown_cards(html.body for html in self.elements("html"))

    @property
    def pages(self) -> list[str]:
        """The addresses that the navigation offers; the default page's is empty."""
        return [page.url_pathname for message in self._of("navigation") for page in message.navigation.app_pages]

    @property
    def fragments(self) -> list[str]:
        """The ids of the fragments that the tab is to run again by itself, every few seconds."""
        return [message.auto_rerun.fragment_id for message in self._of("auto_rerun")]

    @property
    def errors(self) -> list[str]:
        """What went wrong in the script, as far as the browser is told."""
        return [f"{error.type}: {error.message}" for error in self.elements("exception")]

    def says(self, text: str) -> bool:
        """Whether a text stands anywhere in what was sent: in an element, in a table's data, in what only scripts see.

        In the bytes as sent, and escaped as JSON has it inside a chart.
        """
        return any(spelling in self.sent for spelling in {text.encode(), json.dumps(text)[1:-1].encode()})

    @cached_property
    def sent(self) -> bytes:
        """All frames in one, to search in. Ask when the run is over."""
        return b"\n".join(self.frames)

    def _of(self, kind: str) -> Iterator[ForwardMsg]:
        return (message for message in self.messages if message.WhichOneof("type") == kind)


class Conversation:
    """One tab: what it holds, what it asks for, and what it hears. No socket of its own.

    `caches` announces, as a browser does, the large messages that it holds, which are then sent as a mere reference.
    """

    def __init__(self, *, caches: bool = False) -> None:
        self.run = Run()
        self.session_id = ""
        self.query = ""
        self._page_hash = ""
        self._page = ""
        self._caches = caches
        self._kept: dict[str, ForwardMsg] = {}
        self._widgets: dict[str, WidgetState] = {}
        self._ids: dict[str, str] = {}
        self._fragments: dict[str, str] = {}

    def ask(
        self,
        page: str | None = None,
        *,
        query: Query | None = None,
        values: Mapping[str, Value] | None = None,
        press: str = "",
        fragment: str = "",
    ) -> bytes:
        """The bytes that ask for a run: of `page` (default: the one shown), after changing widgets.

        Widgets are named by key or label. A new page starts with its `query` alone. Acting on a widget in a fragment
        asks for that fragment's run, as a browser does; a link or a look again asks for the whole script's.
        """
        if page is not None or query is not None:
            self.query = urlencode(query or {}, doseq=True)
        for name, value in (values or {}).items():
            state = _state(self._id_of(name), value)
            self._widgets[state.id] = state
            fragment = fragment or self._fragments.get(state.id, "")
        states = list(self._widgets.values())
        if press:
            states.append(WidgetState(id=self._id_of(press), trigger_value=True))
            fragment = fragment or self._fragments.get(self._id_of(press), "")
        asked = ClientState(
            query_string=self.query,
            widget_states=WidgetStates(widgets=states),
            page_name=page or "",
            page_script_hash="" if page is not None else self._page_hash,
            fragment_id=fragment if page is None and query is None else "",
            cached_message_hashes=self._kept if self._caches else (),
        )
        if not asked.fragment_id:
            self._fragments.clear()  # those of the page as it will be are in what comes
        self.run = Run()
        return BackMsg(rerun_script=asked).SerializeToString()

    def hear(self, frame: bytes) -> bool:
        """Take a frame in; True if it was the run's last."""
        message = ForwardMsg.FromString(frame)
        self.run.frames.append(frame)
        self.run.messages.append(self._whole(message))
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.session_id = message.new_session.initialize.session_id or self.session_id
            self._page_hash = message.new_session.page_script_hash
        elif kind == "navigation":
            self._page_hash = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        self.run.is_over = kind == "script_finished" and message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN
        return self.run.is_over

    def options(self, name: str) -> list[str]:
        """The options of pills or a select box in the last run."""
        wanted = self._id_of(name)
        found = next(e for e in self.run.elements() if getattr(e, "id", "") == wanted)
        return [str(getattr(option, "content", option)) for option in found.options]

    def _whole(self, message: ForwardMsg) -> ForwardMsg:
        """The message, or the one kept that it refers to."""
        if message.WhichOneof("type") == "ref_hash":
            return self._kept[message.ref_hash]
        if self._caches and message.metadata.cacheable:
            self._kept[message.hash] = message
        return message

    def _id_of(self, name: str) -> str:
        """The widget's id, as of the last run, or of the last one before it whose widgets were asked for."""
        for message in self.run.messages:
            for element in _widgets_in(message.delta):
                _, _, key = element.id.removeprefix("$$ID-").partition("-")
                self._ids |= dict.fromkeys((key, getattr(element, "label", "")), element.id)
                self._fragments[element.id] = message.delta.fragment_id
        try:
            return self._ids[name]
        except KeyError:
            raise AssertionError(f"no widget {name!r} here; there are {sorted(self._ids)}") from None


class RawSession:
    """A tab on a blocking socket. Use it with `with`."""

    def __init__(
        self,
        url: str,
        *,
        cookie: str | None = None,
        resume: str = "",
        origin: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.talk = Conversation()
        self._patience = PATIENCE
        sent = [*headers, *([("Cookie", f"{COOKIE}={cookie}")] if cookie else [])]
        self._closing = ExitStack()
        try:
            opened = connect(
                stream_of(url),
                origin=Origin(origin or url),
                subprotocols=protocols(resume),
                additional_headers=sent,
                max_size=LARGEST_FRAME,
                proxy=None,
            )
            self._socket = self._closing.enter_context(opened)
        except InvalidHandshake as error:
            raise Refused(str(error)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._closing.close()

    @property
    def session_id(self) -> str:
        """The tab's script session, by which Streamlit lets a tab come back."""
        return self.talk.session_id

    def go(
        self,
        page: str | None = None,
        *,
        query: Query | None = None,
        values: Mapping[str, Value] | None = None,
        press: str = "",
        fragment: str = "",
    ) -> Run:
        """Ask for a run and wait for its last frame. Raises Refused if the socket closes before."""
        start = time.perf_counter()
        try:
            self._socket.send(self.talk.ask(page, query=query, values=values, press=press, fragment=fragment))
            while not self.talk.hear(self._frame(start)):
                pass
        except ConnectionClosed as error:
            raise Refused(str(error)) from error
        self.talk.run.seconds = time.perf_counter() - start
        return self.talk.run

    def _frame(self, start: float) -> bytes:
        left = self._patience - (time.perf_counter() - start)
        frame = self._socket.recv(timeout=max(left, 0.0))
        assert isinstance(frame, bytes)
        return frame


def stream_of(url: str) -> str:
    """The socket's address for a server's: ws://127.0.0.1:8501/_stcore/stream."""
    return f"ws://{urlsplit(url).netloc}{STREAM}"


def protocols(resume: str = "") -> list[Subprotocol]:
    """What a tab says in the subprotocol header: its kind, a place for a token, and the script session it had."""
    return [Subprotocol(part) for part in ("streamlit", "PLACEHOLDER_AUTH_TOKEN", resume) if part]


def sign_in(url: str, username: str, password: str) -> str:
    """The session cookie of somebody who signs in as people do: the form over a socket, then the ticket's post."""
    with RawSession(url) as tab:
        tab.go("overview")
        run = tab.go(values={"User name": username, "Password": password}, press="Sign in")
    ticket = next((found for text in run.texts if (found := _ticket_in(text))), None)
    if ticket is None:
        raise Refused(f"{username} is not let in: {[alert.body for alert in run.elements('alert')]}")
    _, cookie = post(url, "/session", {"ticket": ticket})
    assert cookie
    return cookie


def post(url: str, path: str, body: Mapping[str, str], cookie: str | None = None) -> tuple[int, str | None]:
    """Post as the pages' script does; the status, and the session cookie that the answer sets ("" clears it)."""
    headers = {"Content-Type": "application/json", "Origin": url}
    if cookie:
        headers["Cookie"] = f"{COOKIE}={cookie}"
    try:
        with urlopen(Request(f"{url}{path}", json.dumps(body).encode(), headers), timeout=PATIENCE) as answer:
            return answer.status, _cookie_in(answer.headers.get("Set-Cookie", ""))
    except HTTPError as error:
        error.close()
        return error.code, None


def _cookie_in(header: str) -> str | None:
    name, found, rest = header.partition("=")
    return rest.partition(";")[0].strip('"') if found and name == COOKIE else None


def _ticket_in(text: str) -> str | None:
    _, found, rest = text.partition('data-ticket="')
    return rest.partition('"')[0] or None if found else None


def _state(widget_id: str, value: Value) -> WidgetState:
    if isinstance(value, str):
        return WidgetState(id=widget_id, string_value=value)
    if isinstance(value, int):
        return WidgetState(id=widget_id, int_value=value)
    state = WidgetState(id=widget_id)
    state.string_array_value.data.extend(value)
    return state


def _widgets_in(message: Message) -> Iterator[Any]:
    """Every part of a message that is a widget."""
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            if descriptor.name == "id" and str(value).startswith("$$ID-"):
                yield message
        elif isinstance(value, Message):
            yield from _widgets_in(value)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Message):
        for _, part in value.ListFields():
            yield from _strings(part)
    elif not isinstance(value, bytes | int | float):
        for part in value.values() if hasattr(value, "values") else value:
            yield from _strings(part)
