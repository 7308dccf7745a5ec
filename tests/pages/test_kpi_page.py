"""The page of one KPI: its headline, its chart, its table, and who may open it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from kpi_core.model import Actor
from kpi_core.service.tracker import Tracker
from kpi_core.store import open_store
from pages.ui import session
from tests.pages.cast import CHIEF, NOW, REP, company, screen


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracker]:
    with open_store(f"duckdb:///{tmp_path_factory.mktemp('kpi') / 'kpi.duckdb'}", clock=lambda: NOW) as store:
        yield company(store)


@pytest.fixture(autouse=True)
def signed_in(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, tracker, CHIEF)


def sign_in(monkeypatch: pytest.MonkeyPatch, tracker: Tracker, actor: Actor) -> None:
    monkeypatch.setattr(session, "actor", lambda: actor)
    monkeypatch.setattr(session, "tracker", lambda: tracker)


def opened(**url: str) -> AppTest:
    at = screen("kpi", **url).run()
    assert not at.exception, [error.message for error in at.exception]
    return at


def texts(at: AppTest) -> str:
    return "\n".join(element.value for element in at.markdown).replace("\u2060", "")


def test_it_shows_the_exact_value_and_the_whole_change() -> None:
    at = opened(key="pipeline")
    assert at.metric[0].value.strip() == "\\$1,234,567\\.00"
    assert at.metric[0].delta == "no change from yesterday"


def test_it_starts_with_the_last_thirty_spans_newest_first() -> None:
    table = opened(key="leads").dataframe[0].value
    assert len(table) == 30
    assert table.iloc[0]["Span"] == "Wed 18 Nov 2026"
    assert table.iloc[0]["Value"] == "70"


@pytest.mark.parametrize(("chosen", "spans"), [("90", 41), ("year", 41), ("all", 41)])
def test_a_longer_range_starts_at_the_first_value(chosen: str, spans: int) -> None:
    assert len(opened(key="leads", range=chosen).dataframe[0].value) == spans


def test_a_range_of_ones_own_stands_in_the_url() -> None:
    at = opened(key="leads", range="custom", **{"from": "2026-11-01", "to": "2026-11-10"})
    assert len(at.dataframe[0].value) == 10


def test_choosing_a_range_goes_into_the_url() -> None:
    at = opened(key="leads")
    at.button_group(key="range").set_value("90").run()
    assert at.query_params["range"] == "90"


def test_the_grains_of_a_kpi_can_be_switched() -> None:
    at = opened(key="cash")
    at.button_group(key="grain").set_value("weekly").run()
    assert at.query_params["grain"] == "weekly"
    assert at.dataframe[0].value.iloc[0]["Span"] == "2026-W47"


def test_a_grain_that_it_is_not_tracked_at_is_ignored() -> None:
    assert opened(key="leads", grain="monthly").dataframe[0].value.iloc[0]["Span"] == "Wed 18 Nov 2026"


def test_the_table_carries_what_is_shown_and_nothing_else() -> None:
    table = opened(key="leads").dataframe[0].value
    assert list(table.columns) == ["Span", "Value", "Target", "Progress", "Status", "Recorded", "By"]


def test_the_chart_carries_what_is_drawn_and_nothing_else() -> None:
    at = opened(key="leads")
    (chart,) = at.get("vega_lite_chart") or at.get("arrow_vega_lite_chart")
    spec = json.loads(chart.proto.spec)
    fields = {field for layer in spec["layer"] for field in drawn_fields(layer["encoding"])}
    assert "actual" in fields
    assert {"id", "recorded_by", "kpi_id"}.isdisjoint(fields)


def drawn_fields(encoding: object) -> Iterator[str]:
    if isinstance(encoding, dict):
        if isinstance(encoding.get("field"), str):
            yield encoding["field"]
        for inner in encoding.values():
            yield from drawn_fields(inner)
    elif isinstance(encoding, list):
        for inner in encoding:
            yield from drawn_fields(inner)


def test_a_kpi_without_values_says_so() -> None:
    at = opened(key="silence")
    assert "No values in this range" in texts(at)
    assert not at.dataframe


@pytest.mark.parametrize("key", ["", "nonsense", "salaries", "'; drop table kpi_values; --", "../../etc"])
def test_what_may_not_be_known_does_not_exist(key: str, tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, tracker, REP)
    at = opened(key=key)
    assert "There is no such KPI" in texts(at)
    assert not at.metric


def test_a_locked_kpi_says_what_it_takes(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, tracker, REP)
    at = opened(key="cash")
    assert "You do not have access to this KPI" in texts(at)
    assert "needs" in texts(at)
    assert not at.metric
    assert not at.dataframe
