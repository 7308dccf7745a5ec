"""Raw records of finance: invoices, the ledger with its budgets, cash, and the balances that follow from them.

Every invoice, bill and payment is a record; balances are nothing but those records added up, so that receivables,
payables and cash agree with what was invoiced, spent and paid at every instant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kpi_core.demo.business import PLANS, Business
from kpi_core.demo.company import TEAMS
from kpi_core.demo.days import OFFICE
from kpi_core.demo.marketing import ad_budget, ad_total
from kpi_core.demo.noise import Floats, Ints
from kpi_core.demo.operations import heads
from kpi_core.demo.sales import CALLS_BY_REP, REPS, closed_deals, snapshots
from kpi_core.demo.tables import Amounts, Codes, Names, Table, joined

__all__ = ["balances", "budgets", "cash", "invoices", "ledger"]

MICROS_PER_CENT = 10_000
OPENING_CASH = 640_000_000
RESERVE = 100_000_000
"""In cents."""
DUE_DAYS = 14
PAYMENT_RUN = 3
"""Bills are paid on Thursdays (0 is Monday), the first one at least 18 days later; wages each Friday."""
SECTIONS = ("cogs", "opex", "interest", "taxes", "depreciation")
FUNCTIONS = ("sales", "marketing", "operations", "engineering", "administration")
LINES = (
    *("salaries", "advertising", "events", "commissions", "hosting", "payment fees", "software", "rent", "travel"),
    *("advice", "interest", "taxes", "depreciation"),
)
SALARIES, DEPRECIATION = LINES.index("salaries"), LINES.index("depreciation")
PURPOSES = ("customers", "wages", "suppliers", "interest and taxes")
COLLECTION = (0.62, 0.80, 0.88)
"""The shares of invoices paid early, by the day that they are due, and within some days of it."""


# Invoices


@dataclass(frozen=True)
class _Invoices:
    """Every invoice of the axis: positions of days, cents, and instants (seconds)."""

    number: Ints
    plan: Ints
    service: Ints
    cents: Ints
    issued: Ints
    due: Ints
    paid: Ints


def _all_invoices(business: Business) -> _Invoices:
    """Subscriptions on each customer's billing day, setup services on the day that a customer starts."""
    customers, noise = business.customers, business.noise
    place = np.concatenate([customers.billed_place, customers.started[:, 0]])
    who = np.concatenate([customers.billed_customer, customers.started[:, 1]])
    service = np.repeat([0, 1], [len(customers.billed_place), len(customers.started)])
    day = business.days.ordinal[place]
    setup = 100 * np.rint(220 + 500 * noise.uniform("setup", day, who)).astype(np.int64)
    monthly = np.concatenate([customers.billed_amount, np.zeros(len(customers.started), dtype=np.int64)])
    place = _delayed(business, place, who)
    issued = _instant(business, place, noise.uniform("invoices/at", day, who))
    due_place = place + DUE_DAYS
    return _Invoices(
        number=day * 100_000 + who * 2 + service,
        plan=customers.plan[who],
        service=service,
        cents=np.where(service == 1, setup, 100 * monthly),
        issued=issued,
        due=_clock(business, due_place, 17 * 3600),
        paid=_paid(business, due_place, day, who),
    )


def _delayed(business: Business, place: Ints, who: Ints) -> Ints:
    """In the missed week two of five invoices stayed behind; they went out two weeks later."""
    week = business.days.place(business.story.missed_week)
    failed = (place >= week) & (place < week + 7) & (business.noise.uniform("billing run", who) < 0.42)
    return np.where(failed, place + 14, place)


def _paid(business: Business, due_place: Ints, day: Ints, who: Ints) -> Ints:
    """When an invoice is paid: mostly before or when it is due, some days later, or much later."""
    noise = business.noise
    fate, delay = noise.uniform("paid/fate", day, who), noise.uniform("paid/delay", day, who)
    lag = np.select(
        [fate < COLLECTION[0], fate < COLLECTION[1], fate < COLLECTION[2]],
        [-1 - np.floor(9 * delay), np.zeros(len(day)), 1 + np.floor(4 * delay)],
        6 + np.floor(40 * delay),
    ).astype(np.int64)
    return _at_bank(business, due_place + lag, delay)


def _at_bank(business: Business, place: Ints, chance: Floats) -> Ints:
    days = business.days
    inside = np.minimum(place, len(days) - 1)
    at = days.moments(days.next_working[inside], chance, OFFICE)
    return np.where(place < len(days), at, days.midnight[-1] + 1)


def _instant(business: Business, place: Ints, chance: Floats) -> Ints:
    """Office hours of a day; never, where the day lies past the axis."""
    days = business.days
    at = days.moments(np.minimum(place, len(days) - 1), chance, OFFICE)
    return np.where(place < len(days), at, days.midnight[-1] + 1)


def _clock(business: Business, place: Ints, seconds: int) -> Ints:
    days = business.days
    return np.where(place < len(days), days.clock(np.minimum(place, len(days) - 1), seconds), days.midnight[-1] + 1)


def _week_of(business: Business, at: Ints) -> Ints:
    """A number for the local week that holds an instant."""
    days = business.days
    place = np.minimum(days.place_at(at), len(days) - 1)
    return (days.ordinal[place] - 1) // 7


def invoices(business: Business, first: int, last: int) -> Table:
    """One record when an invoice is issued, when it falls due, and when it is paid."""
    made = _all_invoices(business)
    in_time = made.paid <= made.due
    same_week = ~in_time & (_week_of(business, made.paid) == _week_of(business, made.due))
    none = np.zeros_like(made.cents)
    happens = (
        (0, made.issued, none),
        (1, made.due, np.where(in_time, made.cents, 0)),
        (2, made.paid, np.where(same_week, made.cents, 0)),
    )
    return joined([_invoice_events(made, code, at, collected) for code, at, collected in happens])


def _invoice_events(made: _Invoices, code: int, at: Ints, collected: Ints) -> Table:
    return Table(
        at,
        {
            "invoice": Names(made.number, "I"),
            "event": Codes(np.full(len(at), code, dtype=np.int64), ("issued", "due", "paid")),
            "product": Codes(made.service, ("subscription", "services")),
            "plan": Codes(made.plan, PLANS),
            "amount": Amounts(made.cents * MICROS_PER_CENT),
            "collected": Amounts(collected * MICROS_PER_CENT),
        },
    )


# The ledger


@dataclass(frozen=True)
class _Posting:
    """A line that is posted once on each day where `planned` is above 0, in cents, so many hours into the day."""

    section: str
    function: str
    line: str
    planned: Floats
    actual: Floats
    hour: float


def _postings(business: Business) -> Iterator[_Posting]:
    days, growth = business.days, business.growth
    daily = days.working / days.working_in_month
    for number, team in enumerate(TEAMS):
        pay = 100.0 * team.pay * heads(business, team) * daily
        yield _noisy(business, _Posting(team.section, team.function, "salaries", pay, pay, 9.25 + 1.5 * number), 0.01)
    spent = ad_total(business).astype(np.float64)
    yield _Posting("opex", "marketing", "advertising", 94.0 * ad_budget(business), spent, 23.5)
    sold = closed_deals(business)
    value = np.where(sold.codes("outcome") == 0, sold.micros("amount") / MICROS_PER_CENT, 0.0)
    won = np.asarray(np.bincount(days.place_at(sold.at), weights=value, minlength=len(days)), dtype=np.float64)
    expected = 100 * 19_600 * growth * days.working
    yield _Posting("opex", "sales", "commissions", 0.07 * expected, 0.07 * won, 18.5)
    for section, function, line, monthly, power, hour in (
        ("cogs", "operations", "hosting", 58_000, 1.0, 2.0),
        ("cogs", "operations", "payment fees", 19_000, 1.0, 20.0),
        ("opex", "marketing", "events", 24_000, 1.0, 10.0),
        ("opex", "sales", "travel", 8_000, 0.8, 11.0),
        ("opex", "engineering", "software", 26_000, 0.9, 9.5),
        ("opex", "operations", "software", 9_000, 0.9, 12.5),
        ("opex", "administration", "rent", 36_000, 0.2, 9.0),
        ("opex", "administration", "advice", 13_000, 0.6, 14.5),
        ("interest", "administration", "interest", 3_500, 0.0, 13.0),
        ("taxes", "administration", "taxes", 6_000, 0.8, 13.5),
        ("depreciation", "administration", "depreciation", 14_000, 0.5, 15.0),
    ):
        planned = 100.0 * monthly * growth**power * (daily if line not in ("hosting",) else 1 / 30.4)
        yield _noisy(business, _Posting(section, function, line, planned, planned, hour), 0.05)


def _noisy(business: Business, posting: _Posting, spread: float) -> _Posting:
    """What was spent strays from what was planned, each line in its own way."""
    name = f"ledger/{posting.function}/{posting.section}/{posting.line}/{posting.hour}"
    chance = 1.012 + spread * business.noise.normal(name, business.days.ordinal)
    planned = posting.planned
    return _Posting(posting.section, posting.function, posting.line, planned, planned * chance, posting.hour)


def _posted(business: Business, postings: list[_Posting], *, budget: bool) -> tuple[Table, Ints]:
    """All postings as records, and the position of the day of each."""
    tables, places = [], []
    for posting in postings:
        place = np.flatnonzero(posting.planned > 0)
        amount = np.rint((posting.planned if budget else posting.actual)[place]).astype(np.int64)
        codes = {
            "section": Codes(np.full(len(place), SECTIONS.index(posting.section)), SECTIONS),
            "function": Codes(np.full(len(place), FUNCTIONS.index(posting.function)), FUNCTIONS),
            "line": Codes(np.full(len(place), LINES.index(posting.line)), LINES),
        }
        at = business.days.clock(place, round(posting.hour * 3600) - budget)
        tables.append(Table(at, {**codes, "amount": Amounts(amount * MICROS_PER_CENT)}))
        places.append(place)
    return joined(tables), np.concatenate(places)


def ledger(business: Business, first: int, last: int) -> Table:
    """One record a line and day."""
    return _posted(business, list(_postings(business)), budget=False)[0]


def budgets(business: Business, first: int, last: int) -> Table:
    """The budget of each posting, a second before it, so that spend and budget are alike at any hour; and quotas."""
    planned = _posted(business, list(_postings(business)), budget=True)[0]
    count = len(planned)
    expense = Table(
        planned.at,
        {
            "kind": Codes(np.zeros(count, dtype=np.int64), ("expense", "quota")),
            "function": planned.columns["function"],
            "rep": Codes(np.full(count, -1), REPS),
            "amount": planned.columns["amount"],
        },
    )
    return joined([expense, _quotas(business)])


def _quotas(business: Business) -> Table:
    """What each representative is to sell, falling due over the working days of a quarter."""
    days = business.days
    place = np.repeat(np.flatnonzero(days.working), len(REPS))
    rep = np.tile(np.arange(len(REPS)), len(place) // len(REPS))
    level = (
        21_000
        * np.exp(0.017 * 1.5)
        * business.growth[days.quarter_start[place]]
        * (1 + 0.3 * business.afterglow[place])
    )
    share = np.array(CALLS_BY_REP)[rep] / sum(CALLS_BY_REP)
    return Table(
        days.clock(place, 17 * 3600),
        {
            "kind": Codes(np.ones(len(place), dtype=np.int64), ("expense", "quota")),
            "function": Codes(np.zeros(len(place), dtype=np.int64), FUNCTIONS),
            "rep": Codes(rep, REPS),
            "amount": Amounts(np.rint(level * share).astype(np.int64) * 1_000_000),
        },
    )


# Cash and balances


def cash(business: Business, first: int, last: int) -> Table:
    """One record a payment by a customer, and one a payment run."""
    received = _all_invoices(business)
    income = _payments(received.paid, received.cents, 0, 0)
    return joined([income, *_outgoing(business)])


def _payments(at: Ints, amount: Ints, direction: int, purpose: int) -> Table:
    return Table(
        at,
        {
            "direction": Codes(np.full(len(at), direction, dtype=np.int64), ("in", "out")),
            "purpose": Codes(np.full(len(at), purpose, dtype=np.int64), PURPOSES),
            "amount": Amounts(amount * MICROS_PER_CENT),
        },
    )


def _outgoing(business: Business) -> Iterator[Table]:
    """Wages on the Friday of their week, everything else with the payment run; depreciation costs no cash."""
    table, place = _posted(business, list(_postings(business)), budget=False)
    line, value = table.codes("line"), table.micros("amount") // MICROS_PER_CENT
    weekday = business.days.weekday[place]
    run = place + 18 + (PAYMENT_RUN - weekday - 18) % 7
    friday = place + (4 - weekday) % 7
    wages, paper = line == SALARIES, line == DEPRECIATION
    public = np.isin(line, [LINES.index("interest"), LINES.index("taxes")])
    for purpose, rows, day in ((1, wages, friday), (2, ~wages & ~paper & ~public, run), (3, public, run)):
        paid = np.bincount(day[rows], weights=value[rows])
        days_paid = np.flatnonzero(paid)
        yield _payments(_clock(business, days_paid, 11 * 3600), np.rint(paid[days_paid]).astype(np.int64), 1, purpose)


def balances(business: Business, first: int, last: int) -> Table:
    """Cash in two accounts, what customers owe, and what is owed to suppliers, at each snapshot."""
    _, at = snapshots(business, first, last)
    made = _all_invoices(business)
    paid = cash(business, first, last)
    signed = np.where(paid.codes("direction") == 0, 1, -1) * (paid.micros("amount") // MICROS_PER_CENT)
    bills_at, bills = _bills(business)
    settled = paid.codes("purpose") >= PURPOSES.index("suppliers")
    owed_to_us = _sum_until(at, made.issued, made.cents) - _sum_until(at, made.paid, made.cents)
    owed_by_us = _sum_until(at, bills_at, bills) + _sum_until(at, paid.at[settled], signed[settled])
    kinds = (
        (0, 0, OPENING_CASH + _sum_until(at, paid.at, signed)),
        (0, 1, np.full(len(at), RESERVE)),
        (1, 2, owed_to_us),
        (2, 3, owed_by_us),
    )
    return joined([_balance(at, kind, account, value) for kind, account, value in kinds])


def _bills(business: Business) -> tuple[Ints, Ints]:
    table, _ = _posted(business, list(_postings(business)), budget=False)
    rows = ~np.isin(table.codes("line"), [SALARIES, DEPRECIATION])
    return table.at[rows], table.micros("amount")[rows] // MICROS_PER_CENT


def _sum_until(at: Ints, when: Ints, amount: Ints) -> Ints:
    """For each instant of `at`, the sum of the amounts up to it."""
    order = np.argsort(when, kind="stable")
    total = np.concatenate(([0], np.cumsum(amount[order])))
    return np.asarray(total[np.searchsorted(when[order], at, side="right")], dtype=np.int64)


def _balance(at: Ints, kind: int, account: int, value: Ints) -> Table:
    accounts = ("Operating account", "Reserve account", "Customers", "Suppliers")
    return Table(
        at,
        {
            "kind": Codes(np.full(len(at), kind, dtype=np.int64), ("cash", "receivable", "payable")),
            "account": Codes(np.full(len(at), account, dtype=np.int64), accounts),
            "amount": Amounts(value * MICROS_PER_CENT),
        },
    )
