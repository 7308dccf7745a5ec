"""Sessions, API tokens and attempts to sign in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kpi_core.store import Store, sessions
from kpi_core.store.sessions import Attempt, Session, Token

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
OPEN = Session("h1", "ada", NOW, NOW, NOW + HOUR, NOW + 8 * HOUR, "Firefox")
TOKEN = Token("t1", "ada", "reports", frozenset({"read", "write"}), NOW, NOW + 8 * HOUR)


def test_a_session_lives_until_it_is_idle_too_long_or_its_time_is_over(store: Store) -> None:
    with store.write() as connection:
        sessions.add(connection, OPEN)
        assert sessions.find(connection, "h1") == OPEN
        assert sessions.load(connection, NOW) == [OPEN]
        assert sessions.load(connection, NOW + HOUR) == []
        sessions.touch(connection, "h1", NOW + 7 * HOUR, NOW + 9 * HOUR)
        assert len(sessions.load(connection, NOW + 7 * HOUR)) == 1
        assert sessions.load(connection, NOW + 8 * HOUR) == []
        assert sessions.purge(connection, NOW + 8 * HOUR) == 1
        assert sessions.find(connection, "h1") is None


def test_signing_out_ends_one_session_and_a_new_password_all_but_one(store: Store) -> None:
    with store.write() as connection:
        for token, user in (("h1", "ada"), ("h2", "ada"), ("h3", "ada"), ("h4", "ben")):
            sessions.add(connection, replace(OPEN, token_hash=token, user_id=user))
        sessions.end(connection, "h1")
        assert sessions.end_all(connection, "ada", but="h2") == 1
        assert {session.token_hash for session in sessions.load(connection, NOW)} == {"h2", "h4"}
        assert sessions.end_all(connection, "ada") == 1


def test_a_token_is_found_by_its_hash_used_and_revoked_once(store: Store) -> None:
    with store.write() as connection:
        token = sessions.add_token(connection, TOKEN)
        assert token == replace(TOKEN, id=1) == sessions.find_token(connection, "t1")
        assert sessions.find_token(connection, "t2") is None
        sessions.touch_token(connection, token.id, NOW + HOUR)
        sessions.revoke_token(connection, token.id, NOW + 2 * HOUR)
        sessions.revoke_token(connection, token.id, NOW + 3 * HOUR)
        used = replace(token, last_used_at=NOW + HOUR, revoked_at=NOW + 2 * HOUR)
        newer = sessions.add_token(connection, replace(TOKEN, token_hash="t2"))
        assert sessions.tokens_of(connection, "ada") == [newer, used]
        assert sessions.tokens_of(connection, "ben") == []


def test_attempts_are_counted_by_name_and_by_address_and_forgotten(store: Store) -> None:
    told = [
        Attempt("ada", "10.0.0.1", False, NOW),
        Attempt("ADA", "10.0.0.2", False, NOW + HOUR),
        Attempt("ben", "10.0.0.1", True, NOW + 2 * HOUR),
    ]
    with store.write() as connection:
        for attempt in told:
            sessions.record_attempt(connection, attempt)
        before = NOW - HOUR
        assert sessions.attempts_since(connection, before) == told
        assert sessions.attempts_since(connection, before, username="Ada") == told[:2]
        assert sessions.attempts_since(connection, before, address="10.0.0.1") == [told[0], told[2]]
        assert sessions.attempts_since(connection, NOW, address="10.0.0.1") == told[2:]
        assert sessions.forget_attempts(connection, NOW + HOUR) == 1
        assert sessions.attempts_since(connection, before) == told[1:]
