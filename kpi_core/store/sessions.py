"""What signing in leaves behind: sessions, API tokens, and attempts (which the throttle counts).

Only hashes of secrets are kept. What expires when, and how many attempts are too many, is decided by who calls.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from kpi_core.store.schema import api_tokens, sessions, sign_in_attempts

__all__ = [
    "Attempt",
    "Session",
    "Token",
    "add",
    "add_token",
    "attempts_since",
    "end",
    "end_all",
    "find",
    "find_token",
    "forget_attempts",
    "load",
    "purge",
    "record_attempt",
    "revoke_token",
    "tokens_of",
    "touch",
    "touch_token",
]

_SESSION = sessions.c
_TOKEN = api_tokens.c
_ATTEMPT = sign_in_attempts.c


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is signed in, until it is idle too long or its time is over."""

    token_hash: str
    user_id: str
    created_at: datetime
    last_seen: datetime
    idle_expires_at: datetime
    expires_at: datetime
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A person's key to the API. `expires_at` None: it does not expire by itself."""

    token_hash: str
    user_id: str
    name: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody tried to sign in under a name, from an address."""

    username: str
    address: str | None
    succeeded: bool
    attempted_at: datetime


def add(connection: sa.Connection, session: Session) -> None:
    connection.execute(sa.insert(sessions).values(asdict(session)))


def find(connection: sa.Connection, token_hash: str) -> Session | None:
    """The session with this token, expired or not."""
    row = connection.execute(sa.select(sessions).where(_SESSION.token_hash == token_hash)).first()
    return Session(**row._mapping) if row is not None else None


def load(connection: sa.Connection, now: datetime) -> list[Session]:
    """All sessions that are alive."""
    alive = sa.select(sessions).where(_SESSION.expires_at > now, _SESSION.idle_expires_at > now)
    return [Session(**row._mapping) for row in connection.execute(alive.order_by(_SESSION.created_at))]


def touch(connection: sa.Connection, token_hash: str, last_seen: datetime, idle_expires_at: datetime) -> None:
    fresh = {"last_seen": last_seen, "idle_expires_at": idle_expires_at}
    connection.execute(sa.update(sessions).where(_SESSION.token_hash == token_hash).values(fresh))


def end(connection: sa.Connection, token_hash: str) -> None:
    connection.execute(sa.delete(sessions).where(_SESSION.token_hash == token_hash))


def end_all(connection: sa.Connection, user_id: str, *, but: str | None = None) -> int:
    """End a person's sessions (but the one with the token `but`); returns how many."""
    theirs = sa.delete(sessions).where(_SESSION.user_id == user_id)
    if but is not None:
        theirs = theirs.where(_SESSION.token_hash != but)
    return connection.execute(theirs).rowcount


def purge(connection: sa.Connection, now: datetime) -> int:
    """Take out the sessions whose time is over; returns how many."""
    over = sa.or_(_SESSION.expires_at <= now, _SESSION.idle_expires_at <= now)
    return connection.execute(sa.delete(sessions).where(over)).rowcount


def add_token(connection: sa.Connection, token: Token) -> Token:
    """Store a token; returns it with its id."""
    made = sa.insert(api_tokens).values(_token_row(token)).returning(_TOKEN.id)
    return replace(token, id=connection.execute(made).scalar_one())


def find_token(connection: sa.Connection, token_hash: str) -> Token | None:
    """The token with this hash, expired, revoked or neither."""
    row = connection.execute(sa.select(api_tokens).where(_TOKEN.token_hash == token_hash)).first()
    return _token(row) if row is not None else None


def tokens_of(connection: sa.Connection, user_id: str) -> list[Token]:
    """A person's tokens, the newest first, revoked ones too."""
    theirs = sa.select(api_tokens).where(_TOKEN.user_id == user_id).order_by(_TOKEN.id.desc())
    return [_token(row) for row in connection.execute(theirs)]


def revoke_token(connection: sa.Connection, token_id: int, now: datetime) -> None:
    alive = sa.update(api_tokens).where(_TOKEN.id == token_id, _TOKEN.revoked_at.is_(None))
    connection.execute(alive.values(revoked_at=now))


def touch_token(connection: sa.Connection, token_id: int, now: datetime) -> None:
    connection.execute(sa.update(api_tokens).where(_TOKEN.id == token_id).values(last_used_at=now))


def record_attempt(connection: sa.Connection, attempt: Attempt) -> None:
    connection.execute(sa.insert(sign_in_attempts).values(asdict(attempt)))


def attempts_since(
    connection: sa.Connection, since: datetime, *, username: str | None = None, address: str | None = None
) -> list[Attempt]:
    """Attempts after `since`, the oldest first: of this name, from this address, or both; of all where neither."""
    found = sa.select(sign_in_attempts).where(_ATTEMPT.attempted_at > since)
    if username is not None:
        found = found.where(sa.func.lower(_ATTEMPT.username) == username.lower())
    if address is not None:
        found = found.where(_ATTEMPT.address == address)
    rows = connection.execute(found.order_by(_ATTEMPT.attempted_at, _ATTEMPT.id))
    return [Attempt(row.username, row.address, row.succeeded, row.attempted_at) for row in rows]


def forget_attempts(connection: sa.Connection, before: datetime) -> int:
    """Take out attempts that count no longer; returns how many."""
    return connection.execute(sa.delete(sign_in_attempts).where(_ATTEMPT.attempted_at < before)).rowcount


def _token_row(token: Token) -> dict[str, Any]:
    row = asdict(token) | {"scopes": sorted(token.scopes)}
    del row["id"]
    return row


def _token(row: sa.Row[*tuple[Any, ...]]) -> Token:
    columns = dict(row._mapping)
    return Token(**columns | {"scopes": frozenset(columns["scopes"])})
