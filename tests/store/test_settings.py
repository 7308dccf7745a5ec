"""Settings and the audit log."""

from __future__ import annotations

from datetime import UTC, date, datetime

from kpi_core.model import Company
from kpi_core.store import Store, audit, settings
from kpi_core.store.audit import Entry

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def test_a_setting_is_put_changed_and_removed(store: Store) -> None:
    with store.write() as connection:
        assert settings.get(connection, "theme", "light") == "light"
        settings.put(connection, "theme", "dark", "ada", NOW)
        settings.put(connection, "theme", {"name": "dark", "size": 1.5}, "ada", NOW)
        settings.put(connection, "nothing", None, "ada", NOW)
        assert settings.load(connection) == {"theme": {"name": "dark", "size": 1.5}, "nothing": None}
        settings.remove(connection, "theme")
        assert settings.get(connection, "theme") is None


def test_a_company_that_was_never_set_has_the_defaults(store: Store) -> None:
    with store.read() as connection:
        assert settings.company(connection) == Company()


def test_a_company_comes_back_as_set(store: Store) -> None:
    company = Company(
        "Acme", "EUR", "Europe/Berlin", 7, 4, frozenset({date(2026, 12, 25), date(2026, 1, 1)}), is_demo=True
    )
    with store.write() as connection:
        settings.set_company(connection, company, "ada", NOW)
        assert settings.company(connection) == company


def test_the_audit_log_is_read_newest_first_and_goes_on_where_a_page_ended(store: Store) -> None:
    with store.write() as connection:
        for number in range(5):
            audit.append(connection, Entry(NOW, "ada", "kpi.defined", f"kpi:{number}", {"version": number}))
        page = audit.recent(connection, 2)
        rest = audit.recent(connection, 10, before_id=page[-1].id)
    assert [entry.subject for entry in (*page, *rest)] == ["kpi:4", "kpi:3", "kpi:2", "kpi:1", "kpi:0"]
    assert page[0] == Entry(NOW, "ada", "kpi.defined", "kpi:4", {"version": 4}, page[0].id)
