"""Values that people of the demo company type in each month, with both parts where a KPI is a ratio."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np

from kpi_core.demo.noise import Noise
from kpi_core.model import Grain

__all__ = ["Entered", "entered"]


@dataclass(frozen=True, slots=True)
class Entered:
    """One value for the span of `grain` that holds `period_date`, by whom (a username) and when."""

    kpi: str
    grain: Grain
    period_date: date
    value: Decimal
    numerator: Decimal | None
    denominator: Decimal | None
    entered_by: str
    recorded_at: datetime
    notes: str = ""


def entered(seed: int, first: date, time_zone: str, start: datetime, until: datetime) -> Iterator[Entered]:
    """What was typed in during [start, until), for months from `first` on, in order of time."""
    values = [value for number, month in _months(first, until) for value in _month(seed, month, number, time_zone)]
    due = [value for value in values if start <= value.recorded_at < until]
    yield from sorted(due, key=lambda value: value.recorded_at)


def _months(first: date, until: datetime) -> Iterator[tuple[int, date]]:
    month, number = first.replace(day=1), 0
    while month <= until.date() + timedelta(days=1):
        yield number, month
        month, number = (month + timedelta(days=32)).replace(day=1), number + 1


def _month(seed: int, month: date, number: int, time_zone: str) -> Iterator[Entered]:
    """The checks and the survey of a month come in on the 2nd of the next; the programme's progress on the 26th."""
    noise, zone = Noise(seed), ZoneInfo(time_zone)
    chance = noise.uniform("entered", np.array([month.toordinal()]), np.arange(4)).tolist()
    after = (month + timedelta(days=32)).replace(day=1)

    def at(day: date, hour: int) -> datetime:
        return datetime.combine(day, time(hour, int(chance[3] * 59)), zone).astimezone(UTC)

    made = Decimal(int(180 + 4 * number + 30 * chance[0]))
    passed = Decimal(round(float(made) * (0.925 + 0.02 * chance[1])))
    yield _ratio("process_compliance", month, passed, made, Decimal(100), "tom", at(after + timedelta(days=1), 9))
    answers = Decimal(int(52 + number + 8 * chance[2]))
    total = Decimal(round(float(answers) * (3.98 + 0.14 * chance[0])))
    yield _ratio("employee_satisfaction", month, total, answers, Decimal(1), "olga", at(after + timedelta(days=1), 10))
    progress = Decimal(round(month.month * 7.4 + 2 * chance[1]))
    yield Entered(
        "strategic_goal_progress", Grain.MONTHLY, month, progress, None, None, "carlos", at(month.replace(day=26), 11)
    )


def _ratio(
    kpi: str, month: date, numerator: Decimal, denominator: Decimal, factor: Decimal, who: str, at: datetime
) -> Entered:
    value = (factor * numerator / denominator).quantize(Decimal("0.000000001"))
    return Entered(kpi, Grain.MONTHLY, month, value, numerator, denominator, who, at)
