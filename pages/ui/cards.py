"""A card: one KPI in one span, readable in a second and honest about what is not known.

From the top, in the order of an executive's questions: what is it (a link to its page), how does it stand (colour, icon
and word), how much is it, which way did it move, what did it do before, how far is it from its target, how fresh is it.

A wall of cards is one piece of HTML of our own. Each message to the browser costs 0.2 ms of every rerun, and a card
made of Streamlit's elements takes four. All texts derive from the card alone, so that an unchanged wall is the
same to the byte and the browser leaves it as it is. Names and notes come from strangers: whatever goes in is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode

import streamlit as st

from kpi_core import periods
from kpi_core.model import Card, Company, Score, Span, Status
from kpi_core.periods import Calendar
from pages.ui import format as text
from pages.ui import icons

__all__ = ["Frame", "bar", "drawn", "headline", "kpi_page", "link", "locked", "style", "wall"]

KPI_FILE = Path(__file__).parents[1] / "kpi.py"
CSS = (Path(__file__).parent / "cards.css").read_text(encoding="utf-8")
INDENT = "\u00a0"
"""Half a rem at the size of a value, as a link is indented, so that texts stand on one edge."""
TONES = {"green": "good", "red": "bad", "gray": "none"}
"""What Streamlit's colours are called in our style sheet."""


@cache
def kpi_page() -> st.Page:
    """The page of a KPI. The scorecard links to it dozens of times, and a path would be looked up each time."""
    return st.Page(KPI_FILE, url_path="kpi")


@dataclass(frozen=True, slots=True)
class Frame:
    """What a card's texts depend on beside the card: the company, and the span that stands over the board (if one)."""

    company: Company
    calendar: Calendar
    span: Span | None = None


def style() -> None:
    """Our style sheet, once a page."""
    st.html(f"<style>{CSS}\n{icons.css()}</style>")


def wall(cards: Iterable[Card], frame: Frame, *, name: str = "", tally: str = "") -> None:
    """Cards side by side, as many a row as fit, under a heading if they have a name."""
    heading = f'<h3 class="kpi-heading">{text.escaped(name)} <small>{text.escaped(tally)}</small></h3>' if name else ""
    st.html(f'{heading}<div class="kpi-wall">{"".join(drawn(card, frame) for card in cards)}</div>')


def drawn(card: Card, frame: Frame) -> str:
    """One card; of a KPI that may not be seen, its title alone."""
    title = text.escaped(card.title)
    if card.kpi is None or card.score is None:
        return (
            f'<article class="kpi-card kpi-locked" aria-label="{title}, locked">'
            f'{icons.icon(text.LOCKED.icon)}<span title="{title}">{title}</span></article>'
        )
    look = text.look_of(card)
    amount = text.escaped(text.value(card.score.value, card.kpi, frame.company.currency))
    return (
        f'<article class="kpi-card" aria-label="{title}">{link(card)}'
        f'<div><span class="kpi-badge kpi-{look.tone}">{icons.icon(look.icon)}{look.word}</span></div>'
        f'<div class="kpi-value">{amount}</div>{_change(card.score)}'
        f"{_sparkline(card.score)}{_foot(card, card.score, frame, look)}</article>"
    )


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


def link(card: Card) -> str:
    """The way to a KPI's page, under its name; a name that is cut is shown whole on hover."""
    title = text.escaped(card.title)
    address = text.escaped(f"{KPI_FILE.stem}?{urlencode({'key': card.key, 'grain': card.grain.value})}")
    return f'<a class="kpi-title" href="{address}" title="{title}">{title}</a>'


def locked(card: Card) -> None:
    """In a list: what there is to say of a KPI without the right to see it, which is its title."""
    st.markdown(f"{INDENT}:gray[:material/lock: :small[{text.md(card.title)}]]", wrap=False)


def _movement(score: Score) -> tuple[Literal["up", "down", "off"], Literal["green", "red", "gray"]]:
    """The arrow follows the sign, the colour what it means."""
    amount, favourable = score.change.amount, score.change.favourable
    colour: Literal["green", "red", "gray"] = "gray" if favourable is None else "green" if favourable else "red"
    return ("off" if not amount else "up" if amount > 0 else "down"), colour


def _change(score: Score) -> str:
    """How much it moved, and since when."""
    moved, _, since = score.change.text.partition(" from ")
    if not moved:
        return ""
    direction, colour = _movement(score)
    arrow = "" if direction == "off" else icons.icon(f"arrow_{direction}")
    past = f" <span>from {text.escaped(since)}</span>" if since else ""
    pill = f'<span class="kpi-pill kpi-{TONES[colour]}">{arrow}{text.escaped(moved)}</span>'
    return f'<div class="kpi-change">{pill}{past}</div>'


def _sparkline(score: Score) -> str:
    """Thirty spans, in the colour of the change."""
    shape = icons.sparkline(score.sparkline)
    return f'<div class="kpi-{TONES[_movement(score)[1]]} kpi-past">{shape}</div>' if shape else ""


def _foot(card: Card, score: Score, frame: Frame, look: text.Look, *, flat: bool = False) -> str:
    lines = "".join(_lines(card, score, frame))
    notes = " · ".join(text.escaped(note) for note in _notes(score, card, frame))
    note = f'<div class="kpi-note">{notes}</div>' if notes else ""
    shape = "kpi-foot kpi-flat" if flat else "kpi-foot"
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
