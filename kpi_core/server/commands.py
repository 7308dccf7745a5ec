"""The commands: what `python -m kpi_core` can do, as values that run in whichever process holds the database.

Each is a frozen dataclass whose fields can be written as JSON, so that the same command runs here over a house opened
for it, or in the server that holds the file (loopback.py). `run` answers with what JSON can say; cli.py shows it.

What is given to the demo company would be gone with it, so data and definitions are not taken while it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from pydantic import TypeAdapter

from kpi_core import display, periods
from kpi_core.access import SYSTEM
from kpi_core.catalog import Catalog
from kpi_core.errors import Conflict, InvalidInput, NotFound, Problem
from kpi_core.model import Board, Card, Grain
from kpi_core.server import shapes
from kpi_core.server.definition_files import parse_texts
from kpi_core.server.demo_people import DemoUser
from kpi_core.server.wiring import House
from kpi_core.service.company import HOLIDAY_COUNTRY, load_company
from kpi_core.store import datasets, definitions, people, settings

__all__ = [
    "COMMANDS",
    "Command",
    "CreateToken",
    "Define",
    "LoadRecords",
    "Recalculate",
    "SetUp",
    "ShowBoard",
    "arguments_of",
    "from_mapping",
]

Progress = Callable[[float, str], None]


class Command(Protocol):
    """Something that can be asked of the product: a dataclass with a name and a way to do it."""

    name: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def run(self, house: House, on_progress: Progress) -> dict[str, Any]:
        """Do it. Raises KpiError."""


@dataclass(frozen=True, slots=True)
class SetUp:
    """Make the first administrator, describe the company, and begin with the demo or with nothing."""

    name: ClassVar[str] = "setup"
    admin: str | None = None
    password: str | None = field(default=None, repr=False)
    start: Literal["demo", "empty"] | None = None
    seed: int | None = None
    company: dict[str, str | int] = field(default_factory=dict)

    def run(self, house: House, on_progress: Progress) -> dict[str, Any]:
        if self.admin is not None:
            _make_admin(house, self.admin, self.password or "")
        if self.company:
            _describe_company(house, self.company)
        result: dict[str, Any] = {"admin": self.admin, "start": self.start, "people": []}
        if self.start == "empty":
            house.start_empty()
        elif self.start == "demo":
            users: list[DemoUser] = []
            house.start_demo(self.seed, on_progress, users.extend)
            result["people"] = [[user.username, user.role, user.password] for user in users]
        return result


@dataclass(frozen=True, slots=True)
class LoadRecords:
    """Load raw records from CSV or Parquet files."""

    name: ClassVar[str] = "load-records"
    dataset: str
    paths: tuple[str, ...]
    skip_bad: bool = False

    def run(self, house: House, on_progress: Progress) -> dict[str, Any]:
        _refuse_demo(house)
        paths = [Path(path) for path in self.paths]
        if missing := [path for path in paths if not path.is_file()]:
            raise InvalidInput([Problem(str(path), "there is no such file") for path in missing])
        loaded = house.tracker.load_records(SYSTEM, self.dataset, paths, skip_bad=self.skip_bad, progress=on_progress)
        return {
            "loaded": loaded.loaded,
            "replaced": loaded.replaced,
            "skipped_rows": loaded.skipped_rows,
            "skipped": [[problem.where, problem.says] for problem in loaded.skipped],
        }


@dataclass(frozen=True, slots=True)
class Define:
    """Store the datasets and KPIs of definition files: all of them, or none."""

    name: ClassVar[str] = "define"
    texts: dict[str, str]
    """The files' texts, by the names that problems are told with."""

    def run(self, house: House, on_progress: Progress) -> dict[str, Any]:
        _refuse_demo(house)
        catalog = parse_texts(self.texts, known=_known(house))
        new, changed = house.tracker.define(SYSTEM, catalog)
        return {"new": new, "changed": changed, "datasets": len(catalog.datasets)}


@dataclass(frozen=True, slots=True)
class Recalculate:
    """Bring every computed value up to date with the records."""

    name: ClassVar[str] = "recalculate"
    full: bool = False

    def run(self, house: House, on_progress: Progress) -> dict[str, Any]:
        done = house.tracker.recalculate(SYSTEM, full=self.full)
        return {"days": len(done.days), "readings": done.readings, "seconds": float(done.seconds)}


@dataclass(frozen=True, slots=True)
class ShowBoard:
    """A board, as the API says it and as rows of text."""

    name: ClassVar[str] = "board"
    period: Grain
    day: date | None = None

    def run(self, house: House, on_progress: Progress) -> dict[str, Any]:
        board = house.tracker.board(SYSTEM, self.period, self.day)
        currency = house.tracker.company(SYSTEM).currency
        cards = [card for card in board.cards if not card.locked]
        return {
            "period": board.grain,
            "label": board.label,
            "span": {"start": board.span.start, "end": board.span.end},
            "kpis": [shapes.listed(card, currency) for card in cards],
            "rows": [_row(card, board, currency) for card in cards],
        }


@dataclass(frozen=True, slots=True)
class CreateToken:
    """A personal API token; its text is shown once."""

    name: ClassVar[str] = "token create"
    user: str
    label: str
    scopes: tuple[str, ...] = ("read",)
    days: int = 90

    def run(self, house: House, on_progress: Progress) -> dict[str, Any]:
        with house.main.read() as conn:
            person = people.by_username(conn, self.user)
        if person is None:
            raise NotFound(f"there is nobody with the user name '{self.user}'")
        expires_at = house.clock() + timedelta(days=self.days)
        token = house.sessions.create_token(person.id, self.label, scopes=self.scopes, expires_at=expires_at)
        return {"token": token, "expires_at": expires_at}


COMMANDS: Mapping[str, type[Command]] = {
    command.name: command for command in (SetUp, LoadRecords, Define, Recalculate, ShowBoard, CreateToken)
}


def arguments_of(command: Command) -> dict[str, Any]:
    """The arguments as JSON can carry them; `from_mapping` takes them back."""
    return {each.name: getattr(command, each.name) for each in fields(command)}


def from_mapping(name: str, arguments: Mapping[str, Any]) -> Command:
    """The command of this name, its arguments checked: what came over the wire is of no type yet."""
    command: Command = TypeAdapter(COMMANDS[name]).validate_python(arguments)
    return command


def _make_admin(house: House, username: str, password: str) -> None:
    """The first administrator. Who can run this owns the database, so no code is asked for."""
    if not house.needs_setup:
        raise Conflict("there is an administrator already; they make the other accounts")
    house.sessions.claim(username, username, password)


def _describe_company(house: House, changes: Mapping[str, str | int]) -> None:
    """`country` is whose public holidays count; the other changes are fields of the company."""
    now = house.clock()
    told: dict[str, Any] = {name: value for name, value in changes.items() if name != "country"}
    with house.main.write(touches_catalog=True) as conn:
        if "country" in changes:
            settings.put(conn, HOLIDAY_COUNTRY, changes["country"], SYSTEM.id, now)
        settings.set_company(conn, replace(settings.company(conn), **told), SYSTEM.id, now)
        periods.Calendar.of(load_company(conn, now.date()))  # raises where it makes no sense: nothing is stored then


def _refuse_demo(house: House) -> None:
    if house.is_demo:
        raise Conflict(
            "the demo company is shown, and what you add would be gone with it; "
            "begin with your own data by `python -m kpi_core setup --empty`, which removes the demo"
        )


def _known(house: House) -> Catalog:
    with house.data.read() as conn:
        return Catalog(tuple(definitions.load(conn)), tuple(datasets.load(conn)))


def _row(card: Card, board: Board, currency: str) -> list[str]:
    """A card as a line of text: title, span where it is another, value, target, progress, status, change."""
    kpi, score = card.kpi, card.score
    if kpi is None or score is None:
        return [card.title, "", "", "", "", "", "locked", ""]
    value = display.value_text(score.value, kpi, currency=currency) if score.value is not None else "–"
    target = display.target_text(score.target, kpi, currency=currency) if score.target is not None else "–"
    progress = display.percent_text(score.attainment, kpi.bands) if score.attainment is not None else "–"
    span = "" if score.span == board.span else str(score.span.start)
    return [card.category, card.title, span, value, target, progress, str(score.status), score.change.text]
