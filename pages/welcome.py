"""The first run, in two steps: make the administrator, then choose what to look at."""

from __future__ import annotations

import streamlit as st

from kpi_core.errors import InvalidInput, KpiError
from kpi_core.model import Actor
from pages.ui import brand, session


def administrator() -> None:
    """Step 1. The code comes with the link that the terminal shows."""
    with brand.narrow(480):
        brand.mark("Step 1 of 2 · Make your account")
        with st.form("administrator"):
            st.subheader("Welcome")
            st.markdown("You are the first here, so you become the administrator.")
            code = st.text_input(
                "Setup code",
                st.query_params.get("code", ""),
                help="The terminal where the product was started shows it.",
            )
            name = st.text_input("Your name", autocomplete="name")
            username = st.text_input("User name", autocomplete="username", help="What you sign in with.")
            password = st.text_input(
                "Password",
                type="password",
                autocomplete="new-password",
                placeholder=f"At least {session.house().shortest_password} characters",
            )
            again = st.text_input("Password, once more", type="password", autocomplete="new-password")
            if st.form_submit_button("Create account", type="primary", width="stretch"):
                _create(code, username, name, password, again)


def _create(code: str, username: str, name: str, password: str, again: str) -> None:
    try:
        if password != again:
            raise InvalidInput("The two passwords are not the same.")
        ticket = session.house().sessions.create_admin(code, username, name, password, address=session.address())
    except KpiError as error:
        st.error(str(error), icon=":material/error:")
        return
    session.enter(ticket)


def start(actor: Actor) -> None:
    """Step 2. Only an administrator chooses; whoever comes before that is asked to wait."""
    with brand.narrow(760):
        brand.mark("Step 2 of 2 · Choose how to begin")
        if not actor.is_admin:
            st.info("The administrator is still setting things up. Please come back in a moment.")
            return
        st.subheader(f"Hello {brand.plain(actor.name)}. What would you like to see?")
        left, right = st.columns(2, gap="medium")
        with left.container(border=True, height="stretch"):
            st.markdown("#### :material/science: A demo company")
            st.markdown(
                "Two years of a made-up company, down to every call and invoice: 65 KPIs on finished boards, with "
                "stories to find. It goes on by itself, and one click removes it."
            )
            demo = st.button("Show me the demo company", type="primary", width="stretch")
        with right.container(border=True, height="stretch"):
            st.markdown("#### :material/edit_square: Your own numbers")
            st.markdown(
                "Empty boards. Define what you want to track, then load records from files or enter values by hand. "
                "You can still look at the demo later."
            )
            empty = st.button("Start empty", width="stretch")
        if demo:
            _start_demo()
        elif empty:
            session.house().start_empty()
            st.rerun()


def _start_demo() -> None:
    bar = st.progress(0.0, "Founding the company …")
    try:
        session.house().start_demo(on_progress=lambda share, says: _show(bar, share, says))
    except KpiError as error:
        bar.empty()
        st.error(str(error), icon=":material/error:")
        return
    st.rerun()


def _show(bar: st.delta_generator.DeltaGenerator, share: float, says: str) -> None:
    bar.progress(min(max(share, 0.0), 1.0), says)
