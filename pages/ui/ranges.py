"""Which stretch of a KPI's history is looked at: a choice that stands in the URL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import streamlit as st

from kpi_core import periods
from kpi_core.model import Grain, Kpi, Span
from kpi_core.periods import Calendar
from pages.ui import format as text

__all__ = ["choose", "grain_of"]

SPANS = {"Last 30": 30, "Last 90": 90}
"""Names stand in the URL as they stand on the screen, and hold for every grain."""
YEAR, ALL, CUSTOM = "1 year", "All", "Custom"
LONGEST = {Grain.DAILY: 3_653, Grain.WEEKLY: 522}
"""Spans that "All" may reach back: ten years of days or of weeks."""
LONGEST_OTHER = 240


def grain_of(kpi: Kpi) -> Grain:
    """The grain in the URL or its switch, among those that the KPI is tracked at."""
    if len(kpi.grains) < 2:
        return kpi.tracking_period
    names = {text.GRAIN_NAMES[grain].lower(): grain for grain in kpi.grains}
    chosen = st.segmented_control(
        "Period",
        list(names),
        default=kpi.tracking_period.value,
        required=True,
        format_func=str,
        key="grain",
        label_visibility="collapsed",
        bind="query-params",
    )
    return names[chosen]


def choose(present: Span, calendar: Calendar) -> tuple[date, date]:
    """The first and the last day looked at, as chosen under the chart's heading."""
    chosen = st.segmented_control(
        "Range",
        [*SPANS, YEAR, ALL, CUSTOM],
        default="Last 30",
        required=True,
        key="range",
        label_visibility="collapsed",
        bind="query-params",
    )
    last = present.start
    if chosen == CUSTOM:
        return _between(present, calendar)
    if chosen == YEAR:
        return periods.same_span_last_year(present, calendar).start, last
    count = SPANS.get(chosen, LONGEST.get(present.grain, LONGEST_OTHER))
    return periods.previous(present, calendar, count - 1).start, last


def _between(present: Span, calendar: Calendar) -> tuple[date, date]:
    first = periods.previous(present, calendar, 29).start
    picked: Sequence[date] = st.date_input(
        "From and to",
        (first, present.start),
        key="between",
        format="YYYY-MM-DD",
        label_visibility="collapsed",
        width=240,
        bind="query-params",
    )
    return (picked[0], picked[-1]) if picked else (first, present.start)
