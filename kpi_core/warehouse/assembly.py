"""From the values of terms to those of series: weights, sums and the division, exact, whole columns at a time.

Numbers are integers here, counted in the last place that is kept (`scale` decimals): sums and products of integers are
exact, and int64 holds nine trillion in millionths; where that is not enough, the same code runs on Python's integers.
A quotient is rounded once, half to even, to 9 places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi_core.model import Aggregate
from kpi_core.warehouse.plan import Plan, Series, Use

__all__ = [
    "MISSING",
    "NOTHING_BEFORE",
    "NO_RECORDS",
    "TERM_VALUES",
    "ZERO",
    "ZERO_EMPTY",
    "Values",
    "assemble",
    "reasons",
]

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[Any]
"""int64, or Python's integers as objects."""

PLACES = 9
RESULT = pa.decimal128(38, PLACES)
_STEP = Decimal(1).scaleb(-PLACES)
_WIDE = Context(prec=60)
_ROOM = 2.0**62
_SAFE_STEPS = 1e14
_ERROR = 1e-15

ZERO_EMPTY, ZERO, NO_RECORDS, NOTHING_BEFORE, MISSING = 1, 2, 3, 4, 5
"""Why there is no value; the greater one tells more."""

TERM_VALUES = pa.schema(
    [("uid", pa.int64()), ("sid", pa.int64()), ("v", pa.decimal128(38, 9)), ("n", pa.int64()), ("missing", pa.int64())]
)
"""A term's value in a window: `uid` is twice its number, plus 1 for what stood before the window."""


@dataclass(frozen=True, slots=True)
class Values:
    """What comes out, a row for each that was asked for; codes say why there is no value."""

    value: pa.Array
    numerator: pa.Array
    denominator: pa.Array
    codes: Ints


def assemble(plan: Plan, terms: pa.Table, series: Ints, sids: Ints) -> Values:
    """The value of `series[i]` in window `sids[i]`, for every i."""
    uses = _Uses.of(plan)
    which = uses.places(series)
    found = _Lookup.of(terms, uses.weight_scale, sids)
    sides = _Sides.empty(len(series), found.numbers.dtype)
    for slot in range(uses.most):
        sides.add(uses, found, which, slot, sids)
    is_ratio = uses.is_ratio[which]
    codes = np.where(is_ratio & (sides.below == 0), np.where(sides.below_n == 0, ZERO_EMPTY, ZERO), 0)
    codes = np.maximum(codes, np.maximum(sides.unknown, np.where(sides.missing > 0, MISSING, 0)))
    scale = found.scale + uses.weight_scale
    shown = is_ratio & (codes <= ZERO)
    return Values(
        _values(uses, which, sides, scale, codes),
        _where(shown, _decimals(sides.above[shown], scale)),
        _where(shown, _decimals(sides.below[shown], scale)),
        codes,
    )


# --- Who uses what --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Uses:
    """The uses of each series in columns: slot by slot, a row for each series; uid -1 where it has no more."""

    ids: Ints
    uid: Ints
    weight: Ints
    is_below: npt.NDArray[np.bool_]
    unknown: Ints
    factor: Sequence[int]
    is_ratio: npt.NDArray[np.bool_]
    weight_scale: int
    factor_scale: int

    @classmethod
    def of(cls, plan: Plan) -> _Uses:
        ordered = sorted(plan.series, key=lambda each: each.id)
        by_series: dict[int, list[Use]] = {each.id: [] for each in ordered}
        for use in plan.uses:
            by_series[use.series].append(use)
        most = max((len(uses) for uses in by_series.values()), default=0)
        scale = max((_digits_after(use.weight) for use in plan.uses), default=0)
        factor_scale = max((_digits_after(each.measure.factor) for each in ordered), default=0)
        laid_out = [uses + [None] * (most - len(uses)) for uses in by_series.values()]

        def column(of: Callable[[Use], int], absent: int) -> Ints:
            rows = [[absent if use is None else of(use) for use in uses] for uses in laid_out]
            return np.array(rows, dtype=np.int64).reshape(len(ordered), most)

        return cls(
            ids=np.array([each.id for each in ordered], dtype=np.int64),
            uid=column(lambda use: use.term * 2 + use.at_start, -1),
            weight=column(lambda use: int(use.weight.scaleb(scale)), 0),
            is_below=column(lambda use: use.is_denominator, 0).astype(np.bool_),
            unknown=column(_unknown, 0),
            factor=[int(each.measure.factor.scaleb(factor_scale)) for each in ordered],
            is_ratio=np.array([bool(each.measure.denominator) for each in ordered], dtype=np.bool_),
            weight_scale=scale,
            factor_scale=factor_scale,
        )

    @property
    def most(self) -> int:
        return int(self.uid.shape[1])

    def places(self, series: Ints) -> Ints:
        return np.searchsorted(self.ids, series)


def _digits_after(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _unknown(use: Use) -> int:
    """Why there is no value where there are no records; 0 where that means 0."""
    if use.is_zero_without_records:
        return 0
    return NOTHING_BEFORE if use.at_start else NO_RECORDS


# --- Where it stands ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Lookup:
    """The row of a term's value in a window, found by one number."""

    uids: Ints
    first_sid: int
    width: int
    rows: Ints
    numbers: Numbers
    n: Ints
    missing: Ints
    scale: int

    @classmethod
    def of(cls, terms: pa.Table, weight_scale: int, sids: Ints) -> _Lookup:
        terms = terms.filter(pc.is_valid(terms["v"])).combine_chunks()
        numbers, scale = _integers(terms["v"], weight_scale)
        uids, place = np.unique(terms["uid"].to_numpy(), return_inverse=True)
        known = terms["sid"].to_numpy()
        everywhere = np.concatenate([known, sids])
        first, width = int(everywhere.min()), int(everywhere.max() - everywhere.min()) + 1
        rows = np.full(len(uids) * width + 1, -1, dtype=np.int64)
        rows[place * width + known - first] = np.arange(len(known))
        return cls(uids, first, width, rows, numbers, terms["n"].to_numpy(), terms["missing"].to_numpy(), scale)

    def find(self, uid: Ints, sids: Ints) -> Ints:
        """The rows; -1 where there is none."""
        if not len(self.uids):
            return np.full(len(uid), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.uids, uid), len(self.uids) - 1)
        return np.where(self.uids[place] == uid, self.rows[place * self.width + sids - self.first_sid], -1)


def _integers(values: pa.ChunkedArray, weight_scale: int) -> tuple[Numbers, int]:
    """Decimals as integers of a common scale: millionths where that loses nothing, which leaves the most room."""
    array = values.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], values.type)
    for scale in (6, PLACES):
        try:
            kept = array.cast(pa.decimal128(38, scale))
        except pa.ArrowInvalid:  # it has more decimals, or is too large for them
            continue
        halves = np.frombuffer(kept.buffers()[1] or b"", dtype=np.int64).reshape(-1, 2)[kept.offset :][: len(kept)]
        low, high = halves[:, 0], halves[:, 1]
        room = _ROOM / 10**weight_scale / 1_000
        if bool(np.all(high == low >> 63)) and (not len(low) or float(np.abs(low.astype(np.float64)).max()) < room):
            return low.copy(), scale
        break
    exact = [int(each.scaleb(PLACES)) for each in array.to_pylist()]
    return np.array([*exact, None], dtype=object)[:-1], PLACES


# --- Adding up ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Sides:
    """What is divided by what, row by row."""

    above: Numbers
    below: Numbers
    below_n: Ints
    unknown: Ints
    missing: Ints

    @classmethod
    def empty(cls, rows: int, kind: np.dtype[Any]) -> _Sides:
        zeros = np.zeros(rows, dtype=np.int64)
        return cls(zeros.astype(kind), zeros.astype(kind), zeros.copy(), zeros.copy(), zeros.copy())

    def add(self, uses: _Uses, found: _Lookup, which: Ints, slot: int, sids: Ints) -> None:
        """Add the terms that stand in one slot, for all rows at once."""
        uid = uses.uid[which, slot]
        rows = found.find(uid, sids)
        is_known = rows >= 0
        known = np.flatnonzero(is_known)
        at = rows[known]
        amounts = found.numbers[at] * uses.weight[which[known], slot]
        is_below = uses.is_below[which[known], slot]
        self.above[known[~is_below]] += amounts[~is_below]
        self.below[known[is_below]] += amounts[is_below]
        self.below_n[known[is_below]] += found.n[at][is_below]
        self.missing[known] = np.maximum(self.missing[known], found.missing[at])
        absent = (uid >= 0) & ~is_known
        self.unknown = np.where(absent, np.maximum(self.unknown, uses.unknown[which, slot]), self.unknown)


# --- The value ------------------------------------------------------------------------------------------------------


def _values(uses: _Uses, which: Ints, sides: _Sides, scale: int, codes: Ints) -> pa.Array:
    is_ratio = uses.is_ratio[which]
    factor = np.array(uses.factor, dtype=object if max(map(abs, uses.factor), default=0) > 1e9 else np.int64)[which]
    plain = np.flatnonzero(~is_ratio & (codes == 0))
    divided = np.flatnonzero(is_ratio & (codes == 0))
    products = _products(sides.above[plain], factor[plain])
    made = pa.concat_arrays(
        [
            _decimals(products, scale + uses.factor_scale),
            _quotients(sides.above[divided], sides.below[divided], factor[divided], uses.factor_scale),
        ]
    )
    index = np.zeros(len(which), dtype=np.int64)
    index[plain] = np.arange(len(plain))
    index[divided] = len(plain) + np.arange(len(divided))
    return made.take(pa.array(index, mask=codes != 0))


def _where(chosen: npt.NDArray[np.bool_], values: pa.Array) -> pa.Array:
    """The values in the chosen rows, and nothing in the others."""
    return values.take(pa.array(np.cumsum(chosen) - 1, mask=~chosen))


def _products(numbers: Numbers, factor: Numbers) -> Numbers:
    largest = float(np.abs(numbers.astype(np.float64)).max()) if len(numbers) else 0.0
    by = float(np.abs(factor.astype(np.float64)).max()) if len(factor) else 0.0
    if largest * by < _ROOM:
        return numbers * factor
    product: Numbers = numbers.astype(object) * factor.astype(object)
    return product


def _quotients(above: Numbers, below: Numbers, factor: Numbers, factor_scale: int) -> pa.Array:
    """factor * above / below in steps of the last place.

    A float's error is below 1e-15 of it; where that cannot change to which side it is rounded, rounding it gives what
    exact arithmetic would. The few others are divided as integers.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        unit = 10.0 ** (PLACES - factor_scale)
        steps = above.astype(np.float64) * factor.astype(np.float64) / below.astype(np.float64) * unit
        to_tie = np.abs(np.abs(steps - np.floor(steps)) - 0.5)
        is_safe = (np.abs(steps) < _SAFE_STEPS) & (to_tie > np.abs(steps) * _ERROR)
        rounded: Numbers = np.where(is_safe, np.rint(steps), 0).astype(np.int64)
    exact = np.flatnonzero(~is_safe)
    if len(exact):
        shift = 10 ** (PLACES - factor_scale) if factor_scale <= PLACES else 1
        under = 10 ** max(0, factor_scale - PLACES)
        found = [
            _divided(int(a) * int(f) * shift, int(b) * under)
            for a, f, b in zip(above[exact], factor[exact], below[exact], strict=True)
        ]
        fits = all(abs(each) < 2**62 for each in found)
        rounded = rounded if fits else rounded.astype(object)
        rounded[exact] = found
    return _decimals(rounded, PLACES)


def _divided(a: int, b: int) -> int:
    """a / b, rounded half to even."""
    if b < 0:
        a, b = -a, -b
    quotient, rest = divmod(a, b)
    return quotient + (2 * rest > b or (2 * rest == b and quotient % 2 == 1))


def _decimals(numbers: Numbers, scale: int) -> pa.Array:
    """Integers of a scale as decimals with 9 places; more places are rounded half to even."""
    if numbers.dtype == object:
        return pa.array([_rounded(int(number), scale) for number in numbers], RESULT)
    whole = pa.array(numbers).cast(pa.decimal128(38, 0))
    made = pa.Array.from_buffers(pa.decimal128(38, scale), len(whole), whole.buffers(), whole.null_count, whole.offset)
    return pc.round(made, PLACES, "half_to_even").cast(RESULT) if scale > PLACES else made.cast(RESULT)


def _rounded(number: int, scale: int) -> Decimal:
    return Decimal(number).scaleb(-scale, _WIDE).quantize(_STEP, ROUND_HALF_EVEN, _WIDE)


# --- Why there is no value ------------------------------------------------------------------------------------------


def reasons(plan: Plan, names: Mapping[str, str], series: Ints, codes: Ints) -> pa.Array:
    """A text for each row without a value; made once per series and code. `names` are the datasets', by key."""
    if not codes.any():
        return pa.nulls(len(codes), pa.string())
    known = {each.id: each for each in plan.series}
    distinct, places = np.unique(series * 8 + codes, return_inverse=True)
    texts = [_reason(known[pair // 8], names, pair % 8) for pair in distinct.tolist()]
    return pa.array(texts, pa.string()).take(pa.array(places.reshape(-1)))


def _reason(series: Series, names: Mapping[str, str], code: int) -> str | None:
    lasts = [term for term in series.terms if term.aggregate is Aggregate.LAST]
    if code == 0:
        return None
    if code in (ZERO_EMPTY, ZERO):
        what = f"no {_about(series.measure.denominator, names)} in the span: " if code == ZERO_EMPTY else ""
        return f"{what}denominator is 0"
    if code == MISSING:
        by = " or ".join(dict.fromkeys(term.segment for term in lasts if term.segment))
        return f"not every {by} that had a record of {_about(lasts, names)} before has one in the span"
    if code == NOTHING_BEFORE:
        return f"no {_about([term for term in lasts if term.at == 'start'], names)} before the span"
    return f"no {_about([term for term in series.terms if term.aggregate in _NEED_RECORDS], names)} in the span"


_NEED_RECORDS = frozenset({Aggregate.LAST, Aggregate.MIN, Aggregate.MAX, Aggregate.QUANTILE})


def _about(terms: Sequence[Any], names: Mapping[str, str]) -> str:
    """What the terms are about, in the datasets' own words."""
    words = dict.fromkeys(names[term.dataset] for term in terms)
    return " or ".join(word[:1].lower() + word[1:] if word[1:2].islower() else word for word in words)
