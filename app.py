"""The launcher: `streamlit run app.py` serves the screens, the API and the scheduled work, in one process."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from kpi_core.errors import Unavailable
from kpi_core.server import web
from kpi_core.server.wiring import house, leave

PAGE = Path(st.__file__).parent / "static" / "index.html"

try:
    web.check_options(st.get_option)
    settings = house().settings
except Unavailable as problem:
    sys.stderr.write(f"{problem}\n")
    sys.exit(2)


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    if code := house().sessions.setup_code():
        sys.stdout.write(f"\n  Make your account:  {settings.address}/?code={code}\n  Setup code:         {code}\n\n")
        sys.stdout.flush()
    yield
    leave()


app = st.App(
    "pages/shell.py",
    routes=web.routes(lambda: house().sessions, https=settings.is_https),
    middleware=[
        Middleware(
            web.Gate,
            sessions=lambda: house().sessions,
            policy=web.content_policy(PAGE.read_text()),
            public_url=settings.public_url,
        )
    ],
    lifespan=lifespan,
)
