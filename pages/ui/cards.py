"""A card: one KPI in one span, readable in a second and honest about what is not known.

From the top, in the order of an executive's questions: what is it (a link to its page), how does it stand (colour, icon
and word), how much is it, which way did it move, what did it do before, how far is it from its target, how fresh is it.

Four Streamlit elements a card, and a board draws dozens of them on every rerun: each costs 0.1 ms, so what Streamlit
has no element for (a bar with marks, two lines of text) is one piece of HTML of our own. All texts derive from the card
alone, so that an unchanged card is the same to the byte and the browser leaves it as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from kpi_core import periods
from kpi_core.model import Card, Company, Kpi, Score, Span, Status
from kpi_core.periods import Calendar
from pages.ui import format as text

__all__ = ["Frame", "bar", "draw", "headline", "kpi_page", "link", "locked", "style", "wall"]

KPI_FILE = Path(__file__).parents[1] / "kpi.py"
CSS = (Path(__file__).parent / "cards.css").read_text(encoding="utf-8")
NARROWEST = 268
"""Pixels: three cards a row beside the sidebar at 1,400, five at 1,920, one at 390."""
LONG_TITLE = 30
"""Characters that fit a card; what is longer is cut, and then shown whole on hover."""
INDENT = "\u00a0"
"""Half a rem at the size of a value, as a link is indented, so that title, number and lines stand on one edge."""


@cache
def kpi_page() -> st.Page:
    """The page that cards lead to. A board links to it dozens of times, and a path would be looked up each time."""
    return st.Page(KPI_FILE, url_path="kpi")


@dataclass(frozen=True, slots=True)
class Frame:
    """What a card's texts depend on beside the card: the company, and the span that stands over the board (if one)."""

    company: Company
    calendar: Calendar
    span: Span | None = None


def style() -> None:
    """Our style sheet, once a page."""
    st.html(f"<style>{CSS}</style>")


def wall(cards: Iterable[Card], frame: Frame) -> None:
    """Cards side by side, as many a row as fit."""
    grid = st.grid(min_column_width=NARROWEST, border=True)
    for card in cards:
        if card.kpi is None or card.score is None:
            locked(card, grid)
        else:
            with grid.container(gap="xsmall"):
                draw(card, card.kpi, card.score, frame)


def draw(card: Card, kpi: Kpi, score: Score, frame: Frame) -> None:
    """One open card into the present container."""
    look = text.look_of(card)
    link(card)
    direction, colour = _movement(score)
    moved, _, since = score.change.text.partition(" from ")
    st.metric(
        text.badge(look),
        INDENT + text.md(text.value(score.value, kpi, frame.company.currency)),
        text.md(moved) or None,
        delta_color=colour,
        delta_arrow=direction,
        delta_description=text.md(f"from {since}") if since else None,
        chart_data=_sparkline(score),
    )
    st.html(_foot(card, score, frame, look))


def headline(card: Card, frame: Frame) -> None:
    """The same at the head of a KPI's own page: exact, and with what it would take."""
    score, kpi = card.score, card.kpi
    if score is None or kpi is None:
        return
    direction, colour = _movement(score)
    st.metric(
        text.badge(text.look_of(card)),
        INDENT + text.md(text.value(score.value, kpi, frame.company.currency, compact=False)),
        text.md(score.change.text) or None,
        delta_color=colour,
        delta_arrow=direction,
    )
    st.html(_foot(card, score, frame, text.look_of(card), flat=True))
    facts = "".join(f"<i>{name}</i><span>{text.escaped(said)}</span>" for name, said in text.facts(kpi).items())
    st.html(f'<div class="kpi-facts">{facts}</div>')


def link(card: Card) -> None:
    """The way to a KPI's page, under its name."""
    st.page_link(
        kpi_page(),
        label=f"**{text.md(card.title)}**",
        icon="",
        width="stretch",
        help=text.md(card.title) if len(card.title) > LONG_TITLE else None,
        query_params={"key": card.key, "grain": card.grain.value},
    )


def locked(card: Card, place: DeltaGenerator | None = None) -> None:
    """What there is to say of a KPI without the right to see it: its title."""
    (place or st).markdown(f"{INDENT}:gray[:material/lock: :small[{text.md(card.title)}]]", wrap=False)


def _movement(score: Score) -> tuple[Literal["up", "down", "off"], Literal["green", "red", "gray"]]:
    """The arrow follows the sign, the colour what it means."""
    amount, favourable = score.change.amount, score.change.favourable
    colour: Literal["green", "red", "gray"] = "gray" if favourable is None else "green" if favourable else "red"
    return ("off" if not amount else "up" if amount > 0 else "down"), colour


def _sparkline(score: Score) -> Sequence[float] | None:
    """Thirty spans; a gap where one has no value. A line needs two points."""
    points = [float("nan") if point is None else point for point in score.sparkline]
    return points if sum(point is not None for point in score.sparkline) > 1 else None


def _foot(card: Card, score: Score, frame: Frame, look: text.Look, *, flat: bool = False) -> str:
    lines = "".join(_lines(card, score, frame))
    notes = " · ".join(text.escaped(note) for note in _notes(score, card, frame))
    note = f'<div class="kpi-note">{notes}</div>' if notes else ""
    shape = "kpi-foot kpi-flat" if flat or not _sparkline(score) else "kpi-foot"
    return f'<div class="{shape} kpi-{look.tone}">{lines}{note}</div>'


def _lines(card: Card, score: Score, frame: Frame) -> Iterable[str]:
    """The bar, and its target and progress in words."""
    if score.target is None or card.kpi is None:
        return
    if score.attainment is not None:
        yield bar(score)
    goal = text.escaped(text.target(score.target, card.kpi, frame.company.currency))
    yield f'<div class="kpi-line"><span>Target {goal}</span><span>{text.progress(score, card.kpi)}</span></div>'


def bar(score: Score) -> str:
    """Progress, clamped to the bar: a knob at its end when it is past 100 %, a tick where an open span should be."""
    share = float(score.attainment or 0)
    knob = "<u></u>" if share > 1 and score.status is Status.EXCEEDS else ""
    tick = ""
    if score.pace is not None and score.target is not None and score.target.value:
        tick = f'<b style="left:{_percent(float(score.pace.expected / score.target.value))}"></b>'
    return f'<div class="kpi-bar" aria-hidden="true"><i style="width:{_percent(share)}"></i>{tick}{knob}</div>'


def _percent(share: float) -> str:
    return f"{min(max(share, 0.0), 1.0):.1%}"


def _notes(score: Score, card: Card, frame: Frame) -> Iterable[str]:
    """What one must know to read the number: its span if it is not the board's, why there is none, how fresh it is."""
    if score.span != frame.span:
        yield periods.label(score.span, frame.calendar)
    if not card.connected and score.value is None:
        yield "its data source is not connected yet"
    elif score.reason:
        yield score.reason
    if score.late:
        yield "overdue"
    if score.freshness:
        yield score.freshness
