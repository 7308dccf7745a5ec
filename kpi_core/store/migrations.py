"""How the tables came to be: a short list of steps, forward only, never edited once released.

Each migration is written out as the SQL of its day, in the words that DuckDB and PostgreSQL share (a step for one of
them is marked with its name), so that a later change of schema.py cannot change what an old migration does. It runs
in one transaction together with the record that it ran: killed at any moment, the database is as before or complete.
A database that knows migrations this code does not is refused: an older program would write what a newer one
misreads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from kpi_core.access import ROLES
from kpi_core.errors import StoreUnusable
from kpi_core.store.schema import roles, schema_migrations

__all__ = ["MIGRATIONS", "Migration", "Step", "migrate", "schema_version"]


@dataclass(frozen=True, slots=True)
class Step:
    """SQL for one engine only."""

    engine: str
    sql: str


_Step = str | Step | Callable[[sa.Connection], None]


@dataclass(frozen=True, slots=True)
class Migration:
    """One step forward. `version` counts from 1 without gaps."""

    version: int
    name: str
    steps: tuple[_Step, ...]


def _table(name: str, columns: str, *, numbered: bool = True) -> tuple[str, ...]:
    """CREATE TABLE, with an id from a sequence of its own first."""
    if not numbered:
        return (f"CREATE TABLE {name} ({columns})",)
    identity = f"id BIGINT DEFAULT nextval('{name}_id') PRIMARY KEY"
    return (f"CREATE SEQUENCE {name}_id", f"CREATE TABLE {name} ({identity}, {columns})")


def _seed_roles(connection: sa.Connection) -> None:
    rows = [{"name": name, "permissions": sorted(keys)} for name, keys in ROLES.items()]
    connection.execute(sa.insert(roles).values(rows))


_VALUES = """
    kpi_id BIGINT NOT NULL, value NUMERIC(38, 9), period_date DATE NOT NULL, period_type TEXT NOT NULL,
    numerator NUMERIC(38, 9), denominator NUMERIC(38, 9), reason TEXT, have_days INTEGER, of_days INTEGER,
    through TIMESTAMPTZ, typed BOOLEAN NOT NULL, elapsed NUMERIC(38, 9), prior NUMERIC(38, 9), prior_note TEXT,
    verdict TEXT, meta_data JSON, batch_id BIGINT, recorded_at TIMESTAMPTZ NOT NULL, recorded_by TEXT"""

_GROUND = Migration(
    version=1,
    name="ground",
    steps=(
        *_table(
            "store_state",
            "id INTEGER PRIMARY KEY, writes BIGINT NOT NULL, data_version BIGINT NOT NULL, "
            "catalog_version BIGINT NOT NULL",
            numbered=False,
        ),
        "INSERT INTO store_state (id, writes, data_version, catalog_version) VALUES (1, 0, 0, 0)",
        *_table(
            "kpi_definitions",
            """key TEXT NOT NULL UNIQUE, name TEXT NOT NULL, description TEXT NOT NULL, category TEXT NOT NULL,
            tracking_period TEXT NOT NULL, unit TEXT NOT NULL, calculation_method TEXT NOT NULL, data_source TEXT,
            is_active BOOLEAN NOT NULL, version INTEGER NOT NULL, definition JSON NOT NULL, created_by TEXT,
            created_at TIMESTAMPTZ NOT NULL, updated_at TIMESTAMPTZ NOT NULL""",
        ),
        *_table(
            "kpi_definition_versions",
            """kpi_id BIGINT NOT NULL, version INTEGER NOT NULL, definition JSON NOT NULL, is_active BOOLEAN NOT NULL,
            redefines BOOLEAN NOT NULL, notes TEXT NOT NULL, changed_by TEXT, changed_at TIMESTAMPTZ NOT NULL""",
        ),
        *_table(
            "kpi_targets",
            """kpi_id BIGINT NOT NULL, target_value NUMERIC(38, 9), low NUMERIC(38, 9), high NUMERIC(38, 9),
            scale NUMERIC(38, 9), grain TEXT, period_start DATE, period_end DATE, is_override BOOLEAN NOT NULL,
            set_by TEXT, notes TEXT NOT NULL, created_at TIMESTAMPTZ NOT NULL""",
        ),
        "CREATE SEQUENCE kpi_values_id",
        f"CREATE TABLE kpi_values (id BIGINT DEFAULT nextval('kpi_values_id') NOT NULL, {_VALUES})",
        Step("postgresql", "ALTER TABLE kpi_values ADD PRIMARY KEY (id)"),
        Step("postgresql", "CREATE INDEX kpi_values_by_period ON kpi_values (period_type, period_date, kpi_id)"),
        *_table(
            "kpi_alerts",
            """kpi_id BIGINT NOT NULL, alert_type TEXT NOT NULL, threshold_percentage NUMERIC(38, 9) NOT NULL,
            notification_channels JSON NOT NULL, is_active BOOLEAN NOT NULL, created_by TEXT""",
        ),
        *_table(
            "kpi_permissions",
            """kpi_id BIGINT NOT NULL, user_id TEXT, role TEXT, can_view BOOLEAN, can_edit BOOLEAN,
            can_set_targets BOOLEAN, granted_by TEXT, granted_at TIMESTAMPTZ NOT NULL""",
        ),
        *_table(
            "datasets",
            """key TEXT NOT NULL UNIQUE, name TEXT NOT NULL, definition JSON NOT NULL, first_day DATE,
            watermark TIMESTAMPTZ, connected BOOLEAN NOT NULL, created_by TEXT, created_at TIMESTAMPTZ NOT NULL,
            updated_at TIMESTAMPTZ NOT NULL""",
        ),
        *_table(
            "users",
            """id TEXT PRIMARY KEY, username TEXT NOT NULL, name TEXT NOT NULL, email TEXT, password_hash TEXT,
            roles JSON NOT NULL, categories JSON NOT NULL, is_active BOOLEAN NOT NULL, is_demo BOOLEAN NOT NULL,
            time_zone TEXT, created_at TIMESTAMPTZ NOT NULL, password_changed_at TIMESTAMPTZ""",
            numbered=False,
        ),
        *_table("roles", "name TEXT PRIMARY KEY, permissions JSON NOT NULL", numbered=False),
        _seed_roles,
        *_table(
            "sessions",
            """token_hash TEXT PRIMARY KEY, user_id TEXT NOT NULL, created_at TIMESTAMPTZ NOT NULL,
            last_seen TIMESTAMPTZ NOT NULL, idle_expires_at TIMESTAMPTZ NOT NULL, expires_at TIMESTAMPTZ NOT NULL,
            user_agent TEXT""",
            numbered=False,
        ),
        *_table(
            "sign_in_attempts",
            "username TEXT NOT NULL, address TEXT, succeeded BOOLEAN NOT NULL, attempted_at TIMESTAMPTZ NOT NULL",
        ),
        *_table(
            "api_tokens",
            """token_hash TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL, name TEXT NOT NULL, scopes JSON NOT NULL,
            created_at TIMESTAMPTZ NOT NULL, expires_at TIMESTAMPTZ, revoked_at TIMESTAMPTZ,
            last_used_at TIMESTAMPTZ""",
        ),
        *_table(
            "settings",
            "key TEXT PRIMARY KEY, value JSON, changed_by TEXT, changed_at TIMESTAMPTZ NOT NULL",
            numbered=False,
        ),
        *_table(
            "audit_log",
            "happened_at TIMESTAMPTZ NOT NULL, actor TEXT, action TEXT NOT NULL, subject TEXT, details JSON",
        ),
    ),
)

MIGRATIONS: tuple[Migration, ...] = (_GROUND,)

_LEDGER = """CREATE TABLE IF NOT EXISTS schema_migrations
    (version INTEGER PRIMARY KEY, name TEXT NOT NULL, ran_at TIMESTAMPTZ NOT NULL)"""


def schema_version(connection: sa.Connection) -> int:
    """The newest migration that ran here; 0 on an empty database."""
    return connection.execute(sa.select(sa.func.max(schema_migrations.c.version))).scalar() or 0


def migrate(
    transaction: Callable[[], AbstractContextManager[sa.Connection]],
    now: Callable[[], datetime],
    migrations: Sequence[Migration] = MIGRATIONS,
) -> int:
    """Run what has not run yet, one transaction each; return the version reached. Refuse a newer database.

    `transaction` opens a transaction under the write lock: of several processes that start at once, one migrates and
    the others then find it done.
    """
    while True:
        with transaction() as connection:
            connection.exec_driver_sql(_LEDGER)
            version = schema_version(connection)
            _refuse_newer(version, len(migrations))
            if version == len(migrations):
                return version
            _run(connection, migrations[version], now())


def _run(connection: sa.Connection, migration: Migration, now: datetime) -> None:
    for step in migration.steps:
        if isinstance(step, str):
            connection.exec_driver_sql(step)
        elif not isinstance(step, Step):
            step(connection)
        elif step.engine == connection.dialect.name:
            connection.exec_driver_sql(step.sql)
    record = {"version": migration.version, "name": migration.name, "ran_at": now}
    connection.execute(sa.insert(schema_migrations), record)


def _refuse_newer(version: int, known: int) -> None:
    if version > known:
        raise StoreUnusable(
            f"The database is of version {version}, and this program knows versions up to {known}. "
            "A newer release has used it: start that release again, or restore a backup made before the upgrade."
        )
