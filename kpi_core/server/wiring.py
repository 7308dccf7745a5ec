"""Wires the product together: settings, stores, tracker and sessions, as one house that everything shares.

There is one `House` a process, because one process holds a DuckDB file and one write lock guards it. People, sessions
and settings live in the main store. While the demo company is shown, its definitions and numbers live in a store of
their own (a file beside the main one; a schema of its own on PostgreSQL), and the tracker reads that one; so removing
the demo cannot touch what people made.

What is shown (a store and the tracker over it) is one value that is swapped in one assignment: a request sees the
company before or after, never a mixture. That the demo is on is a row of the main store, written last: killed while it
is made, the next start is as before, and what lies half-made is thrown away by the next try.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from kpi_core.access import SYSTEM
from kpi_core.errors import Conflict
from kpi_core.server import demo_people, log
from kpi_core.server.definition_files import read_catalog
from kpi_core.server.demo_people import DemoUser
from kpi_core.server.passwords import SHORTEST, Passwords
from kpi_core.server.sessions import Sessions
from kpi_core.server.settings import PROJECT, Settings, load, secret_key
from kpi_core.service.tracker import Tracker
from kpi_core.store import Store, drop_store, open_store, utc_now
from kpi_core.store import settings as kept

__all__ = ["CATALOG", "House", "build", "house", "leave"]

CATALOG = PROJECT / "data" / "catalog"
"""The definitions that ship with the product."""
SCHEMA = "demo"
"""The demo's place beside the main store: a schema, or the file demo.duckdb."""
DEFAULT_SEED = 1
START = "start"
"""The setting that says how the company began: {"with": "demo", "seed": 1, ...} or {"with": "empty"}."""
PATIENCE_SECONDS = 30.0
SETTLE_SECONDS = 0.5
"""How long a request that began before a swap may go on reading what was shown before."""
REFRESH_LOCK = 7102
"""PostgreSQL's advisory lock for refreshing: one of several web processes does it. (7101 is the write lock's.)"""

Progress = Callable[[float, str], None]
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class _Shown:
    """What boards are read from."""

    store: Store
    tracker: Tracker


class House:
    """Everything a screen, a route, a job or a command needs. Made by `build`; safe to share between threads."""

    def __init__(self, settings: Settings, main: Store, *, clock: Clock, passwords: Passwords) -> None:
        self.settings = settings
        self.main = main
        self.clock = clock
        self.passwords = passwords
        self.sessions = Sessions(main, secret=secret_key(settings), clock=clock, passwords=passwords)
        self.command_secret = secrets.token_urlsafe(32)
        """Of this run: what the command line shows to the server's loopback door (loopback.py)."""
        self._own = _Shown(main, Tracker(main, clock=clock))
        self._shown = self._own
        self._swaps = 0
        self._has_begun = False
        self._changing = Lock()

    @property
    def shortest_password(self) -> int:
        """How many characters a password has at least, for forms to say so."""
        return SHORTEST

    @property
    def tracker(self) -> Tracker:
        """The tracker over what is shown now. Ask the house each time; never keep it over a request."""
        return self._shown.tracker

    @property
    def data(self) -> Store:
        """The store that `tracker` reads: the demo's while the demo is shown, else the main one."""
        return self._shown.store

    @property
    def version(self) -> tuple[int, int]:
        """Differs whenever anything that a screen shows may have changed; a swap of what is shown counts."""
        return self._swaps, self._shown.store.data_version()

    @property
    def is_demo(self) -> bool:
        return self._shown is not self._own

    @property
    def needs_setup(self) -> bool:
        """True until the first administrator is made; afterwards that way is closed for good."""
        return self.sessions.is_unclaimed

    @property
    def needs_start(self) -> bool:
        """True until somebody chose between the demo company and an empty one. A choice stays made."""
        self._has_begun = self._has_begun or bool(self._start())
        return not self._has_begun

    def start_empty(self) -> None:
        """Begin with nothing. A demo company that is shown is removed."""
        if self.is_demo:
            self.remove_demo()
        else:
            with self.main.write() as conn:
                self._note_start(conn, {"with": "empty"})

    def start_demo(
        self,
        seed: int | None = None,
        on_progress: Progress | None = None,
        on_people: Callable[[Sequence[DemoUser]], None] = demo_people.tell,
    ) -> None:
        """Make the demo company and show it.

        `on_people` gets its people with their passwords, which nobody can ask for again; by default the terminal shows
        them. Raises Conflict where a demo is shown already, or is being made by somebody else just now.
        """
        with self._change():
            if self.is_demo:
                raise Conflict("the demo company is shown already; remove it first to make another")
            self.sweep()
            try:
                shown, users = self._made(DEFAULT_SEED if seed is None else seed, on_progress)
            except BaseException:  # an interrupt too leaves nothing half made
                self.sweep()
                raise
            self._show(shown)
        on_people(users)

    def remove_demo(self) -> None:
        """Show the company's own data again; the demo's data, people and sessions are gone for good."""
        with self._change():
            if not self.is_demo:
                raise Conflict("there is no demo company to remove")
            # The people first: killed in between, no account with a password that was shown is left behind.
            demo_people.remove(self.main, self.sessions)
            with self.main.write() as conn:
                self._note_start(conn, {"with": "empty"})
            self._leave_demo()
            self.sweep()

    def reconcile(self) -> None:
        """Show what the main store says is on: with several web processes, another may have changed it."""
        with self._change():
            wanted = self._start().get("with") == "demo"
            if wanted and not self.is_demo:
                self._show(self._opened())
            elif self.is_demo and not wanted:
                self._leave_demo()

    def sweep(self) -> None:
        """Throw away what a demo leaves behind: its people and its data. Only while it is not shown."""
        demo_people.remove(self.main, self.sessions)
        drop_store(self.settings.database, schema=SCHEMA)

    def refresh(self) -> None:
        """Bring the numbers up to date: the demo goes on to this moment, and open spans are calculated again.

        Not while the demo is being made or removed, nor while another process does it: the next round will.
        """
        with self._only_one() as mine:
            if not mine:
                return
            if self.is_demo:
                from kpi_core.service.demo import extend_demo  # noqa: PLC0415 - only a demo should cost its import

                extend_demo(self.tracker, read_catalog([CATALOG]))
            self.tracker.recalculate(SYSTEM)

    def close(self) -> None:
        """Close what is open. The house is of no use afterwards."""
        if self.is_demo:
            self._shown.store.close()
        self.main.close()

    def _made(self, seed: int, on_progress: Progress | None) -> tuple[_Shown, tuple[DemoUser, ...]]:
        """A new demo company in its own store, and its people in the main one: all of it, or an error and a sweep."""
        from kpi_core.demo import Demo  # noqa: PLC0415 - only a demo should cost its import
        from kpi_core.service.demo import load_demo  # noqa: PLC0415

        now = self.clock()
        demo = Demo.today(seed, self._own.tracker.company(SYSTEM).time_zone, now)
        with self.main.write() as conn:
            users = demo_people.add(conn, demo_people.invent(demo), self.passwords, now)
        ids = {person.username: user.id for person, user in zip(demo.people, users, strict=True)}
        shown = self._opened()
        try:
            load_demo(shown.tracker, read_catalog([CATALOG]), demo, ids=ids, progress=on_progress)
            with self.main.write() as conn:
                self._note_start(conn, {"with": "demo", "seed": seed})
        except BaseException:  # an interrupt too lets go of the file
            shown.store.close()
            raise
        return shown, users

    def _opened(self) -> _Shown:
        store = open_store(self.settings.database, schema=SCHEMA, clock=self.clock)
        return _Shown(store, Tracker(store, clock=self.clock))

    def _start(self) -> dict[str, Any]:
        with self.main.read() as conn:
            return dict(kept.get(conn, START, {}))

    def _note_start(self, conn: Connection, how: dict[str, str | int]) -> None:
        kept.put(conn, START, how, SYSTEM.id, self.clock())

    def _show(self, shown: _Shown) -> None:
        self._shown = shown
        self._swaps += 1

    def _leave_demo(self) -> None:
        left = self._shown
        self._show(self._own)
        time.sleep(SETTLE_SECONDS)
        left.store.close()

    @contextmanager
    def _change(self) -> Iterator[None]:
        """One change of what is shown at a time. It waits for a refresh, and not for minutes of other work."""
        if not self._changing.acquire(timeout=PATIENCE_SECONDS):
            raise Conflict("the demo company is being made or removed just now; wait for that to end")
        try:
            yield
        finally:
            self._changing.release()

    @contextmanager
    def _only_one(self) -> Iterator[bool]:
        """True for one thread of one process at a time, and never during a change."""
        if not self._changing.acquire(blocking=False):
            yield False
            return
        try:
            with nullcontext(True) if self.main.is_duckdb else _advisory_lock(self.main) as mine:
                yield mine
        finally:
            self._changing.release()


@contextmanager
def _advisory_lock(store: Store) -> Iterator[bool]:
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        mine = bool(conn.scalar(sa.select(sa.func.pg_try_advisory_lock(REFRESH_LOCK))))
        try:
            yield mine
        finally:
            if mine:
                conn.scalar(sa.select(sa.func.pg_advisory_unlock(REFRESH_LOCK)))


def build(settings: Settings, *, clock: Clock = utc_now, passwords: Passwords | None = None) -> House:
    """Open everything that the settings name. Raises Unavailable, in a line that says what to do.

    `clock` and `passwords` (weak, fast ones) are for tests.
    """
    main = open_store(settings.database, clock=clock)
    try:
        built = House(settings, main, clock=clock, passwords=passwords or Passwords())
        built.reconcile()
        if main.is_duckdb and not built.is_demo:
            built.sweep()  # of a try that was killed; on PostgreSQL another process may be making one just now
    except BaseException:  # an interrupt too lets go of the file
        main.close()
        raise
    return built


_house: House | None = None
_building = Lock()


def house() -> House:
    """The house of this process, built from the environment when it is first asked for."""
    global _house  # noqa: PLW0603 - one process, one house: this is the one place that knows it
    with _building:
        if _house is None:
            settings = load()
            log.configure(settings)
            _house = build(settings)
        return _house


def leave() -> None:
    """Close the house of this process, if it was built. A later `house()` builds it anew."""
    global _house  # noqa: PLW0603
    with _building:
        if _house is not None:
            _house.close()
            _house = None
