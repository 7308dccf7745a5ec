"""Where a reader stands, kept in the URL: it survives a reload, goes back with the browser, and can be sent on.

The URL is the only truth: a widget follows it before it is drawn and writes to it when touched. Streamlit can bind
a widget to the URL by itself, but what is bound goes along to other pages of the same session, where a search for a
daily KPI would leave an empty weekly board, and it writes labels, with the counts and icons that are in them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import streamlit as st

__all__ = ["day", "follow", "forget", "number", "remember", "several", "words"]

FIRST_DAY = date(2000, 1, 1)
LONGEST = 100
"""Characters of a search that are looked at."""


def words(name: str) -> str:
    """A text in the URL."""
    return st.query_params.get(name, "")[:LONGEST]


def several(name: str, known: Collection[str]) -> list[str]:
    """The values of a parameter that mean something here."""
    return [value for value in dict.fromkeys(st.query_params.get_all(name)) if value in known]


def number(name: str, most: int) -> int:
    """A number from 1 to `most`; 1 where there is none."""
    said = st.query_params.get(name, "")
    return min(max(int(said), 1), most) if said.isdecimal() and len(said) < 7 else 1


def day(name: str = "day") -> date | None:
    """A day, if there is one that makes sense."""
    try:
        found = date.fromisoformat(st.query_params.get(name, ""))
    except ValueError:
        return None
    return found if FIRST_DAY <= found < date.max.replace(year=9000) else None


def follow(name: str, value: object) -> None:
    """Have the widget `name` show what the URL says. Only where it does not: a widget that is set is sent anew."""
    if name not in st.session_state or st.session_state[name] != value:
        st.session_state[name] = value


def remember(name: str, first: object = None) -> None:
    """Write the widget `name` to the URL, or take it out where it says nothing. A new choice starts on page 1."""
    value = st.session_state.get(name)
    if not value or value == first:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = [str(each) for each in value] if isinstance(value, list) else str(value)
    if name != "page":
        st.query_params.pop("page", None)


def forget(*names: str) -> None:
    """Take parameters out of the URL."""
    for name in names:
        st.query_params.pop(name, None)
