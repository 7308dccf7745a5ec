"""Records as columns of numbers, and from there to Arrow: exact decimals and texts, no Python object a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi_core.demo.noise import Bools, Floats, Ints

__all__ = ["Amounts", "Codes", "Column", "Flags", "Names", "Table", "cents", "joined", "numbers"]

DECIMAL = pa.decimal128(18, 6)
MICRO = 1_000_000


@dataclass(frozen=True)
class Codes:
    """One of a few texts a record; -1 is unknown."""

    codes: Ints
    texts: tuple[str, ...]

    def take(self, rows: Ints | Bools) -> Codes:
        return replace(self, codes=self.codes[rows])

    def arrow(self) -> pa.Array:
        indices = pa.array(self.codes, mask=self.codes < 0)
        return pa.DictionaryArray.from_arrays(indices, list(self.texts)).cast(pa.string())


@dataclass(frozen=True)
class Names:
    """A text that is a prefix and a number: the id of a lead, a visitor, a ticket."""

    ids: Ints
    prefix: str

    def take(self, rows: Ints | Bools) -> Names:
        return replace(self, ids=self.ids[rows])

    def arrow(self) -> pa.Array:
        return pc.binary_join_element_wise(self.prefix, pa.array(self.ids).cast(pa.string()), "")


@dataclass(frozen=True)
class Amounts:
    """Exact numbers in millionths; where `known` is given and False, there is none."""

    micros: Ints
    known: Bools | None = None

    def take(self, rows: Ints | Bools) -> Amounts:
        return Amounts(self.micros[rows], None if self.known is None else self.known[rows])

    def arrow(self) -> pa.Array:
        """A 128-bit decimal is its low word and its sign, spread over the high one."""
        words = np.empty((len(self.micros), 2), dtype=np.int64)
        words[:, 0], words[:, 1] = self.micros, self.micros >> 63
        made = pa.Array.from_buffers(DECIMAL, len(words), [None, pa.py_buffer(words)])
        return made if self.known is None else pc.if_else(pa.array(self.known), made, pa.scalar(None, DECIMAL))


@dataclass(frozen=True)
class Flags:
    """Yes or no."""

    flags: Bools

    def take(self, rows: Ints | Bools) -> Flags:
        return Flags(self.flags[rows])

    def arrow(self) -> pa.Array:
        return pa.array(self.flags)


Column = Codes | Names | Amounts | Flags


@dataclass(frozen=True)
class Table:
    """Records of one dataset: an instant each (seconds since 1970, UTC), and columns of the same length."""

    at: Ints
    columns: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: Ints | Bools) -> Table:
        return Table(self.at[rows], {name: column.take(rows) for name, column in self.columns.items()})

    def between(self, start: int, end: int) -> Table:
        """The records of [start, end), in order of time."""
        rows = np.flatnonzero((self.at >= start) & (self.at < end))
        return self.take(rows[np.argsort(self.at[rows], kind="stable")])

    def codes(self, name: str) -> Ints:
        """The codes of a text column."""
        column = self.columns[name]
        if not isinstance(column, Codes):
            raise TypeError(f"{name} is not a column of codes")
        return column.codes

    def micros(self, name: str) -> Ints:
        """The numbers of a column, in millionths."""
        column = self.columns[name]
        if not isinstance(column, Amounts):
            raise TypeError(f"{name} is not a column of numbers")
        return column.micros

    def arrow(self) -> pa.Table:
        at = pa.array(self.at * MICRO).cast(pa.timestamp("us", tz="UTC"))
        return pa.table({"at": at, **{name: column.arrow() for name, column in self.columns.items()}})


def cents(amount: Floats | Ints) -> Amounts:
    """Money, rounded to the cent."""
    return Amounts(np.rint(np.asarray(amount) * 100).astype(np.int64) * 10_000)


def numbers(values: Floats | Ints, places: int = 0, known: Bools | None = None) -> Amounts:
    """Numbers, rounded to so many places."""
    scale = 10**places
    return Amounts(np.rint(np.asarray(values) * scale).astype(np.int64) * (MICRO // scale), known)


def joined(tables: Sequence[Table]) -> Table:
    """Several tables of the same columns as one."""
    first = tables[0]
    columns = {name: _joined([table.columns[name] for table in tables]) for name in first.columns}
    return Table(np.concatenate([table.at for table in tables]), columns)


def _joined(parts: Sequence[Column]) -> Column:
    first = parts[0]
    if isinstance(first, Codes):
        return replace(first, codes=np.concatenate([part.codes for part in parts if isinstance(part, Codes)]))
    if isinstance(first, Names):
        return replace(first, ids=np.concatenate([part.ids for part in parts if isinstance(part, Names)]))
    if isinstance(first, Flags):
        return Flags(np.concatenate([part.flags for part in parts if isinstance(part, Flags)]))
    amounts = [part for part in parts if isinstance(part, Amounts)]
    known = [np.ones(len(part.micros), dtype=bool) if part.known is None else part.known for part in amounts]
    return Amounts(np.concatenate([part.micros for part in amounts]), np.concatenate(known))
