"""The command line, `python -m kpi_core`: what commands.py can do, asked for in words.

Results go to standard output, progress and errors to standard error. Exit codes: 0 done, 1 the input was refused (all
that is wrong with it is said at once), 2 the product cannot run as it is set up, or the command was used wrongly.
While a server runs on the same data folder, the command runs in it (loopback.py); else the database is opened here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy.exc import DBAPIError

from kpi_core.errors import InvalidInput, KpiError, Unavailable
from kpi_core.model import Grain
from kpi_core.server import log, loopback
from kpi_core.server.commands import Command, CreateToken, Define, LoadRecords, Recalculate, SetUp, ShowBoard
from kpi_core.server.definition_files import read_texts
from kpi_core.server.settings import Settings, load, redacted
from kpi_core.server.shapes import Period, to_json
from kpi_core.server.wiring import build

__all__ = ["app", "main"]

REFUSED, UNUSABLE, INTERRUPTED = 1, 2, 130
PASSWORD_CHARACTERS = 1024
NEXT = "Next: python -m kpi_core"

app = typer.Typer(
    help="KPI tracking: set up, define, load, calculate and look. Every command has --help.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
token_app = typer.Typer(help="Personal API tokens.", no_args_is_help=True)
app.add_typer(token_app, name="token")
WIDTH = None if sys.stdout.isatty() else 160
"""Of tables: the terminal's, else wide enough that a file or a pipe gets a line for each KPI."""
err = Console(stderr=True, highlight=False, soft_wrap=True)
out = Console(highlight=False, soft_wrap=True, width=WIDTH)


class Scope(StrEnum):
    """What a token may do: see; also change; also manage."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@app.command()
def setup(
    admin: Annotated[str | None, typer.Option(help="User name of the first administrator.")] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="File whose first line is the password; else it is asked for."),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Begin with the demo company.")] = False,
    empty: Annotated[bool, typer.Option("--empty", help="Begin with nothing; a demo company is removed.")] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Another demo company, the same for the same seed.")] = None,
    company: Annotated[str | None, typer.Option(help="The company's name.")] = None,
    currency: Annotated[str | None, typer.Option(help="Its currency, such as EUR.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Where its days begin, such as Europe/Berlin.")] = None,
    country: Annotated[str | None, typer.Option(help="Whose public holidays count, such as DE.")] = None,
    week_start: Annotated[int | None, typer.Option(min=1, max=7, help="1 Monday ... 7 Sunday.")] = None,
    fiscal_start_month: Annotated[int | None, typer.Option(min=1, max=12, help="1 January ... 12.")] = None,
) -> None:
    """Make the first administrator, describe the company, and begin: with the demo company or with nothing."""
    told = {
        "name": company,
        "currency": currency,
        "time_zone": time_zone,
        "country": country,
        "week_start": week_start,
        "fiscal_start_month": fiscal_start_month,
    }
    described: dict[str, str | int] = {key: value for key, value in told.items() if value is not None}
    _check_setup(admin, demo, empty, seed, described)
    password = _password(password_file) if admin else None
    start: Any = "demo" if demo else "empty" if empty else None
    _show_setup(_run(SetUp(admin, password, start, seed, described), "Setting up"), bool(described))


@app.command()
def load_records(
    dataset: Annotated[str, typer.Argument(help="Key of the dataset, as defined.")],
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="CSV or Parquet files.")],
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Load what is good, and tell every row left out.")
    ] = False,
) -> None:
    """Load raw records into a dataset: all rows, or (without --skip-bad) none if one is bad."""
    command = LoadRecords(dataset, tuple(str(file.absolute()) for file in files), skip_bad)
    result = _run(command, "Loading")
    for where, says in result["skipped"]:
        err.print(f"skipped {where}: {says}", markup=False)
    replaced = f", {result['replaced']:,} of them in place of earlier ones" if result["replaced"] else ""
    skipped = f"; {result['skipped_rows']:,} rows skipped" if result["skipped_rows"] else ""
    out.print(f"{result['loaded']:,} records loaded into {dataset}{replaced}{skipped}. {NEXT} recalculate")


@app.command()
def define(
    files: Annotated[list[Path], typer.Argument(exists=True, help="YAML or JSON files, or folders of them.")],
) -> None:
    """Store the datasets and KPIs of definition files: all of them, or (if one is wrong) none."""
    with _exit_codes():
        texts = read_texts(files)
    result = _run(Define(texts), "Defining")
    out.print(f"{result['new']} KPIs new, {result['changed']} already known, {result['datasets']} datasets")


@app.command()
def recalculate(
    full: Annotated[bool, typer.Option("--full", help="All of it again, not only what changed.")] = False,
) -> None:
    """Bring every computed value up to date with the records."""
    result = _run(Recalculate(full), "Calculating")
    out.print(f"{result['readings']:,} values written for {result['days']:,} days in {float(result['seconds']):.1f} s")


@app.command()
def board(
    period: Annotated[Period, typer.Option(help="Which board.")] = Period.DAILY,
    date: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A day of the span to show.")] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON, numbers exact to the stored digits.")] = False,
) -> None:
    """Show a board: every KPI of a period, with value, target, status and change."""
    day = date.date() if date else None
    result = _run(ShowBoard(Grain(period.value), day), "Reading")
    rows = result.pop("rows")
    if json:
        sys.stdout.write(to_json(result) + "\n")
    else:
        _show_board(result["label"], rows)


@token_app.command("create")
def token_create(
    user: Annotated[str, typer.Option(help="User name of the person it speaks for.")],
    name: Annotated[str, typer.Option(help="What it is for.")],
    scopes: Annotated[list[Scope], typer.Option(help="What it may do; give it again for more.")] = [Scope.READ],  # noqa: B006
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it lives.")] = 90,
) -> None:
    """Make a personal API token. It is shown once and kept nowhere."""
    result = _run(CreateToken(user, name, tuple(scope.value for scope in scopes), days), "Making a token")
    err.print(f"This is shown once. It works until {str(result['expires_at'])[:10]}.")
    sys.stdout.write(result["token"] + "\n")


def main() -> None:
    """The entry of `python -m kpi_core`."""
    app(prog_name="python -m kpi_core")


# --- running ----------------------------------------------------------------------------------------------------------


def _run(command: Command, title: str) -> dict[str, Any]:
    """Run a command in the server that holds the database, or over a house opened here."""
    with _exit_codes():
        settings = load()
        with _exit_codes(settings), _progress(title) as on_progress:
            running = loopback.find(settings)
            if running is None:
                return _run_here(settings, command, on_progress)
            return _run_there(running, command, on_progress)


def _run_there(running: loopback.Running, command: Command, on_progress: loopback.Progress) -> dict[str, Any]:
    try:
        return loopback.ask(running, command, on_progress)
    except KeyboardInterrupt:
        _stop("no longer waiting; the server goes on with it to the end", INTERRUPTED)


def _run_here(settings: Settings, command: Command, on_progress: loopback.Progress) -> dict[str, Any]:
    log.configure(settings)
    house = build(settings)
    try:
        return command.run(house, on_progress)
    finally:
        house.close()


@contextmanager
def _exit_codes(settings: Settings | None = None) -> Iterator[None]:
    """Errors that a person can mend become lines and an exit code; what is left is a defect, and shows itself."""
    url = settings.database if settings else ""
    try:
        yield
    except Unavailable as error:
        _stop(redacted(" ".join(str(error).split()), url), UNUSABLE)
    except InvalidInput as error:
        _stop("\n".join(redacted(str(problem), url) for problem in error.problems), REFUSED)
    except KpiError as error:
        _stop(redacted(str(error), url), REFUSED)
    except DBAPIError as error:
        first = str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
        _stop(redacted(f"the database failed: {first}", url), UNUSABLE)
    except KeyboardInterrupt:
        _stop("stopped; nothing half-done was kept", INTERRUPTED)


def _stop(says: str, code: int) -> NoReturn:
    err.print(says, markup=False)
    raise typer.Exit(code)


@contextmanager
def _progress(title: str) -> Iterator[loopback.Progress]:
    """A bar on standard error where somebody watches; silence where the output goes to a file."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda share, text: bar.update(task, description=text or title, total=1.0, completed=share)


# --- asking and showing -----------------------------------------------------------------------------------------------


def _check_setup(admin: str | None, demo: bool, empty: bool, seed: int | None, described: dict[str, str | int]) -> None:
    if demo and empty:
        raise typer.BadParameter("--demo and --empty are two ways to begin; choose one")
    if seed is not None and not demo:
        raise typer.BadParameter("--seed is for --demo")
    if not (admin or demo or empty or described):
        raise typer.BadParameter("nothing to set up; give --admin, --demo, --empty or something about the company")


def _password(file: Path | None) -> str:
    """From the first line of a file; asked for at a terminal; never from the command's arguments, which others see."""
    if file is not None:
        with file.open(encoding="utf-8") as lines:
            return lines.readline(PASSWORD_CHARACTERS + 2).rstrip("\r\n")
    if not sys.stdin.isatty():
        raise typer.BadParameter("--admin needs --password-file where nobody can be asked")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def _show_setup(result: dict[str, Any], described: bool) -> None:
    if result["admin"]:
        out.print(f"Administrator {result['admin']} made.", markup=False)
    if described:
        out.print("The company's settings are kept.")
    if result["start"] == "empty":
        out.print(f"Begun with nothing. {NEXT} define FILE")
    if result["start"] == "demo":
        out.print("The demo company is ready. Its people, whose passwords are shown this once:")
        table = Table("user name", "role", "password", box=None, pad_edge=False)
        for row in result["people"]:
            table.add_row(*row)
        out.print(table)


def _show_board(label: str, rows: list[list[str]]) -> None:
    columns = ("", "KPI", "span", "value", "target", "progress", "status", "change")
    table = Table(*columns, title=escape(label), title_justify="left", box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    out.print(table)
    if not rows:
        out.print(f"No KPIs are tracked here yet. {NEXT} define FILE")
