"""The sign-in, and the one place that knows streamlit-authenticator.

Its form is used, and its state in `st.session_state`. Its check, its cookie (which scripts can read, and which outlives
a sign-out) and its lockout (which lets anyone keep anyone out) are not: what stands in their place here asks our own
sessions, and never touches a cookie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import streamlit as st
from streamlit_authenticator import Authenticate

from kpi_core.errors import SignInRefused
from pages.ui import brand, session

__all__ = ["entering", "page"]

FIELDS = {"Form name": "Sign in", "Username": "User name", "Password": "Password", "Login": "Sign in"}
STATE = "authentication_status"
REFUSAL = "sign_in_refusal"
BOX = "sign_in_box"
BUTTON = f"<style>.st-key-{BOX} button:not([aria-label]) {{ width: 100%; background: #2a56d4; color: #fff }}</style>"
"""The library's form cannot be told that its button is the one that matters."""


def page() -> None:
    """Sign-in at whatever address was asked for, so that a deep link leads there afterwards."""
    with brand.narrow():
        brand.mark("Sign in to see how the company is doing.")
        st.html(BUTTON)
        with st.container(key=BOX):
            _form().login(fields=FIELDS, key="sign_in")
        if refusal := st.session_state.pop(REFUSAL, None):
            st.error(refusal, icon=":material/error:")
        st.caption("No account, or the password is lost? Your administrator can help.")


def entering(ticket: str) -> None:
    """What stands there for the moment in which the browser fetches its cookie."""
    with brand.narrow():
        brand.mark("Signing you in …")
        session.post("/session", ticket)


def _form() -> Authenticate:
    """The library's form over our own check. Its constructor, left out, would put its cookie reader on the page."""
    form = cast("Any", Authenticate.__new__(Authenticate))
    form.path, form.attrs = None, {"login_sleep_time": 0}
    form.cookie_controller = _NoCookie()
    form.authentication_controller = _OurCheck(_check)
    return cast("Authenticate", form)


def _check(username: str, password: str) -> bool:
    try:
        session.enter(session.house().sessions.sign_in(username, password, address=session.address()))
    except SignInRefused as refusal:
        st.session_state[REFUSAL] = str(refusal)
    return False


class _OurCheck:
    """Stands where the library's AuthenticationController would."""

    def __init__(self, check: Callable[[str, str], bool]) -> None:
        self._check = check

    def login(self, username: str | None = None, password: str | None = None, *_: object, **__: object) -> bool | None:
        if not username or not password:
            st.session_state[REFUSAL] = "Please enter your user name and your password."
            return None
        fits = self._check(username, password)
        st.session_state[STATE] = fits
        return fits


class _NoCookie:
    """Stands where the library's CookieController would: there is no cookie of its own to read, set or delete."""

    def get_cookie(self) -> None:
        return None

    def set_cookie(self) -> None:
        return None

    def delete_cookie(self) -> None:
        return None
