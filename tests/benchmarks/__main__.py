"""All benchmarks: `make bench`, or `python -m tests.benchmarks [NAME ...]`. Exit code 1 if a bound is missed.

Some minutes, and 10 million records in a temporary folder. What is promised are ratios, so an idle machine is not
needed; a quiet one helps.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from tests.benchmarks import aggregation, board, rerun, sessions
from tests.benchmarks.timing import misses

BENCHMARKS: dict[str, Callable[[], object]] = {
    "rerun": rerun.main,
    "sessions": sessions.main,
    "board": board.main,
    "aggregation-1m": lambda: aggregation.main(["--records", "1000000"]),
    "aggregation-10m": lambda: aggregation.main(["--records", "10000000"]),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all if none is given")
    names = parser.parse_args(arguments).names or list(BENCHMARKS)
    if unknown := set(names) - BENCHMARKS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    for name in names:
        BENCHMARKS[name]()
    for missed in misses():
        sys.stdout.write(f"MISSED: {missed}\n")
    return 1 if misses() else 0


if __name__ == "__main__":
    sys.exit(main())
