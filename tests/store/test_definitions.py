"""Definitions come back as they were given, and every version of them is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from kpi_core.errors import Conflict, NotFound
from kpi_core.model import (
    ActiveDays,
    Aggregate,
    AlertRule,
    Bands,
    Bounds,
    Calculation,
    Category,
    Comparison,
    Condition,
    Direction,
    Grain,
    Guard,
    Kind,
    Kpi,
    Measure,
    Missing,
    Op,
    Status,
    Target,
    Term,
    Unit,
)
from kpi_core.store import Store, definitions
from kpi_core.store.schema import kpi_alerts, kpi_definitions

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
CALLS = Kpi("sales_calls", "Sales Calls Made", Category.SALES, Grain.DAILY)
TERM = Term(
    "tickets",
    Aggregate.LAST,
    "minutes",
    (
        Condition("state", Op.IN, ("open", "15", Decimal(15), True)),
        Condition("delay", Op.LT, Decimal("15.50")),
        Condition("text", Op.EQ, "15.50"),
        Condition("known", Op.NOT_NULL),
    ),
    weight=Decimal(-1),
    quantile=Decimal("0.9"),
    at="start",
    segment="team",
)
EVERYTHING = Kpi(
    "everything",
    'Every "field" – with ünïcode',
    Category.CUSTOM,
    Grain.MONTHLY,
    unit=Unit.PERCENTAGE,
    kind=Kind.DERIVED,
    direction=Direction.LOWER,
    calculation=Calculation.FORMULA,
    description="two\nlines",
    also_tracked=(Grain.WEEKLY,),
    owner_role="ceo",
    data_source="crm_api",
    measure=Measure((TERM,), (TERM, TERM), Decimal(100)),
    formula="100 * (a / prev(a) - 1)",
    inputs={"a": Measure((TERM,))},
    guard=Guard("a", Decimal("0.10"), "not burning cash", Status.EXCEEDS),
    target=Target(low=Decimal("70.0"), high=Decimal(85), grain=Grain.DAILY, period_start=NOW.date()),
    bands=Bands(on_track=Decimal("0.90")),
    active_days=ActiveDays(frozenset({1, 2, 3, 4, 5}), without_holidays=True),
    comparison=Comparison.SAME_WEEKDAY,
    missing=Missing.CARRY_FORWARD,
    bounds=Bounds(Decimal(0), None),
    unit_label="months",
    currency="EUR",
    points=True,
    dimensions=("campaign",),
    lag_days=3,
    due_by="09:00",
    alerts=(AlertRule("below_target", Decimal(20), ("email", "slack")),),
    view_roles=("ceo",),
    edit_roles=("ceo", "sales_manager"),
    confidential=True,
    is_active=False,
)


def test_a_definition_comes_back_with_every_field_as_it_was(store: Store) -> None:
    with store.write() as connection:
        stored = definitions.save_all(connection, [CALLS, EVERYTHING], "ada", NOW)
    assert [kpi.id for kpi in stored] == [1, 2]
    assert stored == [replace(CALLS, id=1), replace(EVERYTHING, id=2)]
    with store.read() as connection:
        assert definitions.load(connection) == stored
        assert definitions.load(connection, only_active=True) == stored[:1]
        assert definitions.load_one(connection, "everything") == definitions.load_one(connection, 2) == stored[1]


def test_what_people_look_for_in_a_shell_stands_in_columns(store: Store) -> None:
    with store.write() as connection:
        definitions.save(connection, EVERYTHING, "ada", NOW)
        row = connection.execute(sa.select(kpi_definitions)).one()
    assert (row.category, row.tracking_period, row.unit, row.calculation_method, row.data_source) == (
        "custom",
        "monthly",
        "percentage",
        "formula",
        "crm_api",
    )
    assert (row.created_by, row.created_at, row.updated_at) == ("ada", NOW, NOW)


def test_a_change_is_a_new_version_and_the_old_one_stays(store: Store) -> None:
    with store.write() as connection:
        first = definitions.save(connection, CALLS, "ada", NOW)
        second = definitions.save(
            connection, replace(CALLS, name="Calls"), "ben", LATER, redefines=True, notes="outbound only from now on"
        )
    assert (first.id, first.version) == (second.id, 1)
    assert second.version == 2
    with store.read() as connection:
        assert definitions.load(connection) == [second]
        told = definitions.versions(connection, first.id)
    assert [(each.kpi, each.changed_by, each.changed_at, each.redefines, each.notes) for each in told] == [
        (first, "ada", NOW, False, ""),
        (second, "ben", LATER, True, "outbound only from now on"),
    ]


def test_saving_what_is_there_already_makes_no_version(store: Store) -> None:
    with store.write() as connection:
        once = definitions.save(connection, EVERYTHING, "ada", NOW)
        again = definitions.save(connection, EVERYTHING, "ben", LATER)
        assert definitions.save(connection, once, "ben", LATER) == again == once
        assert len(definitions.versions(connection, once.id)) == 1


def test_a_kpi_is_archived_and_brought_back(store: Store) -> None:
    with store.write() as connection:
        kpi = definitions.save(connection, CALLS, "ada", NOW)
        assert not definitions.set_active(connection, kpi.id, False, "ada", LATER).is_active
        assert definitions.load(connection, only_active=True) == []
        assert definitions.set_active(connection, kpi.id, True, "ada", LATER).is_active
        assert [each.kpi.is_active for each in definitions.versions(connection, kpi.id)] == [True, False, True]


def test_a_key_given_twice_at_once_is_refused(store: Store) -> None:
    with store.write() as connection, pytest.raises(Conflict, match="'sales_calls' is given twice"):
        definitions.save_all(connection, [CALLS, replace(CALLS, name="again")], "ada", NOW)


@pytest.mark.parametrize("wanted", ["nothing", 99])
def test_what_is_not_there_is_not_found(store: Store, wanted: str | int) -> None:
    with store.read() as connection, pytest.raises(NotFound):
        definitions.load_one(connection, wanted)


def test_alert_rules_are_rows_too_and_old_ones_are_switched_off(store: Store) -> None:
    with store.write() as connection:
        definitions.save(connection, EVERYTHING, "ada", NOW)
        rule = AlertRule("trend_down", Decimal("7.5"))
        definitions.save(connection, replace(EVERYTHING, alerts=(rule,)), "ben", LATER)
        rows = connection.execute(sa.select(kpi_alerts).order_by(kpi_alerts.c.id)).all()
    assert [(row.alert_type, row.threshold_percentage, row.notification_channels, row.is_active) for row in rows] == [
        ("below_target", 20, ["email", "slack"], False),
        ("trend_down", Decimal("7.5"), ["dashboard"], True),
    ]


def test_a_thousand_definitions_are_saved_and_loaded_in_a_handful_of_statements(store: Store) -> None:
    kpis = [replace(EVERYTHING, key=f"kpi_{number}") for number in range(1000)]
    statements: list[str] = []
    sa.event.listen(store.engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
    with store.write() as connection:
        definitions.save_all(connection, kpis, "ada", NOW)
    assert len(statements) <= 10
    statements.clear()
    with store.read() as connection:
        assert len(definitions.load(connection)) == 1000
    assert len(statements) == 1
