"""Small pictures inside our own HTML: the icons of statuses, and a sparkline.

Streamlit takes SVG elements out of `st.html`, and its icon font is not for us to count on. So a picture is a mask, an
image of which only the shape counts: what shines through has the colour of the text, in the light and the dark theme.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from urllib.parse import quote

__all__ = ["SHAPES", "css", "icon", "sparkline"]

CIRCLE = "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18z"
SHAPES = {
    "keyboard_double_arrow_up": "M6 12l6-6l6 6M6 19l6-6l6 6",
    "check_circle": f"{CIRCLE}M8 12.3l2.8 2.8l5.4-5.6",
    "warning": "M12 3.5L22 20.5H2zM12 10v4.5M12 17.4v.1",
    "error": f"{CIRCLE}M12 7.5v5.5M12 16.4v.1",
    "schedule": f"{CIRCLE}M12 7v5.3l3.4 2",
    "incomplete_circle": "M12 3a9 9 0 1 0 9 9h-9z",
    "radio_button_unchecked": CIRCLE,
    "do_not_disturb_on": f"{CIRCLE}M8 12h8",
    "lock": "M6 10.5h12v10H6zM8.5 10.5V7.5a3.5 3.5 0 0 1 7 0v3M12 14.7v1.6",
    "link_off": "M10.5 7H7.5a5 5 0 0 0 0 10h2M13.5 7h3a5 5 0 0 1 3 9M8.5 12H12M4 4l16 16",
    "arrow_up": "M12 20V5M6 11l6-6l6 6",
    "arrow_down": "M12 4v15M6 13l6 6l6-6",
}
"""Outlines on a square of 24."""
WIDTH, HEIGHT, EDGE = 100, 40, 1.5
"""The sparkline's own measures; it is stretched to its place, its line is not."""


def icon(name: str) -> str:
    """An icon in the colour of the text around it. It says nothing by itself: a word stands beside it."""
    return f'<i class="kpi-icon kpi-icon-{name}" aria-hidden="true"></i>'


@cache
def css() -> str:
    """A rule for each icon."""
    return "\n".join(f".kpi-icon-{name} {{ mask-image: {_url(_outline(path))}; }}" for name, path in SHAPES.items())


def sparkline(points: Sequence[float | None]) -> str:
    """The shape of some spans, oldest first; a gap where one has no value. Empty where there are not two points."""
    known = [point for point in points if point is not None]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    path = "".join(_runs(points, low, high - low))
    drawn = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none">'
        f'<path d="{path}" fill="none" stroke="#000" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" '
        'vector-effect="non-scaling-stroke"/></svg>'
    )
    return f'<i class="kpi-spark" aria-hidden="true" style=\'mask-image:{_url(drawn)}\'></i>'


def _runs(points: Sequence[float | None], low: float, height: float) -> Iterator[str]:
    """A line for each run of spans that have a value; a span alone between gaps is a dot."""
    step = (WIDTH - 2 * EDGE) / (len(points) - 1)
    for is_known, run in groupby(enumerate(points), key=lambda place: place[1] is not None):
        if is_known:
            places = [f"{EDGE + place * step:.1f} {_y(point, low, height):.1f}" for place, point in _values(run)]
            yield f"M{'L'.join(places)}" + ("h.01" if len(places) == 1 else "")


def _values(run: Iterable[tuple[int, float | None]]) -> Iterator[tuple[int, float]]:
    return ((place, point) for place, point in run if point is not None)


def _y(point: float, low: float, height: float) -> float:
    share = (point - low) / height if height else 0.5
    return HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE)


def _outline(path: str) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><path d="'
        f'{path}" fill="none" stroke="#000" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/></svg>'
    )


def _url(svg: str) -> str:
    """An image within a style sheet: percent signs keep it out of the way of HTML's quotes and brackets."""
    return f'url("data:image/svg+xml,{quote(svg, safe=" =:/.")}")'
