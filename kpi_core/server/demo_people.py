"""The demo company's people: one for each role, flagged, made with the demo and removed with it.

Their passwords are random, shown once by whoever started the demo, and kept only as hashes: a demo that was put on the
open internet has no account that the documentation names a password for.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from kpi_core.server.passwords import Passwords
from kpi_core.server.sessions import Sessions
from kpi_core.store import Store, people

if TYPE_CHECKING:
    from kpi_core.demo import Demo

__all__ = ["DemoUser", "add", "invent", "remove", "tell"]


@dataclass(frozen=True, slots=True)
class DemoUser:
    """A demo person. The password is shown once and kept nowhere."""

    username: str
    name: str
    role: str
    password: str = field(repr=False)
    categories: frozenset[str] = frozenset()
    id: str = ""


def invent(demo: Demo) -> tuple[DemoUser, ...]:
    """The people, with fresh passwords. Nothing is stored yet."""
    return tuple(
        DemoUser(person.username, person.name, person.role, secrets.token_urlsafe(12), frozenset(person.categories))
        for person in demo.people
    )


def add(conn: Connection, users: Iterable[DemoUser], passwords: Passwords, now: datetime) -> tuple[DemoUser, ...]:
    """Make an account for each. Where a real person has the user name already, "demo-" is put before it."""
    return tuple(_added(conn, user, passwords, now) for user in users)


def tell(users: Iterable[DemoUser]) -> None:
    """Show the passwords on the terminal, this once."""
    lines = [f"  {user.username:<16}{user.role:<22}{user.password}\n" for user in users]
    sys.stdout.write("\nThe demo company's people, whose passwords are shown this once:\n" + "".join(lines) + "\n")
    sys.stdout.flush()


def remove(store: Store, sessions: Sessions) -> None:
    """Take the demo's people out, wherever they are signed in just now."""
    with store.read() as conn:
        gone = [person.id for person in people.load(conn) if person.is_demo]
    if not gone:
        return
    with store.write() as conn:
        for person_id in gone:
            people.remove(conn, person_id)
    for person_id in gone:
        sessions.end_all(person_id)


def _added(conn: Connection, user: DemoUser, passwords: Passwords, now: datetime) -> DemoUser:
    if people.by_username(conn, user.username) is not None:
        user = replace(user, username=f"demo-{user.username}")
    account = people.Person(
        username=user.username,
        name=user.name,
        password_hash=passwords.hash(user.password),
        roles=frozenset({user.role}),
        categories=user.categories,
        is_demo=True,
    )
    return replace(user, id=people.add(conn, account, now).id)
