"""A raw row -> a typed record, or the reasons why not; a typed-in value -> an exact decimal, or the reason why not.

This is the one door that text from people, files and API calls comes through. It coerces nothing in silence: a
number that does not fit is refused rather than rounded, "1,234" is refused rather than guessed at, a bare row that
is too short is refused rather than filled up. Every refusal names the line, the column and what would be right.

Numbers are read as text and never pass through a float; a JSON float is taken as the digits that were written.
What fits is the store's business, and these are its sizes: records hold DECIMAL(18, 6), values NUMERIC(38, 9).

An instant is ISO 8601. With an offset it is what it says; without one it is in the dataset's time zone, else in the
reporting time zone, the earlier of two where clocks went back, and moved on by the gap where they went forward. A
bare date is that local day in the reporting time zone, from its start, whatever the dataset's zone: whoever writes
a date means a day on the calendar.

`Rows` prepares everything that does not depend on the row, so that a single row costs a few microseconds: 300,000
are read in a few seconds. Loading many millions is the warehouse's business, which checks whole columns at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, Final
from zoneinfo import ZoneInfo

from kpi_core.errors import InvalidRecord, Problem
from kpi_core.model import ColumnType, Dataset, Kpi

__all__ = ["SHORT", "Record", "Rows", "bound_problem", "check_header", "decimal_value", "instant", "truth"]

Record = dict[str, str | Decimal | bool | datetime | date | None]
"""The declared columns, and `at` (an instant, UTC), `day` (its local date) and `record_key` (text or None)."""

SHORT: Final[Any] = object()
"""What stands for a cell that a row was too short to have: `csv.DictReader(file, restval=SHORT)`."""

_RECORD_DIGITS: Final = 12
_RECORD_PLACES: Final = 6
_VALUE_DIGITS: Final = 29
_VALUE_PLACES: Final = 9
_MAX_TEXT: Final = 4_000
_MAX_NUMBER_TEXT: Final = 100
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 2199

_USUAL_NUMBER: Final = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,6})?")
"""What nearly every cell looks like, and always fits a record."""
_NUMBER: Final = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?")
_GROUPED: Final = re.compile(r"[-+]?[0-9]{1,3}(?:[,' \u00a0\u202f][0-9]{3})+(?:\.[0-9]+)?")
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?: ?(?:Z|[-+][0-9]{2}:?[0-9]{2}))?"
)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TRUTHS: Final = {"true": True, "t": True, "yes": True, "y": True, "1": True}
_FALSEHOODS: Final = {"false": False, "f": False, "no": False, "n": False, "0": False}
_BOOLEANS: Final = _TRUTHS | _FALSEHOODS


class _Refused(ValueError):
    """Why a cell cannot be taken; becomes a Problem with its line and column."""


def decimal_value(raw: object, where: str = "value") -> Decimal:
    """A KPI's value as typed in, sent or read: exact, finite, within NUMERIC(38, 9). Raises InvalidRecord."""
    try:
        return _number(raw, _VALUE_DIGITS, _VALUE_PLACES)
    except _Refused as refusal:
        raise InvalidRecord([Problem(where, str(refusal))]) from None


def truth(raw: object, where: str = "value") -> bool:
    """True or false, as people write them. Raises InvalidRecord."""
    try:
        return _truth(raw)
    except _Refused as refusal:
        raise InvalidRecord([Problem(where, str(refusal))]) from None


def instant(raw: object, zone: str, reporting_zone: str, where: str = "time") -> tuple[datetime, date]:
    """An instant in UTC and its local date. Raises InvalidRecord."""
    try:
        return _instant(raw, ZoneInfo(zone), ZoneInfo(reporting_zone))
    except _Refused as refusal:
        raise InvalidRecord([Problem(where, str(refusal))]) from None


def bound_problem(kpi: Kpi, value: Decimal, where: str = "value") -> Problem | None:
    """What is wrong with a value that the KPI's declared bounds rule out."""
    low, high = kpi.bounds.low, kpi.bounds.high
    if low is not None and value < low:
        return Problem(where, f"{value} is below {low}, the lowest that {kpi.name} can be")
    if high is not None and value > high:
        return Problem(where, f"{value} is above {high}, the highest that {kpi.name} can be")
    return None


def check_header(dataset: Dataset, header: Sequence[str]) -> list[Problem]:
    """What is wrong with a file's first line: wanted columns that are missing, and names that stand there twice."""
    problems = [
        Problem(f"column {name!r}", f"is not in the file; {_closest(name, header)}")
        for name in dict.fromkeys(_wanted(dataset))
        if name not in header
    ]
    twice = [name for name in dict.fromkeys(header) if header.count(name) > 1 and name in _wanted(dataset)]
    return problems + [Problem(f"column {name!r}", "stands in the file twice; rename one") for name in twice]


class Rows:
    """Reads the rows of one dataset. `time_zone` is the reporting time zone."""

    def __init__(self, dataset: Dataset, time_zone: str = "UTC") -> None:
        self.dataset = dataset
        self._nulls = frozenset(dataset.null_values)
        self._zone = ZoneInfo(time_zone)
        self._time_zone = ZoneInfo(dataset.time_zone or time_zone)
        self._readers = [(column.name, _READERS[column.type]) for column in dataset.columns]

    def read(self, row: Mapping[str, object], line: int) -> Record | list[Problem]:
        """The record of a row, by column name; or everything that is wrong with it."""
        problems: list[Problem] = []
        record: Record = {"at": None, "day": None, "record_key": None}
        self._read_time(row, record, line, problems)
        if self.dataset.record_key is not None:
            self._read_key(row, self.dataset.record_key, record, line, problems)
        nulls = self._nulls
        for name, reader in self._readers:
            try:
                raw = row[name]
                record[name] = None if raw is None or (isinstance(raw, str) and raw in nulls) else reader(raw)
            except (KeyError, _Refused) as error:
                problems.append(_cell_problem(line, name, error))
        if None in row:  # where csv.DictReader puts what has no column
            problems.append(Problem(f"line {line}", "has more cells than the header"))
        return problems or record

    def read_all(self, rows: Iterable[Mapping[str, object]], first_line: int = 2) -> tuple[list[Record], list[Problem]]:
        """All records, and all problems of the rows that are none. Line 1 is a file's header."""
        records: list[Record] = []
        problems: list[Problem] = []
        for line, row in enumerate(rows, first_line):
            outcome = self.read(row, line)
            if isinstance(outcome, dict):
                records.append(outcome)
            else:
                problems.extend(outcome)
        return records, problems

    def _read_time(self, row: Mapping[str, object], record: Record, line: int, problems: list[Problem]) -> None:
        name = self.dataset.time_column
        try:
            raw = row[name]
            if raw is None or (isinstance(raw, str) and raw in self._nulls):
                raise _Refused("is unknown, and every record needs its time")
            record["at"], record["day"] = _instant(raw, self._time_zone, self._zone)
        except (KeyError, _Refused) as error:
            problems.append(_cell_problem(line, name, error))

    def _read_key(
        self, row: Mapping[str, object], name: str, record: Record, line: int, problems: list[Problem]
    ) -> None:
        """The key that identifies a record is text, whatever its column is declared as: 7 and "7" are one record."""
        try:
            raw = row[name]
            if raw is None or (isinstance(raw, str) and raw in self._nulls):
                raise _Refused("is unknown, and it is what identifies the record")
            is_whole = isinstance(raw, int) and not isinstance(raw, bool)
            record["record_key"] = _text(str(raw) if is_whole else raw)
        except (KeyError, _Refused) as error:
            problems.append(_cell_problem(line, name, error))


def _cell_problem(line: int, name: str, error: KeyError | _Refused) -> Problem:
    says = str(error) if isinstance(error, _Refused) else "is missing from the row"
    return Problem(f"line {line}, column {name!r}", says)


def _wanted(dataset: Dataset) -> list[str]:
    keys = [dataset.record_key] if dataset.record_key else []
    return [dataset.time_column, *keys, *(column.name for column in dataset.columns)]


def _closest(name: str, header: Sequence[str]) -> str:
    by_lower = {each.lower().strip(): each for each in header}
    near = get_close_matches(name.lower(), list(by_lower), 1, 0.6)
    return f"did you mean {by_lower[near[0]]!r}?" if near else f"it has {', '.join(header[:20]) or 'none'}"


# --- cells ----------------------------------------------------------------------------------------------------------


def _shown(raw: object) -> str:
    text = repr(raw) if isinstance(raw, str) else str(raw)[:60]
    return text if len(text) <= 60 else f"{text[:57]}..."


def _short(raw: object, wanted: str) -> _Refused:
    return _Refused("the row has fewer cells than the header" if raw is SHORT else f"{_shown(raw)} is not {wanted}")


def _number(raw: object, digits: int, places: int) -> Decimal:
    """An exact decimal of at most `digits` before the point and `places` after it (zeros at the end do not count)."""
    number = _as_decimal(raw)
    if not number.is_finite():
        raise _Refused(f"{_shown(raw)} is not a finite number")
    if number == 0:
        return Decimal(0)
    if number.adjusted() >= digits:
        raise _Refused(f"{_shown(raw)} is out of range; at most {digits} digits before the point fit")
    if number.adjusted() < -places or _places(number) > places:
        raise _Refused(f"{_shown(raw)} has more than {places} decimals; round it first, so that the choice is yours")
    return number


def _as_decimal(raw: object) -> Decimal:
    if isinstance(raw, str):
        return Decimal(_number_text(raw))
    if isinstance(raw, bool) or not isinstance(raw, int | float | Decimal):
        raise _short(raw, "a number")
    if isinstance(raw, int) and raw.bit_length() > 200:  # Python refuses to even write very long ones
        raise _Refused("the number is out of range")
    try:
        return Decimal(repr(raw) if isinstance(raw, float) else raw)
    except (InvalidOperation, ValueError):
        raise _short(raw, "a number") from None


def _number_text(raw: str) -> str:
    text = raw.strip()
    if len(text) > _MAX_NUMBER_TEXT or not _NUMBER.fullmatch(text):
        if _GROUPED.fullmatch(text):
            raise _Refused(f"{_shown(raw)} has separators; write {re.sub(r'[^-+.0-9]', '', text)}, if that is meant")
        raise _short(raw, "a number such as 1234.5")
    return text


def _places(number: Decimal) -> int:
    """How many decimals it has, zeros at the end left out."""
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent >= 0:
        return 0
    digits = "".join(map(str, number.as_tuple().digits))
    return max(0, -exponent - (len(digits) - len(digits.rstrip("0"))))


def _record_number(raw: object) -> Decimal:
    if isinstance(raw, str) and _USUAL_NUMBER.fullmatch(raw):
        return Decimal(raw)
    return _number(raw, _RECORD_DIGITS, _RECORD_PLACES)


def _text(raw: object) -> str:
    """Text as it is. What no database keeps is refused: the character NUL, and halves of characters."""
    if not isinstance(raw, str):
        raise _short(raw, "text")
    if len(raw) > _MAX_TEXT:
        raise _Refused(f"has {len(raw):,} characters; {_MAX_TEXT:,} at most")
    if not raw.isprintable() and ("\x00" in raw or any("\ud800" <= character <= "\udfff" for character in raw)):
        raise _Refused("contains a character that cannot be stored; take it out")
    return raw


def _truth(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    found = _BOOLEANS.get(raw.strip().lower()) if isinstance(raw, str) else None
    if found is None:
        raise _short(raw, "true or false")
    return found


def _instant(raw: object, zone: ZoneInfo, reporting: ZoneInfo) -> tuple[datetime, date]:
    moment = _moment(raw)
    if not isinstance(moment, datetime):
        return _in_range(datetime.combine(moment, time(), reporting), raw).astimezone(UTC), moment
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    at = _in_range(moment, raw).astimezone(UTC)
    return at, at.astimezone(reporting).date()


def _moment(raw: object) -> datetime | date:
    if isinstance(raw, date):
        return raw
    text = raw.strip() if isinstance(raw, str) else ""
    try:
        if _INSTANT.fullmatch(text):
            return datetime.fromisoformat(text.replace(" +", "+").replace(" -", "-").replace(" Z", "Z"))
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        raise _short(raw, "on the calendar or the clock") from None
    raise _short(raw, "a time; write 2026-01-31 or 2026-01-31T14:30:00+01:00 (ISO 8601)")


def _in_range(moment: datetime, raw: object) -> datetime:
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise _Refused(f"{_shown(raw)} is out of range; years go from {_FIRST_YEAR} to {_LAST_YEAR}")
    return moment


_READERS: Final[Mapping[ColumnType, Callable[[object], str | Decimal | bool]]] = {
    ColumnType.TEXT: _text,
    ColumnType.NUMBER: _record_number,
    ColumnType.BOOLEAN: _truth,
}
