"""The command line as the server's client: while a server runs, it holds the database file, so commands run in it.

The server writes `data/run/server.json` (its process id, where it listens, and a secret of this run; readable by its
owner only). Who can read that file could open the database as well, so the secret opens a door that runs commands
with the system's rights, and no other credential does. The answer is a line of JSON for each step, so that progress
shows here as it would there:

    {"progress": [0.4, "Loading invoices"]}
    {"result": {...}}    or    {"error": {"kind": "Conflict", "says": "...", "problems": [...]}}
"""

from __future__ import annotations

import hmac
import http.client
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import structlog
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import StreamingResponse

from kpi_core import errors
from kpi_core.errors import InvalidInput, KpiError, Problem, Unavailable
from kpi_core.server.commands import COMMANDS, Command, arguments_of, from_mapping
from kpi_core.server.settings import Settings
from kpi_core.server.shapes import to_json
from kpi_core.server.wiring import House

__all__ = ["Running", "announce", "ask", "find", "router", "withdraw"]

Progress = Callable[[float, str], None]
log = structlog.get_logger("kpi_core.loopback")
FIND_SECONDS = 3.0
PATH = "/api/internal"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs, as its run file says."""

    pid: int
    host: str
    port: int
    secret: str = field(repr=False)


# --- the run file -----------------------------------------------------------------------------------------------------


def announce(settings: Settings, secret: str, *, host: str, port: int) -> None:
    """Say where this process listens. Written beside and moved into place: nobody reads half of it."""
    reached_at = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here
    path = settings.run_file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(Running(os.getpid(), reached_at, port, secret)), file)
    draft.replace(path)


def withdraw(settings: Settings) -> None:
    """Take the run file away, if it is this process's."""
    running = _read(settings.run_file)
    if running is not None and running.pid == os.getpid():
        settings.run_file.unlink(missing_ok=True)


def find(settings: Settings) -> Running | None:
    """The server that runs on this data folder and answers; None where there is none (a stale file included)."""
    running = _read(settings.run_file)
    if running is None or not _is_alive(running.pid):
        return None
    try:
        with _Door(running, timeout=FIND_SECONDS) as door:
            return running if door.send("GET", f"{PATH}/ping").status == http.client.OK else None
    except OSError:
        return None


def _read(path: Path) -> Running | None:
    try:
        said = json.loads(path.read_text())
        return Running(int(said["pid"]), str(said["host"]), int(said["port"]), str(said["secret"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


# --- the client -------------------------------------------------------------------------------------------------------


def ask(running: Running, command: Command, on_progress: Progress) -> dict[str, Any]:
    """Run a command in the server; its result. Raises what the command raised there, or Unavailable."""
    body = to_json({"command": command.name, "arguments": arguments_of(command)})
    try:
        with _Door(running, timeout=None) as door:
            answer = door.send("POST", f"{PATH}/commands", body)
            if answer.status != http.client.OK:
                raise Unavailable(f"the server (process {running.pid}) refused: {answer.status} {answer.reason}")
            return _follow(answer, running, on_progress)
    except OSError as error:
        raise Unavailable(f"the server (process {running.pid}) cannot be reached: {error}") from error


def _follow(answer: http.client.HTTPResponse, running: Running, on_progress: Progress) -> dict[str, Any]:
    for line in answer:
        step = json.loads(line, parse_float=Decimal)
        if "progress" in step:
            share, text = step["progress"]
            on_progress(float(share), text)
        elif "error" in step:
            raise _error(step["error"])
        else:
            return dict(step["result"])
    raise Unavailable(f"the server (process {running.pid}) stopped before it was done; ask again")


def _error(said: Mapping[str, Any]) -> KpiError:
    kind: type[KpiError] = getattr(errors, said["kind"], KpiError)
    if issubclass(kind, InvalidInput):
        return kind([Problem(where, says) for where, says in said["problems"]])
    return kind(said["says"])


class _Door:
    """A connection to the server's loopback door."""

    def __init__(self, running: Running, timeout: float | None) -> None:
        self._running = running
        self._connection = http.client.HTTPConnection(running.host, running.port, timeout=timeout)

    def __enter__(self) -> _Door:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, method: str, path: str, body: str | None = None) -> http.client.HTTPResponse:
        headers = {"Authorization": f"Bearer {self._running.secret}", "Content-Type": "application/json"}
        self._connection.request(method, path, body.encode() if body else None, headers)
        return self._connection.getresponse()


# --- the server's side ------------------------------------------------------------------------------------------------


def router(get_house: Callable[[], House]) -> APIRouter:
    """The routes behind the door; in no document, for nobody else is meant."""
    routes = APIRouter(prefix="/internal", include_in_schema=False)

    @routes.get("/ping")
    def ping(request: Request) -> dict[str, int]:
        _admit(request, get_house())
        return {"pid": os.getpid()}

    @routes.post("/commands")
    async def run(request: Request) -> StreamingResponse:
        house = get_house()
        _admit(request, house)
        said = json.loads(await request.body(), parse_float=Decimal)
        if said.get("command") not in COMMANDS:
            raise HTTPException(404, "there is no such command; is the server of another version?")
        command = from_mapping(said["command"], said["arguments"])
        return StreamingResponse(_steps(house, command), media_type="application/x-ndjson")

    return routes


def _admit(request: Request, house: House) -> None:
    """404 to everybody else: that there is a door is nobody's business."""
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), house.command_secret.encode()):
        raise HTTPException(404)


def _steps(house: House, command: Command) -> Iterator[str]:
    """Run the command in a thread of its own and pass on what it says. It runs to its end though nobody listen."""
    said: SimpleQueue[tuple[str, Any]] = SimpleQueue()

    def work() -> None:
        try:
            said.put(("result", command.run(house, lambda share, text: said.put(("progress", [share, text])))))
        except KpiError as error:
            said.put(("error", _told(error)))
        except Exception:  # the outermost of a command: whatever it was, the caller waits for an answer
            log.exception("command failed", command=command.name)
            said.put(("error", {"kind": "Unavailable", "says": "the server failed at it; its log says why"}))

    Thread(target=work, name=f"command {command.name}", daemon=True).start()
    while True:
        kind, what = said.get()
        yield to_json({kind: what}) + "\n"
        if kind != "progress":
            return


def _told(error: KpiError) -> dict[str, Any]:
    problems = error.problems if isinstance(error, InvalidInput) else ()
    return {
        "kind": type(error).__name__,
        "says": str(error),
        "problems": [[problem.where, problem.says] for problem in problems],
    }
