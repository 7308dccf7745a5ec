"""Which stretch of a KPI's history is looked at: a choice that stands in the URL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import streamlit as st

from kpi_core import periods
from kpi_core.model import Grain, Kpi, Span
from kpi_core.periods import Calendar
from pages.ui import format as text
from pages.ui import url

__all__ = ["choose", "grain_of"]

YEAR, ALL, CUSTOM = "year", "all", "custom"
LONGEST = {Grain.DAILY: 3_653, Grain.WEEKLY: 522}
"""Spans that "All" may reach back: ten years of days or of weeks."""
LONGEST_OTHER = 240


def grain_of(kpi: Kpi) -> Grain:
    """The grain in the URL or its switch, among those that the KPI is tracked at."""
    names = {grain.value: text.GRAIN_NAMES[grain] for grain in kpi.grains}
    return Grain(_switch("Period", "grain", names)) if len(names) > 1 else kpi.tracking_period


def choose(present: Span, calendar: Calendar) -> tuple[date, date]:
    """The first and the last day looked at."""
    noun = f"{text.SPAN_NAMES[present.grain]}s"
    names = {"30": f"30 {noun}", "90": f"90 {noun}", YEAR: "1 year", ALL: "All", CUSTOM: "Custom"}
    chosen = _switch("Range", "range", names)
    last = present.start
    if chosen == CUSTOM:
        return _between(present, calendar)
    if chosen == YEAR:
        return periods.same_span_last_year(present, calendar).start, last
    count = LONGEST.get(present.grain, LONGEST_OTHER) if chosen == ALL else int(chosen)
    return periods.previous(present, calendar, count - 1).start, last


def _switch(label: str, name: str, options: Mapping[str, str]) -> str:
    """One of several, the first where the URL names none."""
    first = next(iter(options))
    chosen = next(iter(url.several(name, options)), first)
    url.follow(name, chosen)
    st.segmented_control(
        label,
        list(options),
        required=True,
        format_func=lambda name: text.muted(options[name]),
        key=name,
        label_visibility="collapsed",
        on_change=url.remember,
        args=(name, first),
    )
    return chosen


def _between(present: Span, calendar: Calendar) -> tuple[date, date]:
    first = url.day("from") or periods.previous(present, calendar, 29).start
    last = url.day("to") or present.start
    url.follow("between", (first, max(first, last)))
    st.date_input(
        "From and to",
        key="between",
        min_value=url.FIRST_DAY,
        format="YYYY-MM-DD",
        label_visibility="collapsed",
        width=240,
        on_change=_remember_between,
    )
    return first, max(first, last)


def _remember_between() -> None:
    picked = st.session_state["between"]
    if len(picked) == 2:
        st.query_params["from"], st.query_params["to"] = (day.isoformat() for day in picked)
