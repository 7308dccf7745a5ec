"""What the clock does while the server runs: refresh the numbers, collect the garbage. And the server's lifespan.

Numbers are refreshed at the start and then every quarter of an hour: the demo goes on to the present moment, records
that came in are counted, spans that were open are closed. A round that fails says so in the log, and the next one
tries again; one that is late or missed is made up for once, never several times at once.

Streamlit's full collection after every rerun is off (it costs 40 ms under the lock); so what lives for good is frozen
after the start, and the rest is collected here, away from anybody's rerun.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler

from kpi_core.errors import KpiError
from kpi_core.server import loopback
from kpi_core.server.wiring import House

__all__ = ["Job", "lifespan", "scheduler"]

log = structlog.get_logger("kpi_core.scheduler")
COLLECT_MINUTES = 5
RECONCILE_MINUTES = 1


@dataclass(frozen=True, slots=True)
class Job:
    """Something done every so many minutes."""

    name: str
    minutes: int
    work: Callable[[], None]
    at_start: bool = False

    def run(self) -> None:
        """Do it. What goes wrong is told in words and ends this round, not the job."""
        try:
            self.work()
        except KpiError as error:
            log.error("job failed", job=self.name, reason=str(error))
        except Exception:  # the outermost of a job: the next round must come all the same
            log.exception("job failed", job=self.name)


def jobs(house: House) -> list[Job]:
    """The jobs of a house."""
    found = [
        Job("refresh", house.settings.refresh_minutes, house.refresh, at_start=True),
        Job("collect", COLLECT_MINUTES, _collect),
    ]
    if not house.main.is_duckdb:
        found.append(Job("reconcile", RECONCILE_MINUTES, house.reconcile))
    return found


def scheduler(house: House) -> BackgroundScheduler:
    """A scheduler with the jobs of a house, not started yet. In UTC, so that no job meets a change of clocks."""
    made = BackgroundScheduler(
        timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    )
    made.add_listener(_tell, EVENT_JOB_ERROR)
    for job in jobs(house):
        now = {"next_run_time": datetime.now(UTC)} if job.at_start else {}
        made.add_job(job.run, "interval", minutes=job.minutes, id=job.name, **now)
    return made


@asynccontextmanager
async def lifespan(house: House, *, host: str | None = None, port: int | None = None) -> AsyncIterator[None]:
    """While the server runs: its jobs run, and the command line can find it at `host` and `port`."""
    settings = house.settings
    host, port = host or settings.host, port or settings.port
    loopback.announce(settings, house.command_secret, host=host, port=port)
    clock = scheduler(house)
    gc.collect()
    gc.freeze()
    clock.start()
    log.info("started", host=host, port=port, database="duckdb" if settings.is_duckdb else "postgresql")
    if "port" in settings.model_fields_set and settings.port != port:
        log.warning("KPI_PORT is not where the server listens; give --server.port", setting=settings.port, port=port)
    try:
        yield
    finally:
        clock.shutdown(wait=True)
        loopback.withdraw(settings)
        log.info("stopped")


def _collect() -> None:
    gc.collect()


def _tell(event: JobExecutionEvent) -> None:
    """Only what the scheduler itself does wrong gets here: a job tells its own failures."""
    log.error("scheduler failed", job=event.job_id, reason=str(event.exception))
