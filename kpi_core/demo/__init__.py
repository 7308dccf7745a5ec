"""A company to look at: deterministic by its seed, 26 months old when it is made, and alive from then on.

Everything is a pure function of the seed, the first day and the time zone; nothing here reads a clock, a file or the
store. `Demo` is the way in.
"""

from __future__ import annotations

from kpi_core.demo.company import Person, Right
from kpi_core.demo.entered import Entered
from kpi_core.demo.generator import DATASETS, Demo, generate
from kpi_core.demo.story import Story, beginning, story

__all__ = ["DATASETS", "Demo", "Entered", "Person", "Right", "Story", "beginning", "generate", "story"]
