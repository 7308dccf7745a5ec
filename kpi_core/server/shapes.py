"""What the API (and `board --json`) says of a KPI: the shapes of API.md, documented and filled in one place.

Numbers are JSON numbers with exactly the digits that are stored. Python's own JSON writer would take a Decimal through
a float and change 1234567890123456.789; so the text is written here. Sparklines are floats on purpose: they are drawn.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from kpi_core.model import Card, Kpi, Reading, Score, SpanState, Target
from kpi_core.model import Span as ModelSpan
from kpi_core.service.tracker import Point

__all__ = ["KpiListed", "KpiPage", "KpiWhole", "KpisByPeriod", "Period", "listed", "to_json", "whole"]

Number = Annotated[Decimal, WithJsonSchema({"type": "number"})]


class Period(StrEnum):
    """What a board can be of: the tracking periods."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class Shape(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


class SpanShape(Shape):
    """One period: the local dates from `start` up to, and without, `end`."""

    start: date
    end: date
    state: SpanState


class ComparisonShape(Shape):
    """The value against the span before; `value` is what it is compared with."""

    value: Number | None
    change: Number | None
    change_percent: Number | None
    like_for_like: bool
    reason: str | None = Field(description="Why there is no comparison, or no percentage.")


class RangeShape(Shape):
    """A target that is a range, both ends inclusive."""

    low: Number
    high: Number


class KpiListed(Shape):
    """A KPI in a list, with its score for one span."""

    id: int
    key: str
    name: str
    category: str
    period: str
    unit: str
    unit_label: str | None
    currency: str | None
    direction: str
    value: Number | None
    target: Number | RangeShape | None
    progress: Number | None = Field(description="Attainment in percent; 100 is met. Never clamped.")
    status: str
    reason: str | None = Field(description="Why the value, the target or the verdict is absent.")
    span: SpanShape
    comparison: ComparisonShape
    trend: str = Field(description='The change in words: "+5 from yesterday".')
    sparkline: list[float | None]
    through: datetime | None = Field(description="The data reaches to this instant.")
    freshness: str | None


class PointShape(Shape):
    """One span of a KPI's history."""

    span: SpanShape
    label: str
    value: Number | None
    reason: str | None
    numerator: Number | None
    denominator: Number | None
    target: Number | RangeShape | None
    progress: Number | None
    status: str
    through: datetime | None
    recorded_at: datetime | None
    recorded_by: str | None


class KpiWhole(KpiListed):
    """One KPI: as in a list, with its definition (the shape of a definition file) and its history, oldest first."""

    description: str
    definition: dict[str, Any]
    history: list[PointShape]


class KpiPage(Shape):
    """A page of a list. The next page is asked for with `cursor=next_cursor`; null is the end."""

    items: list[KpiListed]
    next_cursor: str | None


class KpisByPeriod(Shape):
    """The boards of today, this week and this month; each KPI at every period it is tracked at."""

    daily: list[KpiListed]
    weekly: list[KpiListed]
    monthly: list[KpiListed]
    alerts: list[dict[str, Any]]


def listed(card: Card, currency: str) -> KpiListed:
    """The shape of an open card (not a locked one). `currency` is the company's."""
    return KpiListed(**_listed(card, currency))


def whole(card: Card, currency: str, definition: Mapping[str, Any], points: tuple[Point, ...]) -> KpiWhole:
    """One KPI with its definition and history."""
    kpi, _ = _open(card)
    history = [_point(point) for point in points]
    return KpiWhole(
        **_listed(card, currency), description=kpi.description, definition=dict(definition), history=history
    )


def _listed(card: Card, currency: str) -> dict[str, Any]:
    kpi, score = _open(card)
    return {
        "id": kpi.id,
        "key": kpi.key,
        "name": kpi.name,
        "category": kpi.category,
        "period": card.grain,
        "unit": kpi.unit,
        "unit_label": kpi.unit_label,
        "currency": (kpi.currency or currency) if kpi.unit == "currency" else None,
        "direction": kpi.direction,
        "value": score.value,
        "target": _target(score.target),
        "progress": score.progress,
        "status": score.status,
        "reason": _reason(score),
        "span": _span(score.span, score.state),
        "comparison": _comparison(score),
        "trend": score.change.text,
        "sparkline": [None if y is None or not math.isfinite(y) else y for y in score.sparkline],
        "through": score.through,
        "freshness": score.freshness,
    }


def _open(card: Card) -> tuple[Kpi, Score]:
    if card.kpi is None or card.score is None:
        raise ValueError(f"{card.key} is a locked card: it has a title and nothing else")
    return card.kpi, card.score


def _reason(score: Score) -> str | None:
    """Every absent number has a reason; a verdict's own comes first."""
    if score.reason:
        return score.reason
    if score.value is None:
        return (score.reading and score.reading.reason) or "there is no data for this span"
    return "there is no target for this span" if score.target is None else None


def _comparison(score: Score) -> ComparisonShape:
    change = score.change
    absent = change.amount is None or change.percent is None
    return ComparisonShape(
        value=change.prior,
        change=change.amount,
        change_percent=change.percent,
        like_for_like=change.like_for_like,
        reason=change.reason or (_no_comparison(score) if absent else None),
    )


def _no_comparison(score: Score) -> str:
    if score.change.amount is None:
        return "there is nothing to compare with"
    return "a percentage would mislead here: the earlier value is 0, of the other sign, or itself in percent"


def _target(target: Target | None) -> Decimal | RangeShape | None:
    if target is None:
        return None
    if target.low is not None and target.high is not None:
        return RangeShape(low=target.low, high=target.high)
    return target.value


def _span(span: ModelSpan, state: SpanState) -> SpanShape:
    return SpanShape(start=span.start, end=span.end, state=state)


def _point(point: Point) -> PointShape:
    nothing = Reading(0, point.span, None, reason="there is no data for this span")
    reading = point.reading or nothing
    return PointShape(
        span=_span(point.span, point.state),
        label=point.label,
        value=reading.value,
        reason=reading.reason,
        numerator=reading.numerator,
        denominator=reading.denominator,
        target=_target(point.target),
        progress=point.progress,
        status=point.status,
        through=reading.through,
        recorded_at=reading.recorded_at,
        recorded_by=reading.recorded_by,
    )


def to_json(value: object) -> str:  # noqa: PLR0911 - one return for each type there is
    """JSON text. Decimals keep every digit that they have; instants end in Z."""
    match value:
        case BaseModel():
            return to_json({name: getattr(value, name) for name in type(value).model_fields})
        case Enum():
            return to_json(value.value)
        case Decimal():
            return _digits(value)
        case datetime():
            return json.dumps(value.astimezone(UTC).isoformat().replace("+00:00", "Z"))
        case date() | PurePath():
            return json.dumps(str(value))
        case Mapping():
            return "{" + ", ".join(f"{json.dumps(str(key))}: {to_json(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(to_json, value)) + "]"
        case set() | frozenset():
            return to_json(sorted(value))
        case _:
            return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _digits(number: Decimal) -> str:
    """47.500000000 is 47.5 and 1E+3 is 1000: the same number, never a rounded one."""
    if not number.is_finite():
        raise ValueError(f"{number} is no JSON number")
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text
