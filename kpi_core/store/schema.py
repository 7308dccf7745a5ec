"""Our tables, as they are now. How they came to be is in migrations.py, and a test holds the two together.

Names and columns are readable in DuckDB's own shell, so enumerations are words and definitions are JSON. Three
absences are on purpose:

- No foreign keys: DuckDB turns an update of a row that something points to into a delete and an insert, and then
  refuses it. There is one write door and nothing is deleted that has history, so nothing can dangle.
- No UNIQUE on what people edit (names, e-mail addresses): the same trap. Keys and ids never change, so those are.
- No index and no primary key on `kpi_values` in DuckDB: rows arrive in the order of their dates, which lets a board's
  window skip all the row groups before it; an index over millions of rows would cost memory and loading time and
  help nothing. PostgreSQL gets a primary key and one index by (period_type, period_date, kpi_id).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

__all__ = [
    "DECIMAL",
    "Instant",
    "api_tokens",
    "audit_log",
    "datasets",
    "kpi_alerts",
    "kpi_definition_versions",
    "kpi_definitions",
    "kpi_permissions",
    "kpi_targets",
    "kpi_values",
    "metadata",
    "roles",
    "schema_migrations",
    "sessions",
    "settings",
    "sign_in_attempts",
    "store_state",
    "users",
]


class Instant(TypeDecorator[datetime]):
    """A moment: time-zone-aware, in UTC on both sides of the door, whatever zone the engine or the driver prefers."""

    impl = sa.TIMESTAMP(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"an instant needs a time zone: {value.isoformat()} has none")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value.astimezone(UTC) if value is not None else None


DECIMAL = sa.Numeric(38, 9)
JSON = sa.JSON(none_as_null=True)
metadata = sa.MetaData()
_Type = sa.types.TypeEngine[Any] | type[sa.types.TypeEngine[Any]]


def _id(table: str) -> sa.Column[int]:
    """An integer that the database gives, from a sequence of the table's own."""
    sequence = sa.Sequence(f"{table}_id")
    return sa.Column("id", sa.BigInteger, sequence, server_default=sequence.next_value(), primary_key=True)


def _column(name: str, kind: _Type, *, unique: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, unique=unique or None)


schema_migrations = sa.Table(
    "schema_migrations",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    _column("name", sa.Text),
    _column("ran_at", Instant),
)

store_state = sa.Table(
    "store_state",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    _column("writes", sa.BigInteger),
    _column("data_version", sa.BigInteger),
    _column("catalog_version", sa.BigInteger),
)

kpi_definitions = sa.Table(
    "kpi_definitions",
    metadata,
    _id("kpi_definitions"),
    _column("key", sa.Text, unique=True),
    _column("name", sa.Text),
    _column("description", sa.Text),
    _column("category", sa.Text),
    _column("tracking_period", sa.Text),
    _column("unit", sa.Text),
    _column("calculation_method", sa.Text),
    sa.Column("data_source", sa.Text),
    _column("is_active", sa.Boolean),
    _column("version", sa.Integer),
    _column("definition", JSON),
    sa.Column("created_by", sa.Text),
    _column("created_at", Instant),
    _column("updated_at", Instant),
)

kpi_definition_versions = sa.Table(
    "kpi_definition_versions",
    metadata,
    _id("kpi_definition_versions"),
    _column("kpi_id", sa.BigInteger),
    _column("version", sa.Integer),
    _column("definition", JSON),
    _column("is_active", sa.Boolean),
    _column("redefines", sa.Boolean),
    _column("notes", sa.Text),
    sa.Column("changed_by", sa.Text),
    _column("changed_at", Instant),
)

kpi_targets = sa.Table(
    "kpi_targets",
    metadata,
    _id("kpi_targets"),
    _column("kpi_id", sa.BigInteger),
    sa.Column("target_value", DECIMAL),
    sa.Column("low", DECIMAL),
    sa.Column("high", DECIMAL),
    sa.Column("scale", DECIMAL),
    sa.Column("grain", sa.Text),
    sa.Column("period_start", sa.Date),
    sa.Column("period_end", sa.Date),
    _column("is_override", sa.Boolean),
    sa.Column("set_by", sa.Text),
    _column("notes", sa.Text),
    _column("created_at", Instant),
)

kpi_values = sa.Table(
    "kpi_values",
    metadata,
    _id("kpi_values"),
    _column("kpi_id", sa.BigInteger),
    sa.Column("value", DECIMAL),
    _column("period_date", sa.Date),
    _column("period_type", sa.Text),
    sa.Column("numerator", DECIMAL),
    sa.Column("denominator", DECIMAL),
    sa.Column("reason", sa.Text),
    sa.Column("have_days", sa.Integer),
    sa.Column("of_days", sa.Integer),
    sa.Column("through", Instant),
    _column("typed", sa.Boolean),
    sa.Column("elapsed", DECIMAL),
    sa.Column("prior", DECIMAL),
    sa.Column("prior_note", sa.Text),
    sa.Column("verdict", sa.Text),
    sa.Column("meta_data", JSON),
    sa.Column("batch_id", sa.BigInteger),
    _column("recorded_at", Instant),
    sa.Column("recorded_by", sa.Text),
)

kpi_alerts = sa.Table(
    "kpi_alerts",
    metadata,
    _id("kpi_alerts"),
    _column("kpi_id", sa.BigInteger),
    _column("alert_type", sa.Text),
    _column("threshold_percentage", DECIMAL),
    _column("notification_channels", JSON),
    _column("is_active", sa.Boolean),
    sa.Column("created_by", sa.Text),
)

kpi_permissions = sa.Table(
    "kpi_permissions",
    metadata,
    _id("kpi_permissions"),
    _column("kpi_id", sa.BigInteger),
    sa.Column("user_id", sa.Text),
    sa.Column("role", sa.Text),
    sa.Column("can_view", sa.Boolean),
    sa.Column("can_edit", sa.Boolean),
    sa.Column("can_set_targets", sa.Boolean),
    sa.Column("granted_by", sa.Text),
    _column("granted_at", Instant),
)

datasets = sa.Table(
    "datasets",
    metadata,
    _id("datasets"),
    _column("key", sa.Text, unique=True),
    _column("name", sa.Text),
    _column("definition", JSON),
    sa.Column("first_day", sa.Date),
    sa.Column("watermark", Instant),
    _column("connected", sa.Boolean),
    sa.Column("created_by", sa.Text),
    _column("created_at", Instant),
    _column("updated_at", Instant),
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _column("username", sa.Text),
    _column("name", sa.Text),
    sa.Column("email", sa.Text),
    sa.Column("password_hash", sa.Text),
    _column("roles", JSON),
    _column("categories", JSON),
    _column("is_active", sa.Boolean),
    _column("is_demo", sa.Boolean),
    sa.Column("time_zone", sa.Text),
    _column("created_at", Instant),
    sa.Column("password_changed_at", Instant),
)

roles = sa.Table(
    "roles",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    _column("permissions", JSON),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_hash", sa.Text, primary_key=True),
    _column("user_id", sa.Text),
    _column("created_at", Instant),
    _column("last_seen", Instant),
    _column("idle_expires_at", Instant),
    _column("expires_at", Instant),
    sa.Column("user_agent", sa.Text),
)

sign_in_attempts = sa.Table(
    "sign_in_attempts",
    metadata,
    _id("sign_in_attempts"),
    _column("username", sa.Text),
    sa.Column("address", sa.Text),
    _column("succeeded", sa.Boolean),
    _column("attempted_at", Instant),
)

api_tokens = sa.Table(
    "api_tokens",
    metadata,
    _id("api_tokens"),
    _column("token_hash", sa.Text, unique=True),
    _column("user_id", sa.Text),
    _column("name", sa.Text),
    _column("scopes", JSON),
    _column("created_at", Instant),
    sa.Column("expires_at", Instant),
    sa.Column("revoked_at", Instant),
    sa.Column("last_used_at", Instant),
)

settings = sa.Table(
    "settings",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", JSON),
    sa.Column("changed_by", sa.Text),
    _column("changed_at", Instant),
)

audit_log = sa.Table(
    "audit_log",
    metadata,
    _id("audit_log"),
    _column("happened_at", Instant),
    sa.Column("actor", sa.Text),
    _column("action", sa.Text),
    sa.Column("subject", sa.Text),
    sa.Column("details", JSON),
)
