"""Definitions as people write them: KPIs and datasets from parsed YAML or JSON, checked, compared, written back.

Whoever writes sixty definitions and gets one wrong wants to hear of every mistake at once, each with the file, the
path within it and what would be right. So nothing here stops at the first problem: the readers of fields.py note it,
everything goes on with a stand-in, and `InvalidDefinition` is raised with all of them at the end. A definition with
any problem is never used.

The functions are given documents, not files: reading YAML or JSON is done outside. What those bring along is met in
fields.py, but for one: `10:30` arrives from YAML as the number 630, and is refused with the quotes that it needs.

The shape is CATALOG.md's; what is left out has a default:

    key             from the name: "Daily Sales Calls" is daily_sales_calls
    calculation     formula where there is one, ratio where there is a denominator, manual where there is no data
    kind            from the calculation; an entered percentage is a ratio, for it is never summed
    direction       higher_is_better
    dataset         the `data_source`, as a key; it need not exist yet, whereas a `dataset` that is named must
    factor          100 for a ratio in percent, else 1
    points          true for percentages

`dump_kpi` writes the shortest definition that reads back as the same KPI.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final, NamedTuple, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kpi_core import formula as formulas
from kpi_core.errors import InvalidDefinition, InvalidFormula, InvalidTarget, Problem
from kpi_core.fields import (
    Fields,
    decimal_of,
    key_from,
    label,
    listed,
    not_one_of,
    shown,
    unknown,
    wrong_identifier,
    wrong_text,
)
from kpi_core.model import (
    ActiveDays,
    Aggregate,
    AlertRule,
    Bands,
    Bounds,
    Calculation,
    Category,
    Column,
    ColumnType,
    Comparison,
    Condition,
    Dataset,
    Direction,
    Grain,
    Guard,
    Kind,
    Kpi,
    Measure,
    Missing,
    Op,
    Status,
    Target,
    Term,
    Unit,
)
from kpi_core.status import check_target

__all__ = [
    "ALERT_TYPES",
    "CHANNELS",
    "KINDS_OF",
    "RESERVED_KEYS",
    "Catalog",
    "Difference",
    "diff",
    "dump_dataset",
    "dump_kpi",
    "key_from",
    "parse_catalog",
    "parse_dataset",
    "parse_kpi",
]

RESERVED_KEYS: Final = frozenset({"dashboard", "definitions"})
"""Words that the API has other uses for where a KPI's key may stand."""
CHANNELS: Final = ("dashboard", "email", "slack", "webhook")
ALERT_TYPES: Final = (
    "below_target",
    "above_target",
    "trend_down",
    "trend_up",
    "status_is",
    "signal",
    "missing",
    "off_pace",
)
_WITH_THRESHOLD: Final = frozenset({"below_target", "above_target", "trend_down", "trend_up"})
_NEEDS_TARGET: Final = frozenset({"below_target", "above_target", "status_is", "off_pace"})

KINDS_OF: Final[Mapping[Calculation, tuple[Kind, ...]]] = {
    Calculation.COUNT: (Kind.FLOW,),
    Calculation.SUM: (Kind.FLOW,),
    Calculation.AVERAGE: (Kind.RATIO,),
    Calculation.RATIO: (Kind.RATIO,),
    Calculation.DISTINCT: (Kind.DISTINCT,),
    Calculation.MEDIAN: (Kind.STATISTIC,),
    Calculation.QUANTILE: (Kind.STATISTIC,),
    Calculation.LAST: (Kind.STOCK,),
    Calculation.MIN: (Kind.STATISTIC,),
    Calculation.MAX: (Kind.STATISTIC,),
    Calculation.FORMULA: (Kind.DERIVED,),
    Calculation.MANUAL: (Kind.FLOW, Kind.STOCK, Kind.RATIO, Kind.DISTINCT, Kind.STATISTIC),
}
"""The kinds that a calculation can have, the default first."""

_AGGREGATE_OF: Final = {
    Calculation.COUNT: Aggregate.COUNT,
    Calculation.SUM: Aggregate.SUM,
    Calculation.DISTINCT: Aggregate.DISTINCT,
    Calculation.MEDIAN: Aggregate.QUANTILE,
    Calculation.QUANTILE: Aggregate.QUANTILE,
    Calculation.LAST: Aggregate.LAST,
    Calculation.MIN: Aggregate.MIN,
    Calculation.MAX: Aggregate.MAX,
}
_CALCULATION_OF: Final = {
    Aggregate.COUNT: Calculation.COUNT,
    Aggregate.SUM: Calculation.SUM,
    Aggregate.DISTINCT: Calculation.DISTINCT,
    Aggregate.QUANTILE: Calculation.QUANTILE,
    Aggregate.LAST: Calculation.LAST,
    Aggregate.MIN: Calculation.MIN,
    Aggregate.MAX: Calculation.MAX,
}
_OF_NUMBERS: Final = frozenset({Aggregate.SUM, Aggregate.QUANTILE, Aggregate.LAST, Aggregate.MIN, Aggregate.MAX})
_FLOWS: Final = frozenset({Aggregate.COUNT, Aggregate.SUM})
_HALF: Final = Decimal("0.5")

_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_MAX_DATASET_KEY: Final = 50
"""Its table is `records_<key>`, and PostgreSQL cuts names off at 63."""
_MAX_COLUMN: Final = 63
_OWN_COLUMNS: Final = frozenset({"record_id", "record_key", "at", "day", "batch_id"})
"""What the table of a dataset has beside the declared columns."""
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a set of documents defines."""

    kpis: tuple[Kpi, ...] = ()
    datasets: tuple[Dataset, ...] = ()

    @property
    def not_connected(self) -> tuple[str, ...]:
        """The datasets that KPIs count on and that nothing defines: each is somebody's to connect."""
        defined = {dataset.key for dataset in self.datasets}
        used = (term.dataset for kpi in self.kpis for term in _terms_of(kpi))
        return tuple(dict.fromkeys(key for key in used if key not in defined))


class Difference(NamedTuple):
    """One field that differs; None is "not there"."""

    path: str
    before: object
    after: object


def parse_kpi(document: object, where: str = "", *, datasets: Mapping[str, Dataset] | None = None) -> Kpi:
    """One KPI. Raises InvalidDefinition with all its problems. Datasets are checked against `datasets`, if given.

    Whether the keys in its formula exist is for `parse_catalog` to say, which sees the others.
    """
    problems: list[Problem] = []
    kpi = _kpi(Fields(document, where, problems), datasets)
    if problems or kpi is None:
        raise InvalidDefinition(problems)
    return kpi


def parse_dataset(document: object, where: str = "") -> Dataset:
    """One dataset. Raises InvalidDefinition with all its problems."""
    problems: list[Problem] = []
    dataset = _dataset(Fields(document, where, problems))
    if problems or dataset is None:
        raise InvalidDefinition(problems)
    return dataset


def parse_catalog(documents: Mapping[str, object], *, known: Catalog | None = None) -> Catalog:
    """All definitions of some documents, by file name. Raises InvalidDefinition with the problems of all of them.

    `known` is what is defined already, and may be referred to; a definition of the same key takes its place. A
    document has lists `datasets` and `kpis`, or is a list of KPIs, or a single KPI or dataset.
    """
    known = known or Catalog()
    problems: list[Problem] = []
    sections = [_sections(name, document, problems) for name, document in documents.items()]
    datasets = _all(_dataset, [fields for found, _ in sections for fields in found])
    by_key = {dataset.key: dataset for dataset in (*known.datasets, *(item for _, item in datasets))}
    kpi_fields = [fields for _, found in sections for fields in found]
    kpis = _all(lambda fields: _kpi(fields, by_key), kpi_fields)
    declared = {kpi.key for kpi in known.kpis} | {_key_of(fields) for fields in kpi_fields}
    _check_references(kpis, known.kpis, declared)
    if problems:
        raise InvalidDefinition(_by_document(problems, documents))
    return Catalog(_with_inherited_secrecy(kpis, known.kpis), tuple(dataset for _, dataset in datasets))


def _with_inherited_secrecy(found: list[tuple[Fields, Kpi]], known: tuple[Kpi, ...]) -> tuple[Kpi, ...]:
    """A KPI with a confidential input is confidential, unless its definition says otherwise (section 10)."""
    secret = {kpi.key for kpi in known if kpi.confidential} - {kpi.key for _, kpi in found}
    secret |= {kpi.key for _, kpi in found if kpi.confidential}
    silent = {kpi.key: formulas.references(kpi) for fields, kpi in found if not fields.has("confidential")}
    while more := {key for key, needs in silent.items() if key not in secret and needs & secret}:
        secret |= more
    return tuple(replace(kpi, confidential=True) if kpi.key in secret else kpi for _, kpi in found)


def diff(old: Kpi | Dataset | Catalog | None, new: Kpi | Dataset | Catalog | None) -> list[Difference]:
    """What differs, field by field, by path as in a file: `target.value`, `alerts[0].threshold`. None: not there."""
    return list(_differences("", _dump(old), _dump(new)))


# --- documents ------------------------------------------------------------------------------------------------------

_Found = tuple[list[Fields], list[Fields]]
_T = TypeVar("_T", Dataset, Kpi)


def _sections(name: str, document: object, problems: list[Problem]) -> _Found:
    """The datasets and the KPIs of a document, not read yet."""
    if isinstance(document, list):
        return [], [Fields(item, f"{name}: [{index}]", problems) for index, item in enumerate(document)]
    fields = Fields(document if document is not None else {}, f"{name}: ", problems)
    if "time_column" in fields.given:
        return [fields], []
    if "name" in fields.given and "kpis" not in fields.given:
        return [], [fields]
    found = tuple(
        [fields.inside(path, item) for path, item in fields.items(section, most=10_000)]
        for section in ("datasets", "kpis")
    )
    fields.finish()
    return found[0], found[1]


def _by_document(problems: list[Problem], documents: Mapping[str, object]) -> list[Problem]:
    """Those of a file together, however often the files were gone through."""
    places = {name: index for index, name in enumerate(documents)}
    return sorted(problems, key=lambda problem: places.get(problem.where.partition(": ")[0], -1))


def _all(read: Callable[[Fields], _T | None], found: list[Fields]) -> list[tuple[Fields, _T]]:
    """Each definition with where it stands; a key that stands twice is a problem of the second."""
    first: dict[str, str] = {}
    items: list[tuple[Fields, _T]] = []
    for fields in found:
        item = read(fields)
        if item is None:
            continue
        if item.key in first:
            fields.problem("key", f"`{item.key}` is defined already, at {first[item.key]}")
        else:
            first[item.key] = fields.path("")
            items.append((fields, item))
    return items


def _check_references(found: list[tuple[Fields, Kpi]], known: tuple[Kpi, ...], declared: set[str]) -> None:
    """Every key in a formula exists, and no formula goes in a circle."""
    for fields, kpi in found:
        for name in sorted(formulas.references(kpi) - declared):
            fields.problem("formula", f"`{name}`: {unknown(name, sorted(declared), 'key')}")
    places = {kpi.key: fields for fields, kpi in found}
    needs = {kpi.key: formulas.references(kpi) for kpi in (*known, *(kpi for _, kpi in found))}
    while path := formulas.circle(needs):
        at = next(key for key in path if key in places)
        places[at].problem("formula", formulas.circle_words(path))
        del needs[at]


# --- a dataset ------------------------------------------------------------------------------------------------------


def _dataset(fields: Fields) -> Dataset | None:
    if fields.broken:
        return None
    key = fields.identifier("key", most=_MAX_DATASET_KEY, required=True)
    time_column = fields.text("time_column", most=_MAX_COLUMN, required=True)
    dataset = Dataset(
        key=key or "",
        name=fields.text("name", most=120) or (key or "").replace("_", " ").capitalize(),
        time_column=time_column or "",
        columns=_columns(fields, time_column),
        time_zone=_time_zone(fields),
        record_key=fields.text("record_key", most=_MAX_COLUMN),
        null_values=_null_values(fields),
        source=fields.text("source", most=100),
    )
    fields.finish()
    return dataset if key else None


def _columns(fields: Fields, time_column: str | None) -> tuple[Column, ...]:
    """`{amount: number, ...}`, or a list of `{name, type}` where the order or odd names matter."""
    if isinstance(fields.raw("columns"), Mapping):
        pairs = [(f"columns.{name}", name, kind) for name, kind in fields.raw("columns").items()]
    else:
        pairs = [(path, *_named_column(fields.inside(path, item))) for path, item in fields.items("columns", most=500)]
    columns: dict[str, Column] = {}
    for path, name, kind in pairs:
        wrong = _wrong_column(name, time_column, columns)
        chosen = fields.chosen(path, kind, ColumnType)
        if wrong:
            fields.problem(path, wrong)
        elif chosen:
            columns[name.lower()] = Column(name, chosen)
    return tuple(columns.values())


def _named_column(fields: Fields) -> tuple[Any, Any]:
    name, kind = fields.raw("name"), fields.raw("type")
    fields.finish()
    return name, kind


def _wrong_column(name: object, time_column: str | None, before: Mapping[str, Column]) -> str | None:
    if not isinstance(name, str) or not name.strip():
        return f"expected the name of a column, found {shown(name)}"
    if '"' in name or name != name.strip() or len(name.encode(errors="replace")) > _MAX_COLUMN:
        return f"a column's name has up to {_MAX_COLUMN} bytes, no quotes, and no space at its ends"
    if name == time_column:
        return "is the time column, which needs no declaration; take it out"
    if name.lower() in _OWN_COLUMNS:
        return f"`{name}` is the name of a column that every dataset has; rename it in the data"
    if name.lower() in before:
        return f"`{name}` stands here twice (upper and lower case are the same)"
    return wrong_text(name, _MAX_COLUMN, lines=False)


def _time_zone(fields: Fields) -> str | None:
    zone = fields.text("time_zone", most=60)
    try:
        return str(ZoneInfo(zone)) if zone else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        fields.problem("time_zone", f"expected a time zone such as Europe/Berlin, found {shown(zone)}")
    return None


def _null_values(fields: Fields) -> tuple[str, ...]:
    values = [(path, item) for path, item in fields.items("null_values", most=50)]
    for path, item in values:
        if not isinstance(item, str) or len(item) > 50:
            fields.problem(path, f"expected a short text, found {shown(item)}; put it in quotes")
    if not fields.has("null_values"):
        return ("",)
    return tuple(dict.fromkeys(item for _, item in values if isinstance(item, str)))


# --- a KPI ----------------------------------------------------------------------------------------------------------

_OVER_RECORDS: Final = ("dataset", "column", "where", "quantile", "at", "segment")
_PARTS: Final = ("numerator", "denominator")
_OF_FORMULA: Final = ("formula", "inputs", "guard")


@dataclass(slots=True)
class _Context:
    """What reading the terms of one KPI needs to know: the datasets, and its own data source, which may not exist."""

    datasets: Mapping[str, Dataset] | None
    source: str | None
    default: str | None
    used: list[str] = field(default_factory=list)


def _key_of(fields: Fields) -> str:
    """The key that a definition goes by, whatever else is wrong with it."""
    key = fields.given.get("key")
    name = fields.given.get("name")
    return key if isinstance(key, str) else key_from(name) if isinstance(name, str) else ""


def _kpi(fields: Fields, datasets: Mapping[str, Dataset] | None) -> Kpi | None:
    if fields.broken:
        return None
    name = fields.text("name", most=120, required=True) or ""
    key = _kpi_key(fields, name)
    unit = fields.choice("unit", Unit, Unit.NUMBER)
    period = fields.choice("tracking_period", Grain, Grain.DAILY, required=True)
    if period in (Grain.QUARTERLY, Grain.YEARLY):
        fields.problem("tracking_period", f"{not_one_of(str(period), _TRACKED)}; quarters and years are for reading")
    direction = fields.choice("direction", Direction, Direction.HIGHER)
    source = fields.text("data_source", most=100)
    context = _context(fields, source, datasets)
    calculation = _calculation(fields, context)
    kind = _kind(fields, calculation, unit)
    grains = _also_tracked(fields, period)
    bounds = _bounds(fields)
    kpi = Kpi(
        key=key or "",
        name=name,
        category=fields.choice("category", Category, Category.CUSTOM, required=True),
        tracking_period=period,
        unit=unit,
        kind=kind,
        direction=direction,
        calculation=calculation,
        description=fields.text("description", most=2_000, lines=True) or "",
        also_tracked=grains,
        owner_role=fields.identifier("owner"),
        data_source=source,
        measure=_measure(fields, calculation, kind, unit, context),
        formula=_formula(fields, "formula") if calculation is Calculation.FORMULA else None,
        inputs=_inputs(fields, context) if calculation is Calculation.FORMULA else {},
        guard=_guard(fields) if calculation is Calculation.FORMULA else None,
        factor=_entered_factor(fields, calculation, kind, unit),
        target=_target(fields, direction, (period, *grains), bounds),
        bands=_bands(fields),
        active_days=_active_days(fields),
        comparison=_comparison(fields, (period, *grains)),
        missing=_missing(fields, calculation),
        bounds=bounds,
        unit_label=fields.text("unit_label", most=40),
        currency=_currency(fields, unit),
        points=fields.flag("points", unit is Unit.PERCENTAGE),
        dimensions=_dimensions(fields, context),
        lag_days=fields.whole("lag_days", 0, 366) or 0,
        due_by=_due_by(fields),
        alerts=_alerts(fields, direction),
        view_roles=_permissions(fields, "view"),
        edit_roles=_permissions(fields, "edit"),
        confidential=fields.flag("confidential", False),
        is_active=fields.flag("is_active", True),
    )
    _check_inputs_used(fields, kpi)
    fields.finish()
    return kpi if key else None


_TRACKED: Final = (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY)


def _kpi_key(fields: Fields, name: str) -> str | None:
    key = fields.identifier("key") if fields.has("key") else key_from(name)
    if key is None:
        return None
    if key in RESERVED_KEYS:
        fields.problem("key", f"`{key}` is reserved; give it another `key`")
    elif key in formulas.FUNCTIONS:
        fields.problem("key", f"`{key}` is a function of formulas; give it another `key`")
    elif not key and name:
        fields.problem("key", f"no key can be made of the name {shown(name)}; give it a `key`")
    return key


def _context(fields: Fields, source: str | None, datasets: Mapping[str, Dataset] | None) -> _Context:
    """A dataset that is named must exist; the one that a data source stands for may come later."""
    named = fields.identifier("dataset", most=_MAX_DATASET_KEY)
    derived = key_from(source)[:_MAX_DATASET_KEY] if source else None
    return _Context(datasets, derived, named or derived)


def _calculation(fields: Fields, context: _Context) -> Calculation:
    guess = Calculation.MANUAL
    if fields.has("formula"):
        guess = Calculation.FORMULA
    elif fields.has("denominator"):
        guess = Calculation.RATIO
    elif fields.has("numerator"):
        guess = _calculation_of_terms(fields.raw("numerator"))
    elif fields.has("dataset") and not fields.has("calculation_method"):
        fields.problem("calculation_method", f"is missing; it is one of {listed(_AGGREGATE_OF)}, average, ratio")
    calculation = fields.choice("calculation_method", Calculation, guess)
    _refuse_other_ways(fields, calculation)
    return calculation


def _calculation_of_terms(terms: object) -> Calculation:
    """Of the first term; what does not go together is found when the terms are read."""
    first = terms[0] if isinstance(terms, list) and terms else terms
    name = first.get("aggregate") if isinstance(first, Mapping) else None
    return _CALCULATION_OF[Aggregate(name)] if isinstance(name, str) and name in set(Aggregate) else Calculation.SUM


def _refuse_other_ways(fields: Fields, calculation: Calculation) -> None:
    """A KPI is made in one way; fields of another way are mistakes, not spare information."""
    if calculation is not Calculation.FORMULA:
        fields.refuse(_OF_FORMULA, f"belongs to calculation_method formula, not {calculation}")
    if calculation in (Calculation.FORMULA, Calculation.MANUAL):
        why = "takes its numbers from its inputs" if calculation is Calculation.FORMULA else "is entered by hand"
        fields.refuse((*_OVER_RECORDS, *_PARTS), f"a KPI with calculation_method {calculation} {why}; take it out")
    elif calculation is Calculation.AVERAGE:
        fields.refuse(_PARTS, "calculation_method average takes a `column`; a quotient of your own is a ratio")
    elif calculation is Calculation.RATIO or any(fields.has(part) for part in _PARTS):
        inside = [name for name in _OVER_RECORDS if name != "dataset"]
        fields.refuse(inside, "belongs inside the terms of `numerator` and `denominator`")


def _kind(fields: Fields, calculation: Calculation, unit: Unit) -> Kind:
    possible = KINDS_OF[calculation]
    default = Kind.RATIO if calculation is Calculation.MANUAL and unit is Unit.PERCENTAGE else possible[0]
    kind = fields.choice("kind", Kind, default)
    if kind not in possible:
        fields.problem("kind", f"a KPI with calculation_method {calculation} is {' or '.join(possible)}, not {kind}")
    return kind


def _also_tracked(fields: Fields, period: Grain) -> tuple[Grain, ...]:
    grains: dict[Grain, None] = {}
    for path, item in fields.items("also_tracked", most=5):
        grain = fields.chosen(path, item, Grain)
        if grain is period:
            fields.problem(path, f"`{grain}` is the tracking period already; take it out")
        elif grain:
            grains[grain] = None
    return tuple(grains)


# --- what it measures -----------------------------------------------------------------------------------------------


def _measure(fields: Fields, calculation: Calculation, kind: Kind, unit: Unit, context: _Context) -> Measure | None:
    if calculation in (Calculation.FORMULA, Calculation.MANUAL):
        return None
    if calculation is Calculation.RATIO or _has_parts(fields, calculation):
        return _measure_of_parts(fields, calculation, unit, context)
    factor = _factor(fields, Decimal(1))
    term = _simple_term(fields, calculation, context)
    if calculation is Calculation.AVERAGE:
        denominator = (Term(term.dataset, Aggregate.COUNT, term.column, term.where),)
        return Measure((term,), denominator, factor)
    return Measure((term,), (), factor)


def _has_parts(fields: Fields, calculation: Calculation) -> bool:
    return calculation is not Calculation.AVERAGE and any(fields.has(part) for part in _PARTS)


def _simple_term(fields: Fields, calculation: Calculation, context: _Context) -> Term:
    """The term of a KPI that is one aggregate over one dataset, its fields beside the KPI's own."""
    aggregate = _AGGREGATE_OF.get(calculation, Aggregate.SUM)
    quantile = _HALF if calculation is Calculation.MEDIAN else None
    return _term_fields(fields, aggregate, context, says=str(calculation), quantile=quantile)


def _measure_of_parts(fields: Fields, calculation: Calculation, unit: Unit, context: _Context) -> Measure:
    is_ratio = calculation is Calculation.RATIO
    for part in _PARTS if is_ratio else ("numerator",):
        if not fields.has(part):
            fields.problem(part, f"is missing; calculation_method {calculation} needs it")
    if not is_ratio and fields.has("denominator"):
        fields.problem("denominator", f"belongs to calculation_method ratio, not {calculation}")
    measure = Measure(
        _terms(fields, "numerator", context),
        _terms(fields, "denominator", context),
        _factor(fields, Decimal(100 if is_ratio and unit is Unit.PERCENTAGE else 1)),
    )
    if not is_ratio:
        _check_additive(fields, calculation, measure)
    return measure


def _check_additive(fields: Fields, calculation: Calculation, measure: Measure) -> None:
    """Terms are only added up where the sum rolls up as its terms do."""
    expected = KINDS_OF[calculation][0]
    possible = _FLOWS if expected is Kind.FLOW else {_AGGREGATE_OF[calculation]}
    found = {term.aggregate for term in measure.numerator}
    if not found <= possible:
        says = f"calculation_method {calculation} adds up terms of {' and '.join(sorted(possible))}"
        fields.problem("numerator", f"{says}, not of {' and '.join(sorted(found - possible))}")
    if len(measure.numerator) > 1 and expected in (Kind.DISTINCT, Kind.STATISTIC):
        fields.problem("numerator", f"{expected} terms cannot be added up; give one")


def _kind_of(term: Term) -> Kind:
    return KINDS_OF[_CALCULATION_OF[term.aggregate]][0]


def _factor(fields: Fields, default: Decimal) -> Decimal:
    factor = fields.number("factor")
    if factor == 0:
        fields.problem("factor", "is 0, which makes every value 0")
    return factor or default


def _entered_factor(fields: Fields, calculation: Calculation, kind: Kind, unit: Unit) -> Decimal:
    """What an entered ratio's two parts are multiplied by; a computed one has its factor in the measure."""
    if calculation is Calculation.MANUAL and kind is Kind.RATIO:
        return _factor(fields, Decimal(100 if unit is Unit.PERCENTAGE else 1))
    if calculation in (Calculation.MANUAL, Calculation.FORMULA):
        fields.refuse(("factor",), f"has no use with calculation_method {calculation} and kind {kind}; take it out")
    return Decimal(1)


def _terms(fields: Fields, name: str, context: _Context) -> tuple[Term, ...]:
    found = fields.items(name, most=50, single=True)
    if fields.has(name) and isinstance(fields.raw(name), list) and not found:
        fields.problem(name, "is empty; give at least one term")
    return tuple(_term(fields.inside(path, item), context) for path, item in found)


def _term(fields: Fields, context: _Context) -> Term:
    if fields.broken:
        return Term("", Aggregate.COUNT)
    dataset = fields.identifier("dataset", most=_MAX_DATASET_KEY)
    aggregate = fields.choice("aggregate", Aggregate, Aggregate.COUNT, required=True)
    inner = _Context(context.datasets, context.source, dataset or context.default, context.used)
    term = _term_fields(fields, aggregate, inner, says=str(aggregate), weight=_weight(fields))
    fields.finish()
    return term


def _weight(fields: Fields) -> Decimal:
    weight = fields.number("weight")
    if weight == 0:
        fields.problem("weight", "is 0; leave the term out instead")
    return weight or Decimal(1)


def _term_fields(
    fields: Fields,
    aggregate: Aggregate,
    context: _Context,
    *,
    says: str,
    quantile: Decimal | None = None,
    weight: Decimal = Decimal(1),
) -> Term:
    """The fields of a term proper. `says` is what the person called the aggregate."""
    key = context.default or ""
    dataset = _known_dataset(fields, key, context)
    column = _column(fields, "column", dataset, numbers=aggregate in _OF_NUMBERS)
    if column is None and aggregate is not Aggregate.COUNT and not fields.has("column"):
        fields.problem("column", f"is missing; {says} needs one")
    segment = _column(fields, "segment", dataset)
    at = _at(fields)
    given = _quantile(fields, aggregate, says)
    if aggregate is not Aggregate.LAST:
        fields.refuse(("at", "segment"), f"goes with `last`, not with {says}")
    return Term(
        dataset=key,
        aggregate=aggregate,
        column=column,
        where=_where(fields, dataset),
        weight=weight,
        quantile=quantile or given,
        at=at,
        segment=segment,
    )


def _known_dataset(fields: Fields, key: str, context: _Context) -> Dataset | None:
    if not key:
        fields.problem("dataset", "is missing; give a `dataset`, or a `data_source` that is not connected yet")
        return None
    context.used.append(key)
    if context.datasets is None or key in context.datasets or key == context.source:
        return (context.datasets or {}).get(key)
    fields.problem("dataset", f"`{key}`: {unknown(key, sorted(context.datasets), 'dataset')}")
    return None


def _column(fields: Fields, name: str, dataset: Dataset | None, *, numbers: bool = False) -> str | None:
    column = fields.text(name, most=_MAX_COLUMN)
    if column is None or dataset is None:
        return column
    found = _find_column(dataset, column)
    if found is None:
        fields.problem(name, _no_column(dataset, column))
    elif numbers and found.type is not ColumnType.NUMBER:
        fields.problem(name, f"column `{column}` of dataset `{dataset.key}` is {found.type}; a number is needed")
    return column


def _find_column(dataset: Dataset, name: str) -> Column | None:
    return next((column for column in dataset.columns if column.name == name), None)


def _no_column(dataset: Dataset, name: str) -> str:
    names = [column.name for column in dataset.columns]
    near = get_close_matches(name, names, 1, 0.6)
    hint = f"did you mean `{near[0]}`?" if near else f"it has {listed(names) or 'no columns'}"
    return f"dataset `{dataset.key}` has no column `{name}`; {hint}"


def _at(fields: Fields) -> str:
    at = fields.raw("at")
    if at not in (None, "start", "end"):
        fields.problem("at", not_one_of(at, ("start", "end")))
        return "end"
    return at or "end"


def _quantile(fields: Fields, aggregate: Aggregate, says: str) -> Decimal | None:
    if aggregate is not Aggregate.QUANTILE or says == Calculation.MEDIAN:
        fields.refuse(("quantile",), f"goes with `quantile`, not with {says}")
        return None
    value = fields.number("quantile")
    if value is None or not 0 < value < 1:
        fields.problem("quantile", "expected a number between 0 and 1, such as 0.9")
        return None
    return value


# --- conditions -----------------------------------------------------------------------------------------------------

_ONE: Final = {"eq": Op.EQ, "not": Op.NE, "lt": Op.LT, "le": Op.LE, "gt": Op.GT, "ge": Op.GE}
_MANY: Final = {"eq": Op.IN, "not": Op.NOT_IN}
_CONDITIONS: Final = (*_ONE, "known")
_Constant = str | Decimal | bool


def _where(fields: Fields, dataset: Dataset | None) -> tuple[Condition, ...]:
    """`{column: value}`, all of which hold; a list of such mappings where a column comes more than once."""
    conditions: list[Condition] = []
    for path, item in fields.items("where", most=50, single=True):
        inside = fields.inside(path, item)
        for column, wanted in inside.given.items():
            conditions += _conditions(inside, column, wanted, dataset)
    return tuple(conditions)


def _conditions(fields: Fields, column: object, wanted: object, dataset: Dataset | None) -> Iterator[Condition]:
    path = label(column)
    if not isinstance(column, str):
        fields.problem(path, "expected the name of a column; put it in quotes")
        return
    found = _find_column(dataset, column) if dataset else None
    if dataset and not found:
        fields.problem(path, _no_column(dataset, column))
    for name, value in wanted.items() if isinstance(wanted, Mapping) else [("eq", wanted)]:
        says = f"{path}.{name}" if isinstance(wanted, Mapping) else path
        if name not in _CONDITIONS:
            fields.problem(says, unknown(name, _CONDITIONS, "comparison"))
        else:
            condition = _condition(fields, says, column, name, value)
            wrong = _mismatch(condition, found) if condition and found else None
            if wrong:
                fields.problem(says, wrong)
            elif condition:
                yield condition


def _condition(fields: Fields, path: str, column: str, name: str, value: object) -> Condition | None:
    if name == "known":
        if not isinstance(value, bool):
            fields.problem(path, f"expected true or false, found {shown(value)}")
        return Condition(column, Op.NOT_NULL if value else Op.IS_NULL)
    if value is None and name in _MANY:
        return Condition(column, Op.IS_NULL if name == "eq" else Op.NOT_NULL)
    if isinstance(value, list | tuple) and name in _MANY:
        constants = [_constant(fields, f"{path}[{index}]", item) for index, item in enumerate(value[:1_000])]
        if not 0 < len(value) <= 1_000:
            fields.problem(path, "expected a list of 1 to 1,000 values")
        return Condition(column, _MANY[name], tuple(item for item in constants if item is not None))
    constant = _constant(fields, path, value)
    if isinstance(constant, bool) and name not in _MANY:
        fields.problem(path, f"`{name}` compares numbers or texts, not true and false")
    return None if constant is None else Condition(column, _ONE[name], constant)


def _constant(fields: Fields, path: str, value: object) -> _Constant | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        wrong = wrong_text(value, 500, lines=True)
        if wrong:
            fields.problem(path, wrong)
        return value
    number = decimal_of(value)
    if isinstance(number, Decimal) and _plain(number) != str(_plain(number)):
        return number
    fields.problem(path, number if isinstance(number, str) else "has too many digits for a constant; 15 at most")
    return None


def _mismatch(condition: Condition, column: Column) -> str | None:
    """What is wrong with comparing this column with such a constant."""
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    for value in values:
        if value is not None and _type_of(value) is not column.type:
            how = f"write '{value}' in quotes" if column.type is ColumnType.TEXT else f"a {column.type} is needed"
            return f"column `{column.name}` is {column.type}, and {shown(value)} is {_type_of(value)}; {how}"
    return None


def _type_of(value: _Constant) -> ColumnType:
    if isinstance(value, bool):
        return ColumnType.BOOLEAN
    return ColumnType.NUMBER if isinstance(value, Decimal) else ColumnType.TEXT


# --- formulas -------------------------------------------------------------------------------------------------------


def _formula(fields: Fields, name: str) -> str | None:
    text = fields.text(name, most=formulas.MAX_LENGTH, required=True, lines=True)
    if text is None:
        return None
    try:
        formulas.parse(text)
    except InvalidFormula as error:
        fields.problem(name, str(error))
        return None
    return text


def _inputs(fields: Fields, context: _Context) -> dict[str, Measure]:
    section = fields.section("inputs")
    inputs: dict[str, Measure] = {}
    if section is None:
        return inputs
    for name, document in section.given.items():
        inside = section.inside(label(name), document)
        wrong = wrong_identifier(str(name))
        if wrong or name in formulas.FUNCTIONS:
            section.problem(label(name), wrong or f"`{name}` is a function of formulas; give it another name")
        elif not inside.broken:
            inputs[name] = _input(inside, context)
    return inputs


def _input(fields: Fields, context: _Context) -> Measure:
    dataset = fields.identifier("dataset", most=_MAX_DATASET_KEY)
    inner = _Context(context.datasets, context.source, dataset or context.default, context.used)
    if not fields.has("numerator"):
        fields.problem("numerator", "is missing")
    measure = Measure(
        _terms(fields, "numerator", inner), _terms(fields, "denominator", inner), _factor(fields, Decimal(1))
    )
    if not measure.denominator and len({_kind_of(term) for term in measure.numerator}) > 1:
        fields.problem("numerator", "its terms do not add up: flows, stocks and statistics roll up differently")
    fields.finish()
    return measure


def _guard(fields: Fields) -> Guard | None:
    inside = fields.section("guard")
    if inside is None or inside.broken:
        return None
    text = _formula(inside, "formula")
    at_most = inside.number("at_most")
    says = inside.text("says", most=120, required=True)
    status = inside.choice("status", Status, Status.NO_DATA) if inside.has("status") else None
    if status is not None and not status.is_verdict:
        inside.problem("status", f"`{status}` is no verdict; it is one of {listed(list(Status)[:4])}")
    inside.finish()
    return Guard(text, at_most or Decimal(0), says, status) if text and says else None


def _check_inputs_used(fields: Fields, kpi: Kpi) -> None:
    texts = [kpi.formula, kpi.guard.formula if kpi.guard else None]
    if kpi.formula is None:
        return
    used = {name for text in texts if text for name in formulas.parse(text).names}
    for name in kpi.inputs:
        if name not in used:
            fields.problem(f"inputs.{name}", "no formula uses it; take it out")


# --- targets, bands, alerts -----------------------------------------------------------------------------------------


def _target(fields: Fields, direction: Direction, grains: tuple[Grain, ...], bounds: Bounds) -> Target | None:
    """A number alone is a target of that value."""
    given = fields.raw("target")
    if given is None:
        return None
    if not isinstance(given, Mapping):
        given = {"value": given}
    inside = fields.inside("target", given)
    grain = inside.choice("period", Grain, grains[0]) if inside.has("period") else None
    if grain is not None and grain not in grains:
        inside.problem("period", f"the KPI is not tracked {grain}; it is tracked {' and '.join(grains)}")
    target = Target(
        value=inside.number("value"),
        low=inside.number("low"),
        high=inside.number("high"),
        scale=inside.number("scale"),
        grain=grain,
        period_start=inside.day("from"),
        period_end=inside.day("to"),
        notes=inside.text("notes", most=500, lines=True) or "",
    )
    _check_target(inside, target, direction, bounds)
    inside.finish()
    return target


def _check_target(fields: Fields, target: Target, direction: Direction, bounds: Bounds) -> None:
    """The rules are those of every target, wherever it comes from; here they get the names that the file has."""
    numbers = {name: getattr(target, name) for name in ("value", "low", "high", "scale")}
    if any(number is None and fields.has(name) for name, number in numbers.items()):
        return  # unreadable, and said so: what follows from it is no news
    if target.is_null and target.low is None and target.high is None:
        fields.problem("low" if direction is Direction.IN_RANGE else "value", "is missing")
    try:
        check_target(target, direction)
    except InvalidTarget as error:
        for problem in error.problems:
            fields.problem(_TARGET_FIELDS.get(problem.where, problem.where), problem.says)
    for name, number in list(numbers.items())[:3]:
        if number is not None and _is_outside(number, bounds):
            fields.problem(name, f"{number} is outside the KPI's `bounds`; no value can reach it")


_TARGET_FIELDS: Final = {"period_start": "from", "period_end": "to"}


def _is_outside(number: Decimal, bounds: Bounds) -> bool:
    low, high = bounds.low, bounds.high
    return (low is not None and number < low) or (high is not None and number > high)


def _bands(fields: Fields) -> Bands:
    inside = fields.section("bands")
    if inside is None:
        return Bands()
    usual = Bands()
    exceeds, on_track = inside.number("exceeds"), inside.number("on_track")
    attention = inside.number("needs_attention")
    bands = Bands(
        usual.exceeds if exceeds is None else exceeds,
        usual.on_track if on_track is None else on_track,
        usual.needs_attention if attention is None else attention,
    )
    if not 10 >= bands.exceeds >= bands.on_track >= bands.needs_attention >= 0:
        inside.problem("", "expected exceeds >= on_track >= needs_attention, each from 0 to 10 (1 is the target, met)")
    inside.finish()
    return bands


def _bounds(fields: Fields) -> Bounds:
    inside = fields.section("bounds")
    if inside is None:
        return Bounds()
    bounds = Bounds(inside.number("low"), inside.number("high"))
    if bounds.low is not None and bounds.high is not None and bounds.low >= bounds.high:
        inside.problem("high", f"{bounds.high} is not above `low`, {bounds.low}")
    inside.finish()
    return bounds


def _alerts(fields: Fields, direction: Direction) -> tuple[AlertRule, ...]:
    found = [fields.inside(path, item) for path, item in fields.items("alerts", most=20)]
    rules = [_alert(inside, direction) for inside in found if not inside.broken]
    return tuple(rule for rule in rules if rule is not None)


def _alert(fields: Fields, direction: Direction) -> AlertRule | None:
    kind = fields.raw("type")
    if kind not in ALERT_TYPES:
        fields.problem("type", "is missing" if kind is None else not_one_of(kind, ALERT_TYPES))
    elif kind in _NEEDS_TARGET and direction is Direction.NEUTRAL:
        fields.problem("type", f"`{kind}` needs a target, and a neutral KPI has none")
    threshold = _threshold(fields, kind)
    status = fields.choice("status", Status, Status.CRITICAL) if fields.has("status") else None
    if kind == "status_is" and (status is None or not status.is_verdict):
        fields.problem(
            "status", f"`status_is` needs one: {listed(list(Status)[1:4])}; that status or a worse one fires"
        )
    elif kind != "status_is":
        fields.refuse(("status",), "goes with `status_is`")
    channels = _channels(fields)
    fields.finish()
    return AlertRule(str(kind), threshold, channels, status=status) if kind in ALERT_TYPES else None


def _threshold(fields: Fields, kind: object) -> Decimal:
    """In percent. 0 where the type has none: `off_pace` alone may have one or not."""
    threshold = fields.number("threshold")
    if kind in ALERT_TYPES and kind not in _WITH_THRESHOLD and kind != "off_pace":
        fields.refuse(("threshold",), f"`{kind}` takes none")
    elif threshold is None and kind in _WITH_THRESHOLD and not fields.has("threshold"):
        fields.problem("threshold", f"is missing; `{kind}` needs one, in percent")
    elif threshold is not None and threshold <= 0:
        fields.problem("threshold", "expected a number above 0, in percent")
    return threshold or Decimal(0)


def _channels(fields: Fields) -> tuple[str, ...]:
    channels: dict[str, None] = {}
    for path, item in fields.items("channels", most=20):
        if item not in CHANNELS:
            fields.problem(path, not_one_of(item, CHANNELS))
        elif item in channels:
            fields.problem(path, f"`{item}` stands here twice")
        else:
            channels[item] = None
    return tuple(channels) if fields.has("channels") else ("dashboard",)


# --- the rest -------------------------------------------------------------------------------------------------------


def _active_days(fields: Fields) -> ActiveDays:
    inside = fields.section("active_days")
    if inside is None:
        return ActiveDays()
    days: set[int] = set()
    for path, item in inside.items("weekdays", most=7):
        if item in _WEEKDAYS:
            days.add(_WEEKDAYS.index(item) + 1)
        else:
            inside.problem(path, not_one_of(item, _WEEKDAYS))
    if inside.has("weekdays") and inside.raw("weekdays") == []:
        inside.problem("weekdays", "is empty; a KPI needs at least one active day")
    holidays = inside.raw("holidays")
    if holidays not in (None, "skip", "count"):
        inside.problem("holidays", not_one_of(holidays, ("skip", "count")))
    inside.finish()
    return ActiveDays(frozenset(days) or ActiveDays().weekdays, holidays == "skip")


def _comparison(fields: Fields, grains: tuple[Grain, ...]) -> Comparison:
    comparison = fields.choice("comparison", Comparison, Comparison.PREVIOUS)
    if comparison is Comparison.SAME_WEEKDAY and Grain.DAILY not in grains:
        fields.problem("comparison", "`same_weekday` is for daily KPIs")
    return comparison


def _missing(fields: Fields, calculation: Calculation) -> Missing:
    missing = fields.choice("missing", Missing, Missing.UNKNOWN)
    if missing is not Missing.UNKNOWN and calculation is not Calculation.MANUAL:
        fields.problem("missing", f"is for entered KPIs (calculation_method manual), not for {calculation}")
    return missing


def _currency(fields: Fields, unit: Unit) -> str | None:
    currency = fields.text("currency", most=10)
    if currency is not None and not _CURRENCY.fullmatch(currency):
        fields.problem("currency", f"expected a code such as USD, found {shown(currency)}")
    if currency is not None and unit is not Unit.CURRENCY:
        fields.problem("currency", f"goes with unit currency, not {unit}")
    return currency


def _dimensions(fields: Fields, context: _Context) -> tuple[str, ...]:
    """Columns to break the KPI down by; each dataset that it counts on has them."""
    dimensions: dict[str, None] = {}
    for path, item in fields.items("dimensions", most=20):
        wrong = _wrong_dimension(item, context)
        if wrong:
            fields.problem(path, wrong)
        else:
            dimensions[item] = None
    return tuple(dimensions)


def _wrong_dimension(item: object, context: _Context) -> str | None:
    if not isinstance(item, str) or not item or len(item) > _MAX_COLUMN:
        return f"expected the name of a column, found {shown(item)}"
    for key in dict.fromkeys(context.used):
        dataset = (context.datasets or {}).get(key)
        if dataset is not None and _find_column(dataset, item) is None:
            return _no_column(dataset, item)
    return wrong_text(item, _MAX_COLUMN, lines=False)


def _due_by(fields: Fields) -> str | None:
    given = fields.raw("due_by")
    if given is None or (isinstance(given, str) and _CLOCK.fullmatch(given)):
        return given
    minutes = given if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 24 * 60 else None
    hint = f'"{minutes // 60:02d}:{minutes % 60:02d}"' if minutes is not None else 'such as "09:00"'
    fields.problem("due_by", f"expected a time of day in quotes, {hint}, found {shown(given)}")
    return None


def _permissions(fields: Fields, name: str) -> tuple[str, ...]:
    """Read once for each of its two lists, so that both are checked and neither is unknown."""
    if not fields.has("permissions"):
        return ()
    given = fields.given["permissions"]
    if not isinstance(given, Mapping):
        if name == "view":
            fields.problem("permissions", f"expected `view` and `edit`, found {shown(given)}")
        return ()
    inside = fields.inside("permissions", given)
    roles = inside.words(name, most=100)
    if name == "view":
        inside.has("edit")
        inside.finish()
    return roles


# --- writing --------------------------------------------------------------------------------------------------------


def dump_dataset(dataset: Dataset) -> dict[str, Any]:
    """A dataset as a file has it; `parse_dataset` reads the same one from it (its `id` is the store's)."""
    return _without_none(
        {
            "key": dataset.key,
            "name": dataset.name,
            "source": dataset.source,
            "time_column": dataset.time_column,
            "time_zone": dataset.time_zone,
            "record_key": dataset.record_key,
            "null_values": list(dataset.null_values) if dataset.null_values != ("",) else None,
            "columns": {column.name: str(column.type) for column in dataset.columns} or None,
        }
    )


def dump_kpi(kpi: Kpi) -> dict[str, Any]:
    """A KPI as a file has it, JSON through and through; `parse_kpi` reads the same one from it.

    What only the store knows (ids, version, who set a target and when) is not in it.
    """
    return _without_none(
        {
            "key": kpi.key,
            "name": kpi.name,
            "description": kpi.description or None,
            "category": str(kpi.category),
            "tracking_period": str(kpi.tracking_period),
            "also_tracked": [str(grain) for grain in kpi.also_tracked] or None,
            "unit": str(kpi.unit),
            "unit_label": kpi.unit_label,
            "currency": kpi.currency,
            "kind": str(kpi.kind),
            "direction": str(kpi.direction),
            "calculation_method": str(kpi.calculation),
            "data_source": kpi.data_source,
            **_dump_how(kpi),
            "target": _dump_target(kpi.target) if kpi.target else None,
            "bands": _dump_numbers(kpi.bands, Bands()),
            "active_days": _dump_active_days(kpi.active_days),
            "comparison": str(kpi.comparison) if kpi.comparison is not Comparison.PREVIOUS else None,
            "missing": str(kpi.missing) if kpi.missing is not Missing.UNKNOWN else None,
            "bounds": _dump_numbers(kpi.bounds, Bounds()),
            "points": kpi.points if kpi.points is not (kpi.unit is Unit.PERCENTAGE) else None,
            "dimensions": list(kpi.dimensions) or None,
            "lag_days": kpi.lag_days or None,
            "due_by": kpi.due_by,
            "owner": kpi.owner_role,
            "alerts": [_dump_alert(rule) for rule in kpi.alerts] or None,
            "permissions": _without_none({"view": list(kpi.view_roles) or None, "edit": list(kpi.edit_roles) or None})
            or None,
            "confidential": kpi.confidential or None,
            "is_active": None if kpi.is_active else False,
        }
    )


def _without_none(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}


def _plain(number: Decimal) -> int | float | str:
    """The number as JSON has it; as text where a float would not be the same number."""
    if number == number.to_integral_value():
        return int(number)
    return float(number) if Decimal(repr(float(number))) == number else f"{number:f}"


def _dump_how(kpi: Kpi) -> dict[str, Any]:
    """How its value is made."""
    if kpi.measure is None:
        return {
            "formula": kpi.formula,
            "inputs": {name: _dump_parts(measure, Decimal(1)) for name, measure in kpi.inputs.items()} or None,
            "guard": _dump_guard(kpi.guard) if kpi.guard else None,
            "factor": None if kpi.factor == _usual_factor(kpi) else _plain(kpi.factor),
        }
    if _is_simple(kpi, kpi.measure):
        return _dump_simple(kpi, kpi.measure)
    return _dump_parts(kpi.measure, _usual_factor(kpi))


def _dump_simple(kpi: Kpi, measure: Measure) -> dict[str, Any]:
    """One aggregate, its fields beside the KPI's own."""
    term = _dump_term(measure.numerator[0])
    del term["aggregate"]
    if kpi.calculation is Calculation.MEDIAN:
        del term["quantile"]
    if term["dataset"] == key_from(kpi.data_source or "")[:_MAX_DATASET_KEY]:
        del term["dataset"]
    return {**term, "factor": None if measure.factor == 1 else _plain(measure.factor)}


def _usual_factor(kpi: Kpi) -> Decimal:
    in_percent = kpi.unit is Unit.PERCENTAGE and kpi.kind is Kind.RATIO
    return Decimal(100 if in_percent and kpi.calculation is not Calculation.AVERAGE else 1)


def _is_simple(kpi: Kpi, measure: Measure) -> bool:
    """Whether it can be written as one aggregate."""
    if kpi.calculation is Calculation.AVERAGE:
        return True
    term = measure.numerator[0]
    is_usual = term.weight == 1 and term.aggregate is _AGGREGATE_OF.get(kpi.calculation)
    is_median = kpi.calculation is not Calculation.MEDIAN or term.quantile == _HALF
    return len(measure.numerator) == 1 and is_usual and is_median


def _dump_parts(measure: Measure, usual: Decimal) -> dict[str, Any]:
    return _without_none(
        {
            "numerator": [_dump_term(term) for term in measure.numerator],
            "denominator": [_dump_term(term) for term in measure.denominator] or None,
            "factor": None if measure.factor == usual else _plain(measure.factor),
        }
    )


def _dump_term(term: Term) -> dict[str, Any]:
    return _without_none(
        {
            "dataset": term.dataset,
            "aggregate": str(term.aggregate),
            "column": term.column,
            "where": _dump_where(term.where),
            "weight": None if term.weight == 1 else _plain(term.weight),
            "quantile": None if term.quantile is None else _plain(term.quantile),
            "at": None if term.at == "end" else term.at,
            "segment": term.segment,
        }
    )


def _dump_where(conditions: tuple[Condition, ...]) -> dict[str, Any] | list[dict[str, Any]] | None:
    """One mapping; a list of them where a column comes more than once."""
    if not conditions:
        return None
    parts = [{condition.column: _dump_condition(condition)} for condition in conditions]
    if len({condition.column for condition in conditions}) < len(conditions):
        return parts
    return {column: wanted for part in parts for column, wanted in part.items()}


def _dump_condition(condition: Condition) -> object:
    if condition.op in (Op.IS_NULL, Op.NOT_NULL):
        return {"known": condition.op is Op.NOT_NULL}
    value = condition.value
    plain = [_json(item) for item in value] if isinstance(value, tuple) else _json(value)
    if condition.op in (Op.EQ, Op.IN):
        return plain
    names = {op: name for table in (_ONE, _MANY) for name, op in table.items()}
    return {names[condition.op]: plain}


def _json(value: _Constant | None) -> object:
    return _plain(value) if isinstance(value, Decimal) else value


def _dump_guard(guard: Guard) -> dict[str, Any]:
    status = str(guard.status) if guard.status else None
    plain = {"formula": guard.formula, "at_most": _plain(guard.at_most), "says": guard.says, "status": status}
    return _without_none(plain)


def _dump_target(target: Target) -> dict[str, Any]:
    numbers = {"value": target.value, "low": target.low, "high": target.high, "scale": target.scale}
    return _without_none(
        {
            **{name: None if number is None else _plain(number) for name, number in numbers.items()},
            "period": str(target.grain) if target.grain else None,
            "from": target.period_start.isoformat() if target.period_start else None,
            "to": target.period_end.isoformat() if target.period_end else None,
            "notes": target.notes or None,
        }
    )


def _dump_numbers(given: Bands | Bounds, usual: Bands | Bounds) -> dict[str, Any] | None:
    numbers = {each.name: (getattr(given, each.name), getattr(usual, each.name)) for each in dataclass_fields(given)}
    return {name: _plain(number) for name, (number, default) in numbers.items() if number != default} or None


def _dump_active_days(active: ActiveDays) -> dict[str, Any] | None:
    usual = ActiveDays()
    days = [_WEEKDAYS[day - 1] for day in sorted(active.weekdays)] if active.weekdays != usual.weekdays else None
    return _without_none({"weekdays": days, "holidays": "skip" if active.without_holidays else None}) or None


def _dump_alert(rule: AlertRule) -> dict[str, Any]:
    return _without_none(
        {
            "type": rule.type,
            "threshold": _plain(rule.threshold) if rule.threshold else None,
            "status": str(rule.status) if rule.status else None,
            "channels": list(rule.channels),
        }
    )


def _terms_of(kpi: Kpi) -> Iterator[Term]:
    """Every term that it counts with, its inputs' included."""
    measures = [kpi.measure] if kpi.measure else []
    for measure in (*measures, *kpi.inputs.values()):
        yield from (*measure.numerator, *measure.denominator)


# --- comparing ------------------------------------------------------------------------------------------------------


def _dump(item: Kpi | Dataset | Catalog | None) -> dict[str, Any]:
    if item is None:
        return {}
    if isinstance(item, Catalog):
        return {
            "datasets": {dataset.key: dump_dataset(dataset) for dataset in item.datasets},
            "kpis": {kpi.key: dump_kpi(kpi) for kpi in item.kpis},
        }
    return dump_kpi(item) if isinstance(item, Kpi) else dump_dataset(item)


def _differences(path: str, before: object, after: object) -> Iterator[Difference]:
    """Within mappings and lists, only what differs; a mapping or list that came or went is one difference."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys((*before, *after)):
            yield from _differences(f"{path}.{name}" if path else str(name), before.get(name), after.get(name))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _differences(f"{path}[{index}]", old, new)
    elif before != after or type(before) is not type(after):
        yield Difference(path, before, after)
