"""Signing in, staying in, and being out for good. Time is a hand on a clock that the tests turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from kpi_core.errors import Conflict, InvalidInput, NotAllowed, NotFound, SignInRefused
from kpi_core.model import Grant
from kpi_core.server.passwords import Passwords
from kpi_core.server.sessions import Session, Sessions
from kpi_core.store import Store, people
from kpi_core.store.people import Person
from kpi_core.store.schema import metadata

WEAK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
START = datetime(2026, 11, 23, 0, 5, tzinfo=UTC)
PASSWORD = "correct horse battery"
SECRET = "a secret of at least thirty-two characters"
HOME, CAFE = "192.0.2.1", "198.51.100.7"


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **by: float) -> None:
        self.now += timedelta(**by)


class CountingPasswords(Passwords):
    """Counts the slow checks: who answers without one answers faster."""

    checks = 0

    def fits(self, password: str, kept: str | None) -> bool:
        self.checks += 1
        return super().fits(password, kept)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def passwords() -> CountingPasswords:
    return CountingPasswords(WEAK)


@pytest.fixture
def open_sessions(duckdb_store: Store, clock: Clock, passwords: Passwords) -> Callable[[], Sessions]:
    """A new `Sessions` over the same store is what a restarted server has."""
    return lambda: Sessions(duckdb_store, secret=SECRET, clock=clock, passwords=passwords)


@pytest.fixture
def sessions(open_sessions: Callable[[], Sessions]) -> Sessions:
    return open_sessions()


@pytest.fixture
def ada(sessions: Sessions) -> Person:
    return sessions.claim("ada", "Ada Lovelace", PASSWORD)


@pytest.fixture
def vera(sessions: Sessions, ada: Person) -> Person:
    return sessions.add_person("vera", "Vera Viewer", PASSWORD, roles=["viewer"], categories=["sales"])


def sign_in(sessions: Sessions, username: str = "ada", password: str = PASSWORD, address: str = HOME) -> str:
    """The cookie of a new session."""
    return sessions.exchange(sessions.sign_in(username, password, address=address))


def alive(sessions: Sessions, token: str) -> Session:
    session = sessions.find(token)
    assert session is not None
    return session


def everything_in(store: Store) -> str:
    with store.read() as connection:
        return "\n".join(str(connection.execute(sa.select(table)).all()) for table in metadata.sorted_tables)


def refusal(sessions: Sessions, username: str, password: str, address: str = HOME) -> SignInRefused:
    with pytest.raises(SignInRefused) as refused:
        sessions.sign_in(username, password, address=address)
    return refused.value


# -- names and passwords --------------------------------------------------------------------------------------------


def test_a_name_and_a_password_that_fit_lead_to_a_session(sessions: Sessions, ada: Person) -> None:
    session = alive(sessions, sign_in(sessions))
    actor = sessions.actor(session.id)
    assert (actor.id, actor.name, actor.is_admin) == (ada.id, "Ada Lovelace", True)
    assert "kpis.view_all" in actor.permissions


@pytest.mark.parametrize(
    ("username", "password"),
    [("ada", "wrong horse battery"), ("nobody", PASSWORD), ("gone", PASSWORD), ("", PASSWORD), ("ada", "")],
    ids=["wrong password", "no such name", "disabled", "no name", "no password"],
)
def test_refusals_are_uniform_in_words_and_in_work(
    sessions: Sessions, ada: Person, passwords: CountingPasswords, username: str, password: str
) -> None:
    sessions.disable(sessions.add_person("gone", "Gone", PASSWORD, roles=["viewer"]).id)
    before = passwords.checks
    assert str(refusal(sessions, username, password)) == "That name and password do not fit together."
    assert passwords.checks == before + 1


def test_a_user_name_is_the_same_in_any_case_and_any_form(sessions: Sessions, ada: Person) -> None:
    sessions.add_person("josé", "José", PASSWORD, roles=["viewer"])
    assert sign_in(sessions, "  ADA ")
    assert sign_in(sessions, "Jose\u0301")


@pytest.mark.parametrize("password", ["пароль из слов 🔑", "éàüö" * 15 + "a", "  spaces count  ", "wxyz" * 200 + "."])
def test_passwords_may_be_of_any_script_and_longer_than_72_bytes(
    sessions: Sessions, ada: Person, password: str
) -> None:
    sessions.add_person("uni", "Uni", password, roles=["viewer"])
    assert sign_in(sessions, "uni", password)
    refusal(sessions, "uni", password[:-1])
    refusal(sessions, "uni", password + "a")


def test_a_password_fits_however_its_letters_were_composed(sessions: Sessions, ada: Person) -> None:
    sessions.add_person("uni", "Uni", "caf\u00e9 au lait", roles=["viewer"])
    assert sign_in(sessions, "uni", "cafe\u0301 au lait")


@pytest.mark.parametrize(
    "password", ["short", "x" * 1025, "aaaaaaaaaaaa", "ababababab", "password12345", "ada-2026!!!", "1234567890"]
)
def test_a_password_that_is_guessed_first_is_not_taken(sessions: Sessions, password: str) -> None:
    with pytest.raises(InvalidInput):
        sessions.claim("ada", "Ada", password)


@pytest.mark.parametrize("username", ["", "a", "two words", "semi;colon", "x" * 65, "new\nline"])
def test_a_user_name_that_cannot_be_typed_back_is_not_taken(sessions: Sessions, username: str) -> None:
    with pytest.raises(InvalidInput):
        sessions.claim(username, "Name", PASSWORD)


def test_a_user_name_is_given_once(sessions: Sessions, ada: Person) -> None:
    with pytest.raises(Conflict):
        sessions.add_person("ADA", "Another", PASSWORD, roles=["viewer"])


def test_a_hash_of_weaker_days_is_renewed_at_sign_in(
    duckdb_store: Store, clock: Clock, sessions: Sessions, ada: Person
) -> None:
    stronger = Passwords(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    later = Sessions(duckdb_store, secret=SECRET, clock=clock, passwords=stronger)
    sign_in(later)
    with duckdb_store.read() as connection:
        kept = people.load_one(connection, ada.id).password_hash
    assert kept is not None
    assert not stronger.is_outdated(kept)


# -- slowing guesses down -------------------------------------------------------------------------------------------


def test_ten_failures_slow_down_that_account_from_that_address_only(
    sessions: Sessions, vera: Person, clock: Clock
) -> None:
    for _ in range(10):
        while (refused := refusal(sessions, "ada", "wrong horse battery")).retry_after:
            clock.turn(seconds=refused.retry_after)
    assert refusal(sessions, "ada", PASSWORD).retry_after > 10
    assert sign_in(sessions, "ada", address=CAFE)
    assert sign_in(sessions, "vera", address=HOME)


def test_a_few_mistypings_cost_no_wait(sessions: Sessions, ada: Person) -> None:
    for _ in range(4):
        assert refusal(sessions, "ada", "wrong horse battery").retry_after == 0
    assert sign_in(sessions)


def test_a_wait_is_said_in_words_and_costs_no_check(
    sessions: Sessions, ada: Person, passwords: CountingPasswords
) -> None:
    for _ in range(5):
        refusal(sessions, "ada", "wrong horse battery")
    before = passwords.checks
    assert "Please wait 2 seconds" in str(refusal(sessions, "ada", PASSWORD))
    assert passwords.checks == before


def test_failures_fade(sessions: Sessions, ada: Person, clock: Clock) -> None:
    for _ in range(8):
        while (refused := refusal(sessions, "ada", "wrong horse battery")).retry_after:
            clock.turn(seconds=refused.retry_after)
    clock.turn(hours=1)
    assert refusal(sessions, "ada", "wrong horse battery").retry_after == 0
    assert refusal(sessions, "ada", "wrong horse battery").retry_after == 0
    assert sign_in(sessions)


def test_nobody_waits_longer_than_five_minutes(sessions: Sessions, ada: Person, clock: Clock) -> None:
    longest = 0.0
    for _ in range(60):
        refused = refusal(sessions, "ada", "wrong horse battery")
        longest = max(longest, refused.retry_after)
        clock.turn(seconds=refused.retry_after)
    assert longest <= 300
    clock.turn(minutes=5)
    assert sign_in(sessions)


def test_a_name_that_does_not_exist_is_slowed_down_like_one_that_does(sessions: Sessions, ada: Person) -> None:
    for _ in range(5):
        refusal(sessions, "nobody", PASSWORD)
    assert refusal(sessions, "nobody", PASSWORD).retry_after > 0


# -- tickets --------------------------------------------------------------------------------------------------------


def test_a_ticket_works_once(sessions: Sessions, ada: Person) -> None:
    ticket = sessions.sign_in("ada", PASSWORD, address=HOME)
    sessions.exchange(ticket)
    with pytest.raises(SignInRefused):
        sessions.exchange(ticket)


def test_a_ticket_dies_after_thirty_seconds(sessions: Sessions, ada: Person, clock: Clock) -> None:
    late, in_time = (sessions.sign_in("ada", PASSWORD, address=HOME) for _ in range(2))
    clock.turn(seconds=29)
    assert sessions.exchange(in_time)
    clock.turn(seconds=1)
    with pytest.raises(SignInRefused):
        sessions.exchange(late)


@pytest.mark.parametrize("spoil", [lambda t: t[:-1], lambda t: t + "A", lambda t: t.swapcase(), lambda t: ""])
def test_a_tampered_ticket_is_refused(sessions: Sessions, ada: Person, spoil: Callable[[str], str]) -> None:
    with pytest.raises(SignInRefused):
        sessions.exchange(spoil(sessions.sign_in("ada", PASSWORD, address=HOME)))


def test_a_ticket_is_no_cookie_and_a_cookie_no_ticket(sessions: Sessions, ada: Person) -> None:
    ticket = sessions.sign_in("ada", PASSWORD, address=HOME)
    assert sessions.find(ticket) is None
    with pytest.raises(SignInRefused):
        sessions.exchange(sessions.exchange(ticket))


# -- sessions -------------------------------------------------------------------------------------------------------


def test_a_session_survives_a_restart(sessions: Sessions, ada: Person, open_sessions: Callable[[], Sessions]) -> None:
    token = sign_in(sessions)
    again = open_sessions()
    assert again.actor(alive(again, token).id).id == ada.id


@pytest.mark.parametrize("spoil", [lambda t: t[:-1], lambda t: t + "A", lambda t: t.swapcase(), lambda t: "ü" * 43])
def test_a_tampered_cookie_is_nobody(sessions: Sessions, ada: Person, spoil: Callable[[str], str]) -> None:
    assert sessions.find(spoil(sign_in(sessions))) is None


def test_a_session_ends_after_eight_idle_hours(
    sessions: Sessions, ada: Person, clock: Clock, open_sessions: Callable[[], Sessions]
) -> None:
    token = sign_in(sessions)
    clock.turn(hours=7)
    sessions.touch(alive(sessions, token).id)
    clock.turn(hours=7, minutes=59)
    assert alive(sessions, token)
    assert alive(open_sessions(), token)
    clock.turn(minutes=1)
    assert sessions.find(token) is None
    assert open_sessions().find(token) is None


def test_a_session_ends_after_seven_days_however_busy(sessions: Sessions, ada: Person, clock: Clock) -> None:
    token = sign_in(sessions)
    session = alive(sessions, token)
    for _ in range(7 * 24 - 1):
        clock.turn(hours=1)
        sessions.touch(session.id)
    assert alive(sessions, token)
    clock.turn(hours=1)
    assert sessions.find(token) is None
    with pytest.raises(SignInRefused):
        sessions.actor(session.id)


def test_being_looked_up_is_not_being_busy(sessions: Sessions, ada: Person, clock: Clock) -> None:
    token = sign_in(sessions)
    for _ in range(8):
        clock.turn(minutes=59)
        sessions.actor(alive(sessions, token).id)
    clock.turn(minutes=8)
    assert sessions.find(token) is None


def test_last_seen_is_written_once_a_minute(
    sessions: Sessions, ada: Person, clock: Clock, duckdb_store: Store, open_sessions: Callable[[], Sessions]
) -> None:
    token = sign_in(sessions)
    for _ in range(100):
        clock.turn(seconds=1)
        sessions.touch(alive(sessions, token).id)
    assert alive(open_sessions(), token).last_seen == START + timedelta(seconds=60)


def test_signing_out_ends_the_session_for_every_copy_of_the_cookie(
    sessions: Sessions, ada: Person, open_sessions: Callable[[], Sessions]
) -> None:
    token, elsewhere = sign_in(sessions), sign_in(sessions)
    session = alive(sessions, token)
    sessions.end(session.id)
    assert sessions.find(token) is None
    assert open_sessions().find(token) is None
    with pytest.raises(SignInRefused):
        sessions.actor(session.id)
    assert alive(sessions, elsewhere)


def test_touching_a_session_that_is_over_does_not_bring_it_back(sessions: Sessions, ada: Person) -> None:
    token = sign_in(sessions)
    session = alive(sessions, token)
    sessions.end(session.id)
    sessions.touch(session.id)
    assert sessions.get(session.id) is None


def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(sessions: Sessions, ada: Person) -> None:
    here, there = sign_in(sessions), sign_in(sessions)
    sessions.change_password(alive(sessions, here).id, PASSWORD, "battery staple horse", address=HOME)
    assert alive(sessions, here)
    assert sessions.find(there) is None
    refusal(sessions, "ada", PASSWORD)
    assert sign_in(sessions, "ada", "battery staple horse")


def test_a_password_is_changed_by_who_knows_the_present_one(sessions: Sessions, ada: Person) -> None:
    session = alive(sessions, sign_in(sessions))
    with pytest.raises(SignInRefused):
        sessions.change_password(session.id, "wrong horse battery", "battery staple horse", address=HOME)
    with pytest.raises(InvalidInput):
        sessions.change_password(session.id, PASSWORD, "short", address=HOME)
    assert sign_in(sessions)


def test_guessing_the_present_password_in_a_session_is_slowed_down_too(sessions: Sessions, ada: Person) -> None:
    session = alive(sessions, sign_in(sessions))
    for _ in range(6):
        with pytest.raises(SignInRefused) as refused:
            sessions.change_password(session.id, "wrong horse battery", "battery staple horse", address=HOME)
    assert refused.value.retry_after > 0


def test_a_disabled_person_is_out_at_once(sessions: Sessions, vera: Person) -> None:
    token = sign_in(sessions, "vera")
    session = alive(sessions, token)
    sessions.disable(vera.id)
    with pytest.raises(SignInRefused):
        sessions.actor(session.id)
    assert sessions.find(token) is None


def test_a_person_who_was_removed_by_other_means_is_out_at_once(
    sessions: Sessions, vera: Person, duckdb_store: Store
) -> None:
    session = alive(sessions, sign_in(sessions, "vera"))
    assert sessions.actor(session.id)
    with duckdb_store.write() as connection:
        people.remove(connection, vera.id)
    with pytest.raises(SignInRefused):
        sessions.actor(session.id)


def test_a_right_that_is_taken_away_is_gone_at_the_next_question(
    sessions: Sessions, vera: Person, duckdb_store: Store
) -> None:
    session = alive(sessions, sign_in(sessions, "vera"))
    assert sessions.actor(session.id).permissions == {"kpis.sales.view"}
    with duckdb_store.write() as connection:
        people.grant(connection, Grant(kpi_id=7, user_id=vera.id, can_view=False), "ada", START)
        people.update(connection, Person("vera", "Vera", roles=frozenset({"viewer"}), id=vera.id))
    actor = sessions.actor(session.id)
    assert actor.permissions == frozenset()
    assert [grant.kpi_id for grant in actor.grants] == [7]


def test_per_kpi_rights_are_those_of_the_company_that_is_shown(
    sessions: Sessions, vera: Person, duckdb_store: Store, tmp_path: object
) -> None:
    from kpi_core.store import open_store

    session = alive(sessions, sign_in(sessions, "vera"))
    with duckdb_store.write() as connection:
        people.grant(connection, Grant(kpi_id=1, user_id=vera.id, can_view=True), "ada", START)
    with open_store(f"duckdb:///{tmp_path}/demo.duckdb", clock=lambda: START) as demo:
        with demo.write() as connection:
            people.grant(connection, Grant(kpi_id=2, role="viewer", can_view=True), None, START)
            people.grant(connection, Grant(kpi_id=3, role="ceo", can_view=True), None, START)
        assert [grant.kpi_id for grant in sessions.actor(session.id, demo).grants] == [2]
        assert [grant.kpi_id for grant in sessions.actor(session.id).grants] == [1]


def test_what_the_database_holds_opens_nothing(sessions: Sessions, ada: Person, duckdb_store: Store) -> None:
    token, ticket = sign_in(sessions), sessions.sign_in("ada", PASSWORD, address=HOME)
    api_token = sessions.create_token(ada.id, "reports")
    held = everything_in(duckdb_store)
    assert alive(sessions, token).id in held
    assert not any(secret in held for secret in (token, ticket, api_token, PASSWORD, SECRET))
    assert sessions.find(alive(sessions, token).id) is None


def test_a_session_of_another_installation_is_nobody_here(
    sessions: Sessions, ada: Person, duckdb_store: Store, clock: Clock, passwords: Passwords
) -> None:
    token = sign_in(sessions)
    other = Sessions(duckdb_store, secret="another secret of thirty-two characters", clock=clock, passwords=passwords)
    assert other.find(token) is None


def test_sessions_and_tokens_work_on_either_engine(store: Store, clock: Clock, passwords: Passwords) -> None:
    sessions = Sessions(store, secret=SECRET, clock=clock, passwords=passwords)
    ada = sessions.claim("ada", "Ada", PASSWORD)
    token = sign_in(sessions)
    clock.turn(minutes=2)
    sessions.touch(alive(sessions, token).id)
    again = Sessions(store, secret=SECRET, clock=clock, passwords=passwords)
    assert alive(again, token).last_seen == clock.now
    assert again.token_actor(again.create_token(ada.id, "reports")).id == ada.id
    again.end_all(ada.id)
    assert again.find(token) is None


# -- the first administrator ----------------------------------------------------------------------------------------


def test_the_first_administrator_needs_the_code_of_the_terminal(sessions: Sessions) -> None:
    code = sessions.setup_code()
    assert code is not None
    with pytest.raises(SignInRefused):
        sessions.create_admin("0000000000", "ada", "Ada", PASSWORD, address=HOME)
    ticket = sessions.create_admin(f" {code.upper()} ", "ada", "Ada", PASSWORD, address=HOME)
    assert sessions.actor(alive(sessions, sessions.exchange(ticket)).id).is_admin


def test_the_way_of_the_first_administrator_is_gone_afterwards(
    sessions: Sessions, open_sessions: Callable[[], Sessions]
) -> None:
    code = sessions.setup_code() or ""
    sessions.create_admin(code, "ada", "Ada", PASSWORD, address=HOME)
    for now in (sessions, open_sessions()):
        assert now.setup_code() is None
        assert not now.is_unclaimed
        with pytest.raises(NotAllowed):
            now.create_admin(code, "eve", "Eve", PASSWORD, address=HOME)
        with pytest.raises(NotAllowed):
            now.claim("eve", "Eve", PASSWORD)


def test_guessing_the_code_is_slowed_down(sessions: Sessions) -> None:
    for _ in range(6):
        with pytest.raises(SignInRefused) as refused:
            sessions.create_admin("0000000000", "eve", "Eve", PASSWORD, address=HOME)
    assert refused.value.retry_after > 0


def test_people_of_the_demo_do_not_close_the_way_of_the_first_administrator(
    sessions: Sessions, duckdb_store: Store
) -> None:
    with duckdb_store.write() as connection:
        people.add(connection, Person("demo", "Demo", roles=frozenset({"admin"}), is_demo=True), START)
    assert sessions.is_unclaimed


# -- API tokens -----------------------------------------------------------------------------------------------------


def test_a_token_speaks_for_its_person_within_its_scopes(sessions: Sessions, ada: Person) -> None:
    actor = sessions.token_actor(sessions.create_token(ada.id, "reports"))
    assert (actor.id, actor.scopes, actor.is_admin) == (ada.id, {"read"}, False)


def test_a_token_is_refused_when_expired_unknown_or_its_person_disabled(
    sessions: Sessions, vera: Person, clock: Clock
) -> None:
    short = sessions.create_token(vera.id, "short", expires_at=START + timedelta(days=1))
    lasting = sessions.create_token(vera.id, "lasting")
    assert sessions.token_actor(short).id == vera.id
    clock.turn(days=1)
    sessions.disable(vera.id) if sessions.token_actor(lasting) else None
    for text in (short, lasting, "kpi_unknown", "", lasting[4:]):
        with pytest.raises(SignInRefused):
            sessions.token_actor(text)


@pytest.mark.parametrize("scopes", [[], ["read", "everything"]])
def test_a_token_needs_scopes_that_there_are(sessions: Sessions, ada: Person, scopes: list[str]) -> None:
    with pytest.raises(InvalidInput):
        sessions.create_token(ada.id, "reports", scopes=scopes)


def test_a_token_needs_a_person_and_a_future(sessions: Sessions, ada: Person) -> None:
    with pytest.raises(NotFound):
        sessions.create_token("nobody", "reports")
    with pytest.raises(InvalidInput):
        sessions.create_token(ada.id, "reports", expires_at=START)
