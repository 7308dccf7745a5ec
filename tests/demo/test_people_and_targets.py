"""Targets, values entered by hand, and who may see them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from kpi_core import status
from kpi_core.access import ROLES
from kpi_core.catalog import Catalog, parse_catalog
from kpi_core.demo import Demo
from kpi_core.demo.calibrate import AIMS, UNTARGETED
from kpi_core.model import Grain
from tests.demo.conftest import CLOCKS, NOW, ZONE


@pytest.fixture(scope="module")
def by_key(catalog: Catalog) -> dict:
    return dict(Demo.today(7, ZONE, NOW).targets(catalog, NOW))


def test_every_target_can_be_judged_against(catalog: Catalog, by_key: dict) -> None:
    kpis = {kpi.key: kpi for kpi in catalog.kpis}
    assert set(by_key) == {*AIMS, *UNTARGETED, "ad_spend", "strategic_goal_progress"} <= set(kpis)
    for key, targets in by_key.items():
        for target in targets:
            status.check_target(target, kpis[key].direction)


def test_targets_follow_one_another_quarter_by_quarter(by_key: dict) -> None:
    targets = [target for target in by_key["new_customers"] if target.grain is Grain.MONTHLY]
    assert targets[0].period_start == date(2024, 7, 1)
    assert targets[-1].period_end == date(2026, 12, 31)
    assert all(after.period_start == before.period_end + timedelta(days=1) for before, after in pairwise(targets))
    assert targets[-1].value > targets[1].value
    assert len([target for target in by_key["new_customers"] if target.grain is Grain.WEEKLY]) == len(targets)


def test_targets_never_change_while_the_quarter_lasts(catalog: Catalog, by_key: dict) -> None:
    later = Demo.today(7, ZONE, NOW).targets(catalog, NOW + timedelta(days=30))
    assert later == by_key


def test_a_new_quarter_brings_new_targets_and_only_those_when_asked(catalog: Catalog, by_key: dict) -> None:
    demo, new_year = Demo.today(7, ZONE, NOW), CLOCKS["New Year's Day"]
    added = demo.targets(catalog, new_year, since=date(2026, 12, 31))
    whole = demo.targets(catalog, new_year)
    for key in AIMS:
        assert {target.period_start for target in added[key]} == {date(2027, 1, 1)}
        assert sorted((*by_key[key], *added[key]), key=repr) == sorted(whole[key], key=repr)
    assert demo.targets(catalog, new_year, since=date(2027, 1, 1)) == {}


def test_one_kpi_has_no_target_by_choice(by_key: dict) -> None:
    assert [target.is_null for target in by_key["process_efficiency"]] == [True]


def test_entered_values_have_both_parts_and_say_who_entered_them_and_when(demo: Demo) -> None:
    entered = list(demo.entered(demo.start, NOW))
    assert {value.kpi for value in entered} == {
        "process_compliance",
        "employee_satisfaction",
        "strategic_goal_progress",
    }
    names = {person.username for person in demo.people}
    for value in entered:
        assert value.entered_by in names
        assert value.recorded_at < NOW
        if value.kpi != "strategic_goal_progress":
            assert value.numerator
            assert value.denominator
            factor = 100 if value.kpi == "process_compliance" else 1
            assert abs(value.value - factor * value.numerator / value.denominator) < Decimal("0.000001")


def test_entered_values_are_there_for_every_month_and_go_on(demo: Demo) -> None:
    months = [value.period_date for value in demo.entered(demo.start, NOW) if value.kpi == "process_compliance"]
    assert months[0] == demo.start
    assert months[-1] == date(2026, 10, 1)
    assert len(months) == 26
    before, after = list(demo.entered(demo.start, NOW)), list(demo.entered(NOW, CLOCKS["New Year's Day"]))
    assert before + after == list(demo.entered(demo.start, CLOCKS["New Year's Day"]))


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_nothing_is_entered_before_its_time(clock: datetime) -> None:
    demo = Demo.today(7, ZONE, clock)
    assert all(value.recorded_at < clock for value in demo.entered(demo.start, clock))


def test_there_is_a_person_for_each_role(demo: Demo) -> None:
    assert {person.role for person in demo.people} == set(ROLES)
    assert len({person.username for person in demo.people}) == len(demo.people) == len(ROLES)


def test_rights_name_kpis_and_people_that_exist(catalog: Catalog, demo: Demo) -> None:
    keys, names = {kpi.key for kpi in catalog.kpis}, {person.username for person in demo.people}
    for right in demo.grants:
        assert right.kpi in keys
        assert (right.username in names) != (right.role in ROLES)


def test_the_company_is_a_demo_and_says_so(demo: Demo) -> None:
    assert demo.company["is_demo"] is True
    assert ZoneInfo(demo.company["time_zone"]).key == ZONE


def test_one_more_definition_has_a_data_source_that_is_not_connected(demo: Demo, catalog: Catalog) -> None:
    (kpi,) = parse_catalog({"demo.yaml": demo.unconnected}).kpis
    assert kpi.data_source == "building_meters"
    assert kpi.measure
    assert kpi.measure.numerator[0].dataset not in {dataset.key for dataset in catalog.datasets}
    assert kpi.key not in {known.key for known in catalog.kpis}
