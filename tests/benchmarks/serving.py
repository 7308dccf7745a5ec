"""A server of the demo company in a process of its own, and people who are signed in to it.

Loopback only; the data folder is a fresh one and goes with the server.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from tests.e2e.conftest import ADMIN, PASSWORD, ROOT, answers, environment, free_port, set_up_demo, stop
from tests.raw_session import sign_in

__all__ = ["Demo", "demo"]

SEES_ALL = ("admin", "ceo")
AT_ONCE = 3
"""Sign-ins at a time: more tries of one account at once would be slowed down, as guessing is."""


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo company. `people` are those who see every KPI, with their passwords."""

    url: str
    people: tuple[tuple[str, str], ...]

    def cookies(self, number: int) -> list[str]:
        """So many sessions, each begun by a sign-in of its own."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda who: sign_in(self.url, *who), islice(cycle(self.people), number)))


@contextmanager
def demo(root: Path = ROOT) -> Iterator[Demo]:
    """The demo company, served by the app in `root` (a copy may have other pages)."""
    with tempfile.TemporaryDirectory(prefix="kpi-bench-") as folder:
        data_dir = Path(folder)
        invented = [(username, password) for username, role, password in set_up_demo(data_dir) if role in SEES_ALL]
        port = free_port()
        process = _start(root, data_dir, port)
        url = f"http://localhost:{port}"
        try:
            _wait(url, process, data_dir / "server.log")
            yield Demo(url, ((ADMIN, PASSWORD), *invented))
        finally:
            stop(process)


def _start(root: Path, data_dir: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    settings = environment(data_dir) | {"KPI_PORT": str(port), "PYTHONPATH": f"{root}:{ROOT}"}
    with (data_dir / "server.log").open("wb") as log:
        return subprocess.Popen(command, cwd=root, env=settings, stdout=log, stderr=log)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 90
    while not answers(f"{url}/_stcore/health"):
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the server did not start:\n{log.read_text()}")
        time.sleep(0.2)
