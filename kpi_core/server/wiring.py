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

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from kpi_core.server.sessions import Sessions
from kpi_core.server.settings import PROJECT, Settings, load, secret_key
from kpi_core.service.tracker import Tracker
from kpi_core.store import Store, drop_store, open_store, people, utc_now
from kpi_core.store import settings as kept

__all__ = ["CATALOG", "House", "build", "house", "leave"]

CATALOG = PROJECT / "data" / "catalog"
"""The definitions that ship with the product."""
SCHEMA = "demo"
"""The demo's place beside the main store: a schema, or the file demo.duckdb."""
START = "start"
"""The setting that says how the company began: {"with": "demo", "seed": 7} or {"with": "empty"}."""
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

    def __init__(self, settings: Settings, main: Store, sessions: Sessions, *, clock: Clock) -> None:
        self.settings = settings
        self.main = main
        self.sessions = sessions
        self.clock = clock
        self._own = _Shown(main, Tracker(main, clock=clock))
        self._shown = self._own
        self._changing = Lock()
        self._has_people = False

    @property
    def tracker(self) -> Tracker:
        """The tracker over what is shown now. Ask the house each time; never keep it over a request."""
        return self._shown.tracker

    @property
    def data(self) -> Store:
        """The store that `tracker` reads: the demo's while the demo is shown, else the main one."""
        return self._shown.store

    @property
    def is_demo(self) -> bool:
        return self._shown is not self._own

    @property
    def needs_setup(self) -> bool:
        """True until the first administrator is made; afterwards that way is closed for good."""
        if not self._has_people:
            with self.main.read() as conn:
                self._has_people = any(not person.is_demo for person in people.load(conn))
        return not self._has_people

    @property
    def needs_start(self) -> bool:
        """True until somebody chose between the demo company and an empty one."""
        return not self._start()

    def start_empty(self) -> None:
        """Begin with nothing. A demo company that is shown is removed."""
        if self.is_demo:
            self.remove_demo()
        else:
            with self.main.write() as conn:
                self._note_start(conn, {"with": "empty"})

    def start_demo(self, seed: int | None = None, on_progress: Progress | None = None) -> tuple[DemoUser, ...]:
        """Make the demo company and show it. Returns its people with their passwords, which nobody can ask for again.

        Raises Conflict where it is shown already, or is being made by somebody else just now.
        """
        with self._change():
            if self.is_demo:
                raise Conflict("the demo company is shown already; remove it first to make another")
            shown, used = self._made(seed, on_progress)
            try:
                demo_people.remove(self.main, self.sessions)
                users = demo_people.add(self.sessions)
                with self.main.write() as conn:
                    self._note_start(conn, {"with": "demo", "seed": used})
            except BaseException:
                shown.store.close()
                raise
            self._shown = shown
            return users

    def remove_demo(self) -> None:
        """Show the company's own data again; the demo's data, people and sessions are gone for good."""
        with self._change():
            if not self.is_demo:
                raise Conflict("there is no demo company to remove")
            with self.main.write() as conn:
                self._note_start(conn, {"with": "empty"})
            demo_people.remove(self.main, self.sessions)
            self._leave_demo()
            drop_store(self.settings.database, schema=SCHEMA)

    def reconcile(self) -> None:
        """Show what the main store says is on: with several web processes, another may have changed it."""
        with self._change():
            wanted = self._start().get("with") == "demo"
            if wanted and not self.is_demo:
                store = open_store(self.settings.database, schema=SCHEMA, clock=self.clock)
                self._shown = _Shown(store, Tracker(store, clock=self.clock))
            elif self.is_demo and not wanted:
                self._leave_demo()

    def refresh(self) -> None:
        """Bring the numbers up to date: the demo goes on to this moment, and open spans are calculated again."""
        with self._only_one() as mine:
            if not mine:
                return
            if self.is_demo:
                from kpi_core.demo import Demo  # noqa: PLC0415 - half a second that only a demo should cost
                from kpi_core.service.demo import extend_demo  # noqa: PLC0415

                extend_demo(self.tracker, Demo(seed=self._start()["seed"]))
            self.tracker.recalculate(SYSTEM)

    def close(self) -> None:
        """Close what is open. The house is of no use afterwards."""
        if self.is_demo:
            self._shown.store.close()
        self.main.close()

    def _made(self, seed: int | None, on_progress: Progress | None) -> tuple[_Shown, int]:
        """A new demo company in its own store, after throwing away what a killed try may have left."""
        from kpi_core.demo import Demo  # noqa: PLC0415 - half a second that only a demo should cost
        from kpi_core.service.demo import load_demo  # noqa: PLC0415

        demo = Demo() if seed is None else Demo(seed=seed)
        catalog = read_catalog([CATALOG])
        drop_store(self.settings.database, schema=SCHEMA)
        store = open_store(self.settings.database, schema=SCHEMA, clock=self.clock)
        try:
            tracker = Tracker(store, clock=self.clock)
            load_demo(tracker, catalog, demo, progress=on_progress)
        except BaseException:
            store.close()
            drop_store(self.settings.database, schema=SCHEMA)
            raise
        return _Shown(store, tracker), demo.seed

    def _start(self) -> dict[str, Any]:
        with self.main.read() as conn:
            return dict(kept.get(conn, START, {}))

    def _note_start(self, conn: Connection, how: dict[str, str | int]) -> None:
        kept.put(conn, START, how, SYSTEM.id, self.clock())

    def _leave_demo(self) -> None:
        left, self._shown = self._shown, self._own
        time.sleep(SETTLE_SECONDS)
        left.store.close()

    @contextmanager
    def _change(self) -> Iterator[None]:
        """One change of what is shown at a time; a second one is refused, not queued behind minutes of work."""
        if not self._changing.acquire(blocking=False):
            raise Conflict("the demo company is being made or removed just now; wait for that to end")
        try:
            yield
        finally:
            self._changing.release()

    @contextmanager
    def _only_one(self) -> Iterator[bool]:
        """True for one process at a time. A DuckDB file has one process anyway."""
        if self.main.is_duckdb:
            yield True
            return
        with self.main.engine.connect() as conn:
            mine = bool(conn.scalar(sa.select(sa.func.pg_try_advisory_lock(REFRESH_LOCK))))
            try:
                yield mine
            finally:
                if mine:
                    conn.scalar(sa.select(sa.func.pg_advisory_unlock(REFRESH_LOCK)))


def build(settings: Settings, *, clock: Clock = utc_now) -> House:
    """Open everything that the settings name. Raises Unavailable, in a line that says what to do."""
    key = secret_key(settings)
    main = open_store(settings.database, clock=clock)
    try:
        built = House(settings, main, Sessions(main, clock=clock, secret=key), clock=clock)
        built.reconcile()
    except BaseException:
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
