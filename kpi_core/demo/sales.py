"""Raw records of sales: calls, what becomes of leads, deals, and the pipeline."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kpi_core.demo.business import CHANNELS, GOLDEN, PLANS, REGIONS, Business
from kpi_core.demo.days import ALWAYS, OFFICE, WEB, spread
from kpi_core.demo.noise import Bools, Floats, Ints, steady_counts
from kpi_core.demo.tables import MICRO, Amounts, Codes, Column, Flags, Names, Table, cents, joined, numbers

__all__ = ["CAMPAIGNS", "calls", "campaign_codes", "closed_deals", "customer_base", "deals", "leads", "pipeline"]
__all__ += ["running", "snapshots", "subscriptions", "window"]

LEAD_LIFE = 16
"""Days after which nothing more becomes of a lead."""
REPS = ("Avery", "Bao", "Chidi", "Dana", "Emil", "Farah", "Goran", "Hana", "Ines", "Joon")
CALLS_BY_REP = (1.2, 1.0, 1.1, 0.9, 1.0, 1.3, 0.8, 1.0, 0.9, 1.1)
EVENTS = ("created", "scored", "qualified", "demo_booked")
CAMPAIGNS = ("Always-on search", "Newsletter", "Hotel fairs", "Quiet Season")
"""The last one is the campaign of the story; the others always run."""
QUIET_SEASON = len(CAMPAIGNS) - 1
LEAD_CHANNELS = (0.14, 0.34, 0.30, 0.12, 0.10)
DEAL_CHANNELS = (0.22, 0.24, 0.32, 0.14, 0.08)
SILVER = 0.41421356237309503
"""A step for `Noise.even`."""
PAID, EMAIL = CHANNELS.index("paid"), CHANNELS.index("email")
SNAPSHOT_HOURS = (8, 12, 16, 20, 24)


def window(counts: Ints, first: int, last: int) -> tuple[Ints, Ints]:
    """The position of the day and the index of each record of the days [first, last)."""
    first = max(first, 0)
    place, index = spread(counts[first:last])
    return place + first, index


def campaign_codes(business: Business, name: str, place: Ints, index: Ints, channel: Ints, pull: Floats) -> Ints:
    """Which campaign brought something in, by its channel; -1 where none did. `pull` is the big campaign's by day."""
    chance = business.noise.uniform(f"{name}/campaign", business.days.ordinal[place], index)
    usual = np.where(channel == PAID, np.where(chance < 0.85, 0, 2), np.where(channel == EMAIL, 1, -1))
    return np.where((channel == PAID) & (chance < 0.6 * pull[place]), QUIET_SEASON, usual)


def running(counts: Ints, place: Ints, index: Ints) -> Ints:
    """How many records there were before each, since the axis began: what `Noise.even` spreads over."""
    return np.asarray((np.cumsum(counts) - counts)[place] + index, dtype=np.int64)


def calls(business: Business, first: int, last: int) -> Table:
    """One record a call."""
    noise, days = business.noise, business.days
    counts = steady_counts(58 * np.sqrt(business.growth) * business.busy("calls", 0.06, 0.94, 0.92))
    place, index = window(counts, first, last)
    day = days.ordinal[place]
    rep = noise.choice("calls/rep", CALLS_BY_REP, day, index)
    outcome = noise.choice("calls/outcome", (0.34, 0.41, 0.25), day, index)
    seconds = 25 + np.where(outcome == 0, 290, 18) * noise.uniform("calls/seconds", day, index)
    return Table(
        days.moments(place, noise.uniform("calls/at", day, index), OFFICE),
        {
            "rep": Codes(rep, REPS),
            "region": Codes(rep % len(REGIONS), REGIONS),
            "direction": Codes(noise.choice("calls/direction", (0.88, 0.12), day, index), ("outbound", "inbound")),
            "outcome": Codes(outcome, ("connected", "voicemail", "no answer")),
            "seconds": numbers(seconds),
        },
    )


def lead_counts(business: Business) -> Ints:
    """New leads a day; the web brings some at weekends too."""
    days = business.days
    week = np.where(days.working, 1.0, 0.16) * np.where(days.weekday == 0, 1.05, 1.0)
    chance = 1.0 + 0.06 * business.noise.normal("leads", days.ordinal)
    return steady_counts(25 * business.growth * week * chance * days.season(50, 0.06) * (1 + 0.6 * business.campaign))


def leads(business: Business, first: int, last: int) -> Table:
    """One record for each thing that happens to a lead: created, scored, qualified, demo_booked."""
    noise, days = business.noise, business.days
    counts = lead_counts(business)
    place, index = window(counts, first - LEAD_LIFE, last)
    day, number = days.ordinal[place], running(counts, place, index)
    channel = noise.choice("leads/channel", LEAD_CHANNELS, day, index)
    created = days.moments(place, noise.uniform("leads/at", day, index), WEB)
    score = np.clip(61 + 13 * noise.normal("leads/score", day, index) + 4 * (channel == EMAIL), 5, 99)
    chance = noise.uniform("leads/chance", day, index)
    scored, _ = _every(number, 0.93)
    qualified, nth_qualified = _every(number, 0.46)
    booked, nth_booked = _every(number, 0.31)
    soon = 1 + (4 * noise.even("leads/qualified", nth_qualified, GOLDEN)).astype(np.int64)
    late = 1 + (8 * noise.even("leads/booked", nth_booked, GOLDEN)).astype(np.int64)
    columns: dict[str, Column] = {
        "lead": Names(day * 1000 + index, "L"),
        "channel": Codes(channel, CHANNELS),
        "campaign": Codes(campaign_codes(business, "leads", place, index, channel, business.campaign), CAMPAIGNS),
        "region": Codes(noise.choice("leads/region", (0.3, 0.2, 0.28, 0.22), day, index), REGIONS),
    }
    happens = (
        (0, created > 0, created),
        (1, scored, created + (600 + 20_000 * chance).astype(np.int64)),
        (2, qualified, _office_day(business, place, soon, chance)),
        (3, booked, _office_day(business, place, late, chance)),
    )
    return joined([_lead_events(columns, code, rows, at, score) for code, rows, at in happens])


def _every(number: Ints, share: float) -> tuple[Bools, Ints]:
    """That share of a running number, evenly: which they are, and how many there were before each."""
    before = np.floor(number * share).astype(np.int64)
    return np.floor((number + 1) * share).astype(np.int64) > before, before


def _office_day(business: Business, place: Ints, later: Ints, chance: Floats) -> Ints:
    """Some instant in the office hours of the working day that is so many later."""
    return business.days.moments(business.days.working_after(place, later), chance, OFFICE)


def _lead_events(columns: Mapping[str, Column], code: int, rows: Bools, at: Ints, score: Floats) -> Table:
    happened = {name: column.take(rows) for name, column in columns.items()}
    count = int(rows.sum())
    event = Codes(np.full(count, code, dtype=np.int64), EVENTS)
    known = np.full(count, EVENTS[code] == "scored")
    scores = numbers(np.where(known, score[rows], 0.0), 1, known)
    order = {"lead": happened["lead"], "event": event, **happened, "score": scores}
    return Table(at[rows], order)


def closed_deals(business: Business) -> Table:
    """Every deal of the whole axis, in order of days: first contracts, further ones, and those that were lost."""
    customers, noise, days = business.customers, business.noise, business.days
    won = 12 * customers.first_mrr[customers.started[:, 1]]
    more = 12 * customers.changed[:, 2]
    lost_place, lost_index = spread(_lost_counts(business))
    asked = 5200 * np.exp(0.5 * noise.normal("lost/amount", days.ordinal[lost_place], lost_index))
    place = np.concatenate([customers.started[:, 0], customers.changed[:, 0], lost_place])
    kind = np.repeat([0, 1, 2], [len(won), len(more), len(lost_place)])
    who = np.concatenate([customers.started[:, 1], customers.changed[:, 1], 100_000 * (1 + lost_place) + lost_index])
    return _deals(business, place, kind, who, np.concatenate([won, more, np.rint(asked).astype(np.int64)]))


def _lost_counts(business: Business) -> Ints:
    level = 8.4 * business.growth * (1.0 + 0.1 * business.noise.wander("lost", business.days.ordinal, 90))
    return steady_counts(level * business.busy("lost", 0.09))


def _turn(business: Business, kind: Ints, who: Ints) -> Ints:
    """How many deals of its kind went before each; first contracts by plan, so that each channel has its fair share."""
    group = np.where(kind == 0, business.customers.plan[np.where(kind == 0, who, 0)], 10 + kind)
    turn = np.empty(len(kind), dtype=np.int64)
    for each in np.unique(group):
        rows = np.flatnonzero(group == each)
        turn[rows] = np.arange(len(rows)) + 7 * each
    return turn


def _deals(business: Business, place: Ints, kind: Ints, who: Ints, amount: Ints) -> Table:
    noise, days = business.noise, business.days
    day = days.ordinal[place]
    channel = noise.evenly("deals/channel", DEAL_CHANNELS, _turn(business, kind, who), SILVER)
    carried = noise.uniform("deals/carried", day, who) < 0.45 * business.afterglow[place]
    channel = np.where(carried & (kind == 0), PAID, channel)
    campaign = campaign_codes(business, "deals", place, who, channel, np.where(business.afterglow > 0.05, 1.0, 0.0))
    rep = noise.choice("deals/rep", CALLS_BY_REP, day, who)
    cycle = 86_400 * (27 - 0.12 * days.months_on[place]) * np.exp(0.28 * noise.normal("deals/cycle", day, who))
    return Table(
        days.moments(place, noise.uniform("deals/at", day, who), OFFICE),
        {
            "deal": Names(day * 1_000_000 + who % 1_000_000, "D"),
            "customer": Names(np.where(kind == 2, 900_000 + who % 100_000, who), "C"),
            "rep": Codes(rep, REPS),
            "region": Codes(rep % len(REGIONS), REGIONS),
            "channel": Codes(channel, CHANNELS),
            "campaign": Codes(np.where(kind == 1, -1, campaign), CAMPAIGNS),
            "outcome": Codes((kind == 2).astype(np.int64), ("won", "lost")),
            "first_contract": Flags(kind == 0),
            "amount": cents(amount),
            "cycle_seconds": numbers(np.where(kind == 1, 0.6, 1.0) * cycle),
        },
    )


def deals(business: Business, first: int, last: int) -> Table:
    """One record a deal that was won or lost."""
    return closed_deals(business)


def snapshots(business: Business, first: int, last: int) -> tuple[Ints, Ints]:
    """The position of the day and the instant of each snapshot: some in a working day, one at midnight's eve."""
    place = np.repeat(np.arange(max(first, 0), min(last, len(business.days))), len(SNAPSHOT_HOURS))
    hours = np.tile(np.array(SNAPSHOT_HOURS), len(place) // len(SNAPSHOT_HOURS))
    at = np.where(hours == 24, business.days.midnight[place + 1] - 1, business.days.clock(place, hours * 3600))
    return place, at


def pipeline(business: Business, first: int, last: int) -> Table:
    """What is open, by region: some three months' bookings, with ups and downs of its own in each region."""
    noise, days = business.noise, business.days
    place, at = snapshots(business, first, last)
    level = 2_050_000 * business.growth * days.season(60, 0.03) * (1 + 0.12 * business.campaign)
    made = []
    for code, share in enumerate((0.31, 0.22, 0.27, 0.20)):
        swing = 1 + 0.05 * noise.wander(f"pipeline/{code}", days.ordinal, 45)
        wobble = 1 + 0.004 * noise.normal(f"pipeline/{code}", days.ordinal[place], at % 86_400)
        amount = (level * swing)[place] * share * wobble
        region = Codes(np.full(len(place), code, dtype=np.int64), REGIONS)
        columns: dict[str, Column] = {
            "region": region,
            "open_deals": numbers(amount / 5_600),
            "amount": cents(np.rint(amount)),
        }
        made.append(Table(at, columns))
    return joined(made)


def subscriptions(business: Business, first: int, last: int) -> Table:
    """One record when a customer starts, pays more from now on, or cancels; at the deal's own instant."""
    customers, noise, days = business.customers, business.noise, business.days
    parts = (customers.started, customers.changed, customers.cancelled)
    place, who = (np.concatenate([part[:, column] for part in parts]) for column in (0, 1))
    event = np.repeat([0, 1, 2], [len(part) for part in parts])
    change = np.concatenate([customers.first_mrr[customers.started[:, 1]], parts[1][:, 2], -parts[2][:, 2]])
    day = days.ordinal[place]
    signed = days.moments(place, noise.uniform("deals/at", day, who), OFFICE)
    quit_at = days.moments(place, noise.uniform("cancelled/at", day, who), ALWAYS)
    return Table(
        np.where(event == 2, quit_at, signed),
        {
            "customer": Names(who, "C"),
            "event": Codes(event, ("started", "changed", "cancelled")),
            "plan": Codes(customers.plan[who], PLANS),
            "mrr_change": cents(change),
        },
    )


def customer_base(business: Business, first: int, last: int) -> Table:
    """How many customers there are and what they pay a month, by plan: at each snapshot the events so far, added up."""
    events = subscriptions(business, 0, len(business.days))
    change = events.micros("mrr_change")
    _, at = snapshots(business, first, last)
    heads = np.array([1, 0, -1])[events.codes("event")]
    customers, at_first = business.customers, np.arange(len(business.customers.plan)) < _at_first(business)
    made = []
    for code in range(len(PLANS)):
        rows = np.flatnonzero(events.codes("plan") == code)
        rows = rows[np.argsort(events.at[rows], kind="stable")]
        here = np.searchsorted(events.at[rows], at, side="right")
        mine = at_first & (customers.plan == code)
        count = int(mine.sum()) + np.concatenate(([0], np.cumsum(heads[rows])))[here]
        more = np.concatenate(([0], np.cumsum(change[rows])))[here]
        paid = int(customers.first_mrr[mine].sum()) * MICRO + more
        which = Codes(np.full(len(at), code, dtype=np.int64), PLANS)
        made.append(Table(at, {"plan": which, "customers": numbers(count), "mrr": Amounts(paid)}))
    return joined(made)


def _at_first(business: Business) -> int:
    return len(business.customers.plan) - int(business.won_first.sum())
