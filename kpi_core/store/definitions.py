"""Definitions of KPIs: the present one of each, and every version there was.

What people look for in a shell stands in columns; the whole definition is a document beside them (codec.py), and is
what is read. Alert rules of the definition are rows of `kpi_alerts` too, where later rules of people will stand.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from kpi_core.errors import Conflict, NotFound
from kpi_core.model import Kpi
from kpi_core.store import bulk, codec
from kpi_core.store.schema import kpi_alerts, kpi_definition_versions, kpi_definitions

__all__ = ["DefinitionVersion", "load", "load_one", "save", "save_all", "set_active", "versions"]

_ELSEWHERE = frozenset({"id", "version", "is_active"})
_TABLE = kpi_definitions.c


@dataclass(frozen=True, slots=True)
class DefinitionVersion:
    """A definition as it stood from `changed_at` on. `redefines`: what was before is not comparable with it."""

    kpi: Kpi
    redefines: bool
    notes: str
    changed_by: str | None
    changed_at: datetime


def load(connection: sa.Connection, *, only_active: bool = False, keys: Collection[str] | None = None) -> list[Kpi]:
    """All definitions (or those with these keys), in the order they were made, in one statement."""
    found = sa.select(_TABLE.id, _TABLE.version, _TABLE.is_active, _TABLE.definition).order_by(_TABLE.id)
    if only_active:
        found = found.where(_TABLE.is_active)
    if keys is not None:
        found = found.where(_TABLE.key.in_(list(keys)))
    return [_kpi(row) for row in connection.execute(found)]


def load_one(connection: sa.Connection, key_or_id: str | int) -> Kpi:
    """The definition with this key or id, else NotFound."""
    column: sa.Column[Any] = _TABLE.id if isinstance(key_or_id, int) else _TABLE.key
    found = sa.select(_TABLE.id, _TABLE.version, _TABLE.is_active, _TABLE.definition).where(column == key_or_id)
    row = connection.execute(found).first()
    if row is None:
        raise NotFound(f"There is no KPI {key_or_id!r}.")
    return _kpi(row)


def save(
    connection: sa.Connection, kpi: Kpi, by: str | None, now: datetime, *, redefines: bool = False, notes: str = ""
) -> Kpi:
    """Store one definition under its key; see `save_all`."""
    return save_all(connection, [kpi], by, now, redefines=redefines, notes=notes)[0]


def save_all(
    connection: sa.Connection,
    kpis: Sequence[Kpi],
    by: str | None,
    now: datetime,
    *,
    redefines: bool = False,
    notes: str = "",
) -> list[Kpi]:
    """Store definitions under their keys, new or changed; what did not change makes no version.

    Returns them as stored, with id and version, in the order given.
    """
    _refuse_twice(kpis)
    keys = [kpi.key for kpi in kpis]
    before = {kpi.key: kpi for kpi in load(connection, keys=keys)}
    _insert([kpi for kpi in kpis if kpi.key not in before], connection, by, now)
    changed = [_next_version(kpi, before[kpi.key]) for kpi in kpis if kpi.key in before]
    changed = [kpi for kpi in changed if kpi != before[kpi.key]]
    for kpi in changed:
        _update(connection, kpi, now)
    stored = {kpi.key: kpi for kpi in load(connection, keys=keys)}
    touched = [stored[kpi.key] for kpi in kpis if stored[kpi.key] != before.get(kpi.key)]
    how = {"redefines": redefines, "notes": notes, "changed_by": by, "changed_at": now}
    _record_versions(connection, touched, how)
    _replace_alerts(connection, touched, by)
    return [stored[kpi.key] for kpi in kpis]


def set_active(connection: sa.Connection, kpi_id: int, is_active: bool, by: str | None, now: datetime) -> Kpi:
    """Archive a definition, or bring it back."""
    found = sa.select(_TABLE.key).where(_TABLE.id == kpi_id)
    key = connection.execute(found).scalar()
    if key is None:
        raise NotFound(f"There is no KPI {kpi_id!r}.")
    return save(connection, replace(load_one(connection, key), is_active=is_active), by, now)


def versions(connection: sa.Connection, kpi_id: int) -> list[DefinitionVersion]:
    """Every version of a definition, the oldest first."""
    table = kpi_definition_versions.c
    found = sa.select(kpi_definition_versions).where(table.kpi_id == kpi_id).order_by(table.version)
    return [
        DefinitionVersion(
            kpi=codec.decode(Kpi, row.definition, id=kpi_id, version=row.version, is_active=row.is_active),
            redefines=row.redefines,
            notes=row.notes,
            changed_by=row.changed_by,
            changed_at=row.changed_at,
        )
        for row in connection.execute(found)
    ]


def _kpi(row: sa.Row[*tuple[Any, ...]]) -> Kpi:
    return codec.decode(Kpi, row.definition, id=row.id, version=row.version, is_active=row.is_active)


def _next_version(kpi: Kpi, old: Kpi) -> Kpi:
    """What the definition becomes: the old one itself where nothing changed."""
    if replace(kpi, id=old.id, version=old.version) == old:
        return old
    return replace(kpi, id=old.id, version=old.version + 1)


def _refuse_twice(kpis: Iterable[Kpi]) -> None:
    seen: set[str] = set()
    for kpi in kpis:
        if kpi.key in seen:
            raise Conflict(f"The key {kpi.key!r} is given twice; each KPI has a key of its own.")
        seen.add(kpi.key)


def _columns(kpi: Kpi) -> dict[str, Any]:
    """What stands in columns of its own, readable in a shell, beside the document."""
    return {
        "name": kpi.name,
        "description": kpi.description,
        "category": kpi.category.value,
        "tracking_period": kpi.tracking_period.value,
        "unit": kpi.unit.value,
        "calculation_method": kpi.calculation.value,
        "data_source": kpi.data_source,
        "is_active": kpi.is_active,
    }


def _document(kpi: Kpi) -> dict[str, Any]:
    return codec.encode(kpi, without=_ELSEWHERE)


def _insert(kpis: Sequence[Kpi], connection: sa.Connection, by: str | None, now: datetime) -> None:
    rows = [
        _columns(kpi)
        | {"key": kpi.key, "version": 1, "definition": json.dumps(_document(kpi))}
        | {"created_by": by, "created_at": now, "updated_at": now}
        for kpi in kpis
    ]
    bulk.insert_rows(connection, kpi_definitions, rows)


def _update(connection: sa.Connection, kpi: Kpi, now: datetime) -> None:
    fresh = _columns(kpi) | {"version": kpi.version, "definition": _document(kpi), "updated_at": now}
    connection.execute(sa.update(kpi_definitions).where(_TABLE.id == kpi.id).values(fresh))


def _record_versions(connection: sa.Connection, kpis: Iterable[Kpi], how: Mapping[str, Any]) -> None:
    rows = [
        {
            "kpi_id": kpi.id,
            "version": kpi.version,
            "is_active": kpi.is_active,
            "definition": json.dumps(_document(kpi)),
            **how,
        }
        for kpi in kpis
    ]
    bulk.insert_rows(connection, kpi_definition_versions, rows)


def _replace_alerts(connection: sa.Connection, kpis: Sequence[Kpi], by: str | None) -> None:
    """The definition's own rules as rows: the old ones are switched off, never deleted."""
    if not kpis:
        return
    old = kpi_alerts.c.kpi_id.in_([kpi.id for kpi in kpis if kpi.version > 1])
    connection.execute(sa.update(kpi_alerts).where(old, kpi_alerts.c.is_active).values(is_active=False))
    rows = [
        {"kpi_id": kpi.id, "alert_type": rule.type, "threshold_percentage": rule.threshold, "is_active": True}
        | {"notification_channels": json.dumps(list(rule.channels)), "created_by": by}
        for kpi in kpis
        for rule in kpi.alerts
    ]
    bulk.insert_rows(connection, kpi_alerts, rows)
