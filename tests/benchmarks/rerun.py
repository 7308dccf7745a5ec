"""A rerun of the daily board against one of an empty page: the same server, shell, sign-in and navigation.

    python -m tests.benchmarks.rerun

The empty page is served by a copy of the app in which one page's file says nothing. The time is a tab's: from asking
for the run until its last frame is there. Both tabs take turns, so that what else the machine does strikes both.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from pathlib import Path

from tests.benchmarks.serving import demo
from tests.benchmarks.timing import Row, print_table
from tests.e2e.conftest import ROOT
from tests.raw_session import RawSession

EMPTY = "account"
"""The page that the copy empties."""
WARM_UP = 5
RERUNS = 60


def copy_with_an_empty_page(into: Path) -> None:
    """What Streamlit runs; kpi_core stays where it is."""
    shutil.copy(ROOT / "app.py", into)
    for folder in ("pages", ".streamlit"):
        shutil.copytree(ROOT / folder, into / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (into / "pages" / f"{EMPTY}.py").write_text('"""Nothing."""\n')


def measure(url: str, cookie: str) -> tuple[float, float]:
    """Median seconds of an empty page's rerun, and of the daily board's."""
    with RawSession(url, cookie=cookie) as empty, RawSession(url, cookie=cookie) as board:
        if empty.go(EMPTY).cards or not board.go("daily").cards:
            raise RuntimeError("the pages are not what they should be")
        times = [(empty.go().seconds, board.go().seconds) for _ in range(WARM_UP + RERUNS)][WARM_UP:]
    empties, boards = zip(*times, strict=True)
    return statistics.median(empties), statistics.median(boards)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="kpi-app-") as folder:
        copy_with_an_empty_page(Path(folder))
        with demo(Path(folder)) as server:
            empty, board = measure(server.url, server.cookies(1)[0])
    print_table(
        "A rerun, as a tab waits for it",
        [Row("an empty page", empty), Row("the demo's daily board", board, board / empty, "at most 3")],
    )


if __name__ == "__main__":
    main()
