"""How things are said on screens: one look a status, texts that are safe to show, and names for people.

Names of KPIs, reasons and notes are written by strangers, and Streamlit renders labels, values and deltas as Markdown:
`md` makes any text come out as it was typed. A backslash does for most of Markdown, but links, directives, emoji and
arrows are found in the finished text, after the backslashes are gone. There a word joiner (U+2060), which has no width,
breaks up what would be recognised.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from kpi_core import display
from kpi_core.model import Calculation, Card, Category, Direction, Grain, Kpi, Reading, Score, Span, Status, Target

__all__ = [
    "CATEGORY_NAMES",
    "GRAIN_ICONS",
    "GRAIN_NAMES",
    "LOOKS",
    "Look",
    "about",
    "badge",
    "escaped",
    "facts",
    "look_of",
    "md",
    "muted",
    "percent",
    "progress",
    "recorded",
    "recorded_by",
    "sentence",
    "shortened",
    "span_dates",
    "tally",
    "target",
    "value",
]


@dataclass(frozen=True, slots=True)
class Look:
    """How a status is told apart: by colour, by the shape of its icon, and by its word."""

    word: str
    icon: str
    colour: str
    tone: str
    """The class of our own style sheet, for what Markdown cannot draw."""
    plural: str = ""
    """After a number of KPIs: "9 need attention"."""

    @property
    def markdown_icon(self) -> str:
        return f":{self.colour}[:material/{self.icon}:]"


LOOKS = {
    Status.EXCEEDS: Look("Exceeds", "keyboard_double_arrow_up", "green", "good", "exceed"),
    Status.ON_TRACK: Look("On track", "check_circle", "green", "good", "on track"),
    Status.NEEDS_ATTENTION: Look("Needs attention", "warning", "orange", "warn", "need attention"),
    Status.CRITICAL: Look("Critical", "error", "red", "bad", "critical"),
    Status.TOO_EARLY: Look("Too early", "schedule", "gray", "none"),
    Status.INCOMPLETE: Look("Incomplete", "incomplete_circle", "gray", "none"),
    Status.NO_TARGET: Look("No target", "radio_button_unchecked", "gray", "none"),
    Status.NO_DATA: Look("No data", "do_not_disturb_on", "gray", "none"),
}
LOCKED = Look("Locked", "lock", "gray", "none")
NOT_CONNECTED = Look("Not connected", "link_off", "gray", "none")

CATEGORY_NAMES = {category: category.value.capitalize() for category in Category}
GRAIN_NAMES = {grain: grain.value.capitalize() for grain in Grain}
SPAN_NAMES = {
    Grain.DAILY: "day",
    Grain.WEEKLY: "week",
    Grain.MONTHLY: "month",
    Grain.QUARTERLY: "quarter",
    Grain.YEARLY: "year",
}
GRAIN_ICONS = {
    Grain.DAILY: ":material/today:",
    Grain.WEEKLY: ":material/date_range:",
    Grain.MONTHLY: ":material/calendar_month:",
}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

JOINER = "\u2060"
MARKS = {ord(mark): f"\\{mark}" for mark in "\\`*_{}[]()#+-.!|~<>$&^=\"'/"}
MARKS |= {ord(":"): f"\\:{JOINER}", ord("@"): f"\\@{JOINER}"}
RUNS = re.compile(r"(?<=[-<>=~])(?=[-<>=~])|(?<=www)(?=\.)", re.IGNORECASE)
NARROW = "\u202f"


@lru_cache(maxsize=8192)
def md(text: str) -> str:
    """Any text as Markdown that shows just that text, on one line."""
    return RUNS.sub(JOINER, " ".join(text.split())).translate(MARKS)


def shortened(text: str, longest: int) -> str:
    """The start of a text that is too long for its place."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def muted(label: str) -> str:
    """A label of a choice. Streamlit writes chosen ones in the primary colour, which cannot have enough contrast both
    as text on a dark page and under the white text of a button; so they bring their own, and frame and tint tell."""
    return f":gray[{label}]"


def sentence(said: str) -> str:
    """An error's words, which start small because others may stand before them, as a sentence of their own."""
    return f"{said[:1].upper()}{said[1:].rstrip('.')}."


def escaped(text: str) -> str:
    """Any text for our own HTML."""
    return html.escape(text, quote=True)


def look_of(card: Card) -> Look:
    """A card's look: its status, unless there is a plainer reason for having none."""
    if card.locked or card.score is None:
        return LOCKED
    if not card.connected and card.score.status is Status.NO_DATA:
        return NOT_CONNECTED
    return LOOKS[card.score.status]


@lru_cache(maxsize=64)
def badge(look: Look) -> str:
    """Icon and word on the status's colour."""
    return f":{look.colour}-badge[:material/{look.icon}: {look.word}]"


def value(amount: Decimal | None, kpi: Kpi, currency: str, *, compact: bool = True) -> str:
    """A value in its unit; a dash where there is none."""
    return "—" if amount is None else display.value_text(amount, kpi, compact, currency=currency)


def target(goal: Target | None, kpi: Kpi, currency: str, *, compact: bool = True) -> str:
    """A target in its unit; a dash where there is none."""
    return "—" if goal is None else display.target_text(goal, kpi, compact, currency=currency)


def progress(score: Score, kpi: Kpi) -> str:
    """Attainment in percent, as it may be shown beside its status; empty where there is none."""
    return "" if score.attainment is None else display.percent_text(score.attainment, kpi.bands)


def percent(progress: Decimal | None, kpi: Kpi) -> str:
    """The same from a progress in percent; a dash where there is none."""
    return "—" if progress is None else display.percent_text(progress.scaleb(-2), kpi.bands)


def span_dates(span: Span) -> str:
    """The days of a span, for people who do not count weeks: "16 – 22 Nov 2026". Empty for a day or a month."""
    if span.grain in (Grain.DAILY, Grain.MONTHLY):
        return ""
    first, last = span.start, date.fromordinal(span.end.toordinal() - 1)
    start = f"{first.day}"
    if (first.year, first.month) != (last.year, last.month):
        start += f" {MONTHS[first.month - 1]}"
    if first.year != last.year:
        start += f" {first.year}"
    return f"{start} – {last.day} {MONTHS[last.month - 1]} {last.year}"


def recorded(at: datetime | None, zone: ZoneInfo) -> str:
    """An instant in the reporting time zone: "22 Nov 2026, 14:05"."""
    if at is None:
        return ""
    local = at.astimezone(zone)
    return f"{local.day} {MONTHS[local.month - 1]} {local.year}, {local:%H:%M}"


def recorded_by(reading: Reading | None) -> str:
    """Who gave a value; what the product computed itself needs no name."""
    if reading is None or reading.recorded_by is None:
        return ""
    return "computed" if reading.recorded_by == "system" else reading.recorded_by


def about(kpi: Kpi) -> str:
    """A KPI's place and meaning, in a line of Markdown."""
    parts = [CATEGORY_NAMES[kpi.category], *([kpi.description] if kpi.description else [])]
    return f":gray[{md(' · '.join(parts))}]"


BETTER = {
    Direction.HIGHER: "higher is better",
    Direction.LOWER: "lower is better",
    Direction.IN_RANGE: "within its range is best",
    Direction.NEUTRAL: "neither way is better",
}


def facts(kpi: Kpi) -> Mapping[str, str]:
    """What a reader must know to judge a number: which way is good, how it is made, who answers for it."""
    # A formula names its inputs, which this reader may not all know of.
    made = "a formula over other KPIs" if kpi.formula else kpi.calculation.value.replace("_", " ")
    found = {
        "Direction": BETTER[kpi.direction],
        "Made by": "entered by hand" if kpi.calculation is Calculation.MANUAL else made,
        "Data from": (kpi.data_source or "").replace("_", " "),
        "Owner": (kpi.owner_role or "").replace("_", " "),
        "Tracked": ", ".join(grain.value for grain in kpi.grains),
    }
    return {name: said for name, said in found.items() if said}


def tally(statuses: Iterable[Status]) -> str:
    """How a section stands: "4 of 5 on track". Empty where nothing could be judged."""
    judged = [status for status in statuses if status.is_verdict]
    good = sum(status in (Status.EXCEEDS, Status.ON_TRACK) for status in judged)
    return f"{good} of {len(judged)} on track" if judged else ""
