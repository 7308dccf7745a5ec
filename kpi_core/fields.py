"""Reading what people wrote, field by field: each reader takes a field, or notes what is wrong with it and goes on.

This is how a definition file gets all its problems answered at once. `Fields` wraps a mapping, knows the path to it
("sales.yaml: kpis[3].target"), and collects problems into a list that all the wrappers of a document share. A reader
answers None, or the default, for what it could not take; whoever owns the list raises at the end.

What YAML and JSON bring along is met here once: a float is the decimal that was written (0.9 is 0.9), a null is as
good as left out, a mapping may have numbers for names, and names may hide line breaks or turn the writing direction.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final, TypeVar

from kpi_core.errors import Problem

__all__ = [
    "MAX_KEY",
    "Fields",
    "decimal_of",
    "key_from",
    "label",
    "listed",
    "near",
    "not_one_of",
    "shown",
    "unknown",
    "wrong_identifier",
    "wrong_text",
]

MAX_KEY: Final = 60
_IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_NUMBER: Final = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?", re.ASCII)
_MAX_DIGITS: Final = 18
_MAX_PLACES: Final = 9
_TURNING: Final = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the writing direction, and so can make a name look like another."""

_SYNONYMS: Final = {
    "calculation": "calculation_method",
    "period": "tracking_period",
    "owner_role": "owner",
    "roles": "permissions",
    "thresholds": "bands",
    "goal": "target",
    "lte": "le",
    "gte": "ge",
    "ne": "not",
    "in": "eq",
    "mean": "average",
    "max": "high",
    "min": "low",
    "start": "from",
    "end": "to",
}
"""What people write for what is meant, where the spelling gives no hint."""

_E = TypeVar("_E", bound=StrEnum)


def key_from(name: str) -> str:
    """The key that a name makes: "Customer Satisfaction (CSAT)" is customer_satisfaction_csat; "" if it makes none."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    key = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")
    return (f"kpi_{key}" if key[:1].isdigit() else key)[:MAX_KEY].rstrip("_")


class Fields:
    """A mapping being read: each reader takes a field, notes what is wrong with it, and answers None instead.

    Fields that nobody took are unknown, and `finish` says so.
    """

    def __init__(self, document: object, where: str, problems: list[Problem]) -> None:
        self.where = where
        self.problems = problems
        self.taken: dict[str, None] = {}
        self.given: Mapping[Any, Any] = document if isinstance(document, Mapping) else {}
        self.broken = not isinstance(document, Mapping)
        if self.broken:
            self.problem("", f"expected fields with values, found {shown(document)}")

    def path(self, name: str) -> str:
        if not name:
            return self.where.removesuffix(": ")
        if not self.where:
            return name
        return f"{self.where}{'' if self.where.endswith((' ', '.')) else '.'}{name}"

    def problem(self, name: str, says: str) -> None:
        self.problems.append(Problem(self.path(name), says))

    def has(self, name: str) -> bool:
        """Whether it is given; a null is as good as left out."""
        self.taken[name] = None
        return self.given.get(name) is not None

    def raw(self, name: str) -> Any:  # noqa: ANN401 - whatever somebody wrote
        self.taken[name] = None
        return self.given.get(name)

    def text(self, name: str, *, most: int, required: bool = False, lines: bool = False) -> str | None:
        if not self.has(name):
            if required:
                self.problem(name, "is missing")
            return None
        value = self.given[name]
        if not isinstance(value, str):
            self.problem(name, f"expected text, found {shown(value)}; put it in quotes")
            return None
        value = value.strip()
        wrong = wrong_text(value, most, lines=lines) or ("is empty" if required and not value else None)
        if wrong:
            self.problem(name, wrong)
            return None
        return value or None

    def identifier(self, name: str, *, most: int = MAX_KEY, required: bool = False) -> str | None:
        value = self.text(name, most=200, required=required)
        wrong = wrong_identifier(value, most) if value is not None else None
        if wrong:
            self.problem(name, wrong)
            return None
        return value

    def choice(self, name: str, kind: type[_E], default: _E, *, required: bool = False) -> _E:
        if not self.has(name):
            if required:
                self.problem(name, f"is missing; it is one of {listed(kind)}")
            return default
        return self.chosen(name, self.given[name], kind) or default

    def chosen(self, name: str, value: object, kind: type[_E]) -> _E | None:
        if isinstance(value, str) and value in set(kind):
            return kind(value)
        self.problem(name, not_one_of(value, list(kind)))
        return None

    def number(self, name: str) -> Decimal | None:
        if not self.has(name):
            return None
        value = decimal_of(self.given[name])
        if isinstance(value, str):
            self.problem(name, value)
            return None
        return value

    def whole(self, name: str, low: int, high: int) -> int | None:
        value = self.number(name)
        if value is not None and (value != value.to_integral_value() or not low <= value <= high):
            self.problem(name, f"expected a whole number from {low} to {high}, found {value}")
            return None
        return None if value is None else int(value)

    def flag(self, name: str, default: bool) -> bool:
        if not self.has(name):
            return default
        value = self.given[name]
        if not isinstance(value, bool):
            self.problem(name, f"expected true or false, found {shown(value)}")
        return value is True

    def day(self, name: str) -> date | None:
        if not self.has(name):
            return None
        value = self.given[name]
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        try:
            if isinstance(value, str) and len(value) == 10:
                return date.fromisoformat(value)
        except ValueError:
            pass
        self.problem(name, f"expected a date such as 2026-01-31, found {shown(value)}")
        return None

    def items(self, name: str, *, most: int, single: bool = False) -> list[tuple[str, Any]]:
        """The elements of a list, each with its path; with `single`, one element may stand without a list."""
        if not self.has(name):
            return []
        value = self.given[name]
        if single and isinstance(value, Mapping):
            return [(name, value)]
        if not isinstance(value, list | tuple):
            self.problem(name, f"expected a list, found {shown(value)}")
            return []
        if len(value) > most:
            self.problem(name, f"has {len(value):,} elements; {most:,} at most")
        return [(f"{name}[{index}]", element) for index, element in enumerate(value[:most])]

    def words(self, name: str, *, most: int) -> tuple[str, ...]:
        """A list of identifiers, each once; a single one may stand without a list."""
        if isinstance(self.raw(name), str):
            single = self.identifier(name)
            return (single,) if single else ()
        words: dict[str, None] = {}
        for path, element in self.items(name, most=most):
            wrong = _wrong_word(element, words)
            if wrong:
                self.problem(path, wrong)
            else:
                words[element] = None
        return tuple(words)

    def inside(self, name: str, document: object) -> Fields:
        """The fields of a mapping within this one."""
        return Fields(document, self.path(name), self.problems)

    def section(self, name: str) -> Fields | None:
        return self.inside(name, self.given[name]) if self.has(name) else None

    def refuse(self, names: Iterable[str], why: str) -> None:
        for name in names:
            if self.has(name):
                self.problem(name, why)

    def finish(self) -> None:
        for name in self.given:
            if name not in self.taken:
                self.problem(label(name), unknown(name, list(self.taken), "field"))


def label(name: object) -> str:
    """A field's name within a path, whatever somebody called it."""
    text = str(name)[:60]
    return text if text.isprintable() else repr(text)


def wrong_text(value: str, most: int, *, lines: bool) -> str | None:
    if len(value) > most:
        return f"has {len(value):,} characters; {most:,} at most"
    for character in value:
        if lines and character in "\n\t":
            continue
        if character in _TURNING or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            what = (
                "a line break" if character in "\n\r\u2028\u2029" else f"the control character U+{ord(character):04X}"
            )
            return f"contains {what}; take it out"
    return None


def wrong_identifier(value: str, most: int = MAX_KEY) -> str | None:
    if len(value) > most:
        return f"has {len(value)} characters; {most} at most"
    if _IDENTIFIER.fullmatch(value):
        return None
    better = key_from(value)
    hint = f"; did you mean `{better}`?" if better else ""
    return f"expected lower-case letters, digits and _, a letter first, found {shown(value)}{hint}"


def _wrong_word(element: object, before: Mapping[str, None]) -> str | None:
    if not isinstance(element, str):
        return f"expected a name, found {shown(element)}"
    if element in before:
        return f"`{element}` stands here twice"
    return wrong_identifier(element)


def decimal_of(value: object) -> Decimal | str:
    """The decimal that was written, or what is wrong with it."""
    number = _as_decimal(value)
    if number is None:
        return f"expected a number such as 1234.5, found {shown(value)}"
    if not number.is_finite():
        return f"expected a finite number, found {number}"
    if number.adjusted() >= _MAX_DIGITS:
        return f"is out of range: numbers stay below 10^{_MAX_DIGITS}"
    if number == number.to_integral_value():
        return Decimal(int(number))
    return number.normalize() if number == _rounded(number) else f"has more than {_MAX_PLACES} decimals"


def _as_decimal(value: object) -> Decimal | None:
    """A float is taken as it was written: 0.9 is 0.9, whatever its binary digits."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    if isinstance(value, str):
        return Decimal(value.strip()) if len(value) <= 60 and _NUMBER.fullmatch(value.strip()) else None
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _rounded(number: Decimal) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-_MAX_PLACES))


def shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(str(value)) if isinstance(value, str) else str(value)[:80]
    return text if len(text) <= 60 else f"{text[:57]}..."


def listed(names: Iterable[str]) -> str:
    """The names; of many, the first twelve."""
    texts = [str(name) for name in names]
    return ", ".join(texts) if len(texts) <= 12 else f"{', '.join(texts[:12])} and {len(texts) - 12} more"


def near(name: object, known: Sequence[str]) -> str | None:
    """The known name that was meant, probably: letter case and `-` for `_` do not matter."""
    wanted = re.sub(r"[^a-z0-9]+", "_", str(name)[:80].lower()).strip("_")
    names = [str(item) for item in known]
    if _SYNONYMS.get(wanted) in names:
        return _SYNONYMS[wanted]
    found = get_close_matches(wanted, names, 1, 0.6)
    return found[0] if found else None


def unknown(name: object, known: Sequence[str], what: str) -> str:
    meant = near(name, known)
    return f"unknown {what}; " + (f"did you mean `{meant}`?" if meant else f"known are {listed(known) or 'none'}")


def not_one_of(value: object, known: Sequence[str]) -> str:
    meant = near(value, known) if isinstance(value, str) else None
    hint = f"; did you mean `{meant}`?" if meant else ""
    return f"{shown(value)} is not one of {listed(known)}{hint}"
