"""One card: what it says, how it looks, and what a hostile name does to it (nothing)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from streamlit.proto.Metric_pb2 import Metric

from kpi_core import status
from kpi_core.model import (
    Bounds,
    Category,
    Company,
    Direction,
    Grain,
    Kind,
    Kpi,
    Reading,
    Score,
    SpanState,
    Status,
    Target,
)
from kpi_core.periods import Calendar, span_of
from kpi_core.service.tracker import Tracker
from kpi_core.store import open_store
from pages.ui import cards, session
from pages.ui import format as text
from tests.pages.cast import CHIEF, HOSTILE, NOW, TODAY, company, screen, stock

COMPANY = Company()
CALENDAR = Calendar.of(COMPANY)
SPAN = span_of(TODAY, Grain.DAILY, CALENDAR)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracker]:
    with open_store(f"duckdb:///{tmp_path_factory.mktemp('cards') / 'kpi.duckdb'}", clock=lambda: NOW) as store:
        yield company(store)


@pytest.fixture(autouse=True)
def signed_in(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "actor", lambda: CHIEF)
    monkeypatch.setattr(session, "tracker", lambda: tracker)


def card(name: str) -> tuple[Metric, str, str]:
    """The card of the KPI with this name: its number, its link's label, its foot."""
    at = screen("daily", q=name).run()
    links = [link.proto.label for link in at.get("page_link")]
    feet = [html.proto.body for html in at.get("html") if html.proto.body.startswith("<div")]
    assert len(at.metric) == len(links) == len(feet) == 1
    return at.metric[0].proto, links[0], feet[0]


def scored(value: str | None, target: str | None = "100", *, kpi: Kpi | None = None) -> Score:
    goal = Target(value=Decimal(target)) if target else None
    reading = Reading(1, SPAN, Decimal(value) if value else None)
    return status.score(
        kpi or stock("k", Category.SALES), span=SPAN, now=NOW, calendar=CALENDAR, reading=reading, target=goal
    )


# What it says


@pytest.mark.parametrize(
    ("name", "says"),
    {
        "exceeds": ("open deals", ("green", "Exceeds", "120")),
        "needs attention": ("leads", ("orange", "Needs attention", "70")),
        "critical": ("backlog", ("red", "Critical", "150")),
        "no target": ("visits", ("gray", "No target", "50")),
        "no data": ("silence", ("gray", "No data", "—")),
    }.items(),
)
def test_a_status_is_told_by_colour_icon_and_word(name: str, says: tuple[str, tuple[str, str, str]]) -> None:
    kpi, (colour, word, value) = says
    number, _, _ = card(kpi)
    assert re.fullmatch(rf":{colour}-badge\[:material/\w+: {word}\]", number.label), name
    assert number.body.strip() == value


def test_every_status_differs_from_every_other_by_icon_and_by_word() -> None:
    looks = list(text.LOOKS.values())
    assert len({look.icon for look in looks}) == len({look.word for look in looks}) == len(Status)


def test_a_change_is_coloured_by_what_it_means_and_not_by_its_sign() -> None:
    better, _, _ = card("open deals")
    worse, _, _ = card("backlog")
    same, _, _ = card("pipeline")
    assert (better.delta, better.delta_description, better.color) == ("\\+5", "from yesterday", Metric.GREEN)
    assert (worse.delta, worse.color) == ("\\+10", Metric.RED)
    assert better.direction == worse.direction == Metric.UP
    assert (same.delta, same.color, same.direction) == ("no change", Metric.GRAY, Metric.NONE)


def test_a_card_shows_its_value_compact_and_in_its_unit() -> None:
    assert card("pipeline")[0].body.strip() == "\\$1\\.2M"


def test_a_card_has_a_sparkline_of_thirty_spans() -> None:
    assert len(card("leads")[0].chart_data) == 30


def test_a_card_without_values_has_no_sparkline_and_says_why() -> None:
    number, _, foot = card("silence")
    assert not number.chart_data
    assert "no value" in foot or "nothing" in foot or "entered" in foot


def test_a_card_opens_its_kpi_at_its_grain() -> None:
    at = screen("weekly", q="cash").run()
    link = next(link.proto for link in at.get("page_link"))
    assert (link.page, link.query_string) == ("kpi", "key=cash&grain=weekly")


# The bar


@pytest.mark.parametrize(
    ("value", "width", "knob"),
    [
        ("50", "50.0%", False),
        ("100", "100.0%", False),
        ("300", "100.0%", True),
        ("0", "0.0%", False),
        ("-20", "0.0%", False),
    ],
)
def test_a_bar_is_clamped_and_marked_past_its_end(value: str, width: str, knob: bool) -> None:
    drawn = cards.bar(scored(value))
    assert f"width:{width}" in drawn
    assert ("<u>" in drawn) is knob


def test_an_open_flow_has_a_tick_where_it_should_be_by_now() -> None:
    flow = replace(stock("k", Category.SALES), kind=Kind.FLOW, bounds=Bounds(low=Decimal(0)))
    reading = Reading(1, SPAN, Decimal(50), elapsed=Decimal("0.6"))
    score = status.score(
        flow, span=SPAN, now=NOW, calendar=CALENDAR, reading=reading, target=Target(value=Decimal(100))
    )
    assert score.state is SpanState.OPEN
    assert "left:60.0%" in cards.bar(score)


def test_a_card_says_its_target_and_progress() -> None:
    _, _, foot = card("leads")
    assert "Target 100" in foot
    assert "70 %" in foot


def test_less_is_better_where_the_kpi_says_so() -> None:
    lower = scored("150", kpi=replace(stock("k", Category.SALES), direction=Direction.LOWER))
    assert "width:50.0%" in cards.bar(lower)


# Hostile names


def test_a_hostile_name_is_shown_as_it_was_typed() -> None:
    _, label, foot = card("evil")
    plain = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", label).replace("\u2060", "")
    assert plain == f"**{HOSTILE}**"
    assert "<b>b</b>" not in foot


@pytest.mark.parametrize(
    "said", ["*a*", "[a](http://b)", ":red[a]", "$a$", "`a`", "<b>", "# a", "~~a~~", "1. a", "a_b_"]
)
def test_no_mark_of_markdown_is_left_bare(said: str) -> None:
    assert not re.search(r"(?<!\\)[*\[\]`$<>#~_:.]", text.md(said))


@pytest.mark.parametrize(
    "said", [":smile:", ":material/home:", "http://x.example", "www.x.example", "a@b.example", "->", "--"]
)
def test_what_is_recognised_in_finished_text_is_broken_up(said: str) -> None:
    finished = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text.md(said))
    assert finished.replace("\u2060", "") == said
    assert finished != said


def test_lines_become_one() -> None:
    assert text.md("a\n\n# b\tc") == "a \\# b c"


def test_our_own_html_takes_no_html_of_others() -> None:
    assert text.escaped("<img src=x onerror='a'>") == "&lt;img src=x onerror=&#x27;a&#x27;&gt;"
