"""The Streamlit script: who is it, what may they open, and the frame around every page.

Everybody gets the same addresses. To who is not signed in they all show the sign-in, so that a link to a page leads
there after it, and says nothing before it. This file stands in `pages/` on purpose: beside a `pages/` folder, Streamlit
would serve that folder's files by themselves, past the sign-in.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from kpi_core.model import Actor, Company
from pages import welcome
from pages.ui import brand, demo, session, sign_in
from pages.ui.menu import ENTRIES, Entry

HEARTBEAT = "30s"
"""How often a tab that nobody touches asks whether its session is still alive."""


def main() -> None:
    home = session.house()
    if (ticket := session.ticket()) is not None:
        _only(lambda: sign_in.entering(ticket), "Sign in")
    elif home.needs_setup:
        _only(welcome.administrator, "Welcome")
    elif (actor := session.current()) is None:
        _only(sign_in.page, "Sign in")
    else:
        home.sessions.touch(session.session_id() or "")
        if home.needs_start:
            _only(lambda: welcome.start(actor), "Welcome")
        else:
            _signed_in(actor)


def _only(show: Callable[[], None], title: str) -> None:
    """One page under every address, and nothing else."""
    _configure(title, layout="centered")
    pages = [st.Page(show, title=title, url_path=e.url, default=e == ENTRIES[0]) for e in ENTRIES]
    st.navigation(pages, position="hidden").run()


def _signed_in(actor: Actor) -> None:
    company = session.tracker().company(actor)
    _configure(company.name or brand.PRODUCT, layout="wide")
    st.logo(brand.MARK, size="large")
    page = st.navigation([_page(entry) for entry in ENTRIES if entry.is_for(actor)])
    _person(actor, company)
    demo.banner(actor)
    _heartbeat()
    page.run()


def _configure(title: str, layout: str) -> None:
    st.set_page_config(
        page_title=title,
        page_icon=brand.ICON,
        layout="wide" if layout == "wide" else "centered",
        menu_items={
            "About": f"**{brand.PRODUCT}**: numbers that are right, said in time, to the people who may see them."
        },
    )


def _page(entry: Entry) -> st.Page:
    return st.Page(
        entry.file,
        title=entry.title,
        icon=entry.icon,
        url_path=entry.url,
        default=entry == ENTRIES[0],
        visibility="hidden" if entry.hidden else "visible",
    )


def _person(actor: Actor, company: Company) -> None:
    with st.sidebar.container(border=True, gap="xsmall"):
        st.markdown(f"**{brand.plain(company.name or brand.PRODUCT)}**")
        st.markdown(f":small[{brand.plain(actor.name)}]")
        if st.button("Sign out", icon=":material/logout:", width="stretch"):
            session.sign_out()


@st.fragment(run_every=HEARTBEAT)
def _heartbeat() -> None:
    """End this tab when its session is over, though nobody touches it."""
    if session.current() is None:
        st.rerun()


main()
