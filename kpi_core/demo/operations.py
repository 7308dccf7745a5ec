"""Raw records of operations: support, surveys, the platform's health, usage, capacity, automation, audits, hours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kpi_core.demo.business import GOLDEN, PLAN_WEIGHTS, PLANS, Business
from kpi_core.demo.company import TEAMS, Team
from kpi_core.demo.days import ALWAYS, OFFICE, WEB
from kpi_core.demo.marketing import hours_of
from kpi_core.demo.noise import Bools, Floats, Ints, steady_counts
from kpi_core.demo.sales import running, window
from kpi_core.demo.tables import Amounts, Codes, Column, Flags, Names, Table, joined, numbers

__all__ = ["audits", "automation", "capacity", "heads", "hours", "requests", "surveys", "tickets", "usage"]

OUTAGE_HOURS = (9, 15)
"""From nine to three, local time."""
SERVICES = ("booking", "guest app")
TICKET_LIFE = 5
"""Days after which a ticket is resolved, or never will be."""
ANSWERED, RESOLVED = 1, 2
TOPICS = ("bookings", "payments", "calendar sync", "account")
FEATURES = ("calendar", "check-in", "rates", "reports")


def ticket_counts(business: Business) -> Ints:
    days = business.days
    week = np.array([1.1, 1.04, 1.0, 1.0, 1.0, 0.93, 0.93])[days.weekday]
    chance = 1 + 0.05 * business.noise.normal("tickets", days.ordinal)
    return steady_counts(21 * business.growth * week * chance * (1 + 2.0 * business.outage + 0.12 * business.unrest))


def tickets(business: Business, first: int, last: int) -> Table:
    """One record for each thing that happens to a ticket: opened, answered, resolved."""
    noise, days = business.noise, business.days
    counts = ticket_counts(business)
    place, index = window(counts, first - TICKET_LIFE, last)
    day = days.ordinal[place]
    opened = days.moments(place, noise.uniform("tickets/at", day, index), WEB)
    overrun = 1 + 1.6 * business.outage[place] + 0.1 * noise.wander("response", days.ordinal, 60)[place]
    wait = np.rint(3000 * overrun * np.exp(0.22 * noise.normal("tickets/wait", day, index))).astype(np.int64)
    at_once = noise.even("tickets/first", running(counts, place, index), GOLDEN) < 0.7 - 0.3 * business.outage[place]
    work = noise.uniform("tickets/work", day, index)
    effort = np.where(at_once, 900 + 2_400 * work, 14_400 + 200_000 * work).astype(np.int64)
    columns: dict[str, Column] = {
        "ticket": Names(day * 1000 + index, "T"),
        "topic": Codes(noise.choice("tickets/topic", (4, 3, 2, 1), day, index), TOPICS),
        "priority": Codes(noise.choice("tickets/priority", (1, 5, 3), day, index), ("high", "normal", "low")),
        "response_seconds": numbers(wait),
        "first_contact": Flags(at_once),
    }
    return joined(
        [
            _ticket_events(columns, 0, opened, opened > 0),
            _ticket_events(columns, 1, opened + wait, opened > 0),
            _ticket_events(columns, 2, opened + wait + effort, work < 0.97),
        ]
    )


def _ticket_events(columns: Mapping[str, Column], code: int, at: Ints, rows: Bools) -> Table:
    """One kind of event; what it does not say is unknown, or no."""
    happened = {name: column.take(rows) for name, column in columns.items()}
    event = Codes(np.full(int(rows.sum()), code, dtype=np.int64), ("opened", "answered", "resolved"))
    wait, at_once = happened["response_seconds"], happened["first_contact"]
    if isinstance(wait, Amounts) and code != ANSWERED:
        happened["response_seconds"] = Amounts(wait.micros, np.zeros(len(event.codes), dtype=bool))
    if isinstance(at_once, Flags) and code != RESOLVED:
        happened["first_contact"] = Flags(np.zeros(len(event.codes), dtype=bool))
    return Table(at[rows], {"ticket": happened.pop("ticket"), "event": event, **happened})


def _mood(business: Business) -> Floats:
    """How customers feel, around 0: worse for some weeks after an outage, and in the month of churn."""
    since = np.arange(len(business.days)) - business.days.place(business.story.outage)
    sore = np.where(since >= 0, np.exp(-np.maximum(since, 0) / 6.0), 0.0)
    return 0.05 * business.noise.wander("mood", business.days.ordinal, 80) - 0.5 * sore - 0.25 * business.unrest


def surveys(business: Business, first: int, last: int) -> Table:
    """One record an answer, from a survey after support (csat) and one among all customers (nps)."""
    return joined([_answers(business, "csat", 7.0, 5, first, last), _answers(business, "nps", 9.0, 10, first, last)])


def _answers(business: Business, survey: str, level: float, best: int, first: int, last: int) -> Table:
    noise, days = business.noise, business.days
    counts = steady_counts(level * business.growth)
    place, index = window(counts, first, last)
    day = days.ordinal[place]
    spirit = noise.even(f"{survey}/score", running(counts, place, index), GOLDEN) + 0.35 * _mood(business)[place]
    bounds = (0.06, 0.1, 0.19, 0.5) if best == 5 else (0.01, 0.02, 0.04, 0.06, 0.09, 0.13, 0.18, 0.29, 0.44, 0.72)
    score = np.searchsorted(bounds, spirit, side="right") + (best == 5)
    return Table(
        days.moments(place, noise.uniform(f"{survey}/at", day, index), WEB),
        {
            "survey": Codes(np.full(len(place), best == 10, dtype=np.int64), ("csat", "nps")),
            "plan": Codes(noise.choice(f"{survey}/plan", PLAN_WEIGHTS, day, index), PLANS),
            "score": numbers(score),
        },
    )


def requests(business: Business, first: int, last: int) -> Table:
    """One record a service and hour, at its end."""
    days, noise = business.days, business.noise
    start, place = hours_of(days, first, last)
    hour = np.minimum((start - days.midnight[place]) // 3600, 23)
    day = days.ordinal[place]
    is_down = (business.outage[place] > 0) & (hour >= OUTAGE_HOURS[0]) & (hour < OUTAGE_HOURS[1])
    made = []
    for code, level in enumerate((2600.0, 1500.0)):
        chance = 1 + 0.05 * noise.normal(f"requests/{code}", day, hour)
        volume = level * business.growth[place] * np.array(WEB)[hour] * chance
        share = 0.0021 * (1 + 0.12 * noise.normal(f"errors/{code}", day, hour)) * np.where(is_down, 90.0, 1.0)
        hiccup = noise.uniform(f"uptime/{code}", day, hour)
        lost = np.where(is_down, 52 - 9 * code, np.where(hiccup < 0.012, 1 + (hiccup * 200).astype(int), 0))
        columns: dict[str, Column] = {
            "service": Codes(np.full(len(start), code, dtype=np.int64), SERVICES),
            "requests": numbers(volume),
            "errors": numbers(volume * share),
            "minutes": numbers(np.full(len(start), 60)),
            "minutes_up": numbers(60 - lost),
        }
        made.append(Table(start + 3599, columns))
    return joined(made)


def usage(business: Business, first: int, last: int) -> Table:
    """One record a session of a hotel's receptionist; users come from a pool that grows with the customers."""
    days, noise = business.days, business.noise
    week = np.array([1.0, 0.99, 0.99, 1.0, 1.03, 1.02, 0.97])[days.weekday]
    gloom = 1 - 0.35 * business.outage - 0.05 * business.unrest
    chance = 1 + 0.03 * noise.normal("usage", days.ordinal)
    level = 125 * business.growth * week * gloom * days.season(200, 0.04)
    place, index = window(steady_counts(level * chance), first, last)
    day = days.ordinal[place]
    pool = 640 * business.growth[place]
    user = (pool * noise.uniform("usage/user", day, index) ** 1.25).astype(np.int64)
    return Table(
        days.moments(place, noise.uniform("usage/at", day, index), WEB),
        {
            "user": Names(10_000 + user, "U"),
            "plan": Codes(noise.choice("usage/plan", PLAN_WEIGHTS, user), PLANS),
            "feature": Codes(noise.choice("usage/feature", (4, 3, 2, 1), day, index), FEATURES),
        },
    )


def capacity(business: Business, first: int, last: int) -> Table:
    """Every two hours: the load of each site against what it can bear, which is raised each quarter."""
    days, noise = business.days, business.noise
    start, place = hours_of(days, first, last)
    even = start // 3600 % 2 == 0
    start, place = start[even], place[even]
    hour = np.minimum((start - days.midnight[place]) // 3600, 23)
    made = []
    for code, size in enumerate((400.0, 260.0)):
        available = np.round(size * business.growth[days.quarter_start[place]] * 1.28)
        load = size * business.growth[place] * (1 + 0.05 * np.sin(2 * np.pi * (hour - 9) / 24))
        used = np.minimum(load * (1 + 0.03 * noise.normal(f"capacity/{code}", days.ordinal[place], hour)), available)
        columns: dict[str, Column] = {
            "site": Codes(np.full(len(start), code, dtype=np.int64), ("Columbus", "Frankfurt")),
            "used": numbers(used, 2),
            "available": numbers(available),
        }
        made.append(Table(start, columns))
    return joined(made)


def automation(business: Business, first: int, last: int) -> Table:
    """One record a run that saved somebody time; ever more of them."""
    days, noise = business.days, business.noise
    counts = steady_counts(16 * business.growth**1.3 * (1 + 0.08 * noise.normal("automation", days.ordinal)))
    place, index = window(counts, first, last)
    day = days.ordinal[place]
    saved = np.rint(1300 * np.exp(0.4 * noise.normal("automation/saved", day, index)))
    flows = ("invoice matching", "night audit", "rate upload", "ticket triage")
    return Table(
        days.moments(place, noise.uniform("automation/at", day, index), ALWAYS),
        {
            "workflow": Codes(noise.choice("automation/flow", (3, 3, 2, 2), day, index), flows),
            "seconds_saved": numbers(saved),
        },
    )


def audits(business: Business, first: int, last: int) -> Table:
    """One record an audit, scored 0 to 100."""
    days, noise = business.days, business.noise
    place, index = window(steady_counts(4.2 * np.sqrt(business.growth) * days.working), first, last)
    day = days.ordinal[place]
    areas = ("support", "security", "releases", "data protection")
    return Table(
        days.moments(place, noise.uniform("audits/at", day, index), OFFICE),
        {
            "area": Codes(noise.choice("audits/area", (4, 2, 3, 1), day, index), areas),
            "score": numbers(np.clip(89 + 4 * noise.normal("audits/score", day, index), 0, 100)),
        },
    )


def heads(business: Business, team: Team) -> Ints:
    """How many people a team has, by day; it grows a little faster than the business."""
    return np.floor(team.heads * np.exp(0.0193 * business.days.months_on) + 0.3).astype(np.int64)


def hours(business: Business, first: int, last: int) -> Table:
    """One timesheet a person and working day, handed in in the afternoon."""
    return joined([_team_hours(business, code, team, first, last) for code, team in enumerate(TEAMS)])


def _team_hours(business: Business, code: int, team: Team, first: int, last: int) -> Table:
    days, noise = business.days, business.noise
    place, index = window(np.where(days.working, heads(business, team), 0), first, last)
    day, who = days.ordinal[place], 1000 * (code + 1) + index
    booked = 8 * np.clip(0.870 + 0.06 * noise.normal("hours/booked", day, who), 0.3, 1.2)
    tasks = np.maximum(np.rint(2.6 + 1.1 * noise.normal("hours/tasks", day, who)), 0)
    return Table(
        days.clock(place, 15 * 3600 + (9000 * noise.uniform("hours/at", day, who)).astype(np.int64)),
        {
            "person": Names(who, "P"),
            "team": Codes(np.full(len(place), code, dtype=np.int64), tuple(team.name for team in TEAMS)),
            "available": numbers(np.full(len(place), 8)),
            "booked": numbers(booked, 2),
            "tasks": numbers(tasks),
            "person_weeks": numbers(1 / days.working_in_week[place], 6),
            "person_months": numbers(1 / days.working_in_month[place], 6),
        },
    )
