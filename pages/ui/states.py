"""What stands where there is nothing to show: what is the case, why, and one thing to do about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from kpi_core.errors import KpiError
from pages.ui import format as text

__all__ = ["empty", "refused"]

OVERVIEW_PAGE = Path(__file__).parents[1] / "overview.py"


def empty(
    what: str, why: str, *, icon: str, button: str | None = None, on_click: Callable[[], None] | None = None
) -> None:
    """Nothing to show, and that is no error."""
    with st.container(border=True, horizontal_alignment="center", gap="xsmall"):
        st.space("small")
        st.markdown(f"### :gray[:material/{icon}:]", text_alignment="center", anchors=False)
        st.markdown(f"**{text.md(what)}**", text_alignment="center")
        st.markdown(f":gray[{text.md(why)}]", text_alignment="center")
        if button:
            st.button(button, on_click=on_click, type="primary")
        st.space("small")


def refused(error: KpiError, *, what: str, icon: str = "lock") -> None:
    """Something that the actor may not see, or that is not there: said in the tracker's own words."""
    with st.container(border=True, horizontal_alignment="center", gap="xsmall"):
        st.space("small")
        st.markdown(f"### :gray[:material/{icon}:]", text_alignment="center", anchors=False)
        st.markdown(f"**{text.md(what)}**", text_alignment="center")
        st.markdown(f":gray[{text.md(text.sentence(str(error)))}]", text_alignment="center")
        st.page_link(OVERVIEW_PAGE, label="Go to the overview", icon=":material/arrow_back:")
        st.space("small")
