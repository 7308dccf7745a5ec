"""Every error the product raises on purpose, as one tree.

    KpiError                      something went wrong that a person can mend; str() says what, which, why, what to do
    ├── InvalidInput              bad input from a person, a file or an API call; carries the path of each problem
    │   ├── InvalidDefinition     a KPI or dataset definition
    │   ├── InvalidFormula        a formula that does not parse, refers to nothing, or goes in a circle
    │   ├── InvalidTarget         a target that cannot be judged against
    │   └── InvalidRecord         a row or value that cannot be taken
    ├── NotFound                  no such KPI, dataset, person ... or none that the actor may know of
    ├── NotAllowed                the actor sees it, but may not do this
    ├── SignInRefused             wrong name or password, too many tries, a dead ticket or session
    ├── Conflict                  somebody else changed it first, or it exists already
    └── Unavailable               the product cannot run as it is set up (exit code 2 on the command line)
        ├── InvalidSetting        a setting is unknown or wrong
        ├── StoreInUse            another process holds the database file
        └── StoreUnusable         unreachable, damaged, or of a newer version than this code

This module imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "Conflict",
    "InvalidDefinition",
    "InvalidFormula",
    "InvalidInput",
    "InvalidRecord",
    "InvalidSetting",
    "InvalidTarget",
    "KpiError",
    "NotAllowed",
    "NotFound",
    "Problem",
    "SignInRefused",
    "StoreInUse",
    "StoreUnusable",
    "Unavailable",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input: `where` is a path ("sales.yaml: kpis[3].unit", "line 7, column 'amount'")."""

    where: str
    says: str

    def __str__(self) -> str:
        return f"{self.where}: {self.says}" if self.where else self.says


class KpiError(Exception):
    """The root. `str(error)` is fit to be shown to the person who caused it."""


class InvalidInput(KpiError):
    """Bad input, with all its problems at once; nothing of it was applied."""

    def __init__(self, problems: str | Iterable[Problem | str]) -> None:
        if isinstance(problems, str):
            problems = [problems]
        self.problems: tuple[Problem, ...] = tuple(
            problem if isinstance(problem, Problem) else Problem("", problem) for problem in problems
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InvalidDefinition(InvalidInput):
    """A KPI or dataset definition is wrong."""


class InvalidFormula(InvalidInput):
    """A formula is wrong."""


class InvalidTarget(InvalidInput):
    """A target is wrong."""


class InvalidRecord(InvalidInput):
    """A row or a value is wrong."""


class NotFound(KpiError):
    """It does not exist, or the actor may not know that it does."""


class NotAllowed(KpiError):
    """The actor may know of it, but may not do this."""


class SignInRefused(KpiError):
    """A sign-in, ticket or session is refused. `retry_after` is in seconds, 0 when there is nothing to wait for."""

    def __init__(self, says: str, *, retry_after: float = 0.0) -> None:
        super().__init__(says)
        self.retry_after = retry_after


class Conflict(KpiError):
    """It exists already, or somebody else changed it first."""


class Unavailable(KpiError):
    """The product cannot run as it is set up."""


class InvalidSetting(Unavailable):
    """A setting is unknown or wrong."""


class StoreInUse(Unavailable):
    """Another process holds the database file. `pid` is its process id where that is known."""

    def __init__(self, says: str, *, pid: int | None = None) -> None:
        super().__init__(says)
        self.pid = pid


class StoreUnusable(Unavailable):
    """The database is unreachable, damaged, or of a newer version than this code."""
