"""The one chart that a person looks at: a KPI's actual values against its target.

The frame behind it carries what is drawn and nothing else, since a browser is sent all of it. The target is a step: it
holds for whole spans and changes between them; a range is a band. Spans that are still open are drawn hollow, for
their value will move.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol, TypeVar

import altair as alt
import pandas as pd
import streamlit as st

from kpi_core import display
from kpi_core.model import Kpi, Reading, Span, SpanState, Status, Target, Unit
from pages.ui import format as text

__all__ = ["actual_and_target", "draw", "from_first_value"]

BLUE, GREY = "#3f74e8", "#8792a5"
"""Mid-tones that keep their contrast on the light and on the dark page."""
SHORT = 45
"""Spans up to which each has its own dot."""
TIMES = ((86_400, " d"), (3_600, " h"), (60, " min"))


class Point(Protocol):
    """One span of a history."""

    @property
    def span(self) -> Span: ...
    @property
    def label(self) -> str: ...
    @property
    def state(self) -> SpanState: ...
    @property
    def reading(self) -> Reading | None: ...
    @property
    def target(self) -> Target | None: ...
    @property
    def status(self) -> Status: ...
    @property
    def progress(self) -> Decimal | None: ...


P = TypeVar("P", bound=Point)


def from_first_value(points: Sequence[P]) -> Sequence[P]:
    """Without the spans before a KPI's first value."""
    known = (place for place, point in enumerate(points) if point.reading and point.reading.value is not None)
    first = next(known, None)
    return () if first is None else points[first:]


def draw(kpi: Kpi, points: Sequence[Point], currency: str) -> None:
    """The chart, and the same in words for who cannot see it."""
    told = (
        f"{kpi.name}: actual against target, {points[0].label} to {points[-1].label}. The table below has the values."
    )
    st.altair_chart(actual_and_target(kpi, points, currency), width="stretch", alt=told)
    st.markdown(f":small[{_legend(points)}]")


def _legend(points: Iterable[Point]) -> str:
    said = [":blue[━●━] actual"]
    if any(point.state is SpanState.OPEN for point in points):
        said.append(":blue[○] so far, not over yet")
    if any(point.target for point in points):
        said.append(":gray[┅┅] target")
    return " &emsp; ".join(said)


def actual_and_target(kpi: Kpi, points: Sequence[Point], currency: str) -> alt.LayerChart:
    """Actual as a line with dots, target as a dashed step or a band; a tooltip names the span nearest the pointer."""
    size, unit = _scale(kpi, points)
    frame = pd.DataFrame(list(_rows(kpi, points, currency, size)))
    days = alt.Axis(grid=False, tickCount=8, labelFlush=False)
    base = alt.Chart(frame).encode(x=alt.X("start:T", title=None, axis=days))
    layers = [*_target_layers(base, frame), *_actual_layers(base, frame, _axis(kpi, unit, currency))]
    return alt.LayerChart(layer=layers, height=320)


def _scale(kpi: Kpi, points: Iterable[Point]) -> tuple[int, str]:
    """What values are divided by, and the unit behind a number of the axis: durations are told in the largest unit."""
    if kpi.unit is not Unit.TIME:
        return 1, " %" if kpi.unit is Unit.PERCENTAGE else ""
    most = max((abs(point.reading.value) for point in points if point.reading and point.reading.value), default=0)
    return next(((size, unit) for size, unit in TIMES if most >= size), (1, " s"))


def _axis(kpi: Kpi, unit: str, currency: str) -> alt.Axis:
    symbol = display.SYMBOLS.get(kpi.currency or currency, "") if kpi.unit is Unit.CURRENCY else ""
    label = f"{json.dumps(symbol)} + datum.label + {json.dumps(unit)}"
    return alt.Axis(title=None, format="~s", labelExpr=label, tickCount=5, domain=False, ticks=False)


def _rows(kpi: Kpi, points: Iterable[Point], currency: str, size: int) -> Iterable[Mapping[str, Any]]:
    for point in points:
        value, goal = point.reading.value if point.reading else None, point.target
        is_open = point.state is SpanState.OPEN
        yield {
            "start": pd.Timestamp(point.span.start),
            "span": point.label,
            "actual": None if is_open else _float(value, size),
            "so_far": _float(value, size) if is_open else None,
            "low": _float(goal.low if goal.is_range else goal.value, size) if goal else None,
            "high": _float(goal.high, size) if goal else None,
            "value": text.value(value, kpi, currency, compact=False),
            "target": text.target(goal, kpi, currency, compact=False),
        }


def _float(number: Decimal | None, size: int) -> float | None:
    return None if number is None else float(number / size)


def _target_layers(base: alt.Chart, frame: pd.DataFrame) -> list[alt.Chart]:
    if frame["low"].isna().all():
        return []
    if frame["high"].notna().any():
        return [base.mark_area(color=GREY, opacity=0.22, interpolate="step-after").encode(y="low:Q", y2="high:Q")]
    return [base.mark_line(color=GREY, strokeDash=[5, 4], strokeWidth=1.6, interpolate="step-after").encode(y="low:Q")]


def _actual_layers(base: alt.Chart, frame: pd.DataFrame, axis: alt.Axis) -> list[alt.Chart]:
    y = alt.Y("actual:Q", axis=axis, scale=alt.Scale(zero=False, nice=True))
    nearest = alt.selection_point(nearest=True, on="pointerover", fields=["start"], empty=False, clear="pointerout")
    tips = [
        alt.Tooltip("span:N", title="Span"),
        alt.Tooltip("value:N", title="Actual"),
        alt.Tooltip("target:N", title="Target"),
    ]
    seen = alt.value(1) if len(frame) <= SHORT else alt.condition(nearest, alt.value(1), alt.value(0))
    line = base.mark_line(color=BLUE, strokeWidth=2.2).encode(y=y)
    dots = base.mark_point(color=BLUE, filled=True, size=46).encode(y=y, opacity=seen, tooltip=tips).add_params(nearest)
    so_far = base.mark_point(color=BLUE, filled=False, size=58, strokeWidth=2).encode(y="so_far:Q", tooltip=tips)
    return [line, dots, so_far]
