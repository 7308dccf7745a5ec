"""A count of committed writes, kept in a small file beside the database file.

DuckDB keeps fresh commits in a write-ahead log. A damaged log is cut off where the damage starts, and the commits
after it are gone without a word. The database counts its own writes inside each transaction; this file says how far
that count had come. If the file is ahead of the database at start, commits are lost, and somebody has to be told.

The other way round is harmless: a process that was killed between the commit and this note leaves the database one
ahead. So the note need not be on disk before the commit returns, and costs no second sync: it guards against a
damaged file, not against the loss of power, for which the log itself is synced.
"""

from __future__ import annotations

import os
from pathlib import Path

from kpi_core.errors import StoreUnusable

__all__ = ["WriteCounter"]

_WIDTH = 20


class WriteCounter:
    """The number in the file, overwritten in place: always the same width, in one system call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def read(self) -> int:
        """The count, 0 where there is no file or no readable number in it."""
        try:
            text = self.path.read_bytes().strip()
        except FileNotFoundError:
            return 0
        return int(text) if text.isdigit() else 0

    def note(self, count: int) -> None:
        if self._file is None:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(self._file, f"{count:0{_WIDTH}d}\n".encode(), 0)

    def compare(self, committed: int) -> None:
        """Raise StoreUnusable if the database has fewer writes than were committed once."""
        lost = self.read() - committed
        if lost > 0:
            raise StoreUnusable(
                f"{lost} committed {'write is' if lost == 1 else 'writes are'} missing from the database: "
                f"{self.path.name} counts {committed + lost}, the database holds {committed}. Its write-ahead log was "
                f"damaged or removed, or an older copy was put in its place. Restore the newest backup; or, to go on "
                f"with what is there, delete {self.path} and start again."
            )

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def remove(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)
