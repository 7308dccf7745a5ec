"""Who may do what: permission keys, roles, per-KPI rows. Pure; every verdict carries its reason in words.

The most specific that has something to say wins:

1. a row for this KPI and this person,
2. a row for this KPI and one of the person's roles; of several, the one that takes away. A definition's own
   `view_roles` and `edit_roles` stand here too: a role they name is allowed, as if a row said so. A role they do not
   name is not thereby refused, it falls to the keys: naming the managers must not lock the administrator out, and
   who wants to take away says so with a row, or marks the KPI confidential,
3. the category's key ("kpis.sales.view"),
4. the global key ("kpis.view_all"),
5. and where none speaks, no.

What needs deciding beyond that, and how it is decided:

- Being allowed to enter a KPI's values or to set its targets includes seeing it, at the level where it is said and
  unless that same row takes the sight away: nobody can fill in what is hidden from them.
- Without the right to see a KPI there is no right to change it.
- A confidential KPI takes a right of its own: a row, a role named by the definition, or the key
  `kpis.view_confidential`, which admin and ceo have to start with. `kpis.view_all` and category keys do not reach it.
  To everybody else it does not exist; other KPIs without a right are locked cards with a title.
- A derived KPI is judged like any other, by its own category and rows; what its inputs allow does not matter.
- An archived (inactive) KPI is on no board, for nobody; who may see it still may, where archives are shown.
- A token's scopes narrow what its person may do: "read" sees, "write" also changes, "admin" also manages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from kpi_core.model import Actor, Category, Grant, Kpi

__all__ = ["ACTIONS", "KEYS", "ROLES", "SYSTEM", "Action", "Verdict", "can", "permissions_of", "visibility"]

Action = Literal["view", "edit", "set_targets", "create", "delete", "manage"]
ACTIONS: tuple[Action, ...] = ("view", "edit", "set_targets", "create", "delete", "manage")

SYSTEM = Actor(id="system", name="System", is_system=True)
"""The product itself: scheduled work, the first run. It may do anything."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Yes or no, and why, in words that can be shown to the person who asked."""

    allowed: bool
    reason: str

    def __bool__(self) -> bool:
        return self.allowed


_GLOBAL: Mapping[Action, str] = MappingProxyType(
    {
        "view": "kpis.view_all",
        "edit": "kpis.edit_all",
        "set_targets": "kpis.edit_targets",
        "create": "kpis.create",
        "delete": "kpis.delete",
        "manage": "admin",
    }
)
_CONFIDENTIAL = "kpis.view_confidential"
_SCOPE: Mapping[Action, frozenset[str]] = MappingProxyType(
    {
        "view": frozenset({"read", "write", "admin"}),
        "edit": frozenset({"write", "admin"}),
        "set_targets": frozenset({"write", "admin"}),
        "create": frozenset({"write", "admin"}),
        "delete": frozenset({"write", "admin"}),
        "manage": frozenset({"admin"}),
    }
)
_WORDS: Mapping[Action, str] = MappingProxyType(
    {
        "view": "see",
        "edit": "edit",
        "set_targets": "set targets for",
        "create": "create",
        "delete": "delete",
        "manage": "manage",
    }
)


def _category_keys(category: Category) -> frozenset[str]:
    return frozenset(f"kpis.{category}.{action}" for action in ("view", "edit", "set_targets"))


KEYS: frozenset[str] = frozenset({*_GLOBAL.values(), _CONFIDENTIAL}).union(*map(_category_keys, Category))
"""Every permission key there is."""

ROLES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "admin": KEYS,
        "ceo": frozenset({"kpis.view_all", _CONFIDENTIAL, "kpis.create", "kpis.edit_targets"}),
        "sales_manager": _category_keys(Category.SALES),
        "marketing_manager": _category_keys(Category.MARKETING),
        "operations_manager": _category_keys(Category.OPERATIONS),
        "finance_manager": _category_keys(Category.FINANCE),
        "sales_rep": frozenset({"kpis.sales.view"}),
        "team_lead": frozenset(),
        "viewer": frozenset(),
    }
)
"""The roles to start with; people edit their own copy in the store."""


def permissions_of(
    roles: Iterable[str], categories: Iterable[str] = (), known: Mapping[str, Iterable[str]] = ROLES
) -> frozenset[str]:
    """The keys of a person: those of the roles, and the sight of the categories given to the person."""
    keys = {key for role in roles for key in known.get(role, ())}
    return frozenset(keys | {f"kpis.{category}.view" for category in categories})


def can(actor: Actor, action: Action, kpi: Kpi | None = None) -> Verdict:
    """May the actor do this (to this KPI)? `create` and `manage` need no KPI; `delete` archives one."""
    if actor.is_system:
        return Verdict(True, "the system itself")
    if not actor.scopes & _SCOPE[action]:
        return Verdict(False, f"this token's scope does not let it {_WORDS[action]} anything")
    if kpi is None or action in ("create", "manage"):
        return _by_global_key(actor, action)
    seen = _view(actor, kpi)
    return seen if action == "view" else _change(actor, action, kpi, seen)


def visibility(actor: Actor, kpi: Kpi) -> Literal["open", "locked", "hidden"]:
    """How a KPI stands on a board: open, a locked card with its title, or not there at all."""
    if not kpi.is_active:
        return "hidden"
    if can(actor, "view", kpi).allowed:
        return "open"
    return "hidden" if kpi.confidential else "locked"


def _change(actor: Actor, action: Action, kpi: Kpi, seen: Verdict) -> Verdict:
    if not seen.allowed:
        return Verdict(False, f"what cannot be seen cannot be changed: {seen.reason}")
    if action == "delete":
        return _by_global_key(actor, action)
    said = _by_rows(actor, action, kpi)
    return said if said is not None else _by_key(actor, action, kpi)


def _view(actor: Actor, kpi: Kpi) -> Verdict:
    said = _by_rows(actor, "view", kpi)
    if said is not None:
        return said
    if kpi.confidential:
        return _by_confidential_key(actor)
    return _by_key(actor, "view", kpi)


def _by_rows(actor: Actor, action: Action, kpi: Kpi) -> Verdict | None:
    """Levels 1 and 2. None: no row says anything about this action."""
    rows = [grant for grant in actor.grants if grant.kpi_id == kpi.id] if actor.grants else []
    personal = [_says(row, action) for row in rows if row.user_id == actor.id]
    said = _strictest(personal)
    if said is not None:
        return Verdict(said, f"{_gives(said)} this person for this KPI")
    by_role = [_says(row, action) for row in rows if row.role in actor.roles]
    said = _strictest([*by_role, _named_by_definition(actor, action, kpi)])
    if said is not None:
        return Verdict(said, f"{_gives(said)} a role of this person for this KPI")
    return None


def _says(row: Grant, action: Action) -> bool | None:
    if action == "edit":
        return row.can_edit
    if action == "set_targets":
        return row.can_set_targets
    if row.can_view is not None:
        return row.can_view
    return True if row.can_edit or row.can_set_targets else None


def _named_by_definition(actor: Actor, action: Action, kpi: Kpi) -> bool | None:
    named = {"view": (*kpi.view_roles, *kpi.edit_roles), "edit": kpi.edit_roles}.get(action, ())
    return True if not actor.roles.isdisjoint(named) else None


def _strictest(answers: Iterable[bool | None]) -> bool | None:
    spoken = [answer for answer in answers if answer is not None]
    return all(spoken) if spoken else None


def _gives(allowed: bool) -> str:
    return "given to" if allowed else "taken away from"


def _by_confidential_key(actor: Actor) -> Verdict:
    if _CONFIDENTIAL in actor.permissions:
        return Verdict(True, f"has {_CONFIDENTIAL}")
    return Verdict(False, "it is confidential, and was not given to this person")


def _by_key(actor: Actor, action: Action, kpi: Kpi) -> Verdict:
    """Levels 3 to 5."""
    keys = [f"kpis.{kpi.category}.{action}"]
    if action == "view":
        keys += [f"kpis.{kpi.category}.edit", f"kpis.{kpi.category}.set_targets"]
    held = next((key for key in keys if key in actor.permissions), None)
    return Verdict(True, f"has {held}") if held else _by_global_key(actor, action)


def _by_global_key(actor: Actor, action: Action) -> Verdict:
    key = _GLOBAL[action]
    if key in actor.permissions:
        return Verdict(True, f"has {key}")
    return Verdict(False, f"needs {key}, or a right that is closer to it")
