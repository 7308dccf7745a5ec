"""The product's face where there is no company to show yet: mark, name, and a narrow column in the middle."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import streamlit as st

__all__ = ["ICON", "MARK", "PRODUCT", "column", "mark", "narrow", "plain"]

PRODUCT = "KPI Tracker"
MARK = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40" width="40" height="40">'
    '<rect width="40" height="40" rx="10" fill="#2a56d4"/>'
    '<g fill="#fff"><rect x="9" y="21" width="5" height="10" rx="1.6" opacity=".65"/>'
    '<rect x="17.5" y="15" width="5" height="16" rx="1.6" opacity=".82"/>'
    '<rect x="26" y="9" width="5" height="22" rx="1.6"/></g></svg>'
)
ICON = MARK


@contextmanager
def narrow(width: int = 420) -> Iterator[None]:
    """A column in the middle of the page, as wide as a form wants to be; all of the width on a phone."""
    with st.container(horizontal_alignment="center"), st.container(width=width):
        yield


@contextmanager
def column(width: int = 640) -> Iterator[None]:
    """A column that is not wider than a form wants to be."""
    with st.container(width=width):
        yield


def mark(says: str) -> None:
    """The mark, the name and a line under it."""
    image = b64encode(MARK.encode()).decode()
    st.html(
        '<div style="display:flex;align-items:center;gap:.75rem;padding-top:min(6vh,3rem)">'
        f'<img src="data:image/svg+xml;base64,{image}" alt="" width="44" height="44">'
        f'<div><div style="font-size:1.3rem;font-weight:650;line-height:1.3">{PRODUCT}</div>'
        f'<div style="opacity:.75;line-height:1.4">{escape(says)}</div></div></div>'
    )


def plain(text: str) -> str:
    """A name that people gave, to be shown as it is: nothing in it is Markdown."""
    return "".join(f"\\{character}" if character in r"\`*_{}[]()<>#+-.!|~:$^=&" else character for character in text)
