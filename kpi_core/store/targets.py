"""Targets: append-only like everything that people decide; which one applies is for the core to say (section 3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from kpi_core.model import Grain, Target
from kpi_core.store import bulk
from kpi_core.store.schema import kpi_targets

__all__ = ["add", "add_all", "load"]

_TABLE = kpi_targets.c


def load(
    connection: sa.Connection, *, as_of: datetime | None = None, kpi_ids: Iterable[int] | None = None
) -> dict[int, list[Target]]:
    """The targets of every KPI that has any, in the order they were recorded, in one statement.

    `as_of`: those that were known at that moment.
    """
    found = sa.select(kpi_targets).order_by(_TABLE.created_at, _TABLE.id)
    if as_of is not None:
        found = found.where(_TABLE.created_at <= as_of)
    if kpi_ids is not None:
        found = found.where(_TABLE.kpi_id.in_(list(kpi_ids)))
    by_kpi: defaultdict[int, list[Target]] = defaultdict(list)
    for row in connection.execute(found):
        by_kpi[row.kpi_id].append(_target(row))
    return dict(by_kpi)


def add(connection: sa.Connection, target: Target, by: str | None, now: datetime) -> Target:
    """Record a target (`kpi_id` says whose); returns it with its id, and who set it when."""
    known = replace(target, set_by=by, created_at=now)
    made = sa.insert(kpi_targets).values(_row(known)).returning(_TABLE.id)
    return replace(known, id=connection.execute(made).scalar_one())


def add_all(connection: sa.Connection, targets: Sequence[Target], by: str | None, now: datetime) -> int:
    """Record many targets in one statement; returns how many."""
    return bulk.insert_rows(
        connection, kpi_targets, [_row(replace(each, set_by=by, created_at=now)) for each in targets]
    )


def _row(target: Target) -> dict[str, Any]:
    return {
        "kpi_id": target.kpi_id,
        "target_value": target.value,
        "low": target.low,
        "high": target.high,
        "scale": target.scale,
        "grain": target.grain.value if target.grain is not None else None,
        "period_start": target.period_start,
        "period_end": target.period_end,
        "is_override": target.override,
        "set_by": target.set_by,
        "notes": target.notes,
        "created_at": target.created_at,
    }


def _target(row: sa.Row[*tuple[Any, ...]]) -> Target:
    return Target(
        value=row.target_value,
        low=row.low,
        high=row.high,
        scale=row.scale,
        grain=Grain(row.grain) if row.grain is not None else None,
        period_start=row.period_start,
        period_end=row.period_end,
        override=row.is_override,
        set_by=row.set_by,
        notes=row.notes,
        created_at=row.created_at,
        kpi_id=row.kpi_id,
        id=row.id,
    )
