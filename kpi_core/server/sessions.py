"""Who is asking: sign-in, sessions, personal API tokens, and the first administrator.

The way of a sign-in, and why it has two steps. The form lives on a WebSocket, which cannot set a cookie. So a name and
password that fit give a *ticket*: it lives for 30 seconds, works once, and can do one thing, be posted to `/session` by
the page that asked, which answers with the cookie. The cookie is 256 random bits that no script can read. The store
keeps its keyed hash only: who reads the database cannot sign in with what it holds, and who can write a row into
it cannot make up a session either, for want of the key.

A session ends at sign-out, eight hours after the person last did something, seven days after sign-in, when the password
changes (the other sessions), or when the person is disabled or gone; and it is dead for every tab at once, because
every run of every page asks here. Sessions are looked up in memory and written through; `last_seen` is written once a
minute. What a person may do is read from the store again whenever its data version has moved.

Refusals are uniform: a wrong name, a wrong password and a disabled account read and cost the same. The first
administrator is made with a code that only the terminal shows, and only while there is nobody else.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock

from sqlalchemy import Connection

from kpi_core.errors import InvalidInput, NotAllowed, NotFound, SignInRefused
from kpi_core.model import Actor, Grant
from kpi_core.server.passwords import Passwords, check_password
from kpi_core.server.throttle import Throttle
from kpi_core.store import Store, people
from kpi_core.store import sessions as kept
from kpi_core.store.people import Person

__all__ = ["SCOPES", "Session", "Sessions", "check_username"]

TICKET_LIFE = timedelta(seconds=30)
IDLE = timedelta(hours=8)
ABSOLUTE = timedelta(days=7)
SEEN_EVERY = timedelta(minutes=1)
MOST_TICKETS = 1_000
SCOPES = frozenset({"read", "write", "admin"})
TOKEN_PREFIX = "kpi_"  # noqa: S105 - a mark to know our tokens by, no secret
SETUP = "first administrator"
NO_FIT = "That name and password do not fit together."
ENDED = "You are signed out. Please sign in again."


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser. `id` is the keyed hash of the cookie: good for looking up, worthless as a cookie."""

    id: str
    user_id: str
    created_at: datetime
    last_seen: datetime
    expires_at: datetime

    def is_alive(self, now: datetime) -> bool:
        return now < min(self.expires_at, self.last_seen + IDLE)

    def to_keep(self, user_agent: str | None) -> kept.Session:
        idle = self.last_seen + IDLE
        return kept.Session(
            self.id, self.user_id, self.created_at, self.last_seen, idle, self.expires_at, user_agent=user_agent
        )


@dataclass(frozen=True, slots=True)
class _Ticket:
    user_id: str
    dies_at: datetime


class Sessions:
    """Sign-in and sessions over the main store. Safe to share between threads."""

    def __init__(
        self,
        store: Store,
        *,
        secret: str,
        clock: Callable[[], datetime] | None = None,
        passwords: Passwords | None = None,
    ) -> None:
        self._store = store
        self._secret = secret.encode()
        self._clock = clock or store.clock
        self._passwords = passwords or Passwords()
        self._throttle = Throttle(self._clock)
        self._lock = Lock()
        self._tickets: dict[str, _Ticket] = {}
        self._live: dict[str, Session] = {}
        self._written: dict[str, datetime] = {}
        self._actors: dict[str, tuple[Store, tuple[int, int], Actor]] = {}
        self._claimed = False
        self._code: str | None = None

    # -- signing in -----------------------------------------------------------------------------------------------

    def sign_in(self, username: str, password: str, *, address: str) -> str:
        """A one-time ticket for `exchange`. Raises SignInRefused, with `retry_after` when guessing is slowed down."""
        account = _account(username)
        self._take_turn(account, address)
        with self._store.read() as connection:
            person = people.by_username(connection, account)
        usable = person is not None and person.is_active
        fits = self._passwords.fits(password, person.password_hash if person and usable else None)
        if person is None or not fits:
            raise SignInRefused(NO_FIT)
        self._throttle.succeeded(account, address)
        self._renew_hash(person, password)
        return self._ticket(person.id)

    def exchange(self, ticket: str, *, user_agent: str | None = None) -> str:
        """The cookie of a new session for a ticket, which is used up by it. Raises SignInRefused."""
        now = self._clock()
        with self._lock:
            found = self._tickets.pop(self._hash(ticket), None)
        if found is None or found.dies_at <= now:
            raise SignInRefused("This sign-in was used already or took too long. Please sign in again.")
        token = secrets.token_urlsafe(32)
        session = Session(self._hash(token), found.user_id, now, now, now + ABSOLUTE)
        with self._store.write(touches_data=False) as connection:
            kept.purge(connection, now)
            kept.add(connection, session.to_keep(user_agent))
        self._remember(session)
        return token

    # -- sessions -------------------------------------------------------------------------------------------------

    def find(self, token: str | None) -> Session | None:
        """The living session of a cookie. It does not count as doing something."""
        return self.get(self._hash(token)) if token else None

    def get(self, session_id: str | None) -> Session | None:
        """The living session with this id."""
        if not session_id:
            return None
        session = self._live.get(session_id) or self._load(session_id)
        if session is None or session.is_alive(self._clock()):
            return session
        self.end(session.id)
        return None

    def touch(self, session_id: str) -> None:
        """The person did something: the session stays for another while. Written to the store once a minute."""
        now = self._clock()
        with self._lock:
            session = self._live.get(session_id)
            if session is None:
                return
            self._live[session_id] = replace(session, last_seen=now)
            if now - self._written.get(session_id, session.created_at) < SEEN_EVERY:
                return
            self._written[session_id] = now
        with self._store.write(touches_data=False) as connection:
            kept.touch(connection, session_id, now, now + IDLE)

    def end(self, session_id: str) -> None:
        """Sign out: dead in every tab, and a copied cookie with it."""
        self._forget([session_id])
        with self._store.write(touches_data=False) as connection:
            kept.end(connection, session_id)

    def end_all(self, user_id: str, *, but: str | None = None) -> None:
        """End a person's sessions, all but one if asked."""
        with self._lock:
            gone = [s.id for s in self._live.values() if s.user_id == user_id and s.id != but]
        self._forget(gone)
        with self._store.write(touches_data=False) as connection:
            kept.end_all(connection, user_id, but=but)

    def actor(self, session_id: str | None, data: Store | None = None) -> Actor:
        """Who a session speaks for, with what the store says now. `data` is the store whose per-KPI rights count.

        Raises SignInRefused if the session is over, or the person disabled or gone.
        """
        session = self.get(session_id)
        if session is None:
            raise SignInRefused(ENDED)
        actor = self._actor_of(session.user_id, data or self._store)
        if actor is None:
            self.end_all(session.user_id)
            raise SignInRefused(ENDED)
        return actor

    # -- people ---------------------------------------------------------------------------------------------------

    def change_password(self, session_id: str, old: str, new: str, *, address: str) -> None:
        """Change one's own password; every other session of the person ends. Raises SignInRefused or InvalidInput."""
        session = self.get(session_id)
        if session is None:
            raise SignInRefused(ENDED)
        with self._store.read() as connection:
            person = people.load_one(connection, session.user_id)
        self._take_turn(person.username, address)
        if not self._passwords.fits(old, person.password_hash):
            raise SignInRefused("The present password is not right.")
        self._throttle.succeeded(person.username, address)
        self.set_password(person.id, new, but=session.id)

    def set_password(self, user_id: str, new: str, *, but: str | None = None) -> None:
        """Set a person's password and end the sessions, all but one if asked. Raises InvalidInput."""
        with self._store.read() as connection:
            person = people.load_one(connection, user_id)
        check_password(new, person.username)
        hashed = self._passwords.hash(new)
        with self._store.write() as connection:
            people.set_password(connection, user_id, hashed, self._clock())
        self.end_all(user_id, but=but)

    def add_person(
        self,
        username: str,
        name: str,
        password: str,
        *,
        roles: Iterable[str],
        categories: Iterable[str] = (),
    ) -> Person:
        """A new account. Raises InvalidInput, or Conflict if the user name is taken."""
        person = self._person(username, name, password, roles, categories)
        with self._store.write() as connection:
            return people.add(connection, person, self._clock())

    def disable(self, user_id: str) -> None:
        """Keep the account, and end what it can do: no sign-in, no session, no token."""
        with self._store.write() as connection:
            people.update(connection, replace(people.load_one(connection, user_id), is_active=False))
        self.end_all(user_id)

    # -- the first administrator ----------------------------------------------------------------------------------

    @property
    def is_unclaimed(self) -> bool:
        """Whether there is nobody yet (people of the demo aside), so that the first administrator may be made."""
        if not self._claimed:
            with self._store.read() as connection:
                self._claimed = _is_claimed(connection)
        return not self._claimed

    def setup_code(self) -> str | None:
        """The code that the terminal shows, the same until it is used; None when there is somebody already."""
        if not self.is_unclaimed:
            return None
        with self._lock:
            self._code = self._code or secrets.token_hex(5)
            return self._code

    def create_admin(self, code: str, username: str, name: str, password: str, *, address: str) -> str:
        """Make the first administrator; a ticket to sign in with. Raises SignInRefused, NotAllowed or InvalidInput."""
        expected = self.setup_code()
        if expected is None:
            raise NotAllowed("There is an administrator already. Ask them for an account.")
        self._take_turn(SETUP, address)
        if not hmac.compare_digest(code.strip().lower().encode(), expected.encode()):
            raise SignInRefused("This is not the setup code. The terminal where the product was started shows it.")
        self._throttle.succeeded(SETUP, address)
        return self._ticket(self.claim(username, name, password).id)

    def claim(self, username: str, name: str, password: str) -> Person:
        """Make the first administrator from the terminal itself. Raises NotAllowed or InvalidInput."""
        person = self._person(username, name, password, ["admin"])
        with self._store.write() as connection:
            if _is_claimed(connection):
                raise NotAllowed("There is an administrator already. Ask them for an account.")
            made = people.add(connection, person, self._clock())
        self._code = None
        return made

    # -- API tokens -----------------------------------------------------------------------------------------------

    def create_token(
        self, user_id: str, name: str, *, scopes: Iterable[str] = ("read",), expires_at: datetime | None = None
    ) -> str:
        """A personal API token: this text is shown once and kept nowhere. Raises InvalidInput or NotFound."""
        wanted = frozenset(scopes)
        if not name.strip() or not wanted or wanted - SCOPES:
            raise InvalidInput(f"A token needs a name, and scopes out of {', '.join(sorted(SCOPES))}.")
        now = self._clock()
        if expires_at is not None and expires_at <= now:
            raise InvalidInput("A token cannot expire in the past.")
        text = TOKEN_PREFIX + secrets.token_urlsafe(32)
        with self._store.write(touches_data=False) as connection:
            people.load_one(connection, user_id)
            kept.add_token(connection, kept.Token(self._hash(text), user_id, name.strip(), wanted, now, expires_at))
        return text

    def token_actor(self, text: str, data: Store | None = None) -> Actor:
        """Who a token speaks for, narrowed to its scopes. Raises SignInRefused if it is unknown, revoked or expired."""
        now = self._clock()
        with self._store.read() as connection:
            token = kept.find_token(connection, self._hash(text)) if text.startswith(TOKEN_PREFIX) else None
        if token is None or token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now):
            raise SignInRefused("This API token is unknown, expired or revoked.")
        actor = self._actor_of(token.user_id, data or self._store)
        if actor is None:
            raise SignInRefused("This API token is unknown, expired or revoked.")
        if token.last_used_at is None or now - token.last_used_at >= SEEN_EVERY:
            with self._store.write(touches_data=False) as connection:
                kept.touch_token(connection, token.id, now)
        return replace(actor, scopes=token.scopes, is_admin=actor.is_admin and "admin" in token.scopes)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _hash(self, token: str) -> str:
        return hmac.new(self._secret, token.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def _take_turn(self, account: str, address: str) -> None:
        """Count a try before its outcome is known, so that tries made at once do not slip through together."""
        if wait := self._throttle.wait(account, address):
            raise SignInRefused(f"Too many tries. Please wait {_in_words(wait)}.", retry_after=wait)
        self._throttle.failed(account, address)

    def _ticket(self, user_id: str) -> str:
        ticket, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            self._tickets = {key: kept for key, kept in self._tickets.items() if kept.dies_at > now}
            if len(self._tickets) >= MOST_TICKETS:
                raise SignInRefused("Too many people are signing in at this moment. Please try again.", retry_after=5)
            self._tickets[self._hash(ticket)] = _Ticket(user_id, now + TICKET_LIFE)
        return ticket

    def _renew_hash(self, person: Person, password: str) -> None:
        """Keep up with stronger parameters, the one moment when the password is at hand."""
        if person.password_hash and self._passwords.is_outdated(person.password_hash):
            hashed = self._passwords.hash(password)
            with self._store.write(touches_data=False) as connection:
                people.set_password(connection, person.id, hashed, self._clock())

    def _person(
        self, username: str, name: str, password: str, roles: Iterable[str], categories: Iterable[str] = ()
    ) -> Person:
        """Somebody to add, checked; the slow hash is made here, outside the write lock."""
        account = check_username(username)
        check_password(password, account)
        return Person(
            username=account,
            name=name.strip() or account,
            password_hash=self._passwords.hash(password),
            roles=frozenset(roles),
            categories=frozenset(categories),
        )

    def _load(self, session_id: str) -> Session | None:
        with self._store.read() as connection:
            row = kept.find(connection, session_id)
        if row is None:
            return None
        return self._remember(Session(row.token_hash, row.user_id, row.created_at, row.last_seen, row.expires_at))

    def _remember(self, session: Session) -> Session:
        with self._lock:
            self._live[session.id] = session
            self._written[session.id] = session.last_seen
        return session

    def _forget(self, session_ids: Iterable[str]) -> None:
        with self._lock:
            for session_id in session_ids:
                self._live.pop(session_id, None)
                self._written.pop(session_id, None)

    def _actor_of(self, user_id: str, data: Store) -> Actor | None:
        """The person as the stores say now; None if disabled or gone. Read again when a data version has moved."""
        versions = (self._store.data_version(), data.data_version())
        cached = self._actors.get(user_id)
        if cached is not None and cached[0] is data and cached[1] == versions:
            return cached[2]
        actor = self._read_actor(user_id, data)
        if actor is not None:
            self._actors[user_id] = (data, versions, actor)
        return actor

    def _read_actor(self, user_id: str, data: Store) -> Actor | None:
        with self._store.read() as connection:
            try:
                person = people.load_one(connection, user_id)
            except NotFound:
                return None
            actor = people.actor(connection, person)
        if not person.is_active:
            return None
        return actor if data is self._store else replace(actor, grants=_grants(data, person))


def _grants(data: Store, person: Person) -> tuple[Grant, ...]:
    """The per-KPI rights of a person where the KPIs live: the demo's have ids of their own."""
    with data.read() as connection:
        rows = people.grants(connection)
    return tuple(row for row in rows if row.user_id == person.id or row.role in person.roles)


def _is_claimed(connection: Connection) -> bool:
    return any(not person.is_demo for person in people.load(connection))


def check_username(username: str) -> str:
    """The user name as it is kept: one Unicode form, lower case. Raises InvalidInput."""
    account = _account(username)
    if not 2 <= len(account) <= 64 or any(not (c.isalnum() or c in "._-@+") for c in account):
        raise InvalidInput("A user name has 2 to 64 letters, digits or . _ - @ +, and no spaces.")
    return account


def _account(username: str) -> str:
    return unicodedata.normalize("NFKC", username[:256]).strip().casefold()


def _in_words(seconds: float) -> str:
    whole = max(round(seconds), 1)
    return f"{whole} seconds" if whole < 90 else f"{round(whole / 60)} minutes"
