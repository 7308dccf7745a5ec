"""The demo company's people: one for each role, flagged, made with the demo and removed with it.

Their passwords are random, shown once by whoever started the demo, and kept only as hashes: a demo that was put on the
open internet has no account that the documentation names a password for.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from kpi_core.server.sessions import Sessions
from kpi_core.store import Store, people

__all__ = ["DemoUser", "add", "remove"]


@dataclass(frozen=True, slots=True)
class DemoUser:
    """A demo person. The password is shown once and kept nowhere."""

    username: str
    name: str
    role: str
    password: str = field(repr=False)


PEOPLE = (
    ("demo-admin", "Ada Admin", "admin", ()),
    ("demo-ceo", "Carla Chief", "ceo", ()),
    ("demo-sales", "Sam Sales", "sales_manager", ()),
    ("demo-marketing", "Mia Marketing", "marketing_manager", ()),
    ("demo-operations", "Omar Operations", "operations_manager", ()),
    ("demo-finance", "Fay Finance", "finance_manager", ()),
    ("demo-rep", "Rita Rep", "sales_rep", ()),
    ("demo-lead", "Leo Lead", "team_lead", ("operations",)),
    ("demo-viewer", "Vera Viewer", "viewer", ("sales", "marketing")),
)
"""Username, name, role, and the categories given to the person."""


def add(sessions: Sessions) -> tuple[DemoUser, ...]:
    """Make an account for each. Conflict where a real person has one of the names."""
    made = []
    for username, name, role, categories in PEOPLE:
        user = DemoUser(username, name, role, secrets.token_urlsafe(12))
        sessions.add_person(username, name, user.password, roles=[role], categories=categories, is_demo=True)
        made.append(user)
    return tuple(made)


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
