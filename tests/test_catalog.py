"""Definitions as files: CATALOG.md's shape, its defaults, and what is answered to mistakes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kpi_core.catalog import (
    ALERT_TYPES,
    CHANNELS,
    Catalog,
    diff,
    dump_dataset,
    dump_kpi,
    key_from,
    parse_catalog,
    parse_dataset,
    parse_kpi,
)
from kpi_core.errors import InvalidDefinition
from kpi_core.model import (
    ActiveDays,
    Aggregate,
    AlertRule,
    Bands,
    Bounds,
    Calculation,
    Category,
    Column,
    ColumnType,
    Condition,
    Direction,
    Grain,
    Guard,
    Kind,
    Kpi,
    Measure,
    Op,
    Status,
    Target,
    Term,
    Unit,
)

SHIPPED = Path(__file__).parents[1] / "data" / "catalog"

EXAMPLE = """
{"name": "Daily Sales Calls", "description": "Number of outbound sales calls made by the team", "category": "sales",
 "tracking_period": "daily", "unit": "number", "calculation_method": "count", "data_source": "crm_api",
 "target": {"value": 50, "period": "daily"},
 "alerts": [{"type": "below_target", "threshold": 20, "channels": ["email", "slack"]}],
 "permissions": {"view": ["ceo", "sales_manager", "sales_rep"], "edit": ["ceo", "sales_manager"]}}
"""
ENTERED = {"name": "Headcount", "category": "custom", "tracking_period": "weekly"}
CALLS = {
    "key": "calls",
    "time_column": "made_at",
    "columns": {"amount": "number", "region": "text", "answered": "boolean"},
}
COUNTED = {**ENTERED, "calculation_method": "count", "dataset": "calls"}


def kpi(**fields: Any) -> Kpi:
    return parse_kpi({**ENTERED, **fields})


def problems(document: object, *more: object) -> list[str]:
    """What is wrong with a file of KPIs, beside the dataset `calls`."""
    with pytest.raises(InvalidDefinition) as caught:
        parse_catalog({"a.yaml": {"datasets": [CALLS], "kpis": [document, *more]}})
    return [str(problem) for problem in caught.value.problems]


def problem(**fields: Any) -> str:
    """The one thing wrong with an entered KPI that has these fields beside."""
    found = problems({**ENTERED, **fields})
    assert len(found) == 1, found
    return found[0].removeprefix("a.yaml: kpis[0].")


def counted(**fields: Any) -> Kpi:
    return parse_catalog({"a": {"datasets": [CALLS], "kpis": [{**COUNTED, **fields}]}}).kpis[0]


# --- the example, and what is left out ------------------------------------------------------------------------------


def test_the_example_of_the_catalog_imports_as_it_stands() -> None:
    assert parse_kpi(json.loads(EXAMPLE)) == Kpi(
        key="daily_sales_calls",
        name="Daily Sales Calls",
        description="Number of outbound sales calls made by the team",
        category=Category.SALES,
        tracking_period=Grain.DAILY,
        unit=Unit.NUMBER,
        kind=Kind.FLOW,
        direction=Direction.HIGHER,
        calculation=Calculation.COUNT,
        data_source="crm_api",
        measure=Measure((Term("crm_api", Aggregate.COUNT),)),
        target=Target(value=D(50), grain=Grain.DAILY),
        alerts=(AlertRule("below_target", D(20), ("email", "slack")),),
        view_roles=("ceo", "sales_manager", "sales_rep"),
        edit_roles=("ceo", "sales_manager"),
    )


def test_a_file_may_be_a_single_definition_and_its_data_source_need_not_be_connected() -> None:
    catalog = parse_catalog({"calls.json": json.loads(EXAMPLE)})
    assert [each.key for each in catalog.kpis] == ["daily_sales_calls"]
    assert catalog.not_connected == ("crm_api",)


def test_a_data_source_may_be_named_in_words() -> None:
    document = {**json.loads(EXAMPLE), "data_source": "CRM API"}
    found = parse_kpi(document)
    assert (found.data_source, found.measure) == ("CRM API", Measure((Term("crm_api", Aggregate.COUNT),)))
    assert parse_kpi(dump_kpi(found)) == found


def test_what_is_least_is_an_entered_flow() -> None:
    found = kpi()
    assert (found.key, found.calculation, found.kind) == ("headcount", Calculation.MANUAL, Kind.FLOW)
    assert (found.unit, found.direction, found.measure) == (Unit.NUMBER, Direction.HIGHER, None)


def test_a_file_may_be_a_single_dataset() -> None:
    assert [each.key for each in parse_catalog({"calls.yaml": CALLS}).datasets] == ["calls"]


KEYS = {
    "Customer Satisfaction (CSAT)": "customer_satisfaction_csat",
    "LTV:CAC Ratio": "ltv_cac_ratio",
    "Größe der Kasse": "groe_der_kasse",
    "Café  visits": "cafe_visits",
    "30-day retention": "kpi_30_day_retention",
    "収益": "",
    "x" * 100: "x" * 60,
}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_is_made_from_a_name(name: str) -> None:
    assert key_from(name) == KEYS[name]


def test_a_name_that_makes_no_key_needs_one() -> None:
    assert problem(name="収益") == "key: no key can be made of the name '収益'; give it a `key`"
    assert kpi(name="収益", key="revenue").key == "revenue"


KINDS = {
    "count": ({"calculation_method": "count"}, Kind.FLOW),
    "sum": ({"calculation_method": "sum", "column": "amount"}, Kind.FLOW),
    "average": ({"calculation_method": "average", "column": "amount"}, Kind.RATIO),
    "distinct": ({"calculation_method": "distinct", "column": "region"}, Kind.DISTINCT),
    "median": ({"calculation_method": "median", "column": "amount"}, Kind.STATISTIC),
    "quantile": ({"calculation_method": "quantile", "column": "amount", "quantile": 0.9}, Kind.STATISTIC),
    "last": ({"calculation_method": "last", "column": "amount", "segment": "region"}, Kind.STOCK),
    "min": ({"calculation_method": "min", "column": "amount"}, Kind.STATISTIC),
    "max": ({"calculation_method": "max", "column": "amount"}, Kind.STATISTIC),
}


@pytest.mark.parametrize("calculation", KINDS)
def test_the_kind_follows_from_the_calculation(calculation: str) -> None:
    fields, kind = KINDS[calculation]
    found = counted(**fields)
    assert (found.calculation, found.kind) == (calculation, kind)
    assert parse_kpi(dump_kpi(found)) == found


def test_an_entered_percentage_is_a_ratio_in_points_with_a_factor_of_100() -> None:
    found = kpi(unit="percentage")
    assert (found.kind, found.points, found.factor) == (Kind.RATIO, True, D(100))


def test_an_entered_stock_is_said_to_be_one() -> None:
    assert kpi(unit="percentage", kind="stock").kind is Kind.STOCK


def test_an_average_is_the_sum_over_the_known_values() -> None:
    where = (Condition("region", Op.EQ, "north"),)
    found = counted(calculation_method="average", column="amount", where={"region": "north"})
    summed = Term("calls", Aggregate.SUM, "amount", where)
    assert found.measure == Measure((summed,), (Term("calls", Aggregate.COUNT, "amount", where),))


def test_a_ratio_has_terms_and_a_percentage_a_factor_of_100() -> None:
    found = counted(
        calculation_method=None,
        unit="percentage",
        numerator=[{"aggregate": "sum", "column": "amount"}, {"aggregate": "sum", "column": "amount", "weight": -0.5}],
        denominator={"aggregate": "count"},
    )
    assert found.calculation is Calculation.RATIO
    one, half = Term("calls", Aggregate.SUM, "amount"), Term("calls", Aggregate.SUM, "amount", weight=D("-0.5"))
    assert found.measure == Measure((one, half), (Term("calls", Aggregate.COUNT),), D(100))
    assert parse_kpi(dump_kpi(found)) == found


def test_a_flow_may_add_up_several_terms() -> None:
    found = counted(calculation_method=None, numerator=[{"aggregate": "count"}, {"aggregate": "count", "weight": -1}])
    assert (found.calculation, found.kind) == (Calculation.COUNT, Kind.FLOW)
    assert parse_kpi(dump_kpi(found)) == found


def test_a_formula_has_inputs_of_its_own_and_a_guard() -> None:
    documents = {
        "formula": "balance / burn",
        "inputs": {"balance": {"numerator": {"dataset": "calls", "aggregate": "last", "column": "amount"}}},
        "guard": {"formula": "burn", "at_most": 0, "says": "not burning cash", "status": "exceeds"},
    }
    catalog = parse_catalog(
        {"a": {"datasets": [CALLS], "kpis": [{**ENTERED, **documents}, {**ENTERED, "key": "burn"}]}}
    )
    found = catalog.kpis[0]
    assert (found.calculation, found.kind) == (Calculation.FORMULA, Kind.DERIVED)
    assert found.inputs == {"balance": Measure((Term("calls", Aggregate.LAST, "amount"),))}
    assert found.guard == Guard("burn", D(0), "not burning cash", Status.EXCEEDS)
    assert parse_kpi(dump_kpi(found)) == found


def test_everything_else_that_a_definition_says() -> None:
    found = kpi(
        tracking_period="daily",
        also_tracked=["weekly", "quarterly"],
        direction="in_range",
        unit="currency",
        currency="EUR",
        unit_label="per head",
        target={"low": 70, "high": 85.5, "scale": 10, "period": "weekly", "from": date(2026, 1, 1), "to": "2026-12-31"},
        bands={"on_track": 0.9},
        active_days={"weekdays": ["mon", "tue"], "holidays": "skip"},
        comparison="same_weekday",
        missing="carry_forward",
        bounds={"low": 0},
        lag_days=3,
        due_by="09:30",
        owner="sales_manager",
        confidential=True,
        is_active=False,
        points=True,
        alerts=[{"type": "status_is", "status": "critical"}, {"type": "missing", "channels": ["webhook"]}],
    )
    start, end = date(2026, 1, 1), date(2026, 12, 31)
    assert found.grains == (Grain.DAILY, Grain.WEEKLY, Grain.QUARTERLY)
    assert found.target == Target(None, D(70), D("85.5"), D(10), Grain.WEEKLY, start, end)
    assert (found.bands, found.bounds) == (Bands(on_track=D("0.9")), Bounds(low=D(0)))
    assert found.active_days == ActiveDays(frozenset({1, 2}), without_holidays=True)
    assert found.alerts[0] == AlertRule("status_is", D(0), ("dashboard",), status=Status.CRITICAL)
    assert parse_kpi(json.loads(json.dumps(dump_kpi(found)))) == found


def test_a_target_may_be_a_number_alone() -> None:
    assert kpi(target=50).target == Target(value=D(50))


# --- numbers --------------------------------------------------------------------------------------------------------


def test_a_float_is_the_decimal_that_was_written() -> None:
    assert kpi(bands=yaml.safe_load("{on_track: 0.9}")).bands.on_track == D("0.9")
    assert str(kpi(target=0.1).target.value) == "0.1"  # type: ignore[union-attr] # it was given


@pytest.mark.parametrize("number", [float("nan"), float("inf"), True, "1,000", "ten", "٣", [1], 10**18, "1e5", 1e-12])
def test_a_number_that_is_none_or_does_not_fit_is_refused(number: object) -> None:
    assert problem(lag_days=None, target={"value": number}).startswith("target.value: ")


# --- conditions -----------------------------------------------------------------------------------------------------

WHERES: dict[str, tuple[object, tuple[Condition, ...]]] = {
    "a value": ({"region": "north"}, (Condition("region", Op.EQ, "north"),)),
    "a number": ({"amount": 1.5}, (Condition("amount", Op.EQ, D("1.5")),)),
    "a truth": ({"answered": True}, (Condition("answered", Op.EQ, True),)),
    "one of several": ({"region": ["north", "south"]}, (Condition("region", Op.IN, ("north", "south")),)),
    "less than": ({"amount": {"lt": 15}}, (Condition("amount", Op.LT, D(15)),)),
    "a range": ({"amount": {"ge": 5, "le": 9}}, (Condition("amount", Op.GE, D(5)), Condition("amount", Op.LE, D(9)))),
    "not": ({"region": {"not": "north"}}, (Condition("region", Op.NE, "north"),)),
    "none of several": ({"region": {"not": ["north"]}}, (Condition("region", Op.NOT_IN, ("north",)),)),
    "known": ({"amount": {"known": True}}, (Condition("amount", Op.NOT_NULL),)),
    "unknown": ({"amount": None}, (Condition("amount", Op.IS_NULL),)),
    "not unknown": ({"amount": {"not": None}}, (Condition("amount", Op.NOT_NULL),)),
    "a date is text": ({"region": date(2026, 1, 2)}, (Condition("region", Op.EQ, "2026-01-02"),)),
    "several, all of which hold": (
        [{"region": "north", "amount": {"gt": 1}}, {"amount": {"known": True}}],
        (Condition("region", Op.EQ, "north"), Condition("amount", Op.GT, D(1)), Condition("amount", Op.NOT_NULL)),
    ),
}


@pytest.mark.parametrize("name", WHERES)
def test_a_condition_is_read_and_written_back(name: str) -> None:
    where, expected = WHERES[name]
    found = counted(where=where)
    assert found.measure is not None
    assert found.measure.numerator[0].where == expected
    assert parse_kpi(json.loads(json.dumps(dump_kpi(found)))) == found


# --- mistakes -------------------------------------------------------------------------------------------------------

MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown field": ({"categry": "sales"}, "categry: unknown field; did you mean `category`?"),
    "a field by another name": ({"goal": 5}, "goal: unknown field; did you mean `target`?"),
    "a value that is not one of": (
        {"unit": "percent"},
        "unit: 'percent' is not one of number, currency, percentage, time; did you mean `percentage`?",
    ),
    "a tracking period that is only for reading": (
        {"tracking_period": "yearly"},
        "tracking_period: 'yearly' is not one of daily, weekly, monthly; quarters and years are for reading",
    ),
    "a reserved key": ({"key": "definitions"}, "key: `definitions` is reserved; give it another `key`"),
    "a reserved key made from the name": ({"name": "Dashboard"}, "key: `dashboard` is reserved; give it another `key`"),
    "a key that is a function": ({"key": "sum"}, "key: `sum` is a function of formulas; give it another `key`"),
    "a key with capitals": (
        {"key": "Sales-Calls"},
        "key: expected lower-case letters, digits and _, a letter first, found 'Sales-Calls'; "
        "did you mean `sales_calls`?",
    ),
    "a name with a line break": ({"name": "a\nb"}, "name: contains a line break; take it out"),
    "a name with a control character": (
        {"name": "a\x07b"},
        "name: contains the control character U+0007; take it out",
    ),
    "a name that turns the writing direction": (
        {"name": "a\u202eb"},
        "name: contains the control character U+202E; take it out",
    ),
    "a long name": ({"name": "a" * 121}, "name: has 121 characters; 120 at most"),
    "a name that is a number": ({"name": 5}, "name: expected text, found 5; put it in quotes"),
    "a target for a neutral KPI": (
        {"direction": "neutral", "target": 5},
        "target: a neutral KPI takes no target: choose a direction for it first",
    ),
    "a target of 0 without a scale": (
        {"target": 0},
        "target.scale: a target of 0 needs a scale: how far from 0 is a full miss?",
    ),
    "a range of one value without a scale": (
        {"direction": "in_range", "target": {"low": 5, "high": 5}},
        "target.scale: a range of one value, 5, needs a scale: how far outside is a full miss?",
    ),
    "a target without a value": ({"target": {"scale": 5}}, "target.value: is missing"),
    "a range for a direction": (
        {"target": {"low": 1, "high": 2}},
        "target.low: a higher_is_better KPI needs a single value, not a range",
    ),
    "a target for a grain that is not tracked": (
        {"target": {"value": 5, "period": "daily"}},
        "target.period: the KPI is not tracked daily; it is tracked weekly",
    ),
    "a target that ends before it starts": (
        {"target": {"value": 5, "from": "2026-02-01", "to": "2026-01-01"}},
        "target.to: ends on 2026-01-01, before it starts on 2026-02-01",
    ),
    "a target out of bounds": (
        {"target": 101, "bounds": {"high": 100}},
        "target.value: 101 is outside the KPI's `bounds`; no value can reach it",
    ),
    "a date that is none": (
        {"target": {"value": 5, "from": "2026-02-30"}},
        "target.from: expected a date such as 2026-01-31, found '2026-02-30'",
    ),
    "bands out of order": (
        {"bands": {"on_track": 0.5}},
        "bands: expected exceeds >= on_track >= needs_attention, each from 0 to 10 (1 is the target, met)",
    ),
    "an alert type misspelt": (
        {"alerts": [{"type": "bellow_target", "threshold": 20}]},
        f"alerts[0].type: 'bellow_target' is not one of {', '.join(ALERT_TYPES)}; did you mean `below_target`?",
    ),
    "an alert without its threshold": (
        {"alerts": [{"type": "trend_up"}]},
        "alerts[0].threshold: is missing; `trend_up` needs one, in percent",
    ),
    "an alert at 0": (
        {"alerts": [{"type": "trend_up", "threshold": 0}]},
        "alerts[0].threshold: expected a number above 0, in percent",
    ),
    "an alert with a threshold that it has no use for": (
        {"alerts": [{"type": "missing", "threshold": 5}]},
        "alerts[0].threshold: `missing` takes none",
    ),
    "an alert on a status that is none": (
        {"alerts": [{"type": "status_is"}]},
        "alerts[0].status: `status_is` needs one: on_track, needs_attention, critical; "
        "that status or a worse one fires",
    ),
    "a target alert on a neutral KPI": (
        {"direction": "neutral", "alerts": [{"type": "below_target", "threshold": 5}]},
        "alerts[0].type: `below_target` needs a target, and a neutral KPI has none",
    ),
    "a channel misspelt": (
        {"alerts": [{"type": "missing", "channels": ["email", "slak"]}]},
        f"alerts[0].channels[1]: 'slak' is not one of {', '.join(CHANNELS)}; did you mean `slack`?",
    ),
    "a role that is no name": (
        {"permissions": {"view": ["Sales Manager"]}},
        "permissions.view[0]: expected lower-case letters, digits and _, a letter first, found 'Sales Manager'; "
        "did you mean `sales_manager`?",
    ),
    "a permission that there is not": (
        {"permissions": {"veiw": ["ceo"]}},
        "permissions.veiw: unknown field; did you mean `view`?",
    ),
    "a time of day without quotes": (
        yaml.safe_load("due_by: 10:30"),
        'due_by: expected a time of day in quotes, "10:30", found 630',
    ),
    "a weekday in another language": (
        {"active_days": {"weekdays": ["mon", "die"]}},
        "active_days.weekdays[1]: 'die' is not one of mon, tue, wed, thu, fri, sat, sun",
    ),
    "no active day": (
        {"active_days": {"weekdays": []}},
        "active_days.weekdays: is empty; a KPI needs at least one active day",
    ),
    "a weekday comparison for a weekly KPI": (
        {"comparison": "same_weekday"},
        "comparison: `same_weekday` is for daily KPIs",
    ),
    "the tracking period twice": (
        {"also_tracked": ["weekly"]},
        "also_tracked[0]: `weekly` is the tracking period already; take it out",
    ),
    "a currency for a number": ({"currency": "EUR"}, "currency: goes with unit currency, not number"),
    "a truth that is text": ({"confidential": "yes"}, "confidential: expected true or false, found 'yes'"),
    "a factor that has no use": (
        {"factor": 100},
        "factor: has no use with calculation_method manual and kind flow; take it out",
    ),
    "a column for an entered KPI": (
        {"column": "amount"},
        "column: a KPI with calculation_method manual is entered by hand; take it out",
    ),
    "a kind that the calculation cannot have": (
        {"kind": "derived"},
        "kind: a KPI with calculation_method manual is flow or stock or ratio or distinct or statistic, not derived",
    ),
    "a formula that does not parse": (
        {"formula": "1 +"},
        "formula: position 4: expected a number, a key or '(', but the formula ends",
    ),
    "a formula with an unknown key": (
        {"formula": "headcuont"},
        "formula: `headcuont`: unknown key; did you mean `headcount`?",
    ),
    "a formula that needs itself": (
        {"formula": "prev(headcount)"},
        "formula: the formulas go in a circle: headcount -> headcount; take one of these references out",
    ),
    "an input that nothing uses": (
        {"formula": "1 + 1", "inputs": {"x": {"numerator": {"dataset": "calls", "aggregate": "count"}}}},
        "inputs.x: no formula uses it; take it out",
    ),
    "a dataset that there is not": (
        {"calculation_method": "count", "dataset": "cals"},
        "dataset: `cals`: unknown dataset; did you mean `calls`?",
    ),
    "no dataset": (
        {"calculation_method": "count"},
        "dataset: is missing; give a `dataset`, or a `data_source` that is not connected yet",
    ),
    "no calculation": (
        {"dataset": "calls", "calculation_method": "cuont"},
        "calculation_method: 'cuont' is not one of count, sum, average, ratio, distinct, median, quantile, last, min, "
        "max, formula, manual; did you mean `count`?",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_with_its_path_and_what_would_be_right(name: str) -> None:
    fields, expected = MISTAKES[name]
    found = problems({**ENTERED, **fields})
    assert found[0] == f"a.yaml: kpis[0].{expected}"


DATA_MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a column that there is not": (
        {"calculation_method": "sum", "column": "amuont"},
        "column: dataset `calls` has no column `amuont`; did you mean `amount`?",
    ),
    "a sum of texts": (
        {"calculation_method": "sum", "column": "region"},
        "column: column `region` of dataset `calls` is text; a number is needed",
    ),
    "a sum of nothing": ({"calculation_method": "sum"}, "column: is missing; sum needs one"),
    "a quantile without its share": (
        {"calculation_method": "quantile", "column": "amount"},
        "quantile: expected a number between 0 and 1, such as 0.9",
    ),
    "a quantile of 1": (
        {"calculation_method": "quantile", "column": "amount", "quantile": 1},
        "quantile: expected a number between 0 and 1, such as 0.9",
    ),
    "a median with a share": (
        {"calculation_method": "median", "column": "amount", "quantile": 0.9},
        "quantile: goes with `quantile`, not with median",
    ),
    "the start of a count": ({"at": "start"}, "at: goes with `last`, not with count"),
    "a condition on a column that there is not": (
        {"where": {"regoin": "north"}},
        "where.regoin: dataset `calls` has no column `regoin`; did you mean `region`?",
    ),
    "a comparison that there is not": (
        {"where": {"amount": {"lte": 5}}},
        "where.amount.lte: unknown comparison; did you mean `le`?",
    ),
    "a number where text is": (
        {"where": {"region": 5}},
        "where.region: column `region` is text, and 5 is number; write '5' in quotes",
    ),
    "text where a number is": (
        {"where": {"amount": ["5"]}},
        "where.amount: column `amount` is number, and '5' is text; a number is needed",
    ),
    "an empty list": ({"where": {"region": []}}, "where.region: expected a list of 1 to 1,000 values"),
    "a dimension that there is not": (
        {"dimensions": ["regin"]},
        "dimensions[0]: dataset `calls` has no column `regin`; did you mean `region`?",
    ),
    "a stock that is counted": ({"kind": "stock"}, "kind: a KPI with calculation_method count is flow, not stock"),
    "missing days of computed KPIs": (
        {"missing": "zero"},
        "missing: is for entered KPIs (calculation_method manual), not for count",
    ),
    "half a ratio": (
        {"calculation_method": "ratio", "numerator": {"aggregate": "count"}},
        "denominator: is missing; calculation_method ratio needs it",
    ),
    "a ratio without terms": (
        {"calculation_method": "ratio", "numerator": [], "denominator": {"aggregate": "count"}},
        "numerator: is empty; give at least one term",
    ),
    "terms that do not add up": (
        {
            "calculation_method": None,
            "numerator": [{"aggregate": "count"}, {"aggregate": "last", "column": "amount"}],
        },
        "numerator: calculation_method count adds up terms of count and sum, not of last",
    ),
    "a term without its aggregate": (
        {"calculation_method": "sum", "numerator": {"column": "amount"}},
        "numerator.aggregate: is missing; it is one of count, sum, distinct, quantile, last, min, max",
    ),
    "a term misspelt": (
        {"calculation_method": "sum", "numerator": [{"aggregate": "sum", "colum": "amount", "column": "amount"}]},
        "numerator[0].colum: unknown field; did you mean `column`?",
    ),
    "a weight of 0": (
        {"calculation_method": "count", "numerator": [{"aggregate": "count", "weight": 0}]},
        "numerator[0].weight: is 0; leave the term out instead",
    ),
}


@pytest.mark.parametrize("name", DATA_MISTAKES)
def test_a_mistake_about_data_is_answered_with_its_path_and_what_would_be_right(name: str) -> None:
    fields, expected = DATA_MISTAKES[name]
    assert problems({**COUNTED, **fields})[0] == f"a.yaml: kpis[0].{expected}"


def test_all_problems_of_all_files_come_at_once() -> None:
    with pytest.raises(InvalidDefinition) as caught:
        parse_catalog(
            {
                "a.yaml": {"kpis": [{**ENTERED, "unit": "kg", "lag_days": -1}, "what?"], "kpsi": []},
                "b.yaml": {"datasets": [{"key": "x", "time_column": "at", "columns": {"n": "int"}}]},
                "c.yaml": [{"category": "custom"}],
            }
        )
    assert [problem.where for problem in caught.value.problems] == [
        "a.yaml: kpis[1]",
        "a.yaml: kpsi",
        "a.yaml: kpis[0].unit",
        "a.yaml: kpis[0].lag_days",
        "b.yaml: datasets[0].columns.n",
        "c.yaml: [0].name",
        "c.yaml: [0].tracking_period",
    ]


def test_a_key_that_stands_twice_is_refused_wherever_the_first_one_is() -> None:
    with pytest.raises(InvalidDefinition) as caught:
        parse_catalog({"a.yaml": {"kpis": [ENTERED]}, "b.yaml": {"kpis": [ENTERED]}})
    assert str(caught.value) == "b.yaml: kpis[0].key: `headcount` is defined already, at a.yaml: kpis[0]"


def test_a_circle_over_several_kpis_is_named() -> None:
    one = {**ENTERED, "key": "one", "formula": "two + 1"}
    two = {**ENTERED, "key": "two", "formula": "prev(one)"}
    says = "the formulas go in a circle: one -> two -> one; take one of these references out"
    assert problems(one, two) == [f"a.yaml: kpis[0].formula: {says}"]


def test_two_circles_are_both_named() -> None:
    keys = {"a": "b", "b": "a", "c": "d", "d": "c"}
    found = problems(*({**ENTERED, "key": key, "formula": needed} for key, needed in keys.items()))
    assert len(found) == 2


def test_what_is_known_already_may_be_referred_to_and_replaced() -> None:
    known = parse_catalog({"a": {"datasets": [CALLS], "kpis": [COUNTED]}})
    found = parse_catalog({"b": [{**ENTERED, "key": "growth", "formula": "headcount / prev(headcount)"}]}, known=known)
    assert [each.key for each in found.kpis] == ["growth"]
    again = parse_catalog({"b": [{**COUNTED, "unit": "time"}]}, known=known)
    assert again.kpis[0].unit is Unit.TIME
    both = replace(known, kpis=(*known.kpis, *found.kpis))
    with pytest.raises(InvalidDefinition, match="headcount -> growth -> headcount"):
        parse_catalog({"c": [{**ENTERED, "formula": "growth"}]}, known=both)


def test_a_key_of_a_broken_definition_still_counts_as_known() -> None:
    found = problems({**ENTERED, "unit": "kg"}, {**ENTERED, "key": "twice", "formula": "2 * headcount"})
    assert len(found) == 1


@pytest.mark.parametrize("document", [None, {}, {"kpis": []}, []])
def test_an_empty_file_defines_nothing(document: object) -> None:
    assert parse_catalog({"a.yaml": document}) == Catalog()


@pytest.mark.parametrize("document", ["text", 5, {"kpis": {}}, {"kpis": "x"}, {"kpis": [None]}, {"datasets": [[]]}])
def test_a_file_of_another_shape_is_refused(document: object) -> None:
    with pytest.raises(InvalidDefinition, match=r"^a\.yaml: "):
        parse_catalog({"a.yaml": document})


# --- datasets -------------------------------------------------------------------------------------------------------


def test_a_dataset_is_read_and_written_back() -> None:
    document = {
        **CALLS,
        "name": "CRM calls",
        "source": "crm_api",
        "time_zone": "Europe/Berlin",
        "record_key": "id",
        "null_values": ["", "NA"],
    }
    found = parse_dataset(document)
    assert found.columns[0] == Column("amount", ColumnType.NUMBER)
    assert parse_dataset(dump_dataset(found)) == found
    assert parse_dataset({**CALLS, "columns": [{"name": "amount", "type": "number"}]}).columns == found.columns[:1]


DATASET_MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no key": ({"key": None}, "key: is missing"),
    "no time": ({"time_column": None}, "time_column: is missing"),
    "an unknown type": (
        {"columns": {"n": "numbr"}},
        "columns.n: 'numbr' is not one of text, number, boolean; did you mean `number`?",
    ),
    "the time column declared": (
        {"columns": {"made_at": "text"}},
        "columns.made_at: is the time column, which needs no declaration; take it out",
    ),
    "a column of the product's own": (
        {"columns": {"Day": "text"}},
        "columns.Day: `Day` is the name of a column that every dataset has; rename it in the data",
    ),
    "a column twice": (
        {"columns": {"n": "text", "N": "text"}},
        "columns.N: `N` stands here twice (upper and lower case are the same)",
    ),
    "a time zone that there is not": (
        {"time_zone": "Europe/Berln"},
        "time_zone: expected a time zone such as Europe/Berlin, found 'Europe/Berln'",
    ),
    "a path for a time zone": (
        {"time_zone": "../etc/passwd"},
        "time_zone: expected a time zone such as Europe/Berlin, found '../etc/passwd'",
    ),
    "an unknown field": ({"time_colum": "x"}, "time_colum: unknown field; did you mean `time_column`?"),
    "a null text that is a number": (
        {"null_values": [-99]},
        "null_values[0]: expected a short text, found -99; put it in quotes",
    ),
}


@pytest.mark.parametrize("name", DATASET_MISTAKES)
def test_a_mistake_in_a_dataset_is_answered(name: str) -> None:
    fields, expected = DATASET_MISTAKES[name]
    with pytest.raises(InvalidDefinition) as caught:
        parse_dataset({**CALLS, **fields})
    assert str(caught.value) == expected


# --- round trips and differences ------------------------------------------------------------------------------------


def shipped() -> Catalog:
    return parse_catalog({file.name: yaml.safe_load(file.read_text()) for file in sorted(SHIPPED.glob("*.yaml"))})


def test_every_shipped_definition_is_written_back_as_it_was_read() -> None:
    catalog = shipped()
    dumped = {
        "datasets": [dump_dataset(each) for each in catalog.datasets],
        "kpis": [dump_kpi(k) for k in catalog.kpis],
    }
    assert len(catalog.kpis) == 65
    assert catalog.not_connected == ()
    assert parse_catalog({"again.json": json.loads(json.dumps(dumped))}) == catalog
    assert parse_catalog({"again.yaml": yaml.safe_load(yaml.safe_dump(dumped, sort_keys=False))}) == catalog


numbers = st.decimals(-(10**9), 10**9, places=4) | st.integers(-(10**17), 10**17).map(D)
terms = st.fixed_dictionaries(
    {
        "aggregate": st.just("sum"),
        "dataset": st.sampled_from(["calls", "deals"]),
        "column": st.sampled_from(["a", "b"]),
    },
    optional={"weight": numbers.filter(bool), "where": st.sampled_from([where for where, _ in WHERES.values()])},
)
definitions = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Z][a-z]{1,20}( \([A-Z]{2,5}\))?", fullmatch=True),
        "category": st.sampled_from(list(map(str, Category))),
        "tracking_period": st.sampled_from(["daily", "weekly", "monthly"]),
        "numerator": st.lists(terms, min_size=1, max_size=3),
    },
    optional={
        "denominator": st.lists(terms, min_size=1, max_size=3),
        "unit": st.sampled_from(list(map(str, Unit))),
        "factor": numbers.filter(bool),
        "target": st.fixed_dictionaries({"value": numbers, "scale": numbers.filter(lambda n: n > 0)}),
        "points": st.booleans(),
        "lag_days": st.integers(0, 30),
        "bounds": st.just({"low": -(10**18) + 1}),
        "description": st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=30),
    },
)


@settings(deadline=None)
@given(definitions)
def test_any_definition_is_written_back_as_it_was_read(document: dict[str, Any]) -> None:
    found = parse_kpi(document)
    assert parse_kpi(json.loads(json.dumps(dump_kpi(found)))) == found


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = [*dump_kpi(parse_kpi(json.loads(EXAMPLE))), "where", "numerator", "inputs", "guard", "bands", "active_days"]
FIELDS += ["formula", "bounds", "also_tracked", "due_by", "dimensions", "dataset", "column", "quantile", "at", "owner"]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), anything, max_size=6) | anything)
def test_whatever_a_file_holds_it_is_read_or_refused(document: object) -> None:
    filled = {**COUNTED, **document} if isinstance(document, dict) else document
    for whole in (document, [filled], {"kpis": [filled], "datasets": [filled]}):
        try:
            parse_catalog({"a.yaml": whole})
        except InvalidDefinition as error:
            assert all(problem.says for problem in error.problems)  # noqa: PT017 - either outcome is right


def test_a_difference_names_its_path_and_both_values() -> None:
    old = parse_kpi(json.loads(EXAMPLE))
    new = replace(old, target=Target(value=D(60), grain=Grain.DAILY), confidential=True, unit_label=None)
    assert [tuple(each) for each in diff(old, new)] == [("target.value", 50, 60), ("confidential", None, True)]
    assert diff(old, old) == []


def test_a_difference_within_a_list_names_its_place() -> None:
    old = parse_kpi(json.loads(EXAMPLE))
    new = replace(old, alerts=(replace(old.alerts[0], threshold=D("22.5")),))
    assert [tuple(each) for each in diff(old, new)] == [("alerts[0].threshold", 20, 22.5)]


def test_catalogs_differ_by_key_and_a_kpi_that_is_new_or_gone_is_one_difference() -> None:
    old, new = kpi(key="old"), kpi(key="new")
    found = diff(Catalog((old, new)), Catalog((replace(new, unit=Unit.TIME),)))
    assert [each.path for each in found] == ["kpis.old", "kpis.new.unit"]
    assert (found[0].before, found[0].after) == (dump_kpi(old), None)


def test_a_kpi_with_a_confidential_input_is_confidential_unless_its_definition_says_otherwise() -> None:
    base = {"category": "finance", "tracking_period": "monthly"}
    documents = {
        "pay.yaml": {
            "kpis": [
                {**base, "name": "Twice", "formula": "2 * salaries"},
                {**base, "name": "Four Times", "formula": "2 * twice"},
                {**base, "name": "Said Openly", "formula": "salaries / 1000", "confidential": False},
                {**base, "name": "Salaries", "calculation_method": "manual", "kind": "flow", "confidential": True},
            ]
        }
    }
    found = {kpi.key: kpi.confidential for kpi in parse_catalog(documents).kpis}
    assert found == {"twice": True, "four_times": True, "said_openly": False, "salaries": True}
