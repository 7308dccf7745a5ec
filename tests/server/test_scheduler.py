"""What the clock does: refresh and collect, go on after a failure, and stop when the server does."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import stat
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
import structlog

from kpi_core.errors import StoreUnusable
from kpi_core.server import loopback
from kpi_core.server.scheduler import Job, jobs, lifespan, scheduler
from kpi_core.server.wiring import House


def inside(house: House, act: Callable[[], None]) -> None:
    """Run `act` while the server is up."""

    async def run() -> None:
        async with lifespan(house, port=4321):
            await asyncio.to_thread(act)

    asyncio.run(run())


def test_numbers_are_refreshed_at_the_start_and_every_quarter_of_an_hour(house: House) -> None:
    made = {job.name: job for job in jobs(house)}
    assert made["refresh"].minutes == 15
    assert made["refresh"].at_start
    assert made["collect"].minutes == 5


def test_a_late_job_still_runs_once_and_never_twice_at_a_time(house: House) -> None:
    for job in scheduler(house).get_jobs():
        assert job.trigger.interval >= timedelta(minutes=1)
    made = scheduler(house)
    made.start(paused=True)
    try:
        for job in made.get_jobs():
            assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (None, True, 1)
    finally:
        made.shutdown(wait=False)


def test_the_first_refresh_comes_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    refreshed = threading.Event()
    monkeypatch.setattr(House, "refresh", lambda self: refreshed.set())
    inside(house, lambda: None if refreshed.wait(10) else pytest.fail("no refresh within ten seconds"))


@pytest.mark.parametrize("error", [StoreUnusable("the disk is full"), ZeroDivisionError("a defect")])
def test_a_job_that_fails_says_so_and_runs_again(error: Exception) -> None:
    def work() -> None:
        raise error

    job = Job("refresh", 15, work)
    with structlog.testing.capture_logs() as lines:
        job.run()
        job.run()
    assert [(line["event"], line["job"], line["log_level"]) for line in lines] == [
        ("job failed", "refresh", "error")
    ] * 2


def test_while_the_server_runs_the_command_line_can_find_it(house: House) -> None:
    path = house.settings.run_file

    def look() -> None:
        said = json.loads(path.read_text())
        assert said == {"pid": os.getpid(), "host": "127.0.0.1", "port": 4321, "secret": house.command_secret}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    inside(house, look)
    assert not path.exists()


def test_a_server_that_stopped_takes_only_its_own_run_file_away(house: House) -> None:
    path = house.settings.run_file
    loopback.announce(house.settings, "x", host="127.0.0.1", port=1)
    path.write_text(path.read_text().replace(str(os.getpid()), "1"))
    loopback.withdraw(house.settings)
    assert path.exists()


def test_what_lives_for_good_is_frozen_after_the_start(house: House) -> None:
    gc.unfreeze()
    frozen: list[int] = []
    inside(house, lambda: frozen.append(gc.get_freeze_count()))
    gc.unfreeze()
    assert frozen[0] > 10_000
