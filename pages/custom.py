"""The custom board: the KPIs of the custom category, at every grain that they are tracked at."""

from pages.ui import board

board.show_custom()
