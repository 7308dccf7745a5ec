"""A board: the cards of one grain in one span, by category, with its way through time and its filters.

Where a reader stands is in the URL and nowhere else (`?day=2026-11-20&category=Sales&status=critical&q=churn&page=2`),
so that it survives a reload and can be sent to a colleague. Widgets that can are bound to it by Streamlit. The status
pills are not: their labels carry counts, and Streamlit would put those into the URL; the day is not, because it is
reached by three ways.

An open board asks for the data version every few seconds and draws itself again only when that moved on.
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
from pages.ui import cards, session, states
from pages.ui import format as text

__all__ = ["day_asked_for", "keep_fresh", "sections", "show"]

FRESH_EVERY = 12
"""Seconds between two questions for the data version."""
PAGE_SIZE = 60
"""Cards a page: what a browser draws in 0.1 s."""
FIRST_DAY = date(2000, 1, 1)


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
    actor, tracker = session.actor(), session.tracker()
    company = tracker.company(actor)
    board = tracker.board(actor, grain, day_asked_for())
    calendar = Calendar.of(company)
    cards.style()
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
    keep_fresh(board.version)


def show_custom() -> None:
    """The board of the custom category: its KPIs at every grain, each in its own present span."""
    actor, tracker = session.actor(), session.tracker()
    company = tracker.company(actor)
    boards = [tracker.board(actor, grain, day_asked_for()) for grain in text.GRAIN_ICONS]
    found = [card for board in boards for card in board.cards if card.category is Category.CUSTOM]
    cards.style()
    daily = boards[0]
    _head(daily, Calendar.of(company), "Custom")
    if found:
        sections(_filtered(found), cards.Frame(company, Calendar.of(company)), key=_grain_name)
    else:
        states.empty("No custom KPIs yet", "KPIs of the category “custom” appear here, at every period.", icon="tune")
    keep_fresh(min(board.version for board in boards))


def _grain_name(card: Card) -> str:
    return text.GRAIN_NAMES[card.grain]


# Through time


def day_asked_for(name: str = "day") -> date | None:
    """The day in the URL, if there is one that makes sense."""
    asked = st.query_params.get(name, "")
    try:
        return max(date.fromisoformat(asked), FIRST_DAY) if asked else None
    except ValueError:
        return None


def _head(board: Board, calendar: Calendar, title: str = "") -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
        name = title or text.GRAIN_NAMES[board.grain]
        dates = text.span_dates(board.span)
        label = f"{board.label} · {dates}" if dates else board.label
        st.markdown(f"# {name} :gray[:small[{text.md(label)}]]", anchors=False, width="content")
        stepper(board.span, is_present=board.is_present, calendar=calendar)


def stepper(span: Span, *, is_present: bool, calendar: Calendar) -> None:
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
    if st.session_state.get("jump") != span.start:
        st.session_state["jump"] = span.start
    st.date_input(
        "Go to date",
        key="jump",
        min_value=FIRST_DAY,
        format="YYYY-MM-DD",
        label_visibility="collapsed",
        width=140,
        on_change=_go_there,
    )


def _go(day: date | None) -> None:
    if day is None:
        st.query_params.pop("day", None)
    else:
        st.query_params["day"] = day.isoformat()


def _go_there() -> None:
    _go(st.session_state["jump"])


# Filters


def _filtered(found: Sequence[Card]) -> list[Card]:
    """The filter bar, and what it leaves."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        words = st.text_input(
            "Find a KPI",
            key="q",
            type="search",
            placeholder="Find a KPI",
            label_visibility="collapsed",
            width=220,
            bind="query-params",
        )
        categories = _categories({card.category for card in found})
        left = [card for card in found if _matches(card, words or "", categories)]
        groups = _groups(left)
    return [card for card in left if not groups or any(group.holds(card) for group in groups)]


def _categories(present: set[Category]) -> list[Category]:
    options = [category for category in Category if category in present]
    if len(options) < 2:
        return []
    chosen: list[Category] = st.pills(
        "Category",
        options,
        selection_mode="multi",
        format_func=text.CATEGORY_NAMES.__getitem__,
        key="category",
        label_visibility="collapsed",
        bind="query-params",
    )
    return chosen


def _matches(card: Card, words: str, categories: Sequence[Category]) -> bool:
    title = card.title.casefold()
    return (not categories or card.category in categories) and all(word in title for word in words.casefold().split())


def _groups(left: Sequence[Card]) -> list[Group]:
    """The status pills, with how many cards each would leave."""
    wanted = [key for key in st.query_params.get_all("status") if key in GROUP_OF]
    if st.session_state.get("status", []) != wanted:
        st.session_state["status"] = wanted
    labels = {group.key: f"{group.icon} {group.word} {sum(map(group.holds, left))}" for group in GROUPS}
    keys: list[str] = st.pills(
        "Status",
        list(labels),
        selection_mode="multi",
        format_func=labels.__getitem__,
        key="status",
        label_visibility="collapsed",
        on_change=_remember_status,
    )
    return [GROUP_OF[key] for key in keys]


def _remember_status() -> None:
    st.query_params["status"] = st.session_state["status"]


def _clear_filters() -> None:
    st.session_state["q"] = ""
    st.session_state["category"] = []
    st.query_params.pop("status", None)


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
        st.markdown(f"### {name} :gray[:small[{tallies[name]}]]", anchors=False)
        cards.wall(group, frame)


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
        number = st.pagination(pages, key="page", bind="query-params")
    return chosen[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]


# Staying fresh


@st.fragment(run_every=FRESH_EVERY)
def keep_fresh(drawn: int) -> None:
    """Ask whether the data moved on since version `drawn`; if so, draw the page again."""
    if session.tracker().version(session.actor()) != drawn:
        st.rerun()
