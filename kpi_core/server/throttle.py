"""Slows guessing down without locking anybody out.

Failures are counted for an account from an address. The first few cost nothing, since people mistype; then each has to
be waited for, twice as long as the one before, up to five minutes; and they fade by half every ten minutes. The person
whose account is being guessed signs in from another address as if nothing happened: a lockout would let anyone who
knows a name keep its owner out.

Kept in memory and bounded: the counts that matter least make room. A restart forgets them, which gives a guesser
a handful of tries.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

__all__ = ["Throttle"]

FREE = 4
"""Failures that cost no wait."""
LONGEST_WAIT = timedelta(minutes=5)
HALF_LIFE = timedelta(minutes=10)
MOST_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class _Failures:
    count: float
    at: datetime

    def now(self, now: datetime) -> float:
        half_lives: float = max(now - self.at, timedelta(0)) / HALF_LIFE
        return self.count * math.pow(0.5, half_lives)

    @property
    def wait(self) -> timedelta:
        over = self.count - FREE
        return timedelta(0) if over <= 0 else min(timedelta(seconds=2.0 ** min(over, 16)), LONGEST_WAIT)


class Throttle:
    """Counts failures of (account, address). Safe to share between threads."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def wait(self, account: str, address: str) -> float:
        """Seconds until the next try is taken; 0 if it is taken now."""
        with self._lock:
            failures = self._failures.get((account, address))
        if failures is None:
            return 0.0
        return max((failures.at + failures.wait - self._clock()).total_seconds(), 0.0)

    def failed(self, account: str, address: str) -> None:
        """Count a failure. Called before the check, and taken back by `succeeded`: tries at once then count each."""
        now = self._clock()
        with self._lock:
            before = self._failures.pop((account, address), None)
            self._failures[account, address] = _Failures((before.now(now) if before else 0.0) + 1.0, now)
            if len(self._failures) > MOST_KEPT:
                self._failures.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        with self._lock:
            self._failures.pop((account, address), None)
