"""Who you are, and your password."""

from __future__ import annotations

import streamlit as st

from kpi_core.errors import InvalidInput, KpiError
from pages.ui import brand, session

DONE = "password_changed"


def show() -> None:
    actor = session.actor()
    st.title("Account")
    with brand.column():
        with st.container(border=True):
            st.markdown(f"## {brand.plain(actor.name)}")
            st.caption("Roles: " + ", ".join(sorted(role.replace("_", " ") for role in actor.roles)))
            if st.button("Sign out of this browser", icon=":material/logout:"):
                session.sign_out()
        _password()


def _password() -> None:
    if st.session_state.pop(DONE, False):
        st.success("Your password is changed. You are signed out everywhere else.", icon=":material/check_circle:")
    with st.form("password", clear_on_submit=True):
        st.markdown("## Change your password")
        old = st.text_input("Present password", type="password", autocomplete="current-password")
        new = st.text_input(
            "New password",
            type="password",
            autocomplete="new-password",
            placeholder=f"At least {session.house().shortest_password} characters",
        )
        again = st.text_input("New password, once more", type="password", autocomplete="new-password")
        if st.form_submit_button("Change password", type="primary"):
            _change(old, new, again)


def _change(old: str, new: str, again: str) -> None:
    try:
        if new != again:
            raise InvalidInput("The two new passwords are not the same.")
        session.house().sessions.change_password(session.session_id() or "", old, new, address=session.address())
    except KpiError as error:
        st.error(str(error), icon=":material/error:")
        return
    st.session_state[DONE] = True
    st.rerun()


show()
