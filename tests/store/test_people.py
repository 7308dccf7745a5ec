"""People, roles and rights as they are stored, and the actor that they make."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kpi_core.access import ROLES, can
from kpi_core.errors import Conflict, NotFound
from kpi_core.model import Category, Grain, Grant, Kpi
from kpi_core.store import Store, people
from kpi_core.store.people import Person

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
ADA = Person(
    "ada",
    "Ada Lovelace",
    email="ada@example.com",
    password_hash="$argon2id$x",
    roles=frozenset({"sales_manager", "viewer"}),
    categories=frozenset({"finance"}),
    time_zone="Europe/London",
)
REVENUE = Kpi("revenue", "Revenue", Category.OPERATIONS, Grain.DAILY, id=5)


def test_a_person_comes_back_as_stored_under_a_short_random_id(store: Store) -> None:
    with store.write() as connection:
        ada = people.add(connection, ADA, NOW)
        assert len(ada.id) == 12
        assert ada == replace(ADA, id=ada.id, created_at=NOW, password_changed_at=NOW)
        assert people.load(connection) == [ada]
        assert people.load_one(connection, ada.id) == people.by_username(connection, "ADA") == ada
        assert people.by_username(connection, "eve") is None
        with pytest.raises(NotFound):
            people.load_one(connection, "nobody")


def test_a_user_name_belongs_to_one_person_whatever_its_case(store: Store) -> None:
    with store.write() as connection:
        people.add(connection, ADA, NOW)
        ben = people.add(connection, Person("ben", "Ben"), NOW)
        with pytest.raises(Conflict, match="'Ada' is taken"):
            people.add(connection, Person("Ada", "Another"), NOW)
        with pytest.raises(Conflict, match="'ada' is taken"):
            people.update(connection, replace(ben, username="ada"))


def test_an_update_leaves_the_password_and_a_new_password_leaves_the_rest(store: Store) -> None:
    with store.write() as connection:
        ada = people.add(connection, ADA, NOW)
        people.update(
            connection, replace(ada, username="Ada", is_active=False, password_hash="forged", roles=frozenset())
        )
        later = NOW + timedelta(days=1)
        people.set_password(connection, ada.id, "$argon2id$y", later)
        assert people.load_one(connection, ada.id) == replace(
            ada,
            username="Ada",
            is_active=False,
            roles=frozenset(),
            password_hash="$argon2id$y",
            password_changed_at=later,
        )


def test_a_hash_is_not_shown_where_a_person_is_printed() -> None:
    assert "argon2id" not in repr(ADA)


def test_a_role_is_changed_and_a_new_one_made(store: Store) -> None:
    with store.write() as connection:
        people.save_role(connection, "viewer", ["kpis.view_all"])
        people.save_role(connection, "auditor", ["kpis.finance.view"])
        roles = people.load_roles(connection)
    assert roles == {**ROLES, "viewer": {"kpis.view_all"}, "auditor": {"kpis.finance.view"}}


def test_a_right_takes_the_place_of_the_one_before_and_can_be_revoked(store: Store) -> None:
    with store.write() as connection:
        people.grant(connection, Grant(5, user_id="ada", can_view=True), "root", NOW)
        people.grant(connection, Grant(5, user_id="ada", can_view=False, can_edit=True), "root", NOW)
        people.grant(connection, Grant(5, role="viewer", can_view=True), "root", NOW)
        assert people.grants(connection) == [
            Grant(5, user_id="ada", can_view=False, can_edit=True),
            Grant(5, role="viewer", can_view=True),
        ]
        people.revoke(connection, Grant(5, role="viewer"))
        assert len(people.grants(connection)) == 1


@pytest.mark.parametrize("right", [Grant(5), Grant(5, user_id="ada", role="viewer")])
def test_a_right_is_for_one_person_or_one_role(store: Store, right: Grant) -> None:
    with store.write() as connection, pytest.raises(ValueError, match="one person or for one role"):
        people.grant(connection, right, "root", NOW)


def test_an_actor_has_the_keys_of_role_and_person_and_only_the_rows_that_apply(store: Store) -> None:
    with store.write() as connection:
        ada = people.add(connection, ADA, NOW)
        mine, roles, others = Grant(5, user_id=ada.id, can_view=True), Grant(6, role="viewer"), Grant(5, user_id="ben")
        for right in (mine, roles, others, Grant(7, role="ceo", can_view=True)):
            people.grant(connection, right, "root", NOW)
        actor = people.actor(connection, ada)
    assert actor.permissions == ROLES["sales_manager"] | {"kpis.finance.view"}
    assert actor.grants == (mine, roles)
    assert not actor.is_admin
    assert can(actor, "view", REVENUE)


def test_an_administrator_is_one_by_key_and_not_through_a_narrow_token(store: Store) -> None:
    with store.write() as connection:
        root = people.add(connection, Person("root", "Root", roles=frozenset({"admin"})), NOW)
        assert people.actor(connection, root).is_admin
        assert not people.actor(connection, root, frozenset({"read"})).is_admin


def test_somebody_who_is_removed_leaves_no_right_behind(store: Store) -> None:
    with store.write() as connection:
        ada = people.add(connection, ADA, NOW)
        people.grant(connection, Grant(5, user_id=ada.id, can_view=True), "root", NOW)
        people.remove(connection, ada.id)
        assert people.load(connection) == people.grants(connection) == []
