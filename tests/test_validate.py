"""Rows and typed values: SEMANTICS.md, section 10, "Numbers"."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpi_core.errors import InvalidRecord, Problem
from kpi_core.model import Bounds, Category, Column, ColumnType, Dataset, Grain, Kpi
from kpi_core.validate import SHORT, Rows, bound_problem, check_header, decimal_value, instant, truth

CALLS = Dataset(
    key="calls",
    name="Calls",
    time_column="made_at",
    columns=(
        Column("amount", ColumnType.NUMBER),
        Column("region", ColumnType.TEXT),
        Column("answered", ColumnType.BOOLEAN),
    ),
    null_values=("", "NA"),
)
ROW = {"made_at": "2026-03-02T10:00:00Z", "amount": "12.50", "region": "north", "answered": "yes"}


def problems(row: dict[str, object], dataset: Dataset = CALLS) -> list[str]:
    outcome = Rows(dataset, "UTC").read({**ROW, **row}, 7)
    assert isinstance(outcome, list), outcome
    return [str(problem) for problem in outcome]


def record(row: dict[str, object], dataset: Dataset = CALLS, zone: str = "UTC") -> dict[str, object]:
    outcome = Rows(dataset, zone).read({**ROW, **row}, 7)
    assert isinstance(outcome, dict), outcome
    return dict(outcome)


def refused(raw: object) -> str:
    with pytest.raises(InvalidRecord) as caught:
        decimal_value(raw, "row 3, value")
    return str(caught.value)


# --- rows -----------------------------------------------------------------------------------------------------------


def test_a_row_becomes_a_record_with_types_an_instant_and_a_local_day() -> None:
    assert record({}) == {
        "at": datetime(2026, 3, 2, 10, tzinfo=UTC),
        "day": date(2026, 3, 2),
        "record_key": None,
        "amount": D("12.50"),
        "region": "north",
        "answered": True,
    }


@pytest.mark.parametrize("text", ["", "NA"])
def test_the_declared_texts_mean_unknown(text: str) -> None:
    found = record({"amount": text, "region": text, "answered": text})
    assert (found["amount"], found["region"], found["answered"]) == (None, None, None)


def test_a_text_that_is_not_declared_does_not_mean_unknown() -> None:
    assert problems({"amount": "n/a"}) == ["line 7, column 'amount': 'n/a' is not a number such as 1234.5"]


def test_every_problem_of_a_row_is_named_with_line_and_column() -> None:
    found = problems({"made_at": "yesterday", "amount": "NaN", "answered": "maybe"})
    assert [each.split(":")[0] for each in found] == [
        f"line 7, column '{name}'" for name in ("made_at", "amount", "answered")
    ]


def test_a_row_that_is_too_short_is_refused_not_filled_up() -> None:
    row = next(csv.DictReader(io.StringIO("made_at,amount,region,answered\n2026-01-01,5\n"), restval=SHORT))
    outcome = Rows(CALLS).read(row, 2)
    assert outcome == [
        Problem("line 2, column 'region'", "the row has fewer cells than the header"),
        Problem("line 2, column 'answered'", "the row has fewer cells than the header"),
    ]


def test_a_row_that_is_too_long_is_refused() -> None:
    row = next(csv.DictReader(io.StringIO("made_at,amount,region,answered\n2026-01-01,5,x,no,9\n"), restval=SHORT))
    assert Rows(CALLS).read(row, 2) == [Problem("line 2", "has more cells than the header")]


def test_a_column_that_a_row_does_not_have_is_named() -> None:
    outcome = Rows(CALLS).read({"made_at": "2026-01-01", "region": "x", "answered": "no"}, 4)
    assert outcome == [Problem("line 4, column 'amount'", "is missing from the row")]


def test_a_record_without_its_time_is_refused() -> None:
    assert problems({"made_at": "NA"}) == ["line 7, column 'made_at': is unknown, and every record needs its time"]


def test_a_record_key_is_text_and_may_not_be_unknown() -> None:
    keyed = replace(CALLS, record_key="id")
    assert record({"id": "A-1"}, keyed)["record_key"] == "A-1"
    assert record({"id": 7}, keyed)["record_key"] == "7"
    assert problems({"id": ""}, keyed) == ["line 7, column 'id': is unknown, and it is what identifies the record"]


def test_a_header_without_a_column_is_refused_with_the_one_that_was_meant() -> None:
    found = check_header(CALLS, ["made_at", "Amuont", "region", "answered"])
    assert found == [Problem("column 'amount'", "is not in the file; did you mean 'Amuont'?")]


def test_a_header_with_a_column_twice_is_refused() -> None:
    found = check_header(CALLS, ["made_at", "amount", "amount", "region", "answered", "x", "x"])
    assert found == [Problem("column 'amount'", "stands in the file twice; rename one")]


def test_a_file_s_good_rows_and_all_its_bad_ones_come_apart() -> None:
    rows = [ROW, {**ROW, "amount": "x"}, ROW, {**ROW, "made_at": "?"}]
    records, found = Rows(CALLS).read_all(rows)
    assert len(records) == 2
    assert [problem.where for problem in found] == ["line 3, column 'amount'", "line 5, column 'made_at'"]


def test_rows_are_read_at_speed() -> None:
    reader = Rows(CALLS, "America/New_York")
    started = time.process_time()
    for line in range(10_000):
        reader.read(ROW, line)
    assert time.process_time() - started < 1.0, "300,000 rows are to take a few seconds"


# --- numbers --------------------------------------------------------------------------------------------------------

NUMBERS = {
    "whole": ("47", "47"),
    "with decimals": ("12.50", "12.5"),
    "with spaces around": (" 5 ", "5"),
    "signed": ("-3", "-3"),
    "plus": ("+3", "3"),
    "without its 0": (".5", "0.5"),
    "scientific, as exports write it": ("1e-3", "0.001"),
    "zeros at the end": ("1.1000000000000", "1.1"),
    "a JSON float, as it was written": (0.1, "0.1"),
    "a JSON integer": (50, "50"),
    "the largest": ("9" * 29, "9" * 29),
    "the smallest": ("0.000000001", "0.000000001"),
    "minus zero": ("-0", "0"),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_value_is_read_exactly(name: str) -> None:
    raw, expected = NUMBERS[name]
    assert decimal_value(raw) == D(expected)


REFUSED = {
    "NaN": ("NaN", "'NaN' is not a number such as 1234.5"),
    "infinity": ("inf", "'inf' is not a number such as 1234.5"),
    "a float that is NaN": (float("nan"), "nan is not a finite number"),
    "a float that is infinite": (float("-inf"), "-inf is not a finite number"),
    "a decimal that is NaN": (D("sNaN"), "sNaN is not a finite number"),
    "nothing": ("", "'' is not a number such as 1234.5"),
    "null": (None, "None is not a number"),
    "true": (True, "True is not a number"),
    "separators": ("1,234.50", "'1,234.50' has separators; write 1234.50, if that is meant"),
    "a decimal comma": ("12,5", "'12,5' is not a number such as 1234.5"),
    "a unit": ("12 %", "'12 %' is not a number such as 1234.5"),
    "underscores": ("1_000", "'1_000' is not a number such as 1234.5"),
    "digits of another script": ("٣", "'٣' is not a number such as 1234.5"),
    "out of range": ("1" + "0" * 29, f"'1{'0' * 29}' is out of range; at most 29 digits before the point fit"),
    "far out of range": ("1e9999", "'1e9999' is out of range; at most 29 digits before the point fit"),
    "an endless integer": (10**5000, "the number is out of range"),
    "too many decimals": (
        "0.1234567891",
        "'0.1234567891' has more than 9 decimals; round it first, so that the choice is yours",
    ),
    "far too many decimals": (
        "1e-9999",
        "'1e-9999' has more than 9 decimals; round it first, so that the choice is yours",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_value_is_refused_with_its_row_named(name: str) -> None:
    raw, says = REFUSED[name]
    assert refused(raw) == f"row 3, value: {says}"


def test_a_record_holds_six_decimals_and_twelve_digits_and_is_never_rounded_in_silence() -> None:
    assert record({"amount": "999999999999.999999"})["amount"] == D("999999999999.999999")
    assert "more than 6 decimals" in problems({"amount": "0.0000001"})[0]
    assert "out of range" in problems({"amount": "1000000000000"})[0]


def test_a_million_cents_are_ten_thousand() -> None:
    cent = record({"amount": "0.01"})["amount"]
    assert isinstance(cent, D)
    assert sum([cent] * 1_000_000, D(0)) == D("10000.00")


@settings(deadline=None)
@given(st.decimals(-(10**11), 10**11, places=6))
def test_what_fits_is_read_back_to_the_digit(number: D) -> None:
    assert record({"amount": f"{number:f}"})["amount"] == number
    assert decimal_value(f"{number:f}") == number


@settings(deadline=None)
@given(st.floats(-1e15, 1e15).map(lambda number: round(number, 3)))
def test_a_float_is_the_number_that_was_written(number: float) -> None:
    assert decimal_value(number) == D(repr(number))


@settings(deadline=None)
@given(st.text(max_size=40) | st.integers() | st.floats() | st.booleans() | st.none() | st.decimals(allow_nan=True))
def test_any_cell_is_taken_exactly_or_refused(raw: object) -> None:
    outcome = Rows(CALLS).read({**ROW, "amount": raw, "answered": raw, "made_at": raw, "region": raw}, 2)
    assert isinstance(outcome, dict) or all(problem.says for problem in outcome)


def test_a_value_outside_the_kpi_s_bounds_is_named() -> None:
    kpi = Kpi("uptime", "Uptime", Category.OPERATIONS, Grain.DAILY, bounds=Bounds(D(0), D(100)))
    assert bound_problem(kpi, D(100)) is None
    assert str(bound_problem(kpi, D(101))) == "value: 101 is above 100, the highest that Uptime can be"
    assert str(bound_problem(kpi, D(-1))) == "value: -1 is below 0, the lowest that Uptime can be"


# --- texts, truths --------------------------------------------------------------------------------------------------


def test_text_stays_as_it_is() -> None:
    assert record({"region": "  Nord \t Süd "})["region"] == "  Nord \t Süd "


@pytest.mark.parametrize("raw", ["a\x00b", "a\ud800b", "x" * 4_001, 5])
def test_text_that_cannot_be_kept_is_refused(raw: object) -> None:
    assert problems({"region": raw})


@pytest.mark.parametrize("raw", ["true", "TRUE", "t", "yes", "Y", "1", True])
def test_what_is_true(raw: object) -> None:
    assert truth(raw) is True


@pytest.mark.parametrize("raw", ["false", "False", "f", "no", "N", "0", False])
def test_what_is_false(raw: object) -> None:
    assert truth(raw) is False


@pytest.mark.parametrize("raw", ["maybe", "", "2", 1, None])
def test_what_is_neither(raw: object) -> None:
    with pytest.raises(InvalidRecord, match="is not true or false"):
        truth(raw)


# --- instants -------------------------------------------------------------------------------------------------------

INSTANTS = {
    "UTC": ("2026-03-02T10:00:00Z", "2026-03-02T10:00:00"),
    "an offset": ("2026-03-02T10:00:00+05:30", "2026-03-02T04:30:00"),
    "an offset without its colon, after a space": ("2026-03-02 10:00:00 -0500", "2026-03-02T15:00:00"),
    "no offset: the dataset's time zone": ("2026-03-02T10:00:00", "2026-03-02T09:00:00"),
    "no seconds": ("2026-03-02 10:00", "2026-03-02T09:00:00"),
    "fractions of a second": ("2026-03-02T10:00:00.25Z", "2026-03-02T10:00:00.250000"),
    "an hour that comes twice is the first one": ("2026-10-25T02:30:00", "2026-10-25T00:30:00"),
    "an hour that is skipped moves on by the gap": ("2026-03-29T02:30:00", "2026-03-29T01:30:00"),
}


@pytest.mark.parametrize("name", INSTANTS)
def test_an_instant_is_read_as(name: str) -> None:
    raw, expected = INSTANTS[name]
    at, _ = instant(raw, "Europe/Berlin", "America/New_York")
    assert at == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_the_day_of_an_instant_is_the_local_date_in_the_reporting_time_zone() -> None:
    assert instant("2013-01-02T03:00:00Z", "UTC", "America/New_York")[1] == date(2013, 1, 1)


def test_a_bare_date_is_that_local_day_from_its_start_whatever_the_dataset_s_zone() -> None:
    at, day = instant("2026-07-01", "Asia/Tokyo", "America/New_York")
    assert (at, day) == (datetime(2026, 7, 1, 4, tzinfo=UTC), date(2026, 7, 1))


def test_a_bare_date_whose_midnight_is_skipped_is_still_that_day() -> None:
    at, day = instant("2018-11-04", "UTC", "America/Sao_Paulo")
    assert day == at.astimezone(ZoneInfo("America/Sao_Paulo")).date() == date(2018, 11, 4)


def test_dates_and_datetimes_that_are_such_already_are_taken() -> None:
    assert instant(date(2026, 1, 1), "UTC", "UTC") == (datetime(2026, 1, 1, tzinfo=UTC), date(2026, 1, 1))
    assert instant(datetime(2026, 1, 1, 5, tzinfo=UTC), "UTC", "UTC")[0].hour == 5


@pytest.mark.parametrize(
    "raw",
    ["yesterday", "01/02/2026", "2026-02-30", "2026-01-01T25:00", "20260101", "2026-W01-1", "1626-01-01", "", None, 5,
     "2026-01-01T10:00:00Z; drop", "9999-12-31T23:59:59-12:00"],
)  # fmt: skip
def test_what_is_no_instant_is_refused(raw: object) -> None:
    with pytest.raises(InvalidRecord, match="time: "):
        instant(raw, "UTC", "UTC")


@settings(deadline=None)
@given(
    st.datetimes(datetime(1901, 1, 1), datetime(2198, 12, 31)),  # noqa: DTZ001 - the zone follows
    st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
    st.sampled_from([0, 60, -300, 330]),
)
def test_an_instant_with_an_offset_is_that_instant_everywhere(naive: datetime, zone: str, minutes: int) -> None:
    text = (
        naive - timedelta(minutes=-minutes)
    ).isoformat() + f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    at, day = instant(text, "Asia/Tokyo", zone)
    assert at == naive.replace(tzinfo=UTC)
    assert day == at.astimezone(ZoneInfo(zone)).date()
