"""One company, one truth: the customers day by day, and what follows from them in sales and in billing.

Whoever signs a first contract becomes a customer, and a customer is billed each month until it leaves. So bookings,
new customers, churn, recurring revenue, invoices and what is owed all come out of the same simulation and agree with
one another to the cent. It is run from the first day of the run-up each time: a few thousand events, some 0.1 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from kpi_core.demo.days import Days
from kpi_core.demo.noise import Floats, Ints, Noise, steady_counts
from kpi_core.demo.story import Story, story

__all__ = ["CHANNELS", "GOLDEN", "PLANS", "PLASTIC", "REGIONS", "Business", "Customers"]

PLANS = ("starter", "growth", "premium", "enterprise")
PLAN_WEIGHTS = (0.34, 0.38, 0.22, 0.06)
PLAN_PRICES = np.array([280.0, 540.0, 880.0, 1150.0])
REGIONS = ("north", "south", "east", "west")
CHANNELS = ("outbound", "organic", "paid", "email", "partner")
CUSTOMERS_AT_FIRST = 1250
GOLDEN, PLASTIC = 0.6180339887498949, 0.7548776662466927
"""Steps for `Noise.even`: the golden and the plastic number's inverses."""


@dataclass
class _Log:
    """What happens, as it happens: positions of days and customers, and amounts in whole dollars."""

    started: list[tuple[int, int]] = field(default_factory=list)
    changed: list[tuple[int, int, int]] = field(default_factory=list)
    cancelled: list[tuple[int, int, int]] = field(default_factory=list)
    billed: list[tuple[int, Ints, Ints]] = field(default_factory=list)


@dataclass(frozen=True)
class Customers:
    """What the simulation says, each as parallel arrays; `place` is a position on the axis of days."""

    plan: Ints
    first_mrr: Ints
    started: Ints
    """Rows (place, customer)."""
    changed: Ints
    """Rows (place, customer, how much more a month)."""
    cancelled: Ints
    """Rows (place, customer, what it paid a month)."""
    billed_place: Ints
    billed_customer: Ints
    billed_amount: Ints


class Business:
    """The levels of everything, by day, for one seed; `days` is the axis."""

    def __init__(self, seed: int, days: Days) -> None:
        self.days = days
        self.noise = Noise(seed)
        self.story: Story = story(seed, days.start)

    def within(self, first: int, last: int) -> Floats:
        """1 on the days [first, last) of the axis, else 0."""
        places = np.arange(len(self.days))
        return ((places >= first) & (places < last)).astype(np.float64)

    @cached_property
    def growth(self) -> Floats:
        """1 at the demo's start, and 1.7 % more each month."""
        return np.asarray(np.exp(0.017 * self.days.months_on), dtype=np.float64)

    @cached_property
    def campaign(self) -> Floats:
        """1 while the campaign runs."""
        return self.within(self.days.place(self.story.campaign_start), self.days.place(self.story.campaign_end))

    @cached_property
    def afterglow(self) -> Floats:
        """How much of the campaign's effect on deals there is: it starts late, and lasts for months."""
        since = np.arange(len(self.days)) - self.days.place(self.story.campaign_start)
        rise, fall = np.clip((since - 10) / 15.0, 0.0, 1.0), np.exp(-np.maximum(since - 45, 0) / 30.0)
        return np.asarray(rise * fall, dtype=np.float64)

    @cached_property
    def outage(self) -> Floats:
        """1 on the day of the outage."""
        place = self.days.place(self.story.outage)
        return self.within(place, place + 1)

    @cached_property
    def unrest(self) -> Floats:
        """1 in the month of churn."""
        month = self.story.churn_month
        return np.asarray(self.days.month == month.year * 12 + month.month - 1, dtype=np.float64)

    def busy(self, name: str, spread: float, mondays: float = 1.0, fridays: float = 1.0) -> Floats:
        """Around 1 on working days, 0 on others."""
        weekday = self.days.weekday
        shape = np.where(weekday == 0, mondays, np.where(weekday == 4, fridays, 1.0))
        chance = 1.0 + spread * self.noise.normal(name, self.days.ordinal)
        return np.asarray(self.days.working * shape * chance, dtype=np.float64)

    @cached_property
    def won_first(self) -> Ints:
        """First contracts a day."""
        level = 2.3 * self.growth * self.days.season(60, 0.05) * (1.0 + 0.55 * self.afterglow)
        return steady_counts(level * self.busy("won", 0.07, 0.93, 1.08))

    @cached_property
    def won_more(self) -> Ints:
        """Contracts a day with those who are customers already."""
        return steady_counts(3.2 * self.growth * self.busy("more", 0.07))

    @cached_property
    def left(self) -> Ints:
        """Customers lost a day: some 1.9 % a month, and three times as many in the month of churn."""
        base = CUSTOMERS_AT_FIRST * np.exp(0.017 * self.days.months_on)
        share = 0.019 / 30.4 * (1.0 + 1.9 * self.unrest)
        return steady_counts(base * share * (1.0 + 0.12 * self.noise.wander("left", self.days.ordinal, 70)))

    @cached_property
    def customers(self) -> Customers:
        """The simulation, run over the whole axis."""
        return _Simulation(self).run()


class _Simulation:
    """Day by day, in order; every choice is drawn by place, so that a longer axis changes nothing before its end."""

    def __init__(self, business: Business) -> None:
        self.business, self.days, self.noise = business, business.days, business.noise
        total = CUSTOMERS_AT_FIRST + int(business.won_first.sum())
        who = np.arange(total, dtype=np.int64)
        self.plan = self.noise.evenly("plan", PLAN_WEIGHTS, who, GOLDEN)
        self.mrr = np.rint(PLAN_PRICES[self.plan] * np.exp(0.16 * self.noise.normal("price", who))).astype(np.int64)
        self.first_mrr = self.mrr.copy()
        self.slot = self.noise.even("billing slot", who, PLASTIC)
        self.active = np.zeros(total, dtype=bool)
        self.active[:CUSTOMERS_AT_FIRST] = True
        self.known = CUSTOMERS_AT_FIRST
        self.log = _Log()

    def run(self) -> Customers:
        for place in range(len(self.days)):
            self._day(place)
        log = self.log
        return Customers(
            plan=self.plan,
            first_mrr=self.first_mrr,
            started=np.array(log.started, dtype=np.int64).reshape(-1, 2),
            changed=np.array(log.changed, dtype=np.int64).reshape(-1, 3),
            cancelled=np.array(log.cancelled, dtype=np.int64).reshape(-1, 3),
            billed_place=np.concatenate([np.full(len(who), place) for place, who, _ in log.billed]),
            billed_customer=np.concatenate([who for _, who, _ in log.billed]),
            billed_amount=np.concatenate([amount for *_, amount in log.billed]),
        )

    def _day(self, place: int) -> None:
        """Who leaves and who buys more are picked among yesterday's customers; then today's are added."""
        business = self.business
        chosen = self._pick(place, int(business.left[place]) + int(business.won_more[place]))
        for number, customer in enumerate(chosen):
            if number < business.left[place]:
                self._leave(place, customer)
            else:
                self._grow(place, customer)
        for _ in range(int(business.won_first[place])):
            self.active[self.known] = True
            self.log.started.append((place, self.known))
            self.known += 1
        if self.days.working[place]:
            self._bill(place)

    def _pick(self, place: int, count: int) -> Iterator[int]:
        """So many different customers."""
        active = np.flatnonzero(self.active)
        ranks = self.noise.uniform("pick", self.days.ordinal[place : place + 1], active)
        return iter(active[np.argpartition(ranks, count)[:count]].tolist() if count else [])

    def _leave(self, place: int, customer: int) -> None:
        self.active[customer] = False
        self.log.cancelled.append((place, customer, int(self.mrr[customer])))

    def _grow(self, place: int, customer: int) -> None:
        chance = self.noise.uniform("more", self.days.ordinal[place : place + 1], customer)[0]
        more = round(50 + 70 * float(chance) + 0.04 * float(self.mrr[customer]))
        self.mrr[customer] += more
        self.log.changed.append((place, customer, more))

    def _bill(self, place: int) -> None:
        """Each customer has its working day of the month."""
        of, number = int(self.days.working_in_month[place]), int(self.days.working_number[place])
        due = np.flatnonzero(self.active & ((self.slot * of).astype(np.int64) == number))
        self.log.billed.append((place, due, self.mrr[due]))
