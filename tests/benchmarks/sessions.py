"""A hundred people at once: sessions over WebSockets, each acting every 2 s on the demo's daily board.

    python -m tests.benchmarks.sessions

Each session is signed in by itself and does what people do on a board: filter by category and status, search, step a
day back and return, or just ask again. What it sends for an act is what a browser would. The yardstick is one session
that does the same on the same server, alone.

A wait is counted from the moment at which the act was due, not from when a busy client got to it, until the run's last
frame. The client is a process of its own, on this machine; it shares its processors with the server.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin

from pages.ui.format import muted
from tests.benchmarks.serving import Demo, demo
from tests.benchmarks.timing import Row, print_table
from tests.raw_session import COOKIE, LARGEST_FRAME, Conversation, Value, protocols, stream_of

SESSIONS = 100
EVERY = 2.0
ACTS = 15
"""Acts of each session: 30 seconds of them."""
ALONE_EVERY, ALONE_ACTS = 0.4, 60
PATIENCE = 30.0
ENDED_WELL = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)


@dataclass(frozen=True, slots=True)
class Act:
    """Something that a person does: change a widget, press a button, or (by default) just look again."""

    values: Mapping[str, Value] = field(default_factory=dict)
    press: str = ""


DAY = (
    Act({"category": [muted("Sales")]}),
    Act({"category": [muted("Sales"), muted("Finance")]}),
    Act({"category": []}),
    Act({"q": "rate"}),
    Act({"q": ""}),
    Act(press="before"),
    Act(press="present"),
    Act(),
)
"""What a session does, again and again, each beginning elsewhere in it. An option goes by the label that it shows."""


@dataclass(slots=True)
class Seen:
    """What a session waited, and what went wrong."""

    waits: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


async def act_on_board(url: str, cookie: str, *, acts: int, every: float, first: int, begin: asyncio.Event) -> Seen:
    """One session: open the daily board, wait until all have, then act at a fixed beat."""
    seen, talk = Seen(), Conversation(caches=True)
    try:
        async with _socket(url, cookie) as socket:
            await _run(socket, talk, talk.ask("daily"), seen)
            await begin.wait()
            due = time.perf_counter() + random.random() * every
            for act in islice(cycle(DAY), first, first + acts):
                await asyncio.sleep(max(due - time.perf_counter(), 0.0))
                await _run(socket, talk, talk.ask(values=act.values, press=act.press), seen)
                seen.waits.append(time.perf_counter() - due)
                due += every
    except (WebSocketException, OSError, TimeoutError, AssertionError) as error:
        seen.errors.append(f"{type(error).__name__}: {error}")
    return seen


def _socket(url: str, cookie: str) -> Any:
    return connect(
        stream_of(url),
        origin=Origin(url),
        subprotocols=protocols(),
        additional_headers={"Cookie": f"{COOKIE}={cookie}"},
        max_size=LARGEST_FRAME,
        open_timeout=PATIENCE,
        proxy=None,
    )


async def _run(socket: ClientConnection, talk: Conversation, asked: bytes, seen: Seen) -> None:
    async with asyncio.timeout(PATIENCE):
        await socket.send(asked)
        while not talk.hear(await socket.recv(decode=False)):
            pass
    seen.errors += _wrong(talk)


def _wrong(talk: Conversation) -> list[str]:
    """What a finished run shows to be wrong: an exception, or a board that is none."""
    run = talk.run
    if run.messages[-1].script_finished not in ENDED_WELL:
        return ["the script did not end well"]
    return run.errors or (
        [] if any("<article" in html.body for html in run.elements("html")) else ["a board without a card"]
    )


async def load(url: str, cookies: Sequence[str], *, acts: int, every: float) -> Seen:
    """All sessions together; nobody acts before everybody is there."""
    begin, rng = asyncio.Event(), random.Random(7)
    tasks = [
        asyncio.create_task(
            act_on_board(url, cookie, acts=acts, every=every, first=rng.randrange(len(DAY)), begin=begin)
        )
        for cookie in cookies
    ]
    await asyncio.sleep(min(0.1 * len(cookies), 8.0))
    begin.set()
    found = await asyncio.gather(*tasks)
    return Seen([wait for seen in found for wait in seen.waits], [error for seen in found for error in seen.errors])


def measure(server: Demo) -> tuple[Seen, Seen]:
    """One session alone, then a hundred."""
    cookies = server.cookies(SESSIONS)
    alone = asyncio.run(load(server.url, cookies[:1], acts=ALONE_ACTS, every=ALONE_EVERY))
    return alone, asyncio.run(load(server.url, cookies, acts=ACTS, every=EVERY))


def main() -> None:
    with demo() as server:
        alone, all_of_them = measure(server)
    errors = alone.errors + all_of_them.errors
    if errors or len(all_of_them.waits) != SESSIONS * ACTS:
        lines = "\n".join(sorted(set(errors)))
        sys.exit(f"{SESSIONS} sessions: {len(errors)} errors in {len(all_of_them.waits)} runs\n{lines}")
    one, middle, slow = statistics.median(alone.waits), statistics.median(all_of_them.waits), _p95(all_of_them.waits)
    print_table(
        f"{SESSIONS} sessions, each acting every {EVERY:g} s for {ACTS * EVERY:g} s on the daily board",
        [
            Row("one session alone, median", one),
            Row(f"{SESSIONS} sessions, median", middle, middle / one, "at most 2"),
            Row(f"{SESSIONS} sessions, p95", slow, slow / one, "at most 15"),
        ],
    )


def _p95(waits: Sequence[float]) -> float:
    return statistics.quantiles(waits, n=20)[-1]


if __name__ == "__main__":
    main()
