"""What happened to the demo company, and when: four things that a reader of its boards can find.

Where they lie depends on the seed, always within the 26 months before the demo was made: the outage in its last
weeks (boards of days show a month), the missed week in its last months (boards of weeks show half a year), the
others in its last year and a half.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from kpi_core.demo.noise import Noise

__all__ = ["MONTHS_BACK", "Story", "beginning", "story"]

MONTHS_BACK = 26


@dataclass(frozen=True, slots=True)
class Story:
    """`churn_month` and `missed_week` are their first days; the campaign runs from `campaign_start` for five weeks."""

    outage: date
    churn_month: date
    missed_week: date
    campaign_start: date

    @property
    def campaign_end(self) -> date:
        """The first day after the campaign."""
        return self.campaign_start + timedelta(weeks=5)

    def __str__(self) -> str:
        return (
            f"An outage took the platform down for hours on {self.outage:%d %B %Y}. In {self.churn_month:%B %Y} a "
            f"rival's offer drew customers away. In the week of {self.missed_week:%d %B %Y} the billing run failed, "
            f"and invoices went out two weeks late. From {self.campaign_start:%d %B %Y} a campaign paid off."
        )


def beginning(today: date) -> date:
    """The first day of a demo made today: the first of the month, 26 months back."""
    return _month(today, -MONTHS_BACK)


def story(seed: int, start: date) -> Story:
    """When it happened, for the demo of that seed whose first day is `start`."""
    chance = Noise(seed).uniform("story", np.arange(8)).tolist()
    made = _month(start, MONTHS_BACK)
    return Story(
        outage=_weekday(made - timedelta(days=4 + int(chance[0] * 18)), 1 + int(chance[1] * 3)),
        churn_month=_month(made, -4 - int(chance[2] * 4)),
        missed_week=_weekday(made - timedelta(weeks=6 + int(chance[3] * 9)), 0),
        campaign_start=_weekday(made - timedelta(days=250 + int(chance[4] * 130)), 0),
    )


def _month(day: date, months: int) -> date:
    count = day.year * 12 + day.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)


def _weekday(day: date, weekday: int) -> date:
    """That weekday (0 is Monday) of the week that holds a day."""
    return day + timedelta(days=weekday - day.weekday())
