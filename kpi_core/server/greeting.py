"""What the terminal says on the first run, and the browser that opens on it.

Only the terminal knows the setup code: who can read it started the product, or was trusted with it. Where a person
sits at the machine, their browser opens with the code filled in; on a server there is only the link.
"""

from __future__ import annotations

import os
import sys
import webbrowser
from threading import Timer

from kpi_core.server.sessions import Sessions

__all__ = ["greet"]

UNTIL_SERVED = 1.5
"""Seconds until the server, which greets while it starts, takes visitors."""


def greet(sessions: Sessions, address: str) -> None:
    """Show how the first account is made, as long as there is none."""
    code = sessions.setup_code()
    if code is None:
        return
    link = f"{address}/?code={code}"
    sys.stdout.write(f"\n  Make your account:  {link}\n  (setup code: {code})\n\n")
    sys.stdout.flush()
    if _somebody_sits_here():
        opening = Timer(UNTIL_SERVED, webbrowser.open, [link])
        opening.daemon = True
        opening.start()


def _somebody_sits_here() -> bool:
    has_screen = sys.platform in ("darwin", "win32") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    return sys.stdout.isatty() and has_screen
