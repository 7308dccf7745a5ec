"""A board: the cards of one grain in one span, by category, with its way through time and its filters.

Where a reader stands is in the URL (url.py): `?day=2026-11-20&category=sales&status=critical&q=churn&page=2`.

An open board asks for the data version every few seconds and draws itself again only when that moved on. Acting on a
filter or stepping through time draws the board alone, without the page's frame around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

import streamlit as st

from kpi_core import periods
from kpi_core.model import Board, Card, Category, Grain, Span, Status
from kpi_core.periods import Calendar
from pages.ui import cards, session, states, url
from pages.ui import format as text

__all__ = ["keep_fresh", "sections", "show"]

FRESH_EVERY = 12
"""Seconds between two questions for the data version."""
PAGE_SIZE = 60
"""Cards a page: what a browser draws in 0.1 s."""


@dataclass(frozen=True, slots=True)
class Group:
    """Statuses that a reader asks for together, under the name that they have in the URL."""

    key: str
    word: str
    icon: str
    statuses: frozenset[Status]

    def holds(self, card: Card) -> bool:
        return (card.score.status if card.score else Status.NO_DATA) in self.statuses


GROUPS = (
    Group("critical", "Critical", ":red[:material/error:]", frozenset({Status.CRITICAL})),
    Group("attention", "Needs attention", ":orange[:material/warning:]", frozenset({Status.NEEDS_ATTENTION})),
    Group("on_track", "On track", ":green[:material/check_circle:]", frozenset({Status.ON_TRACK, Status.EXCEEDS})),
    Group(
        "none",
        "No verdict",
        ":gray[:material/radio_button_unchecked:]",
        frozenset(status for status in Status if not status.is_verdict),
    ),
)
GROUP_OF = {group.key: group for group in GROUPS}


def show(grain: Grain) -> None:
    """A whole board page."""
    drawn = session.tracker().version(session.actor())
    cards.style()
    _board(grain)
    keep_fresh(drawn)


@st.fragment
def _board(grain: Grain) -> None:
    """All that a reader acts on. It runs without the shell, so it asks by itself who is there and what they may see."""
    actor, tracker = session.actor(), session.tracker()
    company = tracker.company(actor)
    board = tracker.board(actor, grain, url.day())
    calendar = Calendar.of(company)
    _head(board, calendar)
    if board.cards:
        chosen = _filtered(board.cards)
        sections(chosen, cards.Frame(company, calendar, board.span))
    else:
        states.empty(
            f"No {text.GRAIN_NAMES[grain].lower()} KPIs yet",
            "KPIs appear here once they are defined and you may see them.",
            icon="dashboard",
        )


def show_custom() -> None:
    """The board of the custom category: its KPIs at every grain, each in its own present span."""
    drawn = session.tracker().version(session.actor())
    cards.style()
    _custom()
    keep_fresh(drawn)


@st.fragment
def _custom() -> None:
    actor, tracker = session.actor(), session.tracker()
    company = tracker.company(actor)
    boards = [tracker.board(actor, grain, url.day()) for grain in text.GRAIN_ICONS]
    found = [card for board in boards for card in board.cards if card.category is Category.CUSTOM]
    _head(boards[0], Calendar.of(company), "Custom")
    if found:
        sections(_filtered(found), cards.Frame(company, Calendar.of(company)), key=_grain_name)
    else:
        states.empty("No custom KPIs yet", "KPIs of the category “custom” appear here, at every period.", icon="tune")


def _grain_name(card: Card) -> str:
    return text.GRAIN_NAMES[card.grain]


# Through time


def _head(board: Board, calendar: Calendar, title: str = "") -> None:
    dates = text.span_dates(board.span)
    label = f"{board.label} · {dates}" if dates else board.label
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
        name = title or text.GRAIN_NAMES[board.grain]
        st.markdown(f"# {name} :gray[:small[{text.md(label)}]]", anchors=False, width="content")
        _stepper(board.span, is_present=board.is_present, calendar=calendar)


def _stepper(span: Span, *, is_present: bool, calendar: Calendar) -> None:
    """The span before and after, back to the present, and a jump to any date."""
    noun = text.SPAN_NAMES[span.grain]
    before, after = periods.previous(span, calendar).start, periods.next_span(span, calendar).start
    with st.container(horizontal=True, gap="xsmall", width="content", vertical_alignment="center"):
        _step("before", ":material/chevron_left:", f"The {noun} before", before)
        _jump(span)
        _step("after", ":material/chevron_right:", f"The {noun} after", after, disabled=is_present)
        today = "Today" if span.grain is Grain.DAILY else f"This {noun}"
        st.button(today, key="present", on_click=_go, args=(None,), disabled=is_present)


def _step(key: str, icon: str, says: str, day: date, *, disabled: bool = False) -> None:
    st.button("", key=key, icon=icon, help=says, on_click=_go, args=(day,), disabled=disabled)


def _jump(span: Span) -> None:
    url.follow("jump", span.start)
    st.date_input(
        "Go to date",
        key="jump",
        min_value=url.FIRST_DAY,
        format="YYYY-MM-DD",
        label_visibility="collapsed",
        width=140,
        on_change=_go_there,
    )


def _go(day: date | None) -> None:
    if day is None:
        url.forget("day", "page")
    else:
        st.query_params["day"] = day.isoformat()


def _go_there() -> None:
    _go(st.session_state["jump"])


# Filters


def _filtered(found: Sequence[Card]) -> list[Card]:
    """The filter bar, and what it leaves."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        words = _search()
        categories = _categories({card.category for card in found})
        left = [card for card in found if _matches(card, words, categories)]
        groups = _groups(left)
    return [card for card in left if not groups or any(group.holds(card) for group in groups)]


def _search() -> str:
    url.follow("q", url.words("q"))
    st.text_input(
        "Find a KPI",
        key="q",
        type="search",
        placeholder="Find a KPI",
        label_visibility="collapsed",
        max_chars=url.LONGEST,
        width=220,
        on_change=url.remember,
        args=("q",),
    )
    return url.words("q")


def _categories(present: set[Category]) -> list[str]:
    options = [category.value for category in Category if category in present]
    if len(options) < 2:
        return []
    return _pills("Category", "category", {option: text.muted(option.capitalize()) for option in options})


def _groups(left: Sequence[Card]) -> list[Group]:
    """The status pills, with how many cards each would leave."""
    labels = {
        group.key: f"{group.icon} {text.muted(f'{group.word} {sum(map(group.holds, left))}')}" for group in GROUPS
    }
    return [GROUP_OF[key] for key in _pills("Status", "status", labels)]


def _pills(label: str, name: str, options: Mapping[str, str]) -> list[str]:
    chosen = url.several(name, options)
    url.follow(name, chosen)
    st.pills(
        label,
        list(options),
        selection_mode="multi",
        format_func=options.__getitem__,
        key=name,
        label_visibility="collapsed",
        on_change=url.remember,
        args=(name,),
    )
    return chosen


def _matches(card: Card, words: str, categories: Sequence[str]) -> bool:
    title = card.title.casefold()
    return (not categories or card.category in categories) and all(word in title for word in words.casefold().split())


def _clear_filters() -> None:
    url.forget("q", "category", "status", "page")


# Cards


def sections(chosen: Sequence[Card], frame: cards.Frame, key: Callable[[Card], str] | None = None) -> None:
    """Cards under the names of their categories (or of what `key` says), a page at a time."""
    if not chosen:
        states.empty(
            "No KPI fits these filters",
            "Other categories, statuses or words may have some.",
            icon="filter_alt_off",
            button="Clear filters",
            on_click=_clear_filters,
        )
        return
    name_of = key or (lambda card: text.CATEGORY_NAMES[card.category])
    tallies = _tallies(chosen, name_of)
    for name, group in groupby(_page(chosen), key=name_of):
        cards.wall(group, frame, name=name, tally=tallies[name])


def _tallies(chosen: Iterable[Card], name_of: Callable[[Card], str]) -> Mapping[str, str]:
    statuses: dict[str, list[Status]] = {}
    for card in chosen:
        statuses.setdefault(name_of(card), []).extend([card.score.status] if card.score else [])
    return {name: text.tally(found) for name, found in statuses.items()}


def _page(chosen: Sequence[Card]) -> Sequence[Card]:
    pages = -(-len(chosen) // PAGE_SIZE)
    if pages < 2:
        return chosen
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f":gray[{len(chosen):,} KPIs, {PAGE_SIZE} a page]", width="content")
        number = url.number("page", pages)
        url.follow("page", number)
        st.pagination(pages, key="page", on_change=url.remember, args=("page", 1))
    return chosen[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]


# Staying fresh


def keep_fresh(drawn: int) -> None:
    """Have the page drawn again once the data moves on from version `drawn`, or a day begins."""
    _watch(drawn, session.tracker().today(session.actor()))


@st.fragment(run_every=FRESH_EVERY)
def _watch(drawn: int, today: date) -> None:
    actor, tracker = session.actor(), session.tracker()
    if (tracker.version(actor), tracker.today(actor)) != (drawn, today):
        st.rerun()
