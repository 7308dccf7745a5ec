"""Raw records, and what is calculated from them.

`ensure`, `load_files` and `load_arrow` bring records in; `recalculate` makes readings of them, for every KPI with a
measure, by day, week and month; `aggregate` answers what nobody keeps. Aggregation goes in one pass over a dataset's
records into parts by day (`parts.py`), which are then added up to any span (`calculate.py`).
"""

from kpi_core.warehouse.adhoc import AGGREGATED, aggregate
from kpi_core.warehouse.load import LoadResult, coverage, load_arrow, load_files
from kpi_core.warehouse.recalculation import Recalculation, recalculate
from kpi_core.warehouse.tables import ensure, records

__all__ = [
    "AGGREGATED",
    "LoadResult",
    "Recalculation",
    "aggregate",
    "coverage",
    "ensure",
    "load_arrow",
    "load_files",
    "recalculate",
    "records",
]
