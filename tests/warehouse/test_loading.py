"""Files into records: exact types, bad rows named, all or nothing, the same twice."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
import sqlalchemy as sa

from kpi_core.errors import InvalidDefinition, InvalidRecord
from kpi_core.model import Column, ColumnType, Company, Dataset
from kpi_core.store import Store, open_store
from kpi_core.store import datasets as dataset_table
from kpi_core.warehouse import LoadResult, coverage, ensure, load_files, records
from tests.warehouse.house import NOW, UTC_COMPANY, at, load, row, set_up

SALES = Dataset(
    key="sales",
    name="Sales",
    time_column="sold_at",
    columns=(
        Column("region", ColumnType.TEXT),
        Column("amount", ColumnType.NUMBER),
        Column("new", ColumnType.BOOLEAN),
        Column("id", ColumnType.TEXT),
    ),
    null_values=("NA", ""),
)
KEYED = replace(SALES, record_key="id")
HEADER = "sold_at,region,amount,new,id"


def _file(folder: Path, *lines: str, name: str = "sales.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return path


def _load(
    store: Store, *paths: Path, dataset: Dataset = SALES, company: Company = UTC_COMPANY, **more: Any
) -> LoadResult:
    with store.write() as connection:
        dataset_table.save(connection, dataset, "test", NOW)
    return load_files(store, dataset, paths, company, by="test", **more)


def _rows(store: Store, *names: str, dataset: Dataset = SALES) -> Sequence[Any]:
    table = records(dataset)
    with store.read() as connection:
        found = connection.execute(sa.select(*(table.c[name] for name in names)).order_by(table.c.record_id))
        return [tuple(each) if len(names) > 1 else each[0] for each in found]


def test_numbers_are_exact_decimals(store: Store, tmp_path: Path) -> None:
    path = _file(tmp_path, "2026-11-02,n,0.1,true,1", "2026-11-02,n,123456789012.123456,no,2", "2026-11-02,n, 1e3 ,Y,3")
    _load(store, path)
    assert _rows(store, "amount", "new") == [
        (Decimal("0.1"), True),
        (Decimal("123456789012.123456"), False),
        (Decimal(1000), True),
    ]


def test_unknown_values_are_null_and_texts_stay_as_they_are(store: Store, tmp_path: Path) -> None:
    _load(store, _file(tmp_path, "2026-11-02,NA,NA,,1", '2026-11-02," a ""b"", c ",5,,2'))
    assert _rows(store, "region", "amount", "new") == [(None, None, None), (' a "b", c ', 5, None)]


@pytest.mark.parametrize(
    ("written", "instant", "day"),
    [
        ("2026-11-02T23:30:00-05:00", "2026-11-03T04:30", "2026-11-02"),
        ("2026-11-03T04:30:00Z", "2026-11-03T04:30", "2026-11-02"),
        ("2026-11-02 23:30", "2026-11-03T07:30", "2026-11-03"),
        ("2026-11-02", "2026-11-02T05:00", "2026-11-02"),
        ("2026-03-08T02:30", "2026-03-08T10:30", "2026-03-08"),
    ],
)
def test_an_instant_is_read_with_its_offset_or_in_the_datasets_zone(
    duckdb_store: Store, tmp_path: Path, written: str, instant: str, day: str
) -> None:
    """Written in Los Angeles, reported in New York; a bare date is the reporter's day."""
    dataset = replace(SALES, time_zone="America/Los_Angeles")
    _load(
        duckdb_store,
        _file(tmp_path, f"{written},n,1,,1"),
        dataset=dataset,
        company=Company(time_zone="America/New_York"),
    )
    assert _rows(duckdb_store, "at", "day", dataset=dataset) == [
        (datetime.fromisoformat(f"{instant}+00:00"), date.fromisoformat(day))
    ]


BAD = [
    "2026-11-02,n,1,true,1",
    '2026-11-02,"two',
    'lines",abc,true,2',
    "2026-02-30,n,1,perhaps,3",
    "",
    "2026-11-02,n,1",
    "2026-11-02,s,1.1234567,,5",
    "NA,s,1,,6",
    "2026-11-03,s,2,,7",
]


def test_every_bad_row_is_named_and_nothing_is_loaded(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InvalidRecord) as refused:
        _load(store, _file(tmp_path, *BAD))
    said = {problem.where: problem.says for problem in refused.value.problems}
    assert list(said) == [
        "sales.csv: line 3, column 'amount'",
        "sales.csv: line 5, column 'sold_at'",
        "sales.csv: line 5, column 'new'",
        "sales.csv: line 7",
        "sales.csv: line 8, column 'amount'",
        "sales.csv: line 9, column 'sold_at'",
    ]
    assert said["sales.csv: line 3, column 'amount'"] == "'abc' is not a number such as 1234.5"
    assert said["sales.csv: line 7"] == "has 3 cells, and the header has 5"
    with store.read() as connection:
        assert coverage(connection, "sales") is None


def test_bad_rows_are_skipped_if_asked_and_all_of_them_reported(store: Store, tmp_path: Path) -> None:
    result = _load(store, _file(tmp_path, *BAD), skip_bad=True)
    assert (result.loaded, result.skipped_rows, len(result.skipped)) == (2, 5, 6)
    assert _rows(store, "id") == ["1", "7"]


def test_a_missing_column_is_named_with_what_was_perhaps_meant(duckdb_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("sold_at,Region,amount,new,id\n2026-11-02,n,1,,1\n", encoding="utf-8")
    with pytest.raises(InvalidRecord, match=r"column 'region': is not in the file; did you mean 'Region'\?"):
        _load(duckdb_store, path)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty"), (b"sold_at,region,amount,new,id\n2026-11-02,\xff\xfe,1,,1\n", "is not UTF-8")],
)
def test_a_file_that_is_no_csv_says_so(duckdb_store: Store, tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidRecord, match=says):
        _load(duckdb_store, path)


def test_a_file_that_is_not_there_says_so(duckdb_store: Store, tmp_path: Path) -> None:
    with pytest.raises(InvalidRecord, match="no such file"):
        _load(duckdb_store, tmp_path / "absent.csv")


def test_a_compressed_file_with_semicolons_and_a_byte_order_mark(duckdb_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "sales.csv.gz"
    path.write_bytes(gzip.compress("\ufeffsold_at;region;amount;new;id;more\n2026-11-02;n;1;;1;x\n".encode()))
    assert _load(duckdb_store, path).loaded == 1


def test_a_parquet_file_keeps_its_exact_types(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "sales.parquet"
    table = pa.table(
        {
            "sold_at": pa.array([at("2026-11-02"), at("2026-11-03")], pa.timestamp("ns", tz="Europe/Berlin")),
            "region": pa.array(["n", None]).dictionary_encode(),
            "amount": pa.array([0.1, 2.5], pa.float64()),
            "new": pa.array([True, None]),
            "id": pa.array([1, 2], pa.int64()),
        }
    )
    pa_parquet.write_table(table, path)
    _load(store, path)
    assert _rows(store, "at", "region", "amount", "new", "id") == [
        (at("2026-11-02"), "n", Decimal("0.1"), True, "1"),
        (at("2026-11-03"), None, Decimal("2.5"), None, "2"),
    ]


def test_a_bad_row_of_a_parquet_file_is_named_by_its_number(duckdb_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "sales.parquet"
    amounts = pa.array([1.0, float("nan")])
    texts = {name: pa.array(["2026-11-02", "2026-11-02"]) for name in ("sold_at", "region", "id")}
    pa_parquet.write_table(pa.table({**texts, "amount": amounts, "new": pa.array([True, False])}), path)
    with pytest.raises(InvalidRecord, match=r"sales.parquet: row 2, column 'amount'"):
        _load(duckdb_store, path)


def test_the_same_file_twice_is_the_same_as_once(store: Store, tmp_path: Path) -> None:
    path = _file(tmp_path, "2026-11-02,n,1,,a", "2026-11-03,n,2,,b")
    _load(store, path, dataset=KEYED)
    again = _load(store, path, dataset=KEYED)
    assert (again.loaded, again.replaced) == (2, 2)
    assert _rows(store, "record_key", "amount", dataset=KEYED) == [("a", 1), ("b", 2)]


def test_a_record_that_comes_again_replaces_the_one_before_within_a_file_too(store: Store, tmp_path: Path) -> None:
    _load(store, _file(tmp_path, "2026-11-02,n,1,,a", "2026-11-03,n,2,,a"), dataset=KEYED)
    assert _rows(store, "record_key", "day", "amount", dataset=KEYED) == [("a", date(2026, 11, 3), 2)]


def test_a_record_without_its_key_is_refused(duckdb_store: Store, tmp_path: Path) -> None:
    with pytest.raises(InvalidRecord, match="it is what identifies the record"):
        _load(duckdb_store, _file(tmp_path, "2026-11-02,n,1,,"), dataset=KEYED)


def test_the_coverage_grows_and_never_shrinks(store: Store) -> None:
    set_up(store)
    load(store, [row("2026-11-05")])
    load(store, [row("2026-11-03")], watermark=at("2026-11-09"))
    load(store, [row("2026-11-07")])
    with store.read() as connection:
        found = coverage(connection, "events")
    assert found is not None
    assert (found.first_day, found.watermark) == (date(2026, 11, 3), at("2026-11-09"))


def test_progress_is_told(duckdb_store: Store, tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    _load(duckdb_store, _file(tmp_path, "2026-11-02,n,1,,1"), progress=lambda share, text: told.append((share, text)))
    assert told == [(0.0, "Reading sales.csv"), (0.8, "Storing 1 records"), (1.0, "1 records")]


def test_columns_with_our_own_names_are_kept_beside_ours(store: Store, tmp_path: Path) -> None:
    dataset = replace(
        SALES, time_column="at", columns=(Column("day", ColumnType.NUMBER), Column("day_", ColumnType.TEXT))
    )
    path = tmp_path / "days.csv"
    path.write_text("at,day,day_\n2026-11-02,7,x\n", encoding="utf-8")
    _load(store, path, dataset=dataset)
    assert _rows(store, "day", "day_", "day__", dataset=dataset) == [(date(2026, 11, 2), 7, "x")]


def test_a_new_column_joins_and_a_changed_type_is_refused(store: Store, tmp_path: Path) -> None:
    _load(store, _file(tmp_path, "2026-11-02,n,1,,1"))
    wider = replace(SALES, columns=(*SALES.columns, Column("more", ColumnType.NUMBER)))
    with store.write() as connection:
        ensure(connection, store, wider)
    assert _rows(store, "id", "more", dataset=wider) == [("1", None)]
    other = replace(SALES, columns=(Column("amount", ColumnType.TEXT),))
    with pytest.raises(InvalidDefinition, match="cannot become text"), store.write() as connection:
        ensure(connection, store, other)


KILLED = """
    import os, sys
    from pathlib import Path
    from kpi_core.store import open_store
    from kpi_core.warehouse import load, load_files
    from tests.warehouse.house import UTC_COMPANY
    from tests.warehouse.test_loading import SALES

    load._touch = lambda *_: os.kill(os.getpid(), 9)
    with open_store(sys.argv[1]) as store:
        load_files(store, SALES, [Path(sys.argv[2])], UTC_COMPANY)
"""


def test_killed_during_a_load_there_is_nothing_of_it(duckdb_url: str, tmp_path: Path) -> None:
    with open_store(duckdb_url) as store:
        _load(store, _file(tmp_path, "2026-11-02,n,1,,1"))
    more = _file(tmp_path, *(f"2026-11-03,n,{i},,{i}" for i in range(1000)), name="more.csv")
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", textwrap.dedent(KILLED), duckdb_url, str(more)]
    died = subprocess.run(command, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, check=False, timeout=120)
    assert died.returncode == -signal.SIGKILL
    with open_store(duckdb_url) as store:
        assert _rows(store, "id") == ["1"]
        assert _load(store, more).loaded == 1000
        assert len(_rows(store, "id")) == 1001
