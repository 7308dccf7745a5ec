"""People, roles and per-KPI rights as they are stored; what they amount to is for access.py to say.

User names are what people type and may change, so nothing but this module keeps them apart: a name that somebody has,
in whatever case, is refused under the write lock.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from kpi_core.access import permissions_of
from kpi_core.errors import Conflict, NotFound
from kpi_core.model import Actor, Grant
from kpi_core.store.schema import kpi_permissions, roles, users

__all__ = [
    "Person",
    "actor",
    "add",
    "by_username",
    "grant",
    "grants",
    "load",
    "load_one",
    "load_roles",
    "remove",
    "revoke",
    "save_role",
    "set_password",
    "update",
]

ALL_SCOPES = frozenset({"read", "write", "admin"})
_TABLE = users.c


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in. `id` is given when stored and never changes; `categories` are those given to them."""

    username: str
    name: str
    email: str | None = None
    password_hash: str | None = field(default=None, repr=False)
    roles: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    is_active: bool = True
    is_demo: bool = False
    time_zone: str | None = None
    created_at: datetime | None = None
    password_changed_at: datetime | None = None
    id: str = ""


def add(connection: sa.Connection, person: Person, now: datetime) -> Person:
    """Store somebody new; returns them with their id. Conflict if the user name is taken."""
    _refuse_taken(connection, person)
    changed_at = now if person.password_hash is not None else None
    known = replace(person, id=secrets.token_hex(6), created_at=now, password_changed_at=changed_at)
    connection.execute(sa.insert(users).values(_row(known)))
    return known


def update(connection: sa.Connection, person: Person) -> None:
    """Store what changed about somebody, the password aside (`set_password`). Conflict if the user name is taken."""
    load_one(connection, person.id)
    _refuse_taken(connection, person)
    kept = ("id", "created_at", "password_hash", "password_changed_at")
    fresh = {name: value for name, value in _row(person).items() if name not in kept}
    connection.execute(sa.update(users).where(_TABLE.id == person.id).values(fresh))


def set_password(connection: sa.Connection, person_id: str, password_hash: str, now: datetime) -> None:
    fresh = {"password_hash": password_hash, "password_changed_at": now}
    connection.execute(sa.update(users).where(_TABLE.id == person_id).values(fresh))


def remove(connection: sa.Connection, person_id: str) -> None:
    """Take somebody out for good, with the rights given to them; what they recorded keeps their id."""
    connection.execute(sa.delete(kpi_permissions).where(kpi_permissions.c.user_id == person_id))
    connection.execute(sa.delete(users).where(_TABLE.id == person_id))


def load(connection: sa.Connection) -> list[Person]:
    """Everybody, by user name."""
    return [_person(row) for row in connection.execute(sa.select(users).order_by(_TABLE.username, _TABLE.id))]


def load_one(connection: sa.Connection, person_id: str) -> Person:
    row = connection.execute(sa.select(users).where(_TABLE.id == person_id)).first()
    if row is None:
        raise NotFound("There is no such person.")
    return _person(row)


def by_username(connection: sa.Connection, username: str) -> Person | None:
    """The person with this user name, whatever its case."""
    row = connection.execute(sa.select(users).where(_same_name(username))).first()
    return _person(row) if row is not None else None


def load_roles(connection: sa.Connection) -> dict[str, frozenset[str]]:
    """Every role with its permission keys."""
    return {row.name: frozenset(row.permissions) for row in connection.execute(sa.select(roles).order_by(roles.c.name))}


def save_role(connection: sa.Connection, name: str, permissions: Iterable[str]) -> None:
    """Store a role, new or changed."""
    keys = sorted(permissions)
    changed = connection.execute(sa.update(roles).where(roles.c.name == name).values(permissions=keys))
    if changed.rowcount == 0:
        connection.execute(sa.insert(roles).values(name=name, permissions=keys))


def grants(connection: sa.Connection) -> list[Grant]:
    """Every per-KPI right there is, in one statement."""
    return [_grant(row) for row in connection.execute(sa.select(kpi_permissions).order_by(kpi_permissions.c.id))]


def grant(connection: sa.Connection, right: Grant, by: str | None, now: datetime) -> None:
    """Say what one person or one role may do with one KPI, in place of what was said before."""
    if (right.user_id is None) == (right.role is None):
        raise ValueError("a right is for one person or for one role")
    revoke(connection, right)
    connection.execute(sa.insert(kpi_permissions).values(**asdict(right), granted_by=by, granted_at=now))


def revoke(connection: sa.Connection, right: Grant) -> None:
    """Say nothing any more about this person or role and this KPI; the keys decide again."""
    table = kpi_permissions.c
    whose = table.user_id == right.user_id if right.user_id is not None else table.role == right.role
    connection.execute(sa.delete(kpi_permissions).where(table.kpi_id == right.kpi_id, whose))


def actor(connection: sa.Connection, person: Person, scopes: frozenset[str] = ALL_SCOPES) -> Actor:
    """The person as somebody who asks: with the keys and rows that apply to them, as they stand now."""
    permissions = permissions_of(person.roles, person.categories, load_roles(connection))
    table = kpi_permissions.c
    theirs = sa.or_(table.user_id == person.id, table.role.in_(sorted(person.roles)))
    rows = connection.execute(sa.select(kpi_permissions).where(theirs).order_by(table.id))
    return Actor(
        id=person.id,
        name=person.name,
        roles=person.roles,
        permissions=permissions,
        grants=tuple(_grant(row) for row in rows),
        scopes=scopes,
        is_admin="admin" in permissions and "admin" in scopes,
    )


def _refuse_taken(connection: sa.Connection, person: Person) -> None:
    taken = sa.select(_TABLE.id).where(_same_name(person.username), _TABLE.id != person.id)
    if connection.execute(taken).first() is not None:
        raise Conflict(f"The user name {person.username!r} is taken.")


def _same_name(username: str) -> sa.ColumnElement[bool]:
    return sa.func.lower(_TABLE.username) == username.lower()


def _row(person: Person) -> dict[str, Any]:
    return asdict(person) | {"roles": sorted(person.roles), "categories": sorted(person.categories)}


def _person(row: sa.Row[*tuple[Any, ...]]) -> Person:
    columns = dict(row._mapping)
    return Person(
        **columns | {"roles": frozenset(columns["roles"]), "categories": frozenset(columns["categories"])},
    )


def _grant(row: sa.Row[*tuple[Any, ...]]) -> Grant:
    return Grant(
        kpi_id=row.kpi_id,
        user_id=row.user_id,
        role=row.role,
        can_view=row.can_view,
        can_edit=row.can_edit,
        can_set_targets=row.can_set_targets,
    )
