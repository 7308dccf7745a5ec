"""The nouns: what a KPI, a target, a reading and a score are. Frozen, without behaviour beyond what a field implies.

Numbers are exact decimals; instants are time-zone-aware and in UTC; dates are local dates in the reporting time
zone; spans are half-open. The words are those of the field: a `target` (never a goal), a `status band` (never a
threshold), a `span` (one period), a `reading` (the value of a KPI for a span, with how complete it is).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any

__all__ = [
    "ActiveDays",
    "Actor",
    "Aggregate",
    "AlertRule",
    "Bands",
    "Board",
    "Bounds",
    "Calculation",
    "Card",
    "Category",
    "Change",
    "Column",
    "ColumnType",
    "Company",
    "Comparison",
    "Condition",
    "Coverage",
    "Dataset",
    "Direction",
    "Grain",
    "Grant",
    "Guard",
    "Kind",
    "Kpi",
    "Measure",
    "Missing",
    "Op",
    "Pace",
    "Reading",
    "Score",
    "Span",
    "SpanState",
    "Status",
    "Target",
    "Term",
    "Unit",
]


class Category(StrEnum):
    """What part of the company a KPI speaks of."""

    SALES = "sales"
    MARKETING = "marketing"
    OPERATIONS = "operations"
    FINANCE = "finance"
    CUSTOM = "custom"


class Grain(StrEnum):
    """The length of a span. Only the first three are tracking periods."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    YEARLY = "yearly"


class Unit(StrEnum):
    """What a value is counted in. `percentage` values are in percent, `time` values in seconds."""

    NUMBER = "number"
    CURRENCY = "currency"
    PERCENTAGE = "percentage"
    TIME = "time"


class Direction(StrEnum):
    """Which way is good."""

    HIGHER = "higher_is_better"
    LOWER = "lower_is_better"
    IN_RANGE = "in_range"
    NEUTRAL = "neutral"


class Kind(StrEnum):
    """How values add up into a coarser span and across segments."""

    FLOW = "flow"
    STOCK = "stock"
    RATIO = "ratio"
    DISTINCT = "distinct"
    STATISTIC = "statistic"
    DERIVED = "derived"


class Calculation(StrEnum):
    """How a value is made: a calculation over a dataset, a formula over other KPIs, or entered by hand."""

    COUNT = "count"
    SUM = "sum"
    AVERAGE = "average"
    RATIO = "ratio"
    DISTINCT = "distinct"
    MEDIAN = "median"
    QUANTILE = "quantile"
    LAST = "last"
    MIN = "min"
    MAX = "max"
    FORMULA = "formula"
    MANUAL = "manual"


class Aggregate(StrEnum):
    """What a term does with the records of a span. `count` with a column counts its known values."""

    COUNT = "count"
    SUM = "sum"
    DISTINCT = "distinct"
    QUANTILE = "quantile"
    LAST = "last"
    MIN = "min"
    MAX = "max"


class Op(StrEnum):
    """The comparisons that a condition may make. An unknown value satisfies none but `is_null`."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    IN = "in"
    NOT_IN = "not_in"
    IS_NULL = "is_null"
    NOT_NULL = "not_null"


class Missing(StrEnum):
    """What a span without an entered value means."""

    UNKNOWN = "unknown"
    ZERO = "zero"
    CARRY_FORWARD = "carry_forward"


class Comparison(StrEnum):
    """What a daily KPI's closed span is compared with."""

    PREVIOUS = "previous"
    SAME_WEEKDAY = "same_weekday"


class SpanState(StrEnum):
    """Open: not over. Provisional: over, within the lag for late data. Final: over for good."""

    OPEN = "open"
    PROVISIONAL = "provisional"
    FINAL = "final"


class Status(StrEnum):
    """The verdict on a score, best first; the last four are no verdict."""

    EXCEEDS = "exceeds"
    ON_TRACK = "on_track"
    NEEDS_ATTENTION = "needs_attention"
    CRITICAL = "critical"
    TOO_EARLY = "too_early"
    INCOMPLETE = "incomplete"
    NO_TARGET = "no_target"
    NO_DATA = "no_data"

    @property
    def is_verdict(self) -> bool:
        return self in (Status.EXCEEDS, Status.ON_TRACK, Status.NEEDS_ATTENTION, Status.CRITICAL)


class ColumnType(StrEnum):
    """The declared type of a dataset's column. Numbers are exact decimals."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a dataset, under the name it has in files and in definitions."""

    name: str
    type: ColumnType


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table of raw records, each with an instant.

    `time_column` holds the instant: ISO 8601; without an offset it is in `time_zone` (default: the reporting time
    zone). A bare date is that local day. `record_key` names a column whose value identifies a record, so that a
    record that comes again replaces the one before. `null_values` are the texts that mean "unknown".
    """

    key: str
    name: str
    time_column: str
    columns: tuple[Column, ...]
    time_zone: str | None = None
    record_key: str | None = None
    null_values: tuple[str, ...] = ("",)
    source: str | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Coverage:
    """From when to when a dataset's data reaches: first local day, and the watermark, an instant (UTC)."""

    first_day: date
    watermark: datetime


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a record's column with a constant. `value` is a tuple for `in` and `not_in`."""

    column: str
    op: Op
    value: str | Decimal | bool | tuple[str | Decimal | bool, ...] | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """One aggregate over one dataset's records of a span; conditions are joined by "and".

    `at="start"` (only for `last`) takes the last record before the span instead of the last in it. `segment` (only
    for `last`) sums the last of each segment. `weight` multiplies the aggregate where terms are added up.
    """

    dataset: str
    aggregate: Aggregate
    column: str | None = None
    where: tuple[Condition, ...] = ()
    weight: Decimal = Decimal(1)
    quantile: Decimal | None = None
    at: str = "end"
    segment: str | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """A value over records: `factor * sum(numerator)`, or `factor * sum(numerator) / sum(denominator)`."""

    numerator: tuple[Term, ...]
    denominator: tuple[Term, ...] = ()
    factor: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Guard:
    """Where a formula's value has no meaning: if `formula` <= `at_most`, there is none, `says` is the reason, and
    `status` (if any) is the verdict ("not burning cash": exceeds)."""

    formula: str
    at_most: Decimal
    says: str
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Bands:
    """Lower bounds of attainment, inclusive."""

    exceeds: Decimal = Decimal("1.00")
    on_track: Decimal = Decimal("0.80")
    needs_attention: Decimal = Decimal("0.60")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What values are possible at all; None is open."""

    low: Decimal | None = None
    high: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ActiveDays:
    """The days that carry a target: ISO weekdays 1 (Monday) to 7; the calendar's holidays are left out if asked."""

    weekdays: frozenset[int] = frozenset({1, 2, 3, 4, 5, 6, 7})
    without_holidays: bool = False


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A rule as defined: type, percentage and channels (SEMANTICS.md, section 8).

    `threshold` is 0 where the type has none. `status` is for `status_is`: that status or a worse one fires.
    """

    type: str
    threshold: Decimal
    channels: tuple[str, ...] = ("dashboard",)
    id: int = 0
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A target for the spans of a grain that start within [period_start, period_end], both inclusive, None open.

    A point target has `value`; a range has `low` and `high`; with none of the three it ends the targets before it.
    `scale` is how far from the target a full miss is, in the KPI's unit.
    """

    value: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    scale: Decimal | None = None
    grain: Grain | None = None
    period_start: date | None = None
    period_end: date | None = None
    override: bool = False
    set_by: str | None = None
    notes: str = ""
    created_at: datetime | None = None
    kpi_id: int = 0
    id: int = 0

    @property
    def is_range(self) -> bool:
        return self.low is not None and self.high is not None

    @property
    def is_null(self) -> bool:
        return self.value is None and not self.is_range


@dataclass(frozen=True)
class Kpi:
    """A definition. `id` is 0 until it is stored; `key` never changes."""

    key: str
    name: str
    category: Category
    tracking_period: Grain
    unit: Unit = Unit.NUMBER
    kind: Kind = Kind.FLOW
    direction: Direction = Direction.HIGHER
    calculation: Calculation = Calculation.MANUAL
    description: str = ""
    also_tracked: tuple[Grain, ...] = ()
    owner_role: str | None = None
    data_source: str | None = None
    measure: Measure | None = None
    factor: Decimal = Decimal(1)
    """What numerator / denominator of an *entered* ratio is multiplied by (100 for percent); records have `measure`."""
    formula: str | None = None
    inputs: Mapping[str, Measure] = field(default_factory=dict)
    guard: Guard | None = None
    target: Target | None = None
    bands: Bands = Bands()
    active_days: ActiveDays = ActiveDays()
    comparison: Comparison = Comparison.PREVIOUS
    missing: Missing = Missing.UNKNOWN
    bounds: Bounds = Bounds()
    unit_label: str | None = None
    currency: str | None = None
    points: bool = False
    """Differences are spoken of in points, not percent: percentages and NPS."""
    dimensions: tuple[str, ...] = ()
    lag_days: int = 0
    """How many days after its end a span stays provisional, for late data."""
    due_by: str | None = None
    """When a closed span owes its value: local time "HH:MM" on the day after it ends."""
    alerts: tuple[AlertRule, ...] = ()
    view_roles: tuple[str, ...] = ()
    edit_roles: tuple[str, ...] = ()
    confidential: bool = False
    is_active: bool = True
    id: int = 0
    version: int = 1

    @cached_property
    def grains(self) -> tuple[Grain, ...]:
        """The grains it has targets and a place on boards at: the tracking period first."""
        return (self.tracking_period, *(grain for grain in self.also_tracked if grain != self.tracking_period))


@dataclass(frozen=True, slots=True)
class Span:
    """One period: the half-open range [start, end) of local dates."""

    grain: Grain
    start: date
    end: date

    @property
    def days(self) -> int:
        return (self.end - self.start).days


@dataclass(frozen=True, slots=True)
class Reading:
    """The value of a KPI for a span, as known at one moment.

    `value` None: there is none, and `reason` says why. `numerator` and `denominator` (before the factor) stand
    beside a ratio. `have_days` of `of_days`: how much of the span its data covers. `through`: the watermark.
    `typed`: given for the whole span by a person or an API call, complete even while the span is open. For an open
    span: `elapsed` is W, the share of the span's weight that has passed; `prior` is the comparison span's value at
    the same point, and `prior_note` says what had to be clipped, or why it is withheld. `verdict` is a guard's.
    """

    kpi_id: int
    span: Span
    value: Decimal | None
    numerator: Decimal | None = None
    denominator: Decimal | None = None
    reason: str | None = None
    have_days: int | None = None
    of_days: int | None = None
    through: datetime | None = None
    typed: bool = False
    elapsed: Decimal | None = None
    prior: Decimal | None = None
    prior_note: str | None = None
    verdict: Status | None = None
    recorded_at: datetime | None = None
    recorded_by: str | None = None
    notes: str | None = None
    batch_id: int | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A value against its comparison span. `text` is the API's `trend` ("+5 from yesterday").

    `percent` is None where a percentage would mislead (from zero, across a change of sign, in points); `favourable`
    is for the direction to say and None where nothing changed or the direction is neutral.
    """

    prior: Decimal | None
    amount: Decimal | None
    percent: Decimal | None
    favourable: bool | None
    like_for_like: bool
    text: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How an open flow stands against the part of its target that is due by now (SEMANTICS.md, section 6).

    Of a range, `expected` is the low end and `expected_high` the high one.
    """

    elapsed: Decimal
    expected: Decimal
    attainment: Decimal | None
    required_run_rate: Decimal | None
    active_days_left: int
    expected_high: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """A reading judged. Computed on read, never stored. `attainment` is unrounded, 1 = met; `progress` in percent."""

    kpi_id: int
    span: Span
    state: SpanState
    reading: Reading | None
    value: Decimal | None
    target: Target | None
    attainment: Decimal | None
    progress: Decimal | None
    status: Status
    reason: str | None
    change: Change
    pace: Pace | None = None
    sparkline: tuple[float | None, ...] = ()
    through: datetime | None = None
    late: bool = False
    freshness: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """A per-KPI right of a person or a role; None says nothing, False takes away."""

    kpi_id: int
    user_id: str | None = None
    role: str | None = None
    can_view: bool | None = None
    can_edit: bool | None = None
    can_set_targets: bool | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a person, a token's person, or the system itself (`is_system`).

    `permissions` are the keys of the person's roles and of the person ("kpis.view_all", "kpis.sales.view" ...);
    `grants` the per-KPI rows of the person and of those roles. `scopes` narrow an API token further ("read").
    """

    id: str
    name: str
    roles: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    grants: tuple[Grant, ...] = ()
    scopes: frozenset[str] = frozenset({"read", "write", "admin"})
    is_admin: bool = False
    is_system: bool = False


@dataclass(frozen=True, slots=True)
class Company:
    """The settings that numbers depend on. `holidays` are local dates; `week_start` is ISO: 1 Monday, 7 Sunday."""

    name: str = "Your company"
    currency: str = "USD"
    time_zone: str = "UTC"
    week_start: int = 1
    fiscal_start_month: int = 1
    holidays: frozenset[date] = frozenset()
    is_demo: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """A KPI on a board. A locked one carries its title and nothing else."""

    key: str
    title: str
    category: Category
    grain: Grain
    locked: bool = False
    kpi: Kpi | None = None
    score: Score | None = None
    connected: bool = True
    """False: its data source is not connected yet."""


@dataclass(frozen=True, slots=True)
class Board:
    """The cards of one grain for the span that holds a day, as one actor may see them."""

    grain: Grain
    span: Span
    label: str
    is_present: bool
    cards: tuple[Card, ...]
    version: int
    now: datetime
    meta: Mapping[str, Any] = field(default_factory=dict)
