"""All flights out of New York in 2013: real input that nobody here made, with definitions as a user would write them.

The whole file is used where it is found (the environment variable KPI_FLIGHTS, or beside the repository); else the
first five weeks, which the repository carries.
"""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

from kpi_core.model import (
    Aggregate,
    Calculation,
    Category,
    Column,
    ColumnType,
    Company,
    Condition,
    Dataset,
    Grain,
    Kind,
    Kpi,
    Measure,
    Op,
    Term,
)

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "samples" / "flights_sample.csv.gz"
BESIDE = ROOT.parent / "shared" / "real" / "flights.csv.gz"


def _found() -> Path:
    named = os.environ.get("KPI_FLIGHTS")
    if named:
        return Path(named)
    return BESIDE if BESIDE.exists() else SAMPLE


FLIGHTS_FILE = _found()
IS_WHOLE = FLIGHTS_FILE != SAMPLE
NEW_YORK = Company(time_zone="America/New_York")

DATASET = Dataset(
    key="flights",
    name="Flights",
    time_column="time_hour",
    columns=(
        Column("carrier", ColumnType.TEXT),
        Column("origin", ColumnType.TEXT),
        Column("tailnum", ColumnType.TEXT),
        Column("dep_time", ColumnType.NUMBER),
        Column("dep_delay", ColumnType.NUMBER),
        Column("arr_delay", ColumnType.NUMBER),
        Column("distance", ColumnType.NUMBER),
    ),
    null_values=("NA", ""),
)

FLIGHTS = Term("flights", Aggregate.COUNT)
ARRIVED = Term("flights", Aggregate.COUNT, "arr_delay")
ON_TIME = Term("flights", Aggregate.COUNT, "arr_delay", (Condition("arr_delay", Op.LT, Decimal(15)),))
NEVER_LEFT = Term("flights", Aggregate.COUNT, where=(Condition("dep_time", Op.IS_NULL),))


def _kpi(number: int, key: str, kind: Kind, calculation: Calculation, measure: Measure) -> Kpi:
    return Kpi(
        key,
        key.replace("_", " ").title(),
        Category.OPERATIONS,
        Grain.DAILY,
        kind=kind,
        calculation=calculation,
        measure=measure,
        id=number,
    )


KPIS = [
    _kpi(1, "flights", Kind.FLOW, Calculation.COUNT, Measure((FLIGHTS,))),
    _kpi(2, "on_time", Kind.RATIO, Calculation.RATIO, Measure((ON_TIME,), (ARRIVED,), Decimal(100))),
    _kpi(
        3,
        "mean_delay",
        Kind.RATIO,
        Calculation.AVERAGE,
        Measure((Term("flights", Aggregate.SUM, "arr_delay"),), (ARRIVED,)),
    ),
    _kpi(4, "miles", Kind.FLOW, Calculation.SUM, Measure((Term("flights", Aggregate.SUM, "distance"),))),
    _kpi(
        5, "aircraft", Kind.DISTINCT, Calculation.DISTINCT, Measure((Term("flights", Aggregate.DISTINCT, "tailnum"),))
    ),
    _kpi(
        6,
        "delay_q90",
        Kind.STATISTIC,
        Calculation.QUANTILE,
        Measure((Term("flights", Aggregate.QUANTILE, "dep_delay", quantile=Decimal("0.9")),)),
    ),
    _kpi(7, "cancelled", Kind.FLOW, Calculation.COUNT, Measure((NEVER_LEFT,))),
]
BY_KEY = {kpi.key: kpi for kpi in KPIS}
