"""Our own tables, in a DuckDB file or in PostgreSQL, behind one door.

    with open_store("duckdb:///data/kpi.duckdb") as store:
        with store.write() as connection:
            definitions.save(connection, kpi, by="ada", now=now)
        with store.read() as connection:
            board = values.window(connection, Grain.DAILY, start, end)

`open_store` gives a Store; its `read()` and `write()` give connections; the modules here are functions over one, a
file for each thing that is kept. Nothing else in the product writes SQL against these tables.
"""

from kpi_core.store.door import Store, Versions, drop_store, open_store, utc_now

__all__ = ["Store", "Versions", "drop_store", "open_store", "utc_now"]
