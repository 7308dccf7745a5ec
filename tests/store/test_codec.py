"""What is kept as JSON comes back exactly, whatever it held."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from kpi_core.model import (
    Aggregate,
    Category,
    Column,
    ColumnType,
    Company,
    Condition,
    Dataset,
    Grain,
    Kpi,
    Measure,
    Op,
    Term,
    Unit,
)
from kpi_core.store import codec

texts = st.text(max_size=20)
decimals = st.decimals(allow_nan=False, allow_infinity=False)
constants = st.one_of(texts, decimals, st.booleans())
conditions = st.builds(
    Condition, texts, st.sampled_from(Op), st.one_of(st.none(), constants, st.lists(constants, max_size=3).map(tuple))
)
terms = st.builds(
    Term,
    texts,
    st.sampled_from(Aggregate),
    st.none() | texts,
    st.lists(conditions, max_size=2).map(tuple),
    decimals,
    st.none() | decimals,
)
measures = st.builds(Measure, st.lists(terms, max_size=2).map(tuple), st.lists(terms, max_size=2).map(tuple), decimals)
kpis = st.builds(
    Kpi,
    texts,
    texts,
    st.sampled_from(Category),
    st.sampled_from(Grain),
    unit=st.sampled_from(Unit),
    measure=st.none() | measures,
    inputs=st.dictionaries(texts, measures, max_size=2),
    points=st.booleans(),
    lag_days=st.integers(0, 30),
    view_roles=st.lists(texts, max_size=3).map(tuple),
)


@dataclass(frozen=True)
class Moment:
    when: datetime
    days: frozenset[date] = field(default_factory=frozenset)


def through_json(value: object) -> object:
    return codec.decode(type(value), json.loads(json.dumps(codec.encode(value))))


@given(kpis)
def test_any_definition_comes_back_as_it_was(kpi: Kpi) -> None:
    assert through_json(kpi) == kpi


def test_a_decimal_keeps_its_trailing_zeros_and_a_text_stays_a_text() -> None:
    condition = through_json(Condition("c", Op.IN, ("15.50", Decimal("15.50"), True)))
    assert repr(condition) == repr(Condition("c", Op.IN, ("15.50", Decimal("15.50"), True)))


def test_what_equals_its_default_is_not_written() -> None:
    dataset = Dataset("calls", "Calls", "at", (Column("team", ColumnType.TEXT),))
    assert codec.encode(dataset) == {
        "key": "calls",
        "name": "Calls",
        "time_column": "at",
        "columns": [{"name": "team", "type": "text"}],
    }
    assert codec.encode(Company()) == {}


def test_dates_and_instants_are_iso_8601_and_sets_are_sorted() -> None:
    moment = Moment(datetime(2026, 11, 23, 9, 30, tzinfo=UTC), frozenset({date(2026, 12, 25), date(2026, 1, 1)}))
    assert codec.encode(moment) == {"when": "2026-11-23T09:30:00+00:00", "days": ["2026-01-01", "2026-12-25"]}
    assert through_json(moment) == moment


def test_what_lives_elsewhere_is_left_out_and_given_back() -> None:
    kpi = Kpi("a", "A", Category.SALES, Grain.DAILY, id=7, version=3)
    document = codec.encode(kpi, without=frozenset({"id", "version"}))
    assert "id" not in document
    assert codec.decode(Kpi, document, id=7, version=3) == kpi
