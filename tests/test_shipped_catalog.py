"""The definitions that ship in data/catalog/: all there, all complete, and each reads back as it was written."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from kpi_core import formula, status
from kpi_core.catalog import Catalog, dump_dataset, dump_kpi, parse_catalog, parse_dataset, parse_kpi
from kpi_core.model import Calculation, Category, Direction, Grain, Kind, Kpi, Measure, Term, Unit

FOLDER = Path(__file__).parent.parent / "data" / "catalog"
DOCUMENTS: dict[str, Any] = {path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
CATALOG: Catalog = parse_catalog(DOCUMENTS)
KPIS = {kpi.key: kpi for kpi in CATALOG.kpis}
ENTERED = {"process_compliance", "employee_satisfaction", "strategic_goal_progress"}

every_kpi = pytest.mark.parametrize("kpi", CATALOG.kpis, ids=[kpi.key for kpi in CATALOG.kpis])


def _terms(kpi: Kpi) -> list[Term]:
    measures: list[Measure] = [*([kpi.measure] if kpi.measure else []), *kpi.inputs.values()]
    return [term for measure in measures for term in (*measure.numerator, *measure.denominator)]


def test_there_are_sixty_kpis_and_five_custom_ones() -> None:
    assert len(KPIS) == len(CATALOG.kpis) == 65
    assert sum(kpi.category is not Category.CUSTOM for kpi in CATALOG.kpis) == 60


@pytest.mark.parametrize("category", ["sales", "marketing", "operations", "finance"])
def test_each_category_has_five_kpis_a_period(category: str) -> None:
    periods = Counter(kpi.tracking_period for kpi in CATALOG.kpis if kpi.category == category)
    assert periods == {Grain.DAILY: 5, Grain.WEEKLY: 5, Grain.MONTHLY: 5}


def test_the_custom_ones_are_two_weekly_and_three_monthly() -> None:
    periods = Counter(kpi.tracking_period for kpi in CATALOG.kpis if kpi.category is Category.CUSTOM)
    assert periods == {Grain.WEEKLY: 2, Grain.MONTHLY: 3}


def test_there_are_twenty_five_datasets_and_each_is_used() -> None:
    used = {term.dataset for kpi in CATALOG.kpis for term in _terms(kpi)}
    assert used == {dataset.key for dataset in CATALOG.datasets}
    assert len(used) == 25


@every_kpi
def test_a_definition_reads_back_as_the_same_kpi(kpi: Kpi) -> None:
    assert parse_kpi(dump_kpi(kpi), kpi.key) == kpi


@pytest.mark.parametrize("dataset", CATALOG.datasets, ids=[dataset.key for dataset in CATALOG.datasets])
def test_a_dataset_reads_back_as_the_same_dataset(dataset: Any) -> None:
    assert parse_dataset(dump_dataset(dataset), dataset.key) == dataset


@every_kpi
def test_a_definition_is_complete(kpi: Kpi) -> None:
    assert kpi.description.endswith(".")
    assert kpi.owner_role
    assert kpi.due_by
    assert kpi.alerts
    assert (kpi.target is None) == (kpi.direction is Direction.NEUTRAL)
    assert kpi.points == (kpi.unit is Unit.PERCENTAGE or kpi.key == "net_promoter_score")


@every_kpi
def test_a_default_target_can_be_judged_against(kpi: Kpi) -> None:
    if kpi.target:
        status.check_target(kpi.target, kpi.direction)


@every_kpi
def test_every_number_is_computed_from_records_or_entered(kpi: Kpi) -> None:
    ways = [kpi.measure is not None, kpi.formula is not None, kpi.key in ENTERED]
    assert ways.count(True) == 1
    assert (kpi.calculation is Calculation.MANUAL) == (kpi.key in ENTERED)
    assert (kpi.kind is Kind.DERIVED) == (kpi.formula is not None)


@every_kpi
def test_terms_name_columns_that_their_dataset_has(kpi: Kpi) -> None:
    columns = {dataset.key: {column.name for column in dataset.columns} for dataset in CATALOG.datasets}
    for term in _terms(kpi):
        named = {condition.column for condition in term.where} | {term.column, term.segment} - {None}
        assert named <= columns[term.dataset]


@every_kpi
def test_dimensions_stand_in_every_dataset_that_the_kpi_is_made_of_or_in_its_numerator(kpi: Kpi) -> None:
    columns = {dataset.key: {column.name for column in dataset.columns} for dataset in CATALOG.datasets}
    if kpi.measure:
        for dimension in kpi.dimensions:
            assert any(dimension in columns[term.dataset] for term in kpi.measure.numerator)


def test_formulas_name_kpis_that_exist_and_never_go_in_a_circle() -> None:
    derived = {kpi.key: formula.parse(kpi.formula) for kpi in CATALOG.kpis if kpi.formula}
    assert formula.order(derived)
    for key in derived:
        assert formula.references(KPIS[key]) <= set(KPIS)


@pytest.mark.parametrize(
    ("key", "name", "unit", "kind", "direction"),
    [
        ("sales_calls", "Sales Calls Made", "number", "flow", "higher_is_better"),
        ("pipeline_value", "Pipeline Value", "currency", "stock", "higher_is_better"),
        ("sales_cycle_length", "Sales Cycle Length", "time", "ratio", "lower_is_better"),
        ("revenue_growth", "Revenue Growth", "percentage", "derived", "higher_is_better"),
        ("website_visitors", "Website Visitors", "number", "distinct", "higher_is_better"),
        ("ad_spend", "Ad Spend", "currency", "flow", "in_range"),
        ("error_rate", "Error Rate", "number", "ratio", "lower_is_better"),
        ("team_utilization", "Team Utilization", "percentage", "ratio", "in_range"),
        ("process_efficiency", "Process Efficiency", "time", "flow", "higher_is_better"),
        ("accounts_payable", "Accounts Payable", "currency", "stock", "neutral"),
        ("runway", "Runway", "number", "derived", "higher_is_better"),
        ("cash_flow", "Cash Flow", "currency", "flow", "higher_is_better"),
        ("churn_rate", "Churn Rate", "percentage", "ratio", "lower_is_better"),
        ("strategic_goal_progress", "Strategic Goal Progress", "percentage", "stock", "higher_is_better"),
    ],
)
def test_a_sample_of_the_table(key: str, name: str, unit: str, kind: str, direction: str) -> None:
    kpi = KPIS[key]
    assert (kpi.name, kpi.unit, kpi.kind, kpi.direction) == (name, unit, kind, direction)


def test_what_the_table_says_beside_it() -> None:
    assert KPIS["new_customers"].also_tracked == KPIS["marketing_roi"].also_tracked == (Grain.WEEKLY,)
    assert str(KPIS["mrr_growth"].bands.on_track) == "0.9"
    uptime = KPIS["system_uptime"].target
    assert uptime
    assert (str(uptime.value), str(uptime.scale)) == ("99.9", "1")
    assert KPIS["error_rate"].unit_label == "per 1,000"
    assert KPIS["runway"].unit_label == "months"
    guard = KPIS["runway"].guard
    assert guard
    assert (guard.says, guard.status) == ("not burning cash", "exceeds")
    guard = KPIS["customer_lifetime_value"].guard
    assert guard
    assert "no churn" in guard.says  # "no customer left" would say the opposite
    cash = KPIS["cash_flow"].target
    assert cash
    assert cash.value == 0
    assert cash.scale
