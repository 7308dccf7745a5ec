"""The boards in a real browser, over the demo company: reading, filtering, stepping, opening, sharing."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.e2e.conftest import Server

SignIn = Callable[..., None]


@pytest.fixture
def chief(page: Page, sign_in: SignIn, server: Server) -> Page:
    """A page of somebody who sees everything, on the daily board."""
    sign_in(page, server.usernames["ceo"], "/daily")
    expect(cards(page).first).to_be_visible()
    return page


def cards(page: Page) -> Locator:
    """The cards that lead to a KPI."""
    return page.get_by_role("article").filter(has=page.get_by_role("link"))


def choose(page: Page, name: str | re.Pattern[str]) -> None:
    page.get_by_test_id("stMain").get_by_role("button", name=name).click()


def heading(page: Page, says: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_contain_text(says)


@pytest.mark.parametrize("board", ["overview", "daily", "weekly", "monthly", "custom"])
def test_every_board_shows_cards(chief: Page, server: Server, board: str) -> None:
    chief.goto(f"{server.url}/{board}")
    expect(cards(chief).first).to_be_visible()
    expect(chief.get_by_test_id("stException")).to_have_count(0)
    assert cards(chief).count() >= (5 if board != "overview" else 1)


def test_the_overview_says_in_a_sentence_how_things_are(chief: Page, server: Server) -> None:
    chief.goto(server.url)
    expect(chief.get_by_role("heading", level=1)).to_have_text(re.compile(r"^\d+ of \d+ on track"))


def test_filters_stand_in_the_url_and_survive_a_reload(chief: Page) -> None:
    choose(chief, "Marketing")
    expect(chief).to_have_url(re.compile(r"category=marketing"))
    expect(cards(chief)).to_have_count(5)
    chief.get_by_label("Find a KPI").fill("visitors")
    chief.get_by_label("Find a KPI").press("Enter")
    expect(chief).to_have_url(re.compile(r"q=visitors"))
    expect(cards(chief)).to_have_count(1)
    chief.reload()
    expect(cards(chief)).to_have_count(1)
    expect(chief.get_by_label("Find a KPI")).to_have_value("visitors")


def test_a_filtered_board_can_be_sent_to_a_colleague(chief: Page, server: Server) -> None:
    everything = cards(chief).count()
    chief.goto(f"{server.url}/daily?status=none&status=on_track&category=operations&category=finance")
    heading(chief, "Daily")
    expect(chief.get_by_text("Sales Calls Made")).to_have_count(0)
    expect(chief.get_by_role("link", name="System Uptime", exact=True)).to_be_visible()
    assert 0 < cards(chief).count() < everything


def test_the_browser_goes_back_through_spans(chief: Page) -> None:
    present = chief.get_by_role("heading", level=1).inner_text()
    chief.locator(".st-key-before").get_by_role("button").click()
    expect(chief).to_have_url(re.compile(r"day=\d{4}-\d\d-\d\d"))
    expect(chief.get_by_role("heading", level=1)).not_to_have_text(present)
    chief.go_back()
    expect(chief.get_by_role("heading", level=1)).to_have_text(present)


def test_a_filter_stays_on_its_own_board(chief: Page) -> None:
    chief.get_by_label("Find a KPI").fill("visitors")
    chief.get_by_label("Find a KPI").press("Enter")
    expect(chief).to_have_url(re.compile(r"q=visitors"))
    chief.get_by_role("link", name="Weekly").first.click()
    heading(chief, "Weekly")
    expect(chief).not_to_have_url(re.compile(r"q="))
    assert cards(chief).count() > 1


def test_a_card_opens_its_kpi_and_back(chief: Page) -> None:
    chief.get_by_role("link", name="Website Visitors", exact=True).click()
    heading(chief, "Website Visitors")
    expect(chief).to_have_url(re.compile(r"/kpi\?key=website_visitors&grain=daily"))
    expect(chief.get_by_test_id("stVegaLiteChart")).to_be_visible()
    expect(chief.get_by_test_id("stDataFrame")).to_be_visible()
    chief.go_back()
    heading(chief, "Daily")


def test_a_range_of_a_kpi_survives_a_reload(chief: Page, server: Server) -> None:
    chief.goto(f"{server.url}/kpi?key=daily_revenue")
    heading(chief, "Daily Revenue")
    chief.get_by_role("radio", name="90 days").or_(chief.get_by_role("button", name="90 days")).click()
    expect(chief).to_have_url(re.compile("range=90"))
    chief.reload()
    heading(chief, "Daily Revenue")
    expect(chief).to_have_url(re.compile("range=90"))


def test_a_cards_title_is_reached_and_opened_by_keyboard(chief: Page) -> None:
    link = chief.get_by_role("link", name="Sales Calls Made", exact=True)
    link.focus()
    chief.keyboard.press("Shift+Tab")
    chief.keyboard.press("Tab")
    expect(link).to_be_focused()
    chief.keyboard.press("Enter")
    heading(chief, "Sales Calls Made")


def test_a_viewer_sees_locked_cards_with_a_title_and_nothing_else(page: Page, sign_in: SignIn, server: Server) -> None:
    sign_in(page, server.usernames["sales_rep"], "/daily")
    expect(cards(page).first).to_be_visible()
    main = page.get_by_test_id("stMain")
    expect(main.get_by_text("Cash Balance")).to_be_visible()
    expect(main.get_by_role("link", name="Cash Balance")).to_have_count(0)
    page.goto(f"{server.url}/kpi?key=cash_balance")
    expect(main.get_by_text("You do not have access to this KPI")).to_be_visible()
    expect(cards(page)).to_have_count(0)
    expect(page.get_by_test_id("stMetric")).to_have_count(0)


@pytest.mark.parametrize("path", ["", "daily", "weekly", "custom", "kpi?key=daily_revenue"])
def test_nothing_is_wider_than_a_phone(
    path: str, new_context: Callable[..., BrowserContext], sign_in: SignIn, server: Server
) -> None:
    page = new_context(width=390).new_page()
    sign_in(page, server.usernames["ceo"], f"/{path}")
    expect(cards(page).or_(page.get_by_test_id("stMetric")).first).to_be_visible()
    wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
    assert wide <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
