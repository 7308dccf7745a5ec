"""Who the demo company is: Quillhaven, which makes booking software for small hotels. All of it is invented."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kpi_core.model import Category

__all__ = ["COMPANY", "PEOPLE", "RIGHTS", "TEAMS", "UNCONNECTED", "Person", "Right", "Team"]

COMPANY = "Quillhaven Software"


@dataclass(frozen=True, slots=True)
class Person:
    """A demo user; `categories` are those that were given to the person, beside what the role sees."""

    username: str
    name: str
    role: str
    categories: tuple[Category, ...] = ()


@dataclass(frozen=True, slots=True)
class Right:
    """A per-KPI right of a person (by username) or a role; None says nothing, False takes away."""

    kpi: str
    username: str | None = None
    role: str | None = None
    can_view: bool | None = None
    can_edit: bool | None = None
    can_set_targets: bool | None = None


PEOPLE = (
    Person("ada", "Ada Lindqvist", "admin"),
    Person("carlos", "Carlos Mbeki", "ceo"),
    Person("sofia", "Sofia Brandt", "sales_manager"),
    Person("marek", "Marek Oyelaran", "marketing_manager"),
    Person("olga", "Olga Fitzroy", "operations_manager"),
    Person("felix", "Felix Nakamura", "finance_manager"),
    Person("rosa", "Rosa Delacroix", "sales_rep"),
    Person("tom", "Tom Achterberg", "team_lead", (Category.OPERATIONS, Category.CUSTOM)),
    Person("vera", "Vera Quist", "viewer", (Category.SALES, Category.MARKETING, Category.FINANCE)),
)

RIGHTS = (
    Right("cash_balance", role="viewer", can_view=False),
    Right("ebitda", role="viewer", can_view=False),
    Right("runway", username="sofia", can_view=True),
    Right("process_compliance", username="tom", can_view=True, can_edit=True),
    Right("employee_satisfaction", username="olga", can_view=True, can_edit=True),
)
"""One confidential KPI (Runway, by its definition) opened to a person, two locked for viewers, two to be entered."""


UNCONNECTED: Mapping[str, Any] = {
    "kpis": [
        {
            "key": "office_energy",
            "name": "Office Energy Use",
            "description": "Electricity used in the offices, in kWh; its meters are still to be connected.",
            "category": "custom",
            "tracking_period": "daily",
            "unit": "number",
            "unit_label": "kWh",
            "direction": "lower_is_better",
            "calculation_method": "sum",
            "column": "kwh",
            "data_source": "building_meters",
            "target": {"value": 240},
        }
    ]
}
"""A definition of the company's own, beside the shipped ones, whose data source is not connected yet."""


@dataclass(frozen=True, slots=True)
class Team:
    """People at the demo's start, what one costs a month, and where that stands in the ledger."""

    name: str
    function: str
    section: str
    heads: int
    pay: int


TEAMS = (
    Team("Sales", "sales", "opex", 18, 7_300),
    Team("Marketing", "marketing", "opex", 11, 6_900),
    Team("Support", "operations", "cogs", 18, 5_200),
    Team("Platform", "operations", "opex", 12, 7_900),
    Team("Engineering", "engineering", "opex", 25, 8_800),
    Team("Administration", "administration", "opex", 11, 6_400),
)
