"""Boards as people meet them: what stands on them, what the URL does to them, and who sees what."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from inspect import unwrap

import pytest
from streamlit.testing.v1 import AppTest

from kpi_core.access import SYSTEM
from kpi_core.catalog import Catalog
from kpi_core.model import Actor, Category, Grain, Kpi
from kpi_core.service.tracker import Entry, Tracker
from kpi_core.store import Store, open_store
from pages.ui import board, session
from tests.pages.cast import CHIEF, KPIS, NOW, REP, TODAY, company, screen
from tests.shown_cards import ShownCard, shown_cards


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracker]:
    """The company, for all tests that change nothing."""
    file = tmp_path_factory.mktemp("boards") / "kpi.duckdb"
    with open_store(f"duckdb:///{file}", clock=lambda: NOW) as store:
        yield company(store)


@pytest.fixture
def own(duckdb_store: Store, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    """A company of one's own, to change."""
    tracker = company(duckdb_store)
    sign_in(monkeypatch, tracker, CHIEF)
    return tracker


@pytest.fixture(autouse=True)
def signed_in(shared: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, shared, CHIEF)


def sign_in(monkeypatch: pytest.MonkeyPatch, tracker: Tracker, actor: Actor) -> None:
    monkeypatch.setattr(session, "actor", lambda: actor)
    monkeypatch.setattr(session, "tracker", lambda: tracker)


def shown(name: str, /, **url: str) -> AppTest:
    at = screen(name, **url).run()
    assert not at.exception, [error.message for error in at.exception]
    return at


def drawn(at: AppTest) -> list[ShownCard]:
    """All cards, locked ones too."""
    return shown_cards(html.proto.body for html in at.get("html"))


def opened(at: AppTest) -> list[ShownCard]:
    """The cards that lead to a KPI."""
    return [card for card in drawn(at) if not card.is_locked]


def titles(at: AppTest) -> list[str]:
    return [card.title for card in opened(at)]


def texts(at: AppTest) -> str:
    return "\n".join(element.value for element in [*at.markdown, *at.title, *at.subheader])


def headings(at: AppTest) -> list[tuple[str, str]]:
    """The name of each section, and how it stands."""
    bodies = "".join(html.proto.body for html in at.get("html"))
    return re.findall(r'<h3 class="kpi-heading">(.+?) <small>(.*?)</small></h3>', bodies)


def go(at: AppTest, key: str) -> AppTest:
    return at.button(key=key).click().run()


# What stands on a board


def test_a_daily_board_has_a_card_for_every_daily_kpi_by_category() -> None:
    at = shown("daily")
    assert titles(at) == [k.name for k in KPIS if k.tracking_period is Grain.DAILY and not k.confidential]
    assert [name for name, _ in headings(at)] == ["Sales", "Marketing", "Operations", "Finance"]


def test_a_section_says_how_many_of_its_kpis_are_on_track() -> None:
    assert ("Sales", "3 of 3 on track") in headings(shown("daily"))


def test_the_board_names_its_span() -> None:
    assert "Wed 18 Nov 2026" in texts(shown("daily"))
    assert "16 – 22 Nov 2026" in texts(shown("weekly"))
    assert "November 2026" in texts(shown("monthly"))


def test_a_kpi_that_is_tracked_at_two_grains_stands_on_both_boards() -> None:
    assert "Cash" in titles(shown("daily"))
    assert "Cash" in titles(shown("weekly"))


def test_a_custom_kpi_stands_on_the_custom_board_and_on_its_periods() -> None:
    assert titles(shown("custom")) == ["Morale"]
    assert "Morale" in titles(shown("weekly"))


def test_an_empty_board_says_why() -> None:
    at = shown("monthly")
    assert not drawn(at)
    assert "No monthly KPIs yet" in texts(at)


# Through time


def test_stepping_back_and_forth_stands_in_the_url() -> None:
    at = go(shown("daily"), "before")
    assert at.query_params["day"] == "2026-11-17"
    assert "Tue 17 Nov 2026" in texts(at)
    at = go(at, "after")
    assert "Wed 18 Nov 2026" in texts(at)


def test_there_is_no_way_past_the_present() -> None:
    at = shown("daily")
    assert at.button(key="after").disabled
    assert at.button(key="present").disabled


def test_today_leads_back_and_leaves_the_url() -> None:
    at = go(shown("daily", day="2026-03-01"), "present")
    assert "day" not in at.query_params
    assert "Wed 18 Nov 2026" in texts(at)


def test_a_date_can_be_jumped_to() -> None:
    at = shown("weekly").date_input(key="jump").set_value(TODAY - timedelta(days=100)).run()
    assert at.query_params["day"] == "2026-08-10"
    assert "2026\\-W33" in texts(at)


@pytest.mark.parametrize("day", ["nonsense", "0001-01-01", "9999-12-31", "2026-02-30"])
def test_a_day_that_makes_no_sense_shows_the_present(day: str) -> None:
    assert "Wed 18 Nov 2026" in texts(shown("daily", day=day))


# Filters


def test_a_category_filter_comes_from_the_url() -> None:
    assert titles(shown("daily", category="marketing")) == ["Leads", "Visits"]


def test_a_status_filter_comes_from_the_url() -> None:
    assert titles(shown("daily", status="critical")) == ["Backlog", "Cash"]


def test_a_search_finds_every_word_anywhere_in_a_name() -> None:
    assert titles(shown("daily", q="DEALS op")) == ["Open deals"]


def test_filters_go_into_the_url() -> None:
    at = shown("daily")
    at.button_group(key="category").set_value(["finance"]).run()
    at.button_group(key="status").set_value(["critical"]).run()
    at.text_input(key="q").set_value("cas").run()
    assert {name: at.query_params[name] for name in ("category", "status", "q")} == {
        "category": "finance",
        "status": "critical",
        "q": "cas",
    }
    assert titles(at) == ["Cash"]


def test_status_pills_count_what_they_would_leave() -> None:
    at = shown("daily", category="finance")
    labels = [option.content for option in at.button_group(key="status").proto.options]
    assert [label.rstrip("]").rsplit(maxsplit=1)[1] for label in labels] == ["1", "0", "0", "0"]


def test_when_nothing_fits_one_button_clears_the_filters() -> None:
    at = shown("daily", q="no such thing", category="sales")
    assert "No KPI fits these filters" in texts(at)
    clear = next(button for button in at.button if button.label == "Clear filters")
    assert len(opened(clear.click().run())) == 8


def test_unknown_filters_are_ignored() -> None:
    assert len(opened(shown("daily", status="bogus", category="bogus", page="-3"))) == 8


# Many


def test_a_thousand_kpis_come_sixty_a_page(own: Tracker) -> None:
    many = [Kpi(f"k{number}", f"KPI {number}", Category.SALES, Grain.MONTHLY) for number in range(1000)]
    own.define(SYSTEM, Catalog(tuple(many)))
    first, second, past = shown("monthly"), shown("monthly", page="2"), shown("monthly", page="99")
    assert len(opened(first)) == len(opened(second)) == board.PAGE_SIZE
    assert titles(first)[0] == "KPI 0"
    assert titles(second)[0] == f"KPI {board.PAGE_SIZE}"
    assert len(opened(past)) == 1000 % board.PAGE_SIZE


# Who sees what


def test_a_locked_kpi_shows_its_title_and_nothing_else(shared: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, shared, REP)
    at = shown("daily")
    locked = [card for card in drawn(at) if card.is_locked]
    assert len(opened(at)) == 3
    assert any(card.title == "Backlog" for card in locked)
    assert all(card.text == card.title for card in locked)
    assert "150" not in str([*at.markdown, *(html.proto.body for html in at.get("html"))])


def test_a_confidential_kpi_is_not_there_at_all(shared: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, shared, REP)
    for page in (shown("daily"), shown("overview")):
        assert "Salaries" not in texts(page)
        assert "Salaries" not in str([html.proto.body for html in page.get("html")])


# The overview


def test_the_overview_says_in_one_sentence_how_things_are() -> None:
    assert "# 4 of 7 on track; 2 critical\\: Backlog, Cash" in texts(shown("overview")).replace("\u2060", "")


def test_the_overview_shows_the_worst_first() -> None:
    at = shown("overview")
    assert titles(at)[:2] == ["Cash", "Backlog"]


def test_every_line_of_the_scorecard_opens_its_kpi() -> None:
    at = shown("overview")
    opened = {link.proto.query_string for link in at.get("page_link")}
    assert {
        f"key={kpi.key}&grain={grain.value}" for kpi in KPIS for grain in kpi.grains if not kpi.confidential
    } <= opened


def test_an_overview_of_nothing_says_so(shared: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, shared, Actor("stranger", "A stranger"))
    at = shown("overview")
    assert "Nothing to judge yet" in texts(at)


# Staying fresh


def test_a_change_shows_at_the_next_rerun(own: Tracker) -> None:
    at = shown("daily")
    own.record(SYSTEM, "leads", [Entry(TODAY, Decimal(99))])
    at.run()
    assert next(card.value for card in drawn(at) if card.title == "Leads") == "99"


def test_unchanged_cards_are_the_same_to_the_byte_between_reruns() -> None:
    at = shown("daily")
    first = [element.proto.SerializeToString(deterministic=True) for element in at.get("html")]
    at.run()
    assert first == [element.proto.SerializeToString(deterministic=True) for element in at.get("html")]


def test_a_section_of_cards_costs_one_message() -> None:
    """Each costs 0.2 ms of every rerun: a second should be a decision."""
    bodies = [html.proto.body for html in shown("daily").get("html") if "<article" in html.proto.body]
    assert len(bodies) == 4
    assert not shown("daily").metric


def test_an_open_board_is_drawn_again_only_when_the_data_or_the_day_moved_on(
    shared: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[bool] = []
    monkeypatch.setattr(board.st, "rerun", lambda: drawn.append(True))
    watch = unwrap(board._watch)
    version = shared.version(CHIEF)
    watch(version, TODAY)
    assert not drawn
    watch(version - 1, TODAY)
    watch(version, TODAY - timedelta(days=1))
    assert len(drawn) == 2
