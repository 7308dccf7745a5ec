"""Who did what, when: appended with the write that it speaks of, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from kpi_core.store.schema import audit_log

__all__ = ["Entry", "append", "recent"]

_TABLE = audit_log.c


@dataclass(frozen=True, slots=True)
class Entry:
    """One deed: `action` a dotted word ("kpi.defined"), `subject` what it was done to ("kpi:daily_revenue")."""

    happened_at: datetime
    actor: str | None
    action: str
    subject: str | None = None
    details: Mapping[str, Any] | None = None
    id: int = 0


def append(connection: sa.Connection, entry: Entry) -> None:
    row = asdict(entry)
    del row["id"]
    connection.execute(sa.insert(audit_log).values(row))


def recent(connection: sa.Connection, limit: int = 100, *, before_id: int | None = None) -> list[Entry]:
    """The newest entries, newest first; `before_id` goes on from where the last page ended."""
    found = sa.select(audit_log).order_by(_TABLE.id.desc()).limit(limit)
    if before_id is not None:
        found = found.where(_TABLE.id < before_id)
    return [Entry(**row._mapping) for row in connection.execute(found)]
