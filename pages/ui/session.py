"""What every page asks first: who is it, and what may be asked for them.

The session's id comes from `st.user`, where only our own gate can put it (kpi_core/server/web.py). Nothing about the
person is kept in the tab: every run, and every run of a fragment, asks the store again, so that a sign-out, a disabled
account or a right that was taken away holds from the next run on.
"""

from __future__ import annotations

from html import escape
from typing import NoReturn

import streamlit as st

from kpi_core.errors import SignInRefused
from kpi_core.model import Actor
from kpi_core.server.wiring import House, house
from kpi_core.service.tracker import Tracker

__all__ = ["actor", "address", "current", "enter", "house", "post", "session_id", "sign_out", "ticket", "tracker"]

TICKET = "sign_in_ticket"


def actor() -> Actor:
    """Who is asking. Where nobody is signed in any more, the run ends here and the tab goes back to the sign-in."""
    who = current()
    if who is None:
        st.rerun()
    return who


def tracker() -> Tracker:
    """The tracker over the company that is shown now. Ask for it in every run; never keep it."""
    return house().tracker


def current() -> Actor | None:
    """Who is asking, or None where nobody is signed in."""
    home: House = house()
    try:
        return home.sessions.actor(session_id(), home.data)
    except SignInRefused:
        return None


def session_id() -> str | None:
    """The id of the session that the gate found for this tab's cookie."""
    found = st.user.get("session")
    return found if isinstance(found, str) and found else None


def address() -> str:
    """Where the visitor comes from, as far as is known: what guessing is slowed down by."""
    return st.context.ip_address or "here"


def sign_out() -> NoReturn:
    """End the session for every tab, then have this one clear the cookie and show the sign-in."""
    if (session := session_id()) is not None:
        house().sessions.end(session)
    post("/sign-out")
    st.stop()


def enter(ticket: str) -> NoReturn:
    """Sign in with a ticket: the next run posts it, whatever page it would have shown."""
    st.session_state[TICKET] = ticket
    st.rerun()


def ticket() -> str | None:
    """The ticket that waits to be posted, if there is one; it is given once."""
    waiting = st.session_state.pop(TICKET, None)
    return waiting if isinstance(waiting, str) else None


def post(path: str, said: str = "") -> None:
    """Have the browser post to `path` and load the page anew: a WebSocket can neither set nor clear a cookie."""
    st.html(
        f'<script src="/session.js" data-post="{escape(path)}" data-ticket="{escape(said)}"></script>',
        unsafe_allow_javascript=True,
    )
