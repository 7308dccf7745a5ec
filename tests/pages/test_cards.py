"""One card: what it says, how it looks, and what a hostile name does to it (nothing)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from urllib.parse import unquote, urlencode

import pytest

from kpi_core import status
from kpi_core.model import (
    Actor,
    Bounds,
    Card,
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
from pages.ui import cards, icons, session
from pages.ui import format as text
from tests.pages.cast import CHIEF, HOSTILE, NOW, TODAY, company, screen, stock
from tests.shown_cards import ShownCard, shown_cards

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


def card(name: str) -> ShownCard:
    """The card of the KPI with this name."""
    at = screen("daily", q=name).run()
    (found,) = shown_cards(html.proto.body for html in at.get("html"))
    return found


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
        "exceeds": ("open deals", ("good", "Exceeds", "120")),
        "needs attention": ("leads", ("warn", "Needs attention", "70")),
        "critical": ("backlog", ("bad", "Critical", "150")),
        "no target": ("visits", ("none", "No target", "50")),
        "no data": ("silence", ("none", "No data", "—")),
    }.items(),
)
def test_a_status_is_told_by_colour_icon_and_word(name: str, says: tuple[str, tuple[str, str, str]]) -> None:
    kpi, (tone, word, value) = says
    found = card(kpi)
    assert (found.tone, found.status, found.value) == (tone, word, value), name
    assert found.icon in icons.SHAPES


def test_every_status_differs_from_every_other_by_icon_and_by_word() -> None:
    looks = list(text.LOOKS.values())
    assert len({look.icon for look in looks}) == len({look.word for look in looks}) == len(Status)
    drawn = [icons.SHAPES[look.icon] for look in (*looks, text.LOCKED, text.NOT_CONNECTED)]
    assert len(set(drawn)) == len(Status) + 2


def test_a_change_is_coloured_by_what_it_means_and_not_by_its_sign() -> None:
    better, worse, same = card("open deals"), card("backlog"), card("pipeline")
    assert (better.change, better.since, better.change_tone) == ("+5", "from yesterday", "good")
    assert (worse.change, worse.change_tone) == ("+10", "bad")
    assert better.arrow == worse.arrow == "arrow_up"
    assert (same.change, same.change_tone, same.arrow) == ("no change", "none", "")


def test_a_card_shows_its_value_compact_and_in_its_unit() -> None:
    assert card("pipeline").value == "$1.2M"


def test_a_card_has_a_sparkline_of_thirty_spans() -> None:
    assert points(card("leads").sparkline) == [30]


def test_a_sparkline_has_a_gap_where_a_span_has_no_value() -> None:
    assert points(icons.sparkline([1.0, 2.0, None, 3.0, None, 4.0, 5.0])) == [2, 1, 2]
    assert icons.sparkline([None, 3.0, None]) == icons.sparkline([]) == ""
    assert points(icons.sparkline([0.0, 0.0])) == [2]


def points(picture: str) -> list[int]:
    """How many spans each line of a sparkline goes through."""
    path = re.search(r' d="([^"]+)"', unquote(picture))
    assert path
    return [line.count("L") + 1 for line in path[1].split("M")[1:]]


def test_a_card_without_values_has_no_sparkline_and_says_why() -> None:
    found = card("silence")
    assert not found.sparkline
    assert "no value" in found.foot or "nothing" in found.foot or "entered" in found.foot


def test_a_card_opens_its_kpi_at_its_grain() -> None:
    (found,) = shown_cards(html.proto.body for html in screen("weekly", q="cash").run().get("html"))
    assert found.href == "kpi?key=cash&grain=weekly"


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
    foot = card("leads").foot
    assert "Target 100" in foot
    assert "70 %" in foot


def test_less_is_better_where_the_kpi_says_so() -> None:
    lower = scored("150", kpi=replace(stock("k", Category.SALES), direction=Direction.LOWER))
    assert "width:50.0%" in cards.bar(lower)


# Hostile names


def test_a_hostile_name_is_shown_as_it_was_typed() -> None:
    at = screen("daily", q="evil").run()
    bodies = [html.proto.body for html in at.get("html")]
    (found,) = shown_cards(bodies)
    assert found.title == HOSTILE
    assert "<b>b</b>" not in "".join(bodies)


def test_a_hostile_name_stays_in_its_place_on_a_locked_card_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "actor", lambda: Actor("m", "M", frozenset(), frozenset({"kpis.marketing.view"})))
    at = screen("daily", q="evil").run()
    (found,) = shown_cards(html.proto.body for html in at.get("html"))
    assert (found.title, found.is_locked, found.text) == (HOSTILE, True, HOSTILE)


@pytest.mark.parametrize("said", ['"><script>alert(1)</script>', "' onclick='x", "</article><a href=x>", "&lt;b&gt;"])
def test_no_part_of_a_card_lets_html_through(said: str) -> None:
    kpi = stock("k", Category.SALES, name=said)
    score = replace(scored("50"), reason=said, freshness=said)
    score = replace(score, change=replace(score.change, text=f"{said} from {said}"))
    (found,) = shown_cards(
        [
            cards.drawn(
                Card(said, said, Category.SALES, Grain.DAILY, kpi=kpi, score=score), cards.Frame(COMPANY, CALENDAR)
            )
        ]
    )
    assert (found.title, found.change, found.since) == (said, said, f"from {said}")
    assert found.foot.count(said) == 2
    assert found.href == f"kpi?{urlencode({'key': said, 'grain': 'daily'})}"


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
