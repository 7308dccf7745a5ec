"""The cards in what a page sends, taken apart: for every test that asks what stands on a board.

A page's own HTML must be well-formed to be read here, so a name that breaks out of its place fails every test.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET

__all__ = ["ShownCard", "shown_cards"]


@dataclass(frozen=True, slots=True)
class ShownCard:
    """One card as a reader sees it. A locked one has a title and no link; `tones` and `icons` are of badge and pill."""

    title: str
    href: str = ""
    status: str = ""
    tone: str = ""
    icon: str = ""
    value: str = ""
    change: str = ""
    since: str = ""
    change_tone: str = ""
    arrow: str = ""
    sparkline: str = ""
    foot: str = ""
    text: str = ""
    """All of it that can be read."""

    @property
    def is_locked(self) -> bool:
        return not self.href


def shown_cards(bodies: Iterable[str]) -> list[ShownCard]:
    """The cards in some HTML, in order."""
    return [_card(article) for body in bodies if "<article" in body for article in _articles(body)]


def _articles(body: str) -> Iterator[ET.Element]:
    return ET.fromstring(f"<body>{body}</body>").iter("article")


def _card(article: ET.Element) -> ShownCard:
    text = _text(article)
    link = article.find("a")
    if link is None:
        assert article.get("aria-label") == f"{text}, locked"
        return ShownCard(text, text=text)
    assert _text(link) == link.get("title") == article.get("aria-label")
    badge, pill = _of(article, "kpi-badge"), _of(article, "kpi-pill")
    spark = _of(article, "kpi-spark")
    return ShownCard(
        _text(link),
        link.get("href", ""),
        _text(badge),
        _tone(badge),
        _icon(badge),
        _text(_of(article, "kpi-value")),
        _text(pill),
        _text(_of(article, "kpi-change")).removeprefix(_text(pill)).strip(),
        _tone(pill),
        _icon(pill),
        "" if spark is None else spark.get("style", ""),
        _text(_of(article, "kpi-foot")),
        text,
    )


def _of(article: ET.Element, name: str) -> ET.Element | None:
    return next((part for part in article.iter() if name in part.get("class", "").split()), None)


def _text(part: ET.Element | None) -> str:
    return "" if part is None else "".join(part.itertext())


def _tone(part: ET.Element | None) -> str:
    return "" if part is None else part.get("class", "").rpartition("kpi-")[2]


def _icon(part: ET.Element | None) -> str:
    icon = None if part is None else part.find("i")
    return "" if icon is None else icon.get("class", "").rpartition("kpi-icon-")[2]
