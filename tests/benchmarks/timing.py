"""What all benchmarks share: a clock, and a table of times, ratios and the bounds that the ratios are held to.

Ratios, not seconds, are what is promised: both sides are measured in the same run, on the same machine. A `Row` says its
bound as it reads, "at most 2" or "at least 5"; a `Line` has the times of both sides, of which the medians are compared.
`print_table` notes the bounds that are missed, for `python -m tests.benchmarks` to end with exit code 1.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Line", "Row", "alternate", "median_seconds", "misses", "print_table", "table", "timed"]

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


@dataclass(frozen=True, slots=True)
class Line:
    """Two sides, each measured several times, and what the ratio of their medians must keep to."""

    name: str
    ours: Sequence[float]
    yardstick: Sequence[float]
    bound: float
    at_least: bool = False

    @property
    def row(self) -> Row:
        ours, yardstick = statistics.median(self.ours), statistics.median(self.yardstick)
        return Row(self.name, ours, ours / yardstick, f"at {'least' if self.at_least else 'most'} {self.bound:g}")

    @property
    def is_met(self) -> bool:
        return self.row.is_met


def timed(call: Callable[[], object]) -> float:
    """The seconds that one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def alternate(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """The seconds of each call in each round; they take turns, so that what else the machine does strikes all."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            seconds[name].append(timed(call))
    return seconds


def median_seconds(call: Callable[[], object], times: int = 7) -> float:
    """The median duration of a call; one more is made before, so that nothing is cold."""
    call()
    return statistics.median(timed(call) for _ in range(times))


def table(title: str, lines: Sequence[Row | Line]) -> str:
    """A table as text: what, how long, how many times its yardstick, and whether the bound is kept."""
    rows = [line.row if isinstance(line, Line) else line for line in lines]
    width = max(len(row.name) for row in rows) + 2
    return "\n".join([title, "-" * len(title), *(_text(row, width) for row in rows)]) + "\n"


def print_table(title: str, lines: Sequence[Row | Line]) -> None:
    """Show a table, and note which bounds are missed."""
    sys.stdout.write(table(title, lines) + "\n")
    sys.stdout.flush()
    _missed.extend(f"{title}: {line.name}" for line in lines if not line.is_met)


def misses() -> tuple[str, ...]:
    """The bounds missed so far, in words."""
    return tuple(_missed)


def _text(row: Row, width: int) -> str:
    ratio = "" if row.ratio is None else f"{row.ratio:.3g}x"
    verdict = "" if not row.bound or row.ratio is None else "ok" if row.is_met else "MISSED"
    return f"{row.name:<{width}}{_duration(row.seconds):>12}{ratio:>10}   {row.bound:<14}{verdict}".rstrip()


def _duration(seconds: float) -> str:
    return f"{seconds:,.2f} s" if seconds >= 1 else f"{seconds * 1000:,.1f} ms"
