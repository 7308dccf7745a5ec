"""Numbers as people see them: in their unit, rounded once, and never into a lie."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi_core import display
from kpi_core.model import Bands, Category, Grain, Kpi, Target, Unit

VALUES = st.decimals(min_value=D("-1e12"), max_value=D("1e12"), places=9)
SIZES = st.decimals(min_value=D(0), max_value=D("1e12"), places=9)


def a_kpi(**fields: object) -> Kpi:
    return Kpi(key="calls", name="Calls", category=Category.SALES, tracking_period=Grain.DAILY, **fields)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("47.000000000", "47"),
        ("1204", "1,204"),
        ("0", "0"),
        ("-0", "0"),
        ("-5.5", "-5.5"),
        ("46.3636363636", "46.36"),
        ("1234.567", "1,234.6"),
        ("999.999", "1,000"),
        ("0.046444", "0.0464"),
        ("0.0004", "0.0004"),
        ("-0.0004", "-0.0004"),
        ("0.000000000004", "<0.000000001"),
        ("1234567", "1,234,567"),
    ],
)
def test_numbers_in_detail(value, text):
    assert display.value_text(D(value), a_kpi()) == text


@pytest.mark.parametrize(
    ("value", "text"), [("907196", "907,196"), ("1000000", "1M"), ("1250000", "1.2M"), ("-3400000000", "-3.4B")]
)
def test_numbers_on_cards(value, text):
    assert display.value_text(D(value), a_kpi(), compact=True) == text


@pytest.mark.parametrize(
    ("value", "compact", "detail"),
    [
        ("0", "$0", "$0.00"),
        ("42.5", "$42.50", "$42.50"),
        ("950", "$950", "$950.00"),
        ("9870.4", "$9,870", "$9,870.40"),
        ("12345.678", "$12.3K", "$12,345.68"),
        ("999949", "$999.9K", "$999,949.00"),
        ("999950", "$1M", "$999,950.00"),
        ("-1234567.895", "-$1.2M", "-$1,234,567.90"),
        ("5600000000000000", "$5,600T", "$5,600,000,000,000,000.00"),
        ("0.004", "$0.004", "$0.004"),
        ("0.015", "$0.02", "$0.02"),
        ("0.025", "$0.02", "$0.02"),
    ],
)
def test_money_is_compact_on_cards_and_exact_in_detail(value, compact, detail):
    kpi = a_kpi(unit=Unit.CURRENCY)
    assert display.value_text(D(value), kpi, compact=True) == compact
    assert display.value_text(D(value), kpi) == detail


@pytest.mark.parametrize(
    ("own", "companys", "text"),
    [
        ("EUR", "USD", "€12.50"),
        (None, "GBP", "£12.50"),
        (None, None, "$12.50"),
        ("CHF", None, "CHF 12.50"),
        ("JPY", None, "¥12"),
        ("KWD", None, "KWD 12.500"),
    ],
)
def test_the_currency_is_the_kpis_else_the_companys(own, companys, text):
    kpi = a_kpi(unit=Unit.CURRENCY, currency=own)
    assert display.value_text(D("12.5"), kpi, currency=companys) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("12.5", "12.5 %"),
        ("69.434416", "69.4 %"),
        ("80.000000", "80 %"),
        ("0", "0 %"),
        ("100", "100 %"),
        ("99.97", "99.97 %"),
        ("99.9996", "99.9996 %"),
        ("100.02", "100.02 %"),
        ("0.004", "0.004 %"),
        ("-5.25", "-5.2 %"),
        ("1234.5", "1,234.5 %"),
    ],
)
def test_a_percentage_that_is_not_0_or_100_is_never_shown_as_that(value, text):
    assert display.value_text(D(value), a_kpi(unit=Unit.PERCENTAGE)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ("0", "0 s"),
        ("0.85", "0.8 s"),
        ("4.23", "4.2 s"),
        ("59.4", "59 s"),
        ("59.6", "1m 00s"),
        ("125", "2m 05s"),
        ("3599.4", "59m 59s"),
        ("3599.6", "1 h"),
        ("5400", "1.5 h"),
        ("86399", "1 d"),
        ("86400", "1 d"),
        ("1062720", "12.3 d"),
        ("-125", "-2m 05s"),
    ],
)
def test_durations_move_on_to_the_next_size_when_rounding_reaches_it(seconds, text):
    assert display.value_text(D(seconds), a_kpi(unit=Unit.TIME)) == text


@pytest.mark.parametrize(
    ("fields", "amount", "text"),
    [
        ({}, "5", "+5"),
        ({}, "-5.250", "-5.25"),
        ({"unit": Unit.CURRENCY}, "-1234567", "-$1.2M"),
        ({"unit": Unit.PERCENTAGE}, "2.3", "+2.3 pp"),
        ({"unit": Unit.PERCENTAGE}, "-0.02", "-0.02 pp"),
        ({"points": True}, "4", "+4 pp"),
        ({"unit": Unit.TIME}, "-35", "-35 s"),
        ({"unit_label": "months"}, "0.4", "+0.4 months"),
    ],
)
def test_changes_carry_their_sign_and_unit(fields, amount, text):
    assert display.change_text(D(amount), a_kpi(**fields)) == text


def test_targets_are_shown_in_the_kpis_unit():
    kpi = a_kpi(unit=Unit.PERCENTAGE)
    assert display.target_text(Target(low=D(70), high=D(85)), kpi) == "70 % to 85 %"
    assert display.target_text(Target(D("99.9")), kpi) == "99.9 %"
    assert display.target_text(Target(), kpi) == "none"


@pytest.mark.parametrize(
    ("attainment", "text"),
    [
        ("0.94", "94 %"),
        ("0.8", "80 %"),
        ("0.79999", "79.9 %"),
        ("0.799999999999999999", "79.9 %"),
        ("0.80004", "80 %"),
        ("0.9996", "99.9 %"),
        ("0.5999", "59.9 %"),
        ("0.59994", "59.9 %"),
        ("0.83333333", "83.3 %"),
        ("0", "0 %"),
        ("-0.0001", "0 %"),
        ("-0.3333", "-33.3 %"),
        ("12.5", "1,250 %"),
    ],
)
def test_progress_in_percent(attainment, text):
    assert display.percent_text(D(attainment)) == text


def test_a_band_between_the_tenths_of_a_percent_is_not_crossed_either():
    thirds = Bands(on_track=D("0.83333"))
    assert display.percent_text(D("0.83334"), thirds) == "83.4 %"
    assert display.percent_text(D("0.83332"), thirds) == "83.3 %"


def test_bands_closer_than_a_tenth_of_a_percent_are_told_apart_by_more_digits():
    close = Bands(exceeds=D("0.80010"), on_track=D("0.80000"))
    assert display.percent_text(D("0.800050"), close) == "80 %"
    assert display.percent_text(D("0.800150"), close) == "80.1 %"
    closer = Bands(exceeds=D("0.80040"), on_track=D("0.80010"))
    assert display.percent_text(D("0.80020"), closer) == "80.02 %"


@given(
    st.decimals(min_value=-5, max_value=5, places=8),
    st.lists(st.decimals(min_value=D("0.01"), max_value=2, places=4), min_size=3, max_size=3),
)
def test_what_is_shown_is_in_the_band_of_what_is_meant(attainment, bounds):
    needs_attention, on_track, exceeds = sorted(bounds)
    bands = Bands(exceeds, on_track, needs_attention)
    shown = D(display.percent_text(attainment, bands).removesuffix(" %").replace(",", "")) / 100
    for bound in bounds:
        assert (shown < bound) == (attainment < bound)
    assert abs(shown - attainment) < D("0.001")


@given(VALUES)
def test_a_number_below_a_thousand_is_rounded_once_half_to_even(value):
    text = display.value_text(value, a_kpi())
    if 1 <= abs(value) < 999:
        assert D(text) == value.quantize(D("0.01"), rounding=ROUND_HALF_EVEN)


@given(VALUES, st.sampled_from(list(Unit)), st.booleans())
def test_a_value_that_is_something_is_never_shown_as_nothing(value, unit, compact):
    text = display.value_text(value, a_kpi(unit=unit), compact)
    shows_something = any(digit in text for digit in "123456789")
    if unit is not Unit.TIME:
        assert shows_something == bool(value)
    assert text.startswith("-") == (value < 0)


@given(SIZES, SIZES)
def test_compact_money_keeps_the_order_of_amounts(one, other):
    """No size of a card's money is skipped or repeated: reading the text back never turns two amounts round."""
    low, high = sorted((one, other))
    assert money_back(low) <= money_back(high)


def money_back(amount: D) -> D:
    text = display.currency_text(amount, "USD", compact=True).removeprefix("$").replace(",", "")
    sizes = {"K": D(1000), "M": D(10) ** 6, "B": D(10) ** 9, "T": D(10) ** 12}
    return D(text[:-1]) * sizes[text[-1]] if text[-1] in sizes else D(text.removeprefix("<"))


@given(SIZES)
def test_durations_never_show_60_of_anything_or_24_hours(seconds):
    text = display.time_text(seconds)
    assert "60" not in text.replace("m", " ").replace("s", " ").split() or text.endswith((" d", " h"))
    assert text != "24 h"
