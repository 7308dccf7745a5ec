# ruff: noqa: ANN401 - a setting is any JSON value
"""Settings that people change while the product runs, each a JSON value under a key; the company's among them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from kpi_core.model import Company
from kpi_core.store import codec
from kpi_core.store.schema import settings

__all__ = ["company", "get", "load", "put", "remove", "set_company"]

_TABLE = settings.c
_COMPANY = "company"


def get(connection: sa.Connection, key: str, default: Any = None) -> Any:
    """The value under the key, or `default` where none was put."""
    row = connection.execute(sa.select(_TABLE.value).where(_TABLE.key == key)).first()
    return row.value if row is not None else default


def load(connection: sa.Connection) -> dict[str, Any]:
    """All settings."""
    return {row.key: row.value for row in connection.execute(sa.select(_TABLE.key, _TABLE.value).order_by(_TABLE.key))}


def put(connection: sa.Connection, key: str, value: Any, by: str | None, now: datetime) -> None:
    fresh = {"value": value, "changed_by": by, "changed_at": now}
    changed = connection.execute(sa.update(settings).where(_TABLE.key == key).values(fresh))
    if changed.rowcount == 0:
        connection.execute(sa.insert(settings).values(key=key, **fresh))


def remove(connection: sa.Connection, key: str) -> None:
    connection.execute(sa.delete(settings).where(_TABLE.key == key))


def company(connection: sa.Connection) -> Company:
    """What numbers depend on, with defaults for what was never set."""
    return codec.decode(Company, get(connection, _COMPANY, {}))


def set_company(connection: sa.Connection, company: Company, by: str | None, now: datetime) -> None:
    put(connection, _COMPANY, codec.encode(company), by, now)
