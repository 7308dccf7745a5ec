"""Everything that is defined, read once per version of the definitions: small, and needed by every board.

A board then costs one statement for its values, however many KPIs there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

from sqlalchemy import Connection

from kpi_core.errors import NotFound
from kpi_core.model import Company, Dataset, Grain, Kpi, Target
from kpi_core.periods import Calendar
from kpi_core.service.company import load_company
from kpi_core.store import datasets as dataset_table
from kpi_core.store import definitions, targets

__all__ = ["Snapshot", "load_snapshot"]

MOST_DIGITS = 18
"""Of an id; a longer one is nobody's."""


@dataclass(frozen=True)
class Snapshot:
    """The definitions, targets, datasets and settings as of one version."""

    company: Company
    calendar: Calendar
    kpis: Mapping[int, Kpi]
    targets: Mapping[int, Sequence[Target]]
    datasets: Mapping[str, Dataset]
    connected: frozenset[str]
    by_key: Mapping[str, Kpi] = field(default_factory=dict)

    def find(self, key_or_id: str | int) -> Kpi:
        """The KPI of that key or id; NotFound where there is none."""
        found = self.by_key.get(str(key_or_id))
        if found is None and _is_id(str(key_or_id)):
            found = self.kpis.get(int(key_or_id))
        if found is None:
            raise self.unknown(key_or_id)
        return found

    @staticmethod
    def unknown(key_or_id: str | int) -> NotFound:
        """The one answer to a key or id that there is not, or that may not be known."""
        return NotFound(f"there is no KPI '{key_or_id}'")

    def tracked(self, grain: Grain) -> list[Kpi]:
        """The active KPIs that have a place on the boards of that grain, in the order of their definition."""
        return [kpi for kpi in self.kpis.values() if kpi.is_active and grain in kpi.grains]


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS


def load_snapshot(conn: Connection, today: date) -> Snapshot:
    """Read it, in a handful of statements."""
    company = load_company(conn, today)
    kpis = definitions.load(conn)
    return Snapshot(
        company=company,
        calendar=Calendar.of(company),
        kpis=MappingProxyType({kpi.id: kpi for kpi in kpis}),
        targets=MappingProxyType(targets.load(conn)),
        datasets=MappingProxyType({dataset.key: dataset for dataset in dataset_table.load(conn)}),
        connected=frozenset(key for key, connected in dataset_table.connections(conn).items() if connected),
        by_key=MappingProxyType({kpi.key: kpi for kpi in kpis}),
    )
