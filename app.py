"""The launcher: screens, API and scheduled work, in one process.

`streamlit run app.py` takes port and address from Streamlit's options; `python app.py` takes KPI_PORT and KPI_HOST.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Mount

from kpi_core.errors import Unavailable
from kpi_core.server import scheduler, web
from kpi_core.server.api import create_api
from kpi_core.server.greeting import greet
from kpi_core.server.sessions import Sessions
from kpi_core.server.wiring import house, leave

try:
    web.check_options(st.get_option)
    settings = house().settings
except Unavailable as problem:
    sys.stderr.write(f"{problem}\n")
    sys.exit(2)


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """The house is open while the server runs; on the first run, the terminal says how the first account is made."""
    port = int(st.get_option("server.port"))
    async with scheduler.lifespan(house(), host=st.get_option("server.address") or "", port=port):
        greet(house().sessions, settings.public_url or f"http://localhost:{port}")
        yield
    leave()


def sessions() -> Sessions:
    return house().sessions


policy = web.content_policy((Path(st.__file__).parent / "static" / "index.html").read_text())
app = st.App(
    "pages/shell.py",
    routes=[*web.routes(sessions, https=settings.is_https), Mount("/api", create_api())],
    middleware=[Middleware(web.Gate, sessions=sessions, policy=policy, public_url=settings.public_url)],
    lifespan=lifespan,
)

if __name__ == "__main__":
    app.run(config={"server.port": settings.port, "server.address": settings.host})
