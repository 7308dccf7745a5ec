"""`make screenshots`: every screen of the demo company, light and dark, wide and narrow, as PNG files.

    python -m tests.e2e.screenshots [--to screenshots]

Starts the product as a user would, in a directory of its own, and removes that afterwards.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.conftest import ADMIN, FLAGS, PASSWORD, fill_sign_in, set_up_demo, start, stop

SCREENS: Mapping[str, str] = {
    "overview": "",
    "daily": "daily",
    "daily_filtered": "daily?category=operations",
    "weekly": "weekly",
    "monthly": "monthly",
    "custom": "custom",
    "kpi": "kpi?key=average_response_time&range=90",
    "kpi_year": "kpi?key=monthly_recurring_revenue&range=all",
    "account": "account",
    "unknown_kpi": "kpi?key=nonsense",
}
LOCKED = {"locked": "daily", "locked_kpi": "kpi?key=cash_balance"}
"""Screens of somebody who sees a part."""
WIDTHS = (1400, 390)
PATIENCE = 60_000
UNSETTLED = "[data-testid=stSkeleton], [data-testid=stStatusWidget]"
TALLEST = 4_000


@dataclass(frozen=True, slots=True)
class Studio:
    """Where pictures are taken, and where they go."""

    browser: Browser
    url: str
    to: Path

    def sign_in(self, username: str, password: str) -> dict[str, object]:
        """The cookies of a person."""
        context = self.browser.new_context()
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(self.url)
        fill_sign_in(page, username, password)
        page.get_by_role("button", name="Sign out", exact=True).wait_for(state="attached")
        state: dict[str, object] = dict(context.storage_state())
        context.close()
        return state

    def take(self, screens: Mapping[str, str], state: dict[str, object] | None) -> None:
        for width, theme in product(WIDTHS, ("light", "dark")):
            context = self.browser.new_context(
                viewport={"width": width, "height": 1000},
                color_scheme="dark" if theme == "dark" else "light",
                storage_state=state,  # type: ignore[arg-type]  # as Playwright gave it
            )
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            for name, path in screens.items():
                self.shoot(page, path, self.to / f"{name}-{width}-{theme}.png", width)
            context.close()

    def shoot(self, page: Page, path: str, file: Path, width: int) -> None:
        """The whole screen: Streamlit scrolls inside the page, so the window is made as tall as what is in it."""
        page.set_viewport_size({"width": width, "height": 1000})
        page.goto(f"{self.url}/{path}")
        page.get_by_test_id("stMain").wait_for()
        page.wait_for_timeout(1_500)
        expect(page.locator(UNSETTLED)).to_have_count(0, timeout=PATIENCE)
        tall = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        page.set_viewport_size({"width": width, "height": min(max(tall, 700), TALLEST)})
        page.wait_for_timeout(1_500)
        page.screenshot(path=file)
        sys.stdout.write(f"{file}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write every screen as a picture.")
    parser.add_argument("--to", type=Path, default=Path("screenshots"), help="the directory to write to")
    parser.add_argument("--only", help="a screen's name; default: all")
    asked = parser.parse_args()
    asked.to.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("KPI_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as made:
        people = set_up_demo(Path(made))
        server, process = start(Path(made))
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
                take_all(Studio(browser, server.url, asked.to), people, asked.only)
        finally:
            stop(process)


def take_all(studio: Studio, people: list[tuple[str, str, str]], only: str | None) -> None:
    username, password = next((name, password) for name, role, password in people if role == "sales_rep")
    for screens, state in (
        ({"sign_in": ""}, None),
        (SCREENS, studio.sign_in(ADMIN, PASSWORD)),
        (LOCKED, studio.sign_in(username, password)),
    ):
        studio.take({name: path for name, path in screens.items() if only in (None, name)}, state)


if __name__ == "__main__":
    main()
