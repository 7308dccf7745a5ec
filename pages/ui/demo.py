"""The demo company's label on every page, and the way to be rid of it."""

from __future__ import annotations

import streamlit as st

from kpi_core.errors import KpiError
from kpi_core.model import Actor
from pages.ui import session

__all__ = ["banner"]


def banner(actor: Actor) -> None:
    """Say that the numbers are made up, as long as they are; an administrator may remove them here."""
    if not session.house().is_demo:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            ":blue-badge[:material/science: Demo company] :small[People and numbers are made up.]", width="content"
        )
        if actor.is_admin and st.button(":small[Remove the demo]", type="tertiary"):
            _confirm()


@st.dialog("Remove the demo company?", icon=":material/delete:")
def _confirm() -> None:
    st.write("Its numbers and its people are removed for good. What you made yourself stays.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Keep it"):
            st.rerun()
        if st.button("Remove it", type="primary"):
            _remove()


def _remove() -> None:
    if not session.actor().is_admin:
        st.error("Only an administrator may do this.")
        return
    try:
        with st.spinner("Removing …", show_time=False):
            session.house().remove_demo()
    except KpiError as error:
        st.error(str(error))
        return
    st.rerun()
