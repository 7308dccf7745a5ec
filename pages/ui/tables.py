"""Many KPIs, or many spans, in little room: the scorecard of the overview and the table of values of a KPI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from kpi_core.model import Board, Card, Category, Company, Grain, Kpi, Status
from kpi_core.periods import Calendar
from pages.ui import cards
from pages.ui import format as text
from pages.ui.charts import Point

__all__ = ["board_link", "scorecard", "strip", "values"]

PAGES = Path(__file__).parents[1]
BOARD_PAGES = {grain: PAGES / f"{grain.value}.py" for grain in (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY)}
MOST_LINES = 8
"""KPIs of a category and period that the scorecard lists; the board has them all."""
UNBROKEN = "\u00a0"
LONGEST = 31
"""Characters of a name that leave room for its value on a line."""
WORST_FIRST = (Status.CRITICAL, Status.NEEDS_ATTENTION, Status.ON_TRACK, Status.EXCEEDS)


def strip(shown: Sequence[Card]) -> None:
    """How many stand how, as one bar of their colours, and in words. A KPI counts once, at its tracking period."""
    counts = Counter(text.look_of(card) for card in shown if card.kpi and card.kpi.tracking_period is card.grain)
    looks = [text.LOOKS[status] for status in WORST_FIRST if counts[text.LOOKS[status]]]
    rest = sum(number for look, number in counts.items() if look not in looks)
    parts = [(look.tone, counts[look]) for look in looks] + ([("none", rest)] if rest else [])
    if not parts:
        return
    bars = "".join(f'<i class="kpi-{tone}" style="--n:{number}"></i>' for tone, number in parts)
    st.html(f'<div class="kpi-strip" aria-hidden="true">{bars}</div>')
    legend = [f"{look.markdown_icon} {counts[look]} {look.plural}" for look in looks]
    if rest:
        legend.append(f":gray[:material/radio_button_unchecked:] {rest} without a verdict")
    st.markdown(" &emsp;".join(said.replace(" ", UNBROKEN) for said in legend))


def scorecard(boards: Mapping[Grain, Board], company: Company) -> None:
    """Every KPI in a line: categories down, periods across; each heading opens its board, each line its KPI."""
    present = {card.category for board in boards.values() for card in board.cards}
    for category in (category for category in Category if category in present):
        st.markdown(f"### {text.CATEGORY_NAMES[category]}", anchors=False)
        grid = st.grid(len(boards), min_column_width=280, gap="small", border=True)
        for grain, board in boards.items():
            with grid.cell(), st.container(gap=None):
                _cell(grain, category, [card for card in board.cards if card.category is category], company)


def board_link(grain: Grain) -> None:
    """The way back from a KPI to the board of its period."""
    if grain in BOARD_PAGES:
        st.page_link(BOARD_PAGES[grain], label=f"{text.GRAIN_NAMES[grain]} board", icon=":material/arrow_back:")


def _cell(grain: Grain, category: Category, found: Sequence[Card], company: Company) -> None:
    name, judged = text.GRAIN_NAMES[grain], text.tally(card.score.status for card in found if card.score)
    st.page_link(
        BOARD_PAGES[grain],
        label=f"**{name}**" + (f" :gray[:small[{judged}]]" if judged else ""),
        icon=text.GRAIN_ICONS[grain],
        query_params={"category": category.value},
        width="stretch",
    )
    for card in found[:MOST_LINES]:
        _line(card, company)
    if len(found) > MOST_LINES:
        st.markdown(f":gray[:small[and {len(found) - MOST_LINES} more on the board]]")
    if not found:
        st.markdown(":gray[:small[No KPIs]]")


def _line(card: Card, company: Company) -> None:
    if card.kpi is None or card.score is None:
        cards.locked(card)
        return
    title = text.md(text.shortened(card.title, LONGEST))
    amount = text.md(text.value(card.score.value, card.kpi, company.currency))
    st.page_link(
        cards.kpi_page(),
        label=f"{text.look_of(card).markdown_icon} {title} **{amount}**",
        icon="",
        width="stretch",
        query_params={"key": card.key, "grain": card.grain.value},
    )


def values(kpi: Kpi, points: Sequence[Point], company: Company, calendar: Calendar) -> None:
    """Each span with its value, newest first. The frame holds what is shown, for a browser is sent all of it."""
    rows = [_row(kpi, point, company, calendar) for point in reversed(points)]
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", alt=f"Values of {kpi.name}")


def _row(kpi: Kpi, point: Point, company: Company, calendar: Calendar) -> Mapping[str, str]:
    reading = point.reading
    return {
        "Span": point.label,
        "Value": text.value(reading.value if reading else None, kpi, company.currency, compact=False),
        "Target": text.target(point.target, kpi, company.currency, compact=False),
        "Progress": text.percent(point.progress, kpi),
        "Status": text.LOOKS[point.status].word,
        "Recorded": text.recorded(reading.recorded_at if reading else None, calendar.zone),
        "By": text.recorded_by(reading),
    }
