"""The daily board."""

from kpi_core.model import Grain
from pages.ui import board

board.show(Grain.DAILY)
