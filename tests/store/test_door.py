"""One write door: all or nothing, one at a time, and every write is noticed."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from kpi_core.store import Store, open_store, settings
from kpi_core.store.schema import settings as table

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def put(store: Store, value: object, *, touches_data: bool = True) -> None:
    with store.write(touches_data=touches_data) as connection:
        settings.put(connection, "key", value, "ada", NOW)


def value(store: Store) -> object:
    with store.read() as connection:
        return settings.get(connection, "key")


def test_what_is_written_can_be_read(store: Store) -> None:
    put(store, {"a": [1, None, "text"]})
    assert value(store) == {"a": [1, None, "text"]}


def test_a_write_that_raises_leaves_nothing_and_no_new_version(store: Store) -> None:
    put(store, "before")
    version = store.data_version()
    with pytest.raises(ZeroDivisionError), store.write() as connection:  # noqa: PT012 - the block is what fails
        settings.put(connection, "key", "after", "ada", NOW)
        raise ZeroDivisionError
    assert value(store) == "before"
    assert store.data_version() == version


def test_every_write_raises_the_data_version_but_one_that_no_board_shows(store: Store) -> None:
    first = store.data_version()
    put(store, 1)
    second = store.data_version()
    put(store, 2, touches_data=False)
    assert first < second == store.data_version()


def test_a_change_of_the_catalog_raises_the_catalog_version_and_data_alone_does_not(store: Store) -> None:
    before = store.versions()
    put(store, 1)
    assert store.versions() == (before.data + 1, before.catalog)
    with store.write(touches_catalog=True) as connection:
        settings.put(connection, "key", 2, "ada", NOW)
    assert store.versions() == (before.data + 2, before.catalog + 1)
    assert store.data_version() == before.data + 2


def test_the_data_version_goes_on_rising_after_a_restart(duckdb_url: str) -> None:
    with open_store(duckdb_url) as store:
        put(store, 1)
        put(store, 2)
        version = store.data_version()
    with open_store(duckdb_url) as store:
        assert store.data_version() == version
        put(store, 3)
        assert store.data_version() > version


def test_another_web_process_on_postgresql_sees_the_version_rise(postgres_store: Store, postgres_url: str) -> None:
    with postgres_store.read() as connection:
        schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    with open_store(postgres_url, schema=schema) as other:
        before = postgres_store.data_version()
        put(other, "from there")
        assert postgres_store.data_version() > before
        assert value(postgres_store) == "from there"


def test_everything_read_at_once_is_of_one_moment(store: Store) -> None:
    put(store, "before")
    with store.read() as connection:
        assert settings.get(connection, "key") == "before"
        put(store, "after")
        assert settings.get(connection, "key") == "before"
    assert value(store) == "after"


def test_forty_threads_that_write_one_row_all_succeed(store: Store) -> None:
    put(store, 0)

    def add_one() -> None:
        with store.write() as connection:
            settings.put(connection, "key", settings.get(connection, "key") + 1, "ada", NOW)

    threads = [threading.Thread(target=add_one) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value(store) == 40


def test_a_write_inside_a_write_is_refused_instead_of_waiting_for_itself(store: Store) -> None:
    with store.write(), pytest.raises(RuntimeError, match="hand the open connection on"), store.write():
        pass
    put(store, "the door is open again")


def test_an_instant_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(sa.exc.StatementError, match="needs a time zone"), store.write() as connection:
        connection.execute(sa.insert(table).values(key="x", changed_at=datetime(2026, 1, 1)))  # noqa: DTZ001


def test_an_instant_comes_back_in_utc_whatever_zone_it_was_given_in(store: Store) -> None:
    from zoneinfo import ZoneInfo

    given = datetime(2026, 7, 1, 8, 0, tzinfo=ZoneInfo("America/New_York"))
    with store.write() as connection:
        settings.put(connection, "key", 1, "ada", given)
        found = connection.execute(sa.select(table.c.changed_at)).scalar_one()
        as_text = sa.cast(table.c.changed_at, sa.Text)
        shown = connection.execute(sa.select(as_text)).scalar_one()
    assert found == given
    assert found.tzinfo is UTC
    assert shown == "2026-07-01 12:00:00+00"


def test_the_main_store_and_the_demo_do_not_touch(store: Store, postgres_url: str, duckdb_url: str) -> None:
    from kpi_core.store import drop_store

    put(store, "what people made")
    url = duckdb_url if store.is_duckdb else postgres_url
    with open_store(url, schema="demo") as demo:
        put(demo, "made up")
        assert value(store) == "what people made"
    drop_store(url, schema="demo")
    assert value(store) == "what people made"
    with open_store(url, schema="demo") as demo:
        assert value(demo) is None
    drop_store(url, schema="demo")
