"""Who may do what. The cast: the administrator, the chief executive, the sales manager, the sales representative, and
the stranger (a viewer to whom nobody gave a category), who must see nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi_core.access import ACTIONS, KEYS, ROLES, SYSTEM, Action, can, permissions_of, visibility
from kpi_core.model import Actor, Category, Grain, Grant, Kind, Kpi


def actor(name: str, *roles: str, categories: tuple[str, ...] = (), grants: tuple[Grant, ...] = ()) -> Actor:
    return Actor(name, name.title(), frozenset(roles), permissions_of(roles, categories), grants)


ADMIN = actor("ada", "admin")
CEO = actor("carl", "ceo")
MANAGER = actor("mia", "sales_manager")
REP = actor("rob", "sales_rep")
LEAD = actor("lea", "team_lead", categories=("marketing",))
STRANGER = actor("sam", "viewer")
CAST = {"admin": ADMIN, "ceo": CEO, "manager": MANAGER, "rep": REP, "lead": LEAD, "stranger": STRANGER}

SALES = Kpi("calls", "Calls", Category.SALES, Grain.DAILY, id=1)
FINANCE = Kpi("cash", "Cash", Category.FINANCE, Grain.DAILY, id=2)
MARKETING = Kpi("visits", "Visits", Category.MARKETING, Grain.DAILY, id=3)
SECRET = Kpi("salaries", "Salaries", Category.SALES, Grain.MONTHLY, id=4, confidential=True)
DERIVED = Kpi("ltv", "LTV", Category.SALES, Grain.MONTHLY, id=5, kind=Kind.DERIVED, formula="cash / calls")
EVERY_KPI = (SALES, FINANCE, MARKETING, SECRET, DERIVED)


@pytest.mark.parametrize(
    ("who", "kpi", "may"),
    [
        ("admin", SALES, {"view", "edit", "set_targets", "delete"}),
        ("admin", FINANCE, {"view", "edit", "set_targets", "delete"}),
        ("admin", SECRET, {"view", "edit", "set_targets", "delete"}),
        ("ceo", SALES, {"view", "set_targets"}),
        ("ceo", FINANCE, {"view", "set_targets"}),
        ("ceo", SECRET, {"view", "set_targets"}),
        ("manager", SALES, {"view", "edit", "set_targets"}),
        ("manager", DERIVED, {"view", "edit", "set_targets"}),
        ("manager", FINANCE, set()),
        ("manager", SECRET, set()),
        ("rep", SALES, {"view"}),
        ("rep", FINANCE, set()),
        ("rep", SECRET, set()),
        ("lead", MARKETING, {"view"}),
        ("lead", SALES, set()),
        ("stranger", SALES, set()),
        ("stranger", FINANCE, set()),
        ("stranger", SECRET, set()),
    ],
    ids=lambda value: (
        getattr(value, "key", None) or (value if isinstance(value, str) else "+".join(sorted(value)) or "nothing")
    ),
)
def test_what_the_cast_may_do(who: str, kpi: Kpi, may: set[Action]) -> None:
    assert {action for action in ("view", "edit", "set_targets", "delete") if can(CAST[who], action, kpi)} == may


@pytest.mark.parametrize(
    ("who", "may"),
    [("admin", {"create", "manage"}), ("ceo", {"create"}), ("manager", set()), ("rep", set()), ("stranger", set())],
)
def test_who_may_create_and_manage(who: str, may: set[Action]) -> None:
    assert {action for action in ("create", "manage") if can(CAST[who], action)} == may


@pytest.mark.parametrize("kpi", EVERY_KPI, ids=lambda kpi: kpi.key)
def test_the_stranger_sees_no_value_and_not_even_the_title_of_what_is_confidential(kpi: Kpi) -> None:
    assert visibility(STRANGER, kpi) == ("hidden" if kpi.confidential else "locked")


LEVELS = [
    ("a row for the person beats a row for the role", [(True, "me"), (False, "role")], True),
    ("a row for the person that takes away beats all", [(False, "me"), (True, "role")], False),
    ("of several roles the one that takes away wins", [(True, "role"), (False, "other_role")], False),
    ("a row for the role beats the category key", [(False, "role")], False),
    ("a row that says nothing leaves it to the keys", [(None, "me"), (None, "role")], True),
    ("a row for somebody else says nothing", [(False, "somebody")], True),
    ("a row for a role one does not have says nothing", [(False, "no_role")], True),
]


@pytest.mark.parametrize(("name", "rows", "allowed"), LEVELS, ids=[name for name, _, _ in LEVELS])
@pytest.mark.parametrize("action", ["view", "edit", "set_targets"])
def test_the_most_specific_wins(name: str, rows: list[tuple[bool | None, str]], allowed: bool, action: Action) -> None:
    whose = {
        "me": {"user_id": "mia"},
        "somebody": {"user_id": "sam"},
        "role": {"role": "sales_manager"},
        "other_role": {"role": "viewer"},
        "no_role": {"role": "ceo"},
    }
    field = {"view": "can_view", "edit": "can_edit", "set_targets": "can_set_targets"}[action]
    grants = tuple(Grant(SALES.id, **whose[who], **{field: says}) for says, who in rows)
    asking = actor("mia", "sales_manager", "viewer", grants=grants)
    assert can(asking, action, SALES).allowed is allowed
    assert can(asking, action, DERIVED), "rows speak of their own KPI alone"


def test_a_role_row_takes_away_what_a_global_key_gives() -> None:
    refused = replace(CEO, grants=(Grant(FINANCE.id, role="ceo", can_view=False),))
    assert not can(refused, "view", FINANCE)
    assert visibility(refused, FINANCE) == "locked"


def test_being_let_to_enter_values_includes_seeing_them() -> None:
    granted = replace(LEAD, grants=(Grant(SALES.id, user_id="lea", can_edit=True),))
    assert can(granted, "view", SALES)
    assert can(granted, "edit", SALES)
    assert not can(granted, "set_targets", SALES)


def test_what_cannot_be_seen_cannot_be_changed() -> None:
    blind = replace(MANAGER, grants=(Grant(SALES.id, user_id="mia", can_view=False, can_edit=True),))
    assert not can(blind, "edit", SALES)
    assert not can(replace(ADMIN, grants=(Grant(SALES.id, user_id="ada", can_view=False),)), "delete", SALES)


def test_a_definition_s_roles_are_let_in_and_the_others_go_by_their_keys() -> None:
    kpi = replace(FINANCE, view_roles=("ceo", "sales_manager", "sales_rep"), edit_roles=("ceo", "sales_manager"))
    assert {who for who, each in CAST.items() if can(each, "view", kpi)} == {"admin", "ceo", "manager", "rep"}
    assert {who for who, each in CAST.items() if can(each, "edit", kpi)} == {"admin", "ceo", "manager"}
    assert {who for who, each in CAST.items() if can(each, "set_targets", kpi)} == {"admin", "ceo"}


def test_a_role_that_may_edit_by_definition_may_see() -> None:
    assert can(MANAGER, "view", replace(FINANCE, edit_roles=("sales_manager",)))


def test_a_row_takes_away_what_the_definition_gives() -> None:
    kpi = replace(FINANCE, view_roles=("sales_rep",))
    assert not can(replace(REP, grants=(Grant(FINANCE.id, role="sales_rep", can_view=False),)), "view", kpi)
    assert not can(replace(REP, grants=(Grant(FINANCE.id, user_id="rob", can_view=False),)), "view", kpi)


@pytest.mark.parametrize(
    "grants",
    [(Grant(SECRET.id, user_id="rob", can_view=True),), (Grant(SECRET.id, role="sales_rep", can_view=True),)],
    ids=["person", "role"],
)
def test_what_is_confidential_opens_by_a_right_of_its_own(grants: tuple[Grant, ...]) -> None:
    assert visibility(replace(REP, grants=grants), SECRET) == "open"
    assert visibility(REP, replace(SECRET, view_roles=("sales_rep",))) == "open"
    assert visibility(REP, SECRET) == "hidden"


def test_what_is_confidential_is_hidden_from_whoever_it_is_taken_from() -> None:
    assert visibility(replace(CEO, grants=(Grant(SECRET.id, user_id="carl", can_view=False),)), SECRET) == "hidden"


def test_view_all_alone_does_not_open_what_is_confidential() -> None:
    assert visibility(Actor("x", "X", permissions=frozenset({"kpis.view_all"})), SECRET) == "hidden"


def test_a_derived_kpi_needs_no_right_to_its_inputs_and_gets_none_from_them() -> None:
    assert can(REP, "view", DERIVED)
    assert not can(actor("fin", "finance_manager"), "view", DERIVED)


@pytest.mark.parametrize("who", CAST)
def test_an_archived_kpi_is_on_nobody_s_board(who: str) -> None:
    assert visibility(CAST[who], replace(SALES, is_active=False)) == "hidden"


def test_an_archived_kpi_may_still_be_seen_where_archives_are_shown() -> None:
    assert can(ADMIN, "view", replace(SALES, is_active=False))


@pytest.mark.parametrize(
    ("scopes", "may"),
    [
        ({"read"}, {"view"}),
        ({"write"}, {"view", "edit", "set_targets", "create", "delete"}),
        ({"admin"}, set(ACTIONS)),
        (set(), set()),
    ],
    ids=["read", "write", "admin", "none"],
)
def test_a_token_s_scope_narrows_what_its_person_may(scopes: set[str], may: set[Action]) -> None:
    token = replace(ADMIN, scopes=frozenset(scopes))
    assert {action for action in ACTIONS if can(token, action, SALES)} == may


def test_a_token_gives_nothing_that_its_person_may_not() -> None:
    assert not can(replace(REP, scopes=frozenset({"admin"})), "edit", SALES)


@pytest.mark.parametrize("action", ACTIONS)
def test_the_system_itself_may_do_anything(action: Action) -> None:
    assert can(SYSTEM, action, SECRET)


@pytest.mark.parametrize(
    ("who", "action", "kpi", "reason"),
    [
        (REP, "view", SALES, "has kpis.sales.view"),
        (CEO, "view", FINANCE, "has kpis.view_all"),
        (REP, "edit", SALES, "needs kpis.edit_all, or a right that is closer to it"),
        (
            STRANGER,
            "edit",
            SALES,
            "what cannot be seen cannot be changed: needs kpis.view_all, or a right that is closer to it",
        ),
        (REP, "view", SECRET, "it is confidential, and was not given to this person"),
        (replace(REP, scopes=frozenset()), "view", SALES, "this token's scope does not let it see anything"),
        (
            replace(REP, grants=(Grant(1, user_id="rob", can_view=False),)),
            "view",
            SALES,
            "taken away from this person for this KPI",
        ),
    ],
)
def test_every_verdict_says_why(who: Actor, action: Action, kpi: Kpi, reason: str) -> None:
    assert can(who, action, kpi).reason == reason


def test_the_roles_to_start_with_know_no_key_that_does_not_exist() -> None:
    assert set(ROLES) == {
        *("admin", "ceo", "sales_manager", "marketing_manager", "operations_manager", "finance_manager"),
        *("sales_rep", "team_lead", "viewer"),
    }
    assert frozenset().union(*ROLES.values()) <= KEYS
    assert {"kpis.view_all", "kpis.create", "kpis.edit_targets", "kpis.delete", "kpis.sales.view"} <= KEYS


says = st.sampled_from([None, True, False])
rows = st.builds(
    Grant,
    st.sampled_from([kpi.id for kpi in EVERY_KPI]),
    st.sampled_from([None, "x", "y"]),
    st.sampled_from([None, *ROLES]),
    says,
    says,
    says,
)
actors = st.builds(
    Actor,
    st.just("x"),
    st.just("X"),
    st.frozensets(st.sampled_from(sorted(ROLES))),
    st.frozensets(st.sampled_from(sorted(KEYS))),
    st.lists(rows, max_size=4).map(tuple),
    st.frozensets(st.sampled_from(["read", "write", "admin"])),
)
kpis = st.sampled_from(EVERY_KPI)


@given(actors, kpis)
def test_nobody_may_change_what_they_may_not_see(who: Actor, kpi: Kpi) -> None:
    changes = [can(who, action, kpi).allowed for action in ("edit", "set_targets", "delete")]
    assert can(who, "view", kpi).allowed or not any(changes)


@given(actors, kpis, st.sampled_from(ACTIONS))
def test_a_narrower_token_never_may_more(who: Actor, kpi: Kpi, action: Action) -> None:
    for scope in who.scopes:
        narrower = replace(who, scopes=who.scopes - {scope})
        assert can(who, action, kpi).allowed or not can(narrower, action, kpi).allowed


@given(actors, kpis)
def test_a_row_that_takes_away_from_the_person_always_holds(who: Actor, kpi: Kpi) -> None:
    taken = Grant(kpi.id, user_id="x", can_view=False)
    assert not can(replace(who, grants=(*who.grants, taken)), "view", kpi).allowed


@given(actors, kpis)
def test_what_is_open_is_what_may_be_seen(who: Actor, kpi: Kpi) -> None:
    assert (visibility(who, kpi) == "open") == can(who, "view", kpi).allowed
    assert (visibility(who, kpi) == "hidden") <= kpi.confidential


@given(actors, kpis, st.sampled_from(ACTIONS))
def test_every_verdict_has_its_reason(who: Actor, kpi: Kpi, action: Action) -> None:
    assert can(who, action, kpi).reason
