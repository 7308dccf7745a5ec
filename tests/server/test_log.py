"""The log: a line an event, and no secret in it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from kpi_core.server import log
from kpi_core.server.settings import Settings

URL = "postgresql+psycopg://kpi:ge%40heim@db/kpi"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged while PostgreSQL is configured."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    log.configure(Settings(data_dir=tmp_path, database_url=URL))
    yield stream
    monkeypatch.undo()
    log.configure(Settings(data_dir=tmp_path))


def test_an_event_is_one_line_with_its_time_level_and_facts(written: io.StringIO) -> None:
    structlog.get_logger("kpi_core.test").info("loaded", dataset="flights", rows=842)
    line = written.getvalue()
    assert line.count("\n") == 1
    assert "level=info event=loaded" in line
    assert "dataset=flights" in line
    assert "rows=842" in line


TELLING = ("new_password", "token", "api_token", "cookie", "Authorization", "ticket", "secret_key", "setup_code")


@pytest.mark.parametrize("field", TELLING)
def test_a_field_with_a_telling_name_is_blanked(written: io.StringIO, field: str) -> None:
    structlog.get_logger("kpi_core.test").info("event", **{field: "geheim"})
    assert "geheim" not in written.getvalue()
    assert f"{field}=***" in written.getvalue()


@pytest.mark.parametrize("text", [f"cannot reach {URL}", "password ge@heim is wrong"])
def test_the_databases_password_is_blanked_wherever_it_turns_up(written: io.StringIO, text: str) -> None:
    structlog.get_logger("kpi_core.test").error(text, reason=text)
    logging.getLogger("apscheduler.executors").error(text)
    try:
        raise ValueError(text)
    except ValueError:
        structlog.get_logger("kpi_core.test").exception("failed")
    assert "heim" not in written.getvalue()
    assert written.getvalue().count("***") >= 3


def test_a_quieter_level_keeps_quiet(written: io.StringIO, tmp_path: Path) -> None:
    log.configure(Settings(data_dir=tmp_path, log_level="error"))
    structlog.get_logger("kpi_core.test").warning("not worth a word")
    assert written.getvalue() == ""
