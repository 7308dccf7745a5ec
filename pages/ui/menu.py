"""The pages that the menu offers, and to whom.

Beside the script and not in it: Streamlit runs the script anew for every rerun, and making a class takes a millisecond
or two each time.
"""

from __future__ import annotations

from dataclasses import dataclass

from kpi_core.model import Actor

__all__ = ["ENTRIES", "Entry"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A page. `permission` is the key without which it is not offered; the page itself asks again."""

    url: str
    title: str
    icon: str
    permission: str | None = None
    hidden: bool = False

    @property
    def file(self) -> str:
        return f"{self.url}.py"

    def is_for(self, actor: Actor) -> bool:
        return self.permission is None or self.permission in actor.permissions


ENTRIES = (
    Entry("overview", "Overview", ":material/space_dashboard:"),
    Entry("daily", "Daily", ":material/today:"),
    Entry("weekly", "Weekly", ":material/date_range:"),
    Entry("monthly", "Monthly", ":material/calendar_month:"),
    Entry("custom", "Custom", ":material/tune:"),
    Entry("kpi", "KPI", ":material/monitoring:", hidden=True),
    Entry("account", "Account", ":material/account_circle:"),
)
