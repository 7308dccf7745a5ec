"""What axe finds on every screen, light and dark: nothing serious."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import Server

PATHS = (
    "",
    "daily",
    "weekly?category=sales&status=on_track",
    "monthly",
    "custom",
    "kpi?key=daily_revenue",
    "kpi?key=unknown",
)
SERIOUS = ("serious", "critical")
OF_STREAMLIT = "_highlighted_points"
"""The sparkline of `st.metric` has an empty group, for the point under the pointer, that claims to be an image. It says
nothing to anybody, the number stands beside it in words, and it is not ours to change."""
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}


def serious(page: Page) -> list[str]:
    """Each serious violation: its rule, and where."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{each['id']}: {each['help']}\n    {node['html'][:300]}"
        for each in found
        if each["impact"] in SERIOUS
        for node in each["nodes"]
        if OF_STREAMLIT not in node["html"]
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious_on_any_screen(
    dark: bool, new_context: Callable[..., BrowserContext], sign_in: Callable[..., None], server: Server
) -> None:
    page = new_context(dark=dark).new_page()
    sign_in(page, server.usernames["ceo"])
    found = {}
    for path in PATHS:
        page.goto(f"{server.url}/{path}")
        expect(page.get_by_test_id("stMain").get_by_role("heading").first).to_be_visible()
        expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
        if problems := serious(page):
            found[path or "overview"] = problems
    told = "\n".join(f"/{path}\n  " + "\n  ".join(problems) for path, problems in found.items())
    assert not found, told


def test_axe_finds_nothing_serious_at_the_door(page: Page, server: Server) -> None:
    page.goto(server.url)
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    assert not serious(page)


def test_a_locked_card_is_readable_too(page: Page, sign_in: Callable[..., None], server: Server) -> None:
    sign_in(page, server.usernames["sales_rep"], "/daily")
    expect(page.get_by_role("article").first).to_be_visible()
    assert not serious(page)
