"""A KPI tracking system: a file directly in this folder does no I/O; a folder in it does."""

__version__ = "0.1.0"
