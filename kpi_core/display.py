"""How numbers are shown (SEMANTICS.md, section 10): rounded once, here, half to even, and never into a lie.

Three roundings would tell one:

* 79.999 % shown as "80 %" beside "needs attention": a progress is never rounded across a band bound.
* 99.97 % uptime shown as "100 %", or an error share of 0.004 % as "0 %": a percentage that is not 0 or 100 is never
  shown as that, and a change that is not nothing never as "+0".
* $999,999 shown as "$1000K": a compact number moves on to the next size when rounding carries it there.

Values come with the scale of their column (47.000000000), so trailing zeros say nothing and are dropped; money in
detail keeps its cents. No locale and no regular expressions: a board makes a thousand of these texts.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from kpi_core.model import Bands, Kpi, Target, Unit

__all__ = ["amount_text", "change_text", "currency_text", "percent_text", "target_text", "time_text", "value_text"]

DEFAULT_CURRENCY = "USD"
SYMBOLS = {
    "AUD": "A$", "BRL": "R$", "CAD": "CA$", "CNY": "CN¥", "EUR": "€", "GBP": "£", "ILS": "₪", "INR": "₹", "JPY": "¥",
    "KRW": "₩", "MXN": "MX$", "NZD": "NZ$", "PHP": "₱", "TRY": "₺", "UAH": "₴", "USD": "$", "VND": "₫",
}  # fmt: skip
MINOR_DIGITS = {"BHD": 3, "CLP": 0, "ISK": 0, "JOD": 3, "JPY": 0, "KRW": 0, "KWD": 3, "OMR": 3, "TND": 3, "VND": 0}
"""ISO 4217: how many digits the minor unit has, where not two."""
SIZES = ((3, "K"), (6, "M"), (9, "B"), (12, "T"))
COMPACT_MONEY, COMPACT_NUMBER = Decimal(10_000), Decimal(1_000_000)
MOST_PLACES = 9
"""As many as stored values have."""

ZERO, ONE, HUNDRED, THOUSAND = Decimal(0), Decimal(1), Decimal(100), Decimal(1000)
MINUTE, HOUR, DAY = Decimal(60), Decimal(3600), Decimal(86_400)


def value_text(value: Decimal, kpi: Kpi, compact: bool = False, *, currency: str | None = None) -> str:
    """A value in its KPI's unit: "1,204", "$1.2M" (compact, for cards), "$1,234,567.89", "12.5 %", "2m 05s".

    `currency` is the company's, for KPIs that name none of their own.
    """
    text = _in_unit(value, kpi, compact, currency)
    return f"{text} {kpi.unit_label}" if kpi.unit_label else text


def _in_unit(value: Decimal, kpi: Kpi, compact: bool, currency: str | None) -> str:
    unit = kpi.unit
    if unit is Unit.CURRENCY:
        return currency_text(value, kpi.currency or currency or DEFAULT_CURRENCY, compact)
    if unit is Unit.PERCENTAGE:
        return f"{_percentage(value)} %"
    if unit is Unit.TIME:
        return time_text(value)
    return _compact(value) if compact and abs(value) >= COMPACT_NUMBER else _number(value)


def target_text(target: Target, kpi: Kpi, compact: bool = False, *, currency: str | None = None) -> str:
    """A target in its KPI's unit: "50", "70 % to 85 %"; "none" for one that ends the targets before it."""
    if target.low is not None and target.high is not None:
        low, high = (value_text(end, kpi, compact, currency=currency) for end in (target.low, target.high))
        return f"{low} to {high}"
    return "none" if target.value is None else value_text(target.value, kpi, compact, currency=currency)


def change_text(amount: Decimal, kpi: Kpi, *, currency: str | None = None) -> str:
    """A difference of two values, with its sign: "+5", "-$1.2M", "+2.3 pp" (percentages and NPS differ in points)."""
    sign = "-" if amount < 0 else "+"
    size = abs(amount)
    if kpi.points or kpi.unit is Unit.PERCENTAGE:
        return f"{sign}{_fixed(size, 1)} pp"
    return f"{sign}{value_text(size, kpi, compact=True, currency=currency)}"


# Numbers


def _fixed(value: Decimal, places: int) -> str:
    """At most `places` decimals, without trailing zeros; more of them rather than a 0 that is none."""
    whole = int(value)
    if whole == value:
        return f"{whole:,}"
    text = f"{value:,.{places}f}"
    if whole == 0 and not text.strip("-0."):
        return _tiny(value)
    return text.rstrip("0").rstrip(".") if places else text


def _tiny(value: Decimal) -> str:
    """The first digit that is not 0, wherever it stands."""
    places = -value.adjusted()
    sign = "-" if value < 0 else ""
    if places > MOST_PLACES:
        return f"{sign}<0.{'0' * (MOST_PLACES - 1)}1"
    return f"{sign}{abs(value):.{places}f}".rstrip("0").rstrip(".")


def _number(value: Decimal) -> str:
    """Two decimals; one from 1,000 on; three significant digits below 1."""
    size = abs(value)
    if size >= THOUSAND:
        return _fixed(value, 1)
    return _fixed(value, 2) if size >= 1 or not value else _fixed(value, min(2 - value.adjusted(), MOST_PLACES))


amount_text = _number
"""A bare number, for texts that name the unit themselves."""


def _percentage(value: Decimal) -> str:
    """One decimal, two below 1, and as many as it takes for 99.97 not to become 100."""
    text = _fixed(value, 1 if abs(value) >= ONE else 2)
    places = 2
    while text in ("100", "-100") and abs(value) != HUNDRED and places <= MOST_PLACES:
        text = _fixed(value, places)
        places += 1
    return text


def _compact(value: Decimal) -> str:
    """One decimal of the largest size that leaves something before the point: "1.2M", "12.3K"."""
    for exponent, letter in SIZES:
        scaled = value.scaleb(-exponent).quantize(Decimal("0.1"), rounding=ROUND_HALF_EVEN)
        if abs(scaled) < THOUSAND or letter == SIZES[-1][1]:
            break
    return f"{_fixed(scaled, 1)}{letter}"


# Money and time


def currency_text(value: Decimal, currency: str, compact: bool = False) -> str:
    """Money: "$1,234,567.89", compact "$1.2M"; "CHF 12.50" where a currency has no symbol of its own."""
    sign = "-" if value < 0 else ""
    symbol = SYMBOLS.get(currency) or f"{currency} "
    return f"{sign}{symbol}{_money(abs(value), MINOR_DIGITS.get(currency, 2), compact)}"


def _money(size: Decimal, digits: int, compact: bool) -> str:
    if compact and size >= COMPACT_MONEY:
        return _compact(size)
    if compact and (size >= THOUSAND or int(size) == size):
        return f"{size:,.0f}"
    text = f"{size:,.{digits}f}"
    return text if not size or text.strip("0.") else _tiny(size)


def time_text(seconds: Decimal) -> str:
    """A duration: "4.2 s", "2m 05s", "1.5 h", "12.3 d"."""
    sign = "-" if seconds < 0 else ""
    return sign + _duration(abs(seconds))


def _duration(seconds: Decimal) -> str:
    """Each size is left when rounding reaches the next: 59.97 s is "1m 00s", not "60 s"."""
    if seconds < 10:
        return f"{_fixed(seconds, 1)} s"
    whole = int(seconds.quantize(ONE, rounding=ROUND_HALF_EVEN))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    hours = (seconds / HOUR).quantize(Decimal("0.1"), rounding=ROUND_HALF_EVEN)
    if hours < 24:
        return f"{_fixed(hours, 1)} h"
    return f"{_fixed(seconds / DAY, 1)} d"


# Progress


def percent_text(attainment: Decimal, bands: Bands = Bands()) -> str:  # noqa: B008 - frozen
    """An attainment in percent, one decimal, never rounded across a band bound: 0.79999 is "79.9 %"."""
    percent = attainment * HUNDRED
    bounds = (bands.exceeds * HUNDRED, bands.on_track * HUNDRED, bands.needs_attention * HUNDRED)
    for places in range(1, MOST_PLACES + 1):
        unit = Decimal(1).scaleb(-places)
        for rounding in (ROUND_HALF_EVEN, ROUND_FLOOR, ROUND_CEILING):
            shown = _quantized(percent, unit, rounding)
            if all((percent < bound) == (shown < bound) for bound in bounds):
                return f"{_trimmed(shown)} %"
    return f"{percent:f} %"


def _quantized(percent: Decimal, unit: Decimal, rounding: str) -> Decimal:
    """A percentage of more than 27 digits has no decimals to round."""
    return percent if percent.adjusted() > 20 else percent.quantize(unit, rounding=rounding)


def _trimmed(shown: Decimal) -> str:
    text = f"{shown:,f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
