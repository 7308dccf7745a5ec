"""What people do through the Tracker: see, enter, set targets; and what they may not."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from kpi_core.access import SYSTEM
from kpi_core.catalog import parse_catalog
from kpi_core.errors import InvalidInput, InvalidTarget, NotAllowed, NotFound
from kpi_core.model import Actor, Company, Grain, Status, Target
from kpi_core.service.tracker import Entry, Tracker
from kpi_core.store import settings

MONDAY = date(2026, 11, 23)
TODAY = date(2026, 11, 24)


def enter(tracker: Tracker, key: str, first: date, *given: object) -> None:
    """One value a day from `first` on; a pair is a ratio's parts."""
    entries = []
    for n, value in enumerate(given):
        day = first + timedelta(days=n)
        if isinstance(value, tuple):
            entries.append(Entry(day, numerator=Decimal(value[0]), denominator=Decimal(value[1])))
        else:
            entries.append(Entry(day, Decimal(str(value))))
    tracker.record(SYSTEM, key, entries)


def cards(tracker: Tracker, actor: Actor, grain: Grain = Grain.DAILY, day: date | None = None) -> dict[str, object]:
    return {card.key: card for card in tracker.board(actor, grain, day).cards}


def test_a_typed_value_is_judged_against_its_whole_target_even_today(company: Tracker, ceo: Actor) -> None:
    enter(company, "calls", TODAY, 47)
    score = cards(company, ceo)["calls"].score
    assert (score.value, score.status, score.progress) == (47, Status.ON_TRACK, 94)
    assert score.span.start == TODAY


def test_a_card_shows_the_last_closed_span_until_there_is_data_in_the_present_one(company: Tracker, ceo: Actor) -> None:
    enter(company, "calls", MONDAY, 30)
    score = cards(company, ceo)["calls"].score
    assert (score.span.start, score.value) == (MONDAY, 30)
    enter(company, "calls", TODAY, 0)
    score = cards(company, ceo)["calls"].score
    assert (score.span.start, score.value, score.status) == (TODAY, 0, Status.CRITICAL)


def test_a_zero_on_a_day_off_does_not_take_the_card_from_the_last_active_day(
    company: Tracker, ceo: Actor, clock: object
) -> None:
    clock.now = datetime.fromisoformat("2026-11-22T12:00:00+00:00")
    enter(company, "calls", date(2026, 11, 20), 40, 0, 0)
    assert cards(company, ceo)["calls"].score.span.start == date(2026, 11, 20)
    enter(company, "calls", date(2026, 11, 22), 3)
    assert cards(company, ceo)["calls"].score.span.start == date(2026, 11, 22)


def test_monday_is_compared_with_friday_by_a_kpi_that_rests_at_weekends(company: Tracker, ceo: Actor) -> None:
    enter(company, "calls", date(2026, 11, 20), 40)
    enter(company, "calls", MONDAY, 45)
    change = cards(company, ceo, day=MONDAY)["calls"].score.change
    assert (change.amount, change.favourable) == (5, True)
    assert change.text == "+5 from Fri 20 Nov"


def test_entered_days_make_weeks_and_months(company: Tracker, ceo: Actor) -> None:
    enter(company, "calls", date(2026, 11, 16), 10, 20, 30, 40, 50)
    weekly = company.history(ceo, "calls", Grain.WEEKLY, date(2026, 11, 16), date(2026, 11, 16)).points[0]
    assert weekly.reading.value == 150
    assert weekly.label == "2026-W47"
    monthly = company.history(ceo, "calls", Grain.MONTHLY, TODAY, TODAY).points[0]
    assert (monthly.reading.value, monthly.reading.have_days) == (150, 5)


def test_a_ratio_is_entered_with_both_parts_and_adds_up_by_them(company: Tracker, ceo: Actor) -> None:
    enter(company, "close_rate", MONDAY, (1, 10), (50, 100))
    assert cards(company, ceo, day=MONDAY)["close_rate"].score.value == 10
    week = company.history(ceo, "close_rate", Grain.WEEKLY, MONDAY, MONDAY).points[0].reading
    assert round(week.value, 2) == Decimal("46.36")


def test_a_derived_kpi_follows_its_inputs_at_once(company: Tracker, ceo: Actor) -> None:
    enter(company, "calls", date(2026, 11, 18), 40, 50)
    growth = cards(company, ceo, day=date(2026, 11, 19))["calls_growth"].score
    assert growth.value == 25
    enter(company, "calls", date(2026, 11, 18), 25)
    assert cards(company, ceo, day=date(2026, 11, 19))["calls_growth"].score.value == 100


def test_a_derived_kpi_names_the_input_that_it_lacks(company: Tracker, ceo: Actor) -> None:
    enter(company, "calls", date(2026, 11, 19), 50)
    score = cards(company, ceo, day=date(2026, 11, 19))["calls_growth"].score
    assert score.status is Status.NO_DATA
    assert "calls" in score.reason


def test_a_corrected_value_keeps_what_was_known_before(company: Tracker, ceo: Actor, clock: object) -> None:
    before = clock.now
    enter(company, "calls", MONDAY, 100)
    clock.now = before + timedelta(days=30)
    enter(company, "calls", MONDAY, 112)
    now = company.history(ceo, "calls", Grain.DAILY, MONDAY, MONDAY).points[0].reading.value
    then = company.history(ceo, "calls", Grain.DAILY, MONDAY, MONDAY, as_of=before + timedelta(days=1))
    assert (now, then.points[0].reading.value) == (112, 100)


def test_the_same_value_again_is_no_new_observation(company: Tracker) -> None:
    entry = [Entry(MONDAY, Decimal(5))]
    assert company.record(SYSTEM, "cash", entry) == 1
    version = company.version(SYSTEM)
    assert company.record(SYSTEM, "cash", entry) == 0
    assert company.version(SYSTEM) >= version


def test_who_may_not_see_a_kpi_gets_a_locked_card_with_its_title_alone(company: Tracker, stranger: Actor) -> None:
    enter(company, "calls", TODAY, 47)
    card = cards(company, stranger)["calls"]
    assert card.locked
    assert (card.title, card.kpi, card.score) == ("Calls", None, None)
    with pytest.raises(NotAllowed, match="Calls"):
        company.kpi(stranger, "calls")
    with pytest.raises(NotAllowed):
        company.history(stranger, "calls")


def test_a_confidential_kpi_is_not_there_at_all(company: Tracker, manager: Actor, ceo: Actor) -> None:
    assert "payroll" not in cards(company, manager, Grain.MONTHLY)
    with pytest.raises(NotFound) as hidden:
        company.kpi(manager, "payroll")
    with pytest.raises(NotFound) as absent:
        company.kpi(manager, "nothing")
    assert str(hidden.value).replace("payroll", "nothing") == str(absent.value)
    assert "payroll" in cards(company, ceo, Grain.MONTHLY)


def test_a_guessed_id_says_no_more_than_a_guessed_key(company: Tracker, manager: Actor) -> None:
    payroll = company.kpi(SYSTEM, "payroll").kpi.id
    with pytest.raises(NotFound) as hidden:
        company.kpi(manager, payroll)
    assert "payroll" not in str(hidden.value).lower()


def test_who_may_only_see_may_not_enter_nor_set_targets(company: Tracker, ceo: Actor) -> None:
    rep = Actor("rita", "Rita", frozenset({"sales_rep"}), frozenset({"kpis.sales.view"}))
    with pytest.raises(NotAllowed):
        company.record(rep, "calls", [Entry(TODAY, Decimal(1))])
    with pytest.raises(NotAllowed):
        company.set_target(rep, "calls", Target(Decimal(1)))
    assert "calls" in cards(company, rep)
    assert company.history(ceo, "calls").points[-1].reading is None


def test_a_target_applies_from_the_span_that_it_starts_in(company: Tracker, manager: Actor) -> None:
    enter(company, "calls", date(2026, 11, 19), 40, 40)
    company.set_target(manager, "calls", Target(Decimal(80), period_start=date(2026, 11, 20)))
    points = company.history(manager, "calls", Grain.DAILY, date(2026, 11, 19), date(2026, 11, 20)).points
    assert [(point.target.value, point.progress) for point in points] == [(50, 80), (80, 50)]


def test_a_target_that_cannot_be_judged_against_is_refused(company: Tracker, manager: Actor) -> None:
    with pytest.raises(InvalidTarget, match="a target of 0 needs a scale"):
        company.set_target(manager, "calls", Target(Decimal(0)))


def test_all_that_is_wrong_with_entries_is_said_at_once_and_nothing_is_kept(company: Tracker, manager: Actor) -> None:
    entries = [
        Entry(TODAY, Decimal(1)),
        Entry(TODAY + timedelta(days=3), Decimal(1)),
        Entry(TODAY),
        Entry(TODAY, Decimal("NaN")),
        Entry(TODAY, Decimal(-1)),
    ]
    with pytest.raises(InvalidInput) as refused:
        company.record(manager, "calls", entries)
    assert [problem.where for problem in refused.value.problems] == [
        "entry 2, period_date",
        "entry 3, value",
        "entry 4, value",
        "entry 5, value",
    ]
    assert company.history(manager, "calls").points[-1].reading is None


def test_the_overview_counts_each_kpi_once_and_puts_the_worst_first(company: Tracker, ceo: Actor) -> None:
    enter(company, "calls", TODAY, 10)
    enter(company, "cash", TODAY, 700)
    enter(company, "close_rate", TODAY, (50, 100))
    overview = company.overview(ceo)
    assert overview.sentence == "1 of 3 on track; 1 critical: Calls"
    assert [card.key for card in overview.attention] == ["calls", "cash"]


def test_a_board_of_an_earlier_day_shows_that_day_alone(company: Tracker, ceo: Actor) -> None:
    enter(company, "cash", MONDAY, 900)
    board = company.board(ceo, Grain.DAILY, MONDAY - timedelta(days=1))
    card = next(card for card in board.cards if card.key == "cash")
    assert not board.is_present
    assert (card.score.span.start, card.score.status) == (MONDAY - timedelta(days=1), Status.NO_DATA)


def test_the_board_follows_a_change_of_the_data_at_once(company: Tracker, ceo: Actor) -> None:
    enter(company, "cash", TODAY, 900)
    first = company.board(ceo, Grain.DAILY)
    assert company.board(ceo, Grain.DAILY).version == first.version
    enter(company, "cash", TODAY, 500)
    assert company.board(ceo, Grain.DAILY).version > first.version
    assert cards(company, ceo)["cash"].score.value == 500


def test_days_are_those_of_the_reporting_time_zone(company: Tracker, ceo: Actor, clock: object) -> None:
    clock.now = datetime.fromisoformat("2026-11-25T00:30:00+00:00")
    assert company.today(ceo) == date(2026, 11, 25)


def test_as_known_then_is_judged_as_it_was_judged_then(company: Tracker, ceo: Actor, clock: object) -> None:
    """At half past two on Tuesday, calls of the open week waited for its close; on the Monday after they do not."""
    enter(company, "calls", MONDAY, 10, 20)
    then = clock.now
    week = company.history(ceo, "calls", Grain.WEEKLY, MONDAY, MONDAY).points[0]
    clock.now = datetime.fromisoformat("2026-11-30T09:00:00+00:00")
    later = company.history(ceo, "calls", Grain.WEEKLY, MONDAY, MONDAY, as_of=then).points[0]
    assert (later.state, later.status) == (week.state, week.status)
    assert company.history(ceo, "calls", Grain.WEEKLY, MONDAY, MONDAY).points[0].status is Status.INCOMPLETE


def test_weeks_from_before_the_week_began_on_sunday_take_no_place_of_those_that_do(
    company: Tracker, ceo: Actor, clock: object
) -> None:
    enter(company, "calls", date(2026, 11, 1), *range(1, 24))
    with company.store.write(touches_catalog=True) as connection:
        settings.set_company(connection, Company(week_start=7), "ceo", clock.now)
    enter(company, "calls", date(2026, 11, 8), 100)
    week = company.history(ceo, "calls", Grain.WEEKLY, date(2026, 11, 8), date(2026, 11, 8)).points[0]
    assert (week.label, week.reading.value) == ("Week of 8 Nov 2026", 100 + sum(range(9, 15)))
    score = company.kpi(ceo, "calls", Grain.WEEKLY).score
    assert score.sparkline == (169.0,)


def test_a_value_that_its_own_parts_do_not_make_is_refused(company: Tracker) -> None:
    with pytest.raises(InvalidInput, match="50 is not what the two parts make, 10"):
        company.record(SYSTEM, "close_rate", [Entry(MONDAY, Decimal(50), Decimal(1), Decimal(10))])
    company.record(SYSTEM, "close_rate", [Entry(MONDAY, Decimal("33.33"), Decimal(1), Decimal(3))])


def test_to_make_kpis_is_not_yet_to_change_those_that_exist(company: Tracker) -> None:
    maker = Actor("max", "Max", frozenset(), frozenset({"kpis.create", "kpis.sales.view"}))
    mine = {
        "name": "Visits",
        "category": "sales",
        "tracking_period": "daily",
        "calculation_method": "manual",
        "kind": "flow",
    }
    assert company.define(maker, parse_catalog({"mine.yaml": {"kpis": [mine]}})) == (1, 0)
    for changed in ({**mine, "key": "calls"}, {**mine, "key": "payroll", "permissions": {"view": ["sales_rep"]}}):
        with pytest.raises(NotAllowed):
            company.define(maker, parse_catalog({"theirs.yaml": {"kpis": [changed]}}))
    assert company.kpi(SYSTEM, "calls").kpi.name == "Calls"


def test_a_history_ends_at_the_present_span_and_has_a_longest_length(company: Tracker, ceo: Actor) -> None:
    points = company.history(ceo, "calls", Grain.DAILY, TODAY, date(8999, 12, 31)).points
    assert [point.span.start for point in points] == [TODAY]
    with pytest.raises(InvalidInput, match="20 years"):
        company.history(ceo, "calls", Grain.DAILY, date(1990, 1, 1), TODAY)
