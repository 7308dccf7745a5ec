"""What all benchmarks share: a clock, and a table of times, ratios and the bounds that the ratios are held to.

Ratios, not seconds, are what is promised: both sides are measured in the same run, on the same machine. A bound is
written as it reads, "at most 2" or "at least 5". `print_table` notes those that are missed, for
`python -m tests.benchmarks` to end with exit code 1.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Row", "median_seconds", "misses", "print_table", "timed"]

_missed: list[str] = []


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table. `ratio` is to the table's yardstick; `bound` is what it must keep to."""

    name: str
    seconds: float
    ratio: float | None = None
    bound: str = ""

    @property
    def is_met(self) -> bool:
        if self.ratio is None or not self.bound:
            return True
        side, _, limit = self.bound.removeprefix("at ").partition(" ")
        if side not in ("most", "least"):
            raise ValueError(f"a bound reads 'at most 2' or 'at least 5', not {self.bound!r}")
        return self.ratio <= float(limit) if side == "most" else self.ratio >= float(limit)


def timed(call: Callable[[], object]) -> float:
    """The seconds that one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def median_seconds(call: Callable[[], object], times: int = 7) -> float:
    """The median duration of a call; one more is made before, so that nothing is cold."""
    call()
    return statistics.median(timed(call) for _ in range(times))


def print_table(title: str, rows: Sequence[Row]) -> None:
    """Show a table (what, how long, how many times its yardstick, is the bound kept), and note which bounds are not."""
    width = max(len(row.name) for row in rows) + 2
    sys.stdout.write("\n".join([title, "-" * len(title), *(_line(row, width) for row in rows)]) + "\n\n")
    sys.stdout.flush()
    _missed.extend(f"{title}: {row.name} ({row.ratio:.3g}, {row.bound})" for row in rows if not row.is_met)


def misses() -> tuple[str, ...]:
    """The bounds missed so far, in words."""
    return tuple(_missed)


def _line(row: Row, width: int) -> str:
    ratio = "" if row.ratio is None else f"{row.ratio:.3g}x"
    verdict = "" if not row.bound or row.ratio is None else "ok" if row.is_met else "MISSED"
    return f"{row.name:<{width}}{_duration(row.seconds):>12}{ratio:>10}   {row.bound:<14}{verdict}".rstrip()


def _duration(seconds: float) -> str:
    return f"{seconds:,.2f} s" if seconds >= 1 else f"{seconds * 1000:,.1f} ms"
