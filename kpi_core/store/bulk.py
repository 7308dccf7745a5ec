"""Rows in and out by the thousand, always as Arrow.

One row at a time costs either engine a thousand times what it need: `executemany` is banned. Inwards, DuckDB reads a
registered Arrow table (INSERT ... SELECT) and PostgreSQL takes a COPY. Outwards, columns come as columns.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import count
from typing import Any

import pyarrow as pa
import pyarrow.csv
import sqlalchemy as sa

from kpi_core.store.schema import Instant

__all__ = ["arrow_schema", "fetch", "insert", "insert_rows", "name_of", "staged"]

_names = count(1)


def insert(connection: sa.Connection, table: sa.Table | str, rows: pa.Table) -> int:
    """Insert by column names; columns left out take their defaults. The number of rows."""
    if rows.num_rows == 0:
        return 0
    name = table if isinstance(table, str) else table.name
    if connection.dialect.name == "postgresql":
        _copy_in(connection, name, rows)
        return int(rows.num_rows)
    columns = _quoted(connection, rows.column_names)
    with staged(connection, rows) as source:
        target = _quoted(connection, [name])
        statement = f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {source}"  # noqa: S608 - quoted names
        connection.exec_driver_sql(statement)
    return int(rows.num_rows)


def insert_rows(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows given one by one (JSON as text), by way of Arrow; they all have the columns of the first."""
    if not rows:
        return 0
    return insert(connection, table, pa.Table.from_pylist(list(rows), arrow_schema(table.c[name] for name in rows[0])))


def arrow_schema(columns: Iterable[sa.ColumnElement[Any]]) -> pa.Schema:
    """The Arrow types of our columns."""
    return pa.schema([(name_of(column), _arrow_type(column.type)) for column in columns])


def name_of(column: sa.ColumnElement[Any]) -> str:
    """The name of a column, or of a labelled expression."""
    return str(getattr(column, "key", ""))


@contextmanager
def staged(connection: sa.Connection, rows: pa.Table, like: sa.Table | None = None) -> Iterator[str]:
    """The rows as something that SQL can select from, for the length of the block; yields its name.

    On PostgreSQL a temporary table with the column types of `like`, on DuckDB the Arrow table itself.
    """
    name = f"staged_{next(_names)}"
    if connection.dialect.name == "postgresql":
        if like is None:
            raise ValueError("PostgreSQL needs to know what the rows are like")
        columns = _quoted(connection, rows.column_names)
        like_name = _quoted(connection, [like.name])
        statement = f"CREATE TEMPORARY TABLE {name} AS SELECT {columns} FROM {like_name} LIMIT 0"  # noqa: S608 - quoted
        connection.exec_driver_sql(statement)
        _copy_in(connection, name, rows)
        yield name
        connection.exec_driver_sql(f"DROP TABLE {name}")
        return
    native = _native(connection)
    native.register(name, rows)
    try:
        yield name
    finally:
        native.unregister(name)


def fetch(connection: sa.Connection, statement: sa.Select[*tuple[Any, ...]]) -> pa.Table:
    """Run a select and return its columns as Arrow, decimals and instants as such."""
    if connection.dialect.name == "duckdb":
        result: Any = connection.execute(statement, execution_options={"duckdb_arrow": True})
        return result.arrow
    return _copy_out(connection, statement)


def _native(connection: sa.Connection) -> Any:  # noqa: ANN401 - a driver of one engine or the other
    return connection.connection.dbapi_connection


def _quoted(connection: sa.Connection, names: list[str]) -> str:
    quote = connection.dialect.identifier_preparer.quote_identifier
    return ", ".join(quote(name) for name in names)


def _copy_in(connection: sa.Connection, name: str, rows: pa.Table) -> None:
    """COPY as CSV: Arrow writes it, with every text quoted, so that an empty text and an unknown one differ."""
    sink = io.BytesIO()
    whole = rows.combine_chunks()  # the writer garbles columns whose chunks end at different rows
    pyarrow.csv.write_csv(whole, sink, pyarrow.csv.WriteOptions(include_header=False))
    statement = f"COPY {_quoted(connection, [name])} ({_quoted(connection, rows.column_names)}) FROM STDIN (FORMAT csv)"
    with _native(connection).cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(sink.getbuffer())


def _copy_out(connection: sa.Connection, statement: sa.Select[*tuple[Any, ...]]) -> pa.Table:
    """COPY as CSV, read by Arrow: 31,000 rows of a board in a third of the time that rows of Python objects take."""
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    sink = io.BytesIO()
    with _native(connection).cursor() as cursor:
        query = f"COPY ({compiled}) TO STDOUT (FORMAT csv, HEADER)"
        with cursor.copy(query, compiled.params) as copy:
            for block in copy:
                sink.write(block)
    schema = arrow_schema(statement.selected_columns)
    options = pyarrow.csv.ConvertOptions(
        column_types=schema,
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
        true_values=["t"],
        false_values=["f"],
    )
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    sink.seek(0)
    return pyarrow.csv.read_csv(sink, parse_options=parsing, convert_options=options)


def _arrow_type(kind: sa.types.TypeEngine[Any]) -> pa.DataType:
    if isinstance(kind, Instant):
        return pa.timestamp("us", tz="UTC")
    if isinstance(kind, sa.JSON):
        return pa.string()
    if isinstance(kind, sa.Float):
        return pa.float64()
    if kind.python_type is Decimal:
        return pa.decimal128(kind.precision or 38, kind.scale or 0) if isinstance(kind, sa.Numeric) else pa.float64()
    return _PLAIN[type(kind)]


_PLAIN: dict[type[Any], pa.DataType] = {
    sa.BigInteger: pa.int64(),
    sa.Integer: pa.int32(),
    sa.Date: pa.date32(),
    sa.Boolean: pa.bool_(),
    sa.Text: pa.string(),
    sa.String: pa.string(),
}
