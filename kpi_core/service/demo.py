"""Loads the demo company into a store of its own, and keeps it going.

The demo never shares a file (or schema) with what people made, so that removing it cannot touch their work. Where it
stands (its seed, its first day, up to when it has lived) is a setting of that store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import pyarrow as pa
from sqlalchemy import Connection

from kpi_core import periods
from kpi_core.access import SYSTEM
from kpi_core.catalog import Catalog
from kpi_core.demo import Demo
from kpi_core.model import Company, Dataset, Grant, Reading, Target
from kpi_core.service.company import HOLIDAY_COUNTRY
from kpi_core.service.tracker import Tracker
from kpi_core.store import definitions, people, settings, targets, values
from kpi_core.warehouse import load_arrow

__all__ = ["extend_demo", "load_demo"]

KEY = "demo"
Progress = Callable[[float, str], None]
Ids = Mapping[str, str]
"""The id of each demo user, by username."""


@dataclass(frozen=True, slots=True)
class _Stand:
    """Up to when the demo has lived, and what it takes to make it go on."""

    demo: Demo
    until: datetime
    ids: Ids

    @classmethod
    def read(cls, conn: Connection) -> _Stand | None:
        kept = settings.get(conn, KEY)
        if kept is None:
            return None
        demo = Demo(kept["seed"], kept["time_zone"], date.fromisoformat(kept["start"]))
        return cls(demo, datetime.fromisoformat(kept["until"]), kept["ids"])

    def write(self, conn: Connection, now: datetime) -> None:
        demo = {"seed": self.demo.seed, "time_zone": self.demo.time_zone, "start": self.demo.start.isoformat()}
        stand = {**demo, "until": self.until.isoformat(), "ids": dict(self.ids)}
        settings.put(conn, KEY, stand, SYSTEM.id, now)


def load_demo(
    tracker: Tracker, catalog: Catalog, demo: Demo, *, ids: Ids | None = None, progress: Progress | None = None
) -> None:
    """Fill an empty store with the demo company up to the tracker's present instant.

    `ids` are the accounts of the demo's people: their rights, and what they entered, are stored under them.
    """
    say = progress or (lambda share, text: None)
    now = tracker.clock()
    known = ids or {}
    say(0.0, "Defining the KPIs")
    _set_company(tracker, demo, now)
    # Defined long before the company's first day: the targets that its people set came later, so they count.
    Tracker(tracker.store, clock=lambda: demo.begins - timedelta(days=400)).define(SYSTEM, catalog)
    _load_records(tracker, demo, now, say)
    say(0.6, "Setting targets, entering values")
    with tracker.store.write(touches_catalog=True) as conn:
        _set_targets(conn, catalog, demo, known, now, None)
        _give_rights(conn, demo, known, now)
        _enter(conn, demo, known, demo.begins, now)
    say(0.65, "Calculating daily, weekly and monthly values")
    tracker.recalculate(SYSTEM, full=True)
    with tracker.store.write() as conn:
        _Stand(demo, now, known).write(conn, now)
    say(1.0, "Ready")


def extend_demo(tracker: Tracker, catalog: Catalog) -> bool:
    """Let the demo go on up to now: records, entered values, the targets of a new quarter. True if time had passed."""
    now = tracker.clock()
    with tracker.store.read() as conn:
        stand = _Stand.read(conn)
    if stand is None or stand.until >= now:
        return False
    since = periods.local_day(stand.until, periods.Calendar(stand.demo.time_zone))
    loaded = dict(stand.demo.records(stand.until, now))
    # One transaction: killed in between, the next start goes on from where this one began, and nothing comes twice.
    with tracker.store.write(touches_catalog=_starts_quarter(stand, now)) as conn:
        for dataset in tracker.datasets(SYSTEM).values():
            _load(conn, tracker, stand.demo, dataset, loaded[dataset.key], now)
        _set_targets(conn, catalog, stand.demo, stand.ids, now, since)
        _enter(conn, stand.demo, stand.ids, stand.until, now)
        replace(stand, until=now).write(conn, now)
    tracker.recalculate(SYSTEM)
    return True


def _starts_quarter(stand: _Stand, now: datetime) -> bool:
    calendar = periods.Calendar(stand.demo.time_zone)
    before, after = periods.local_day(stand.until, calendar), periods.local_day(now, calendar)
    return (before.year, (before.month - 1) // 3) != (after.year, (after.month - 1) // 3)


def _set_company(tracker: Tracker, demo: Demo, now: datetime) -> None:
    told = dict(demo.company)
    country = told.pop("country")
    with tracker.store.write(touches_catalog=True) as conn:
        settings.set_company(conn, Company(**told), SYSTEM.id, now)
        settings.put(conn, HOLIDAY_COUNTRY, country, SYSTEM.id, now)


def _load_records(tracker: Tracker, demo: Demo, now: datetime, say: Progress) -> None:
    """All records so far, each dataset in a transaction of its own: together they would hold the lock too long."""
    known = tracker.datasets(SYSTEM)
    say(0.01, "Inventing 26 months of records")
    for number, (key, records) in enumerate(demo.records(demo.begins, now), start=1):
        with tracker.store.write() as conn:
            _load(conn, tracker, demo, known[key], records, now)
        say(0.01 + 0.59 * number / len(known), known[key].name)


def _load(conn: Connection, tracker: Tracker, demo: Demo, dataset: Dataset, records: pa.Table, now: datetime) -> None:
    """What arrived up to now. That nothing did is news too: it moves the watermark."""
    watermark = demo.watermark(dataset.key, now)
    load_arrow(conn, tracker.store, dataset, records, tracker.company(SYSTEM), watermark=watermark)


def _set_targets(conn: Connection, catalog: Catalog, demo: Demo, ids: Ids, now: datetime, since: date | None) -> None:
    """The targets that the demo's people set, under their names and at their times."""
    kpis = {kpi.key: kpi.id for kpi in definitions.load(conn)}
    made: dict[tuple[datetime, str], list[Target]] = {}
    for key, given in demo.targets(catalog, now, since).items():
        for target in given:
            who = ids.get(target.set_by or "", target.set_by or SYSTEM.id)
            at = min(target.created_at or now, now)
            made.setdefault((at, who), []).append(replace(target, kpi_id=kpis[key]))
    for at, who in sorted(made):
        targets.add_all(conn, made[at, who], who, at)


def _give_rights(conn: Connection, demo: Demo, ids: Ids, now: datetime) -> None:
    kpis = {kpi.key: kpi.id for kpi in definitions.load(conn)}
    for right in demo.grants:
        if right.username is not None and right.username not in ids:
            continue
        person = ids[right.username] if right.username is not None else None
        rights = (right.can_view, right.can_edit, right.can_set_targets)
        people.grant(conn, Grant(kpis[right.kpi], person, right.role, *rights), SYSTEM.id, now)


def _enter(conn: Connection, demo: Demo, ids: Ids, since: datetime, until: datetime) -> None:
    """The values that people typed in, under their names and at their times."""
    kpis = {kpi.key: kpi.id for kpi in definitions.load(conn)}
    calendar = periods.Calendar(demo.time_zone)
    readings = [
        Reading(
            kpis[each.kpi],
            periods.span_of(each.period_date, each.grain, calendar),
            each.value,
            each.numerator,
            each.denominator,
            typed=True,
            recorded_at=each.recorded_at,
            recorded_by=ids.get(each.entered_by, each.entered_by),
            notes=each.notes or None,
        )
        for each in demo.entered(since, until)
    ]
    if readings:
        values.append(conn, values.to_arrow(readings), by=SYSTEM.id, now=until)
