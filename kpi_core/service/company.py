"""The company's settings as numbers need them: with the public holidays of its country spelled out as dates."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import holidays
from sqlalchemy import Connection

from kpi_core.errors import InvalidSetting
from kpi_core.model import Company
from kpi_core.store import settings

__all__ = ["HOLIDAY_COUNTRY", "load_company"]

HOLIDAY_COUNTRY = "holiday_country"
"""The setting that names the country (ISO 3166) whose public holidays are kept, beside the company's own dates."""
YEARS_BACK, YEARS_AHEAD = 20, 3


def load_company(conn: Connection, today: date) -> Company:
    """The company as set up. InvalidSetting where its country has no holidays that anybody knows."""
    company = settings.company(conn)
    country = settings.get(conn, HOLIDAY_COUNTRY)
    return replace(company, holidays=company.holidays | _public(country, today)) if country else company


def _public(country: str, today: date) -> frozenset[date]:
    try:
        years = range(today.year - YEARS_BACK, today.year + YEARS_AHEAD)
        return frozenset(holidays.country_holidays(country, years=years))
    except NotImplementedError as error:
        says = f"{HOLIDAY_COUNTRY}: no holidays are known for '{country}'; use an ISO 3166 code such as US"
        raise InvalidSetting(says) from error
