"""Formulas: SEMANTICS.md, section 10, and where section 4 says that there is no value."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal as D
from decimal import localcontext
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpi_core import formula
from kpi_core.errors import InvalidFormula
from kpi_core.formula import MAX_DEPTH, MAX_LENGTH, MAX_NODES, MAX_READS, Result, evaluate, order, parse
from kpi_core.model import Category, Grain, Guard, Kpi, Measure

Values = dict[str, list[D | None]]
"""By key: the value of the span itself, then of the spans before it."""


def looking_up(values: Values) -> Callable[[str, int], D | None]:
    def lookup(key: str, offset: int) -> D | None:
        found = values.get(key, [])
        return found[offset] if offset < len(found) else None

    return lookup


def value(text: str, **values: object) -> D | None:
    return result(text, **values).value


def result(text: str, **values: object) -> Result:
    series = {
        key: [None if v is None else D(str(v)) for v in (vs if isinstance(vs, list) else [vs])]
        for key, vs in values.items()
    }
    return evaluate(parse(text), looking_up(series))


def refusal(text: str) -> str:
    with pytest.raises(InvalidFormula) as caught:
        parse(text)
    return str(caught.value)


# --- what a formula can say -----------------------------------------------------------------------------------------

EXAMPLES = {
    "plus and minus": ("1 + 2 - 4", "-1"),
    "minus is taken from the left": ("10 - 3 - 2", "5"),
    "division is taken from the left": ("100 / 10 / 2", "5"),
    "times before plus": ("2 + 3 * 4", "14"),
    "parentheses first": ("(2 + 3) * 4", "20"),
    "unary minus": ("-2 * -3", "6"),
    "minus of a minus": ("--2", "2"),
    "minus before parentheses": ("-(2 + 3)", "-5"),
    "decimals are exact": ("0.1 + 0.2", "0.3"),
    "min": ("min(3, 1, 2)", "1"),
    "max": ("max(3, 1, 2)", "3"),
    "abs": ("abs(-3.5)", "3.5"),
    "round is half to even": ("round(2.5) + round(3.5)", "6"),
    "round to places": ("round(2 / 3, 2)", "0.67"),
    "coalesce takes the first with a value": ("coalesce(nothing, 7)", "7"),
    "a key": ("revenue * 2", "200"),
    "prev is one span before": ("prev(revenue)", "80"),
    "prev n is n spans before": ("prev(revenue, 2)", "50"),
    "mean is over n spans, this one included": ("mean(revenue, 2)", "90"),
    "sum is over n spans, this one included": ("sum(revenue, 3)", "230"),
    "line breaks are spaces": ("1 +\n\t 2", "3"),
    "revenue growth of the catalog": ("100 * (revenue / prev(revenue) - 1)", "25"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_formula_is_evaluated(name: str) -> None:
    text, expected = EXAMPLES[name]
    assert value(text, revenue=[100, 80, 50]) == D(expected)


def test_decimals_throughout_not_floats() -> None:
    assert value("a * 3", a="0.1") == D("0.3")
    assert value("1 / 3") == D("0." + "3" * 38)


def test_the_caller_s_decimal_context_neither_matters_nor_changes() -> None:
    with localcontext() as context:
        context.prec = 3
        assert value("1 / 3") == D("0." + "3" * 38)
        assert context.prec == 3


def test_names_are_the_keys_that_it_refers_to() -> None:
    assert parse("a + prev(b, 2) * mean(c, 13) - min(a, 1)").names == {"a", "b", "c"}


def test_reach_is_how_many_spans_back_it_reads_each_key() -> None:
    assert parse("a + prev(a, 3) + mean(b, 13) + sum(c, 1)").reach == {"a": 3, "b": 12, "c": 0}


# --- no value, with its reason --------------------------------------------------------------------------------------


def test_a_zero_denominator_gives_no_value_with_the_reason() -> None:
    assert result("a / b", a=1, b=0) == Result(None, "division by zero")


def test_zero_over_zero_gives_no_value_with_the_reason_and_never_0() -> None:
    assert result("a / b", a=0, b=0) == Result(None, "division by zero")


def test_a_missing_input_gives_no_value_and_names_it() -> None:
    assert result("revenue - cost", revenue=1) == Result(None, "no value for cost", ("cost",))


def test_all_missing_inputs_are_named() -> None:
    outcome = result("a + b * c", b=1)
    assert outcome.missing == ("a", "c")
    assert outcome.reason == "no value for a, c"


def test_a_missing_earlier_span_is_named_as_such() -> None:
    assert result("a / prev(a)", a=[1]).reason == "no value for a (the span before)"
    assert result("prev(a, 4)", a=[1]).reason == "no value for a (4 spans before)"


def test_a_mean_over_a_gap_has_no_value() -> None:
    outcome = result("mean(a, 3)", a=[1, None, 3])
    assert outcome == Result(None, "no value for a (the span before)", ("a",))


def test_many_missing_spans_are_counted_not_listed() -> None:
    reason = result("mean(burn, 13)").reason
    assert reason == "no value for burn, burn (the span before), burn (2 spans before) and 10 more"


def test_coalesce_goes_past_a_division_by_zero_only_because_it_says_so() -> None:
    assert value("coalesce(a / b, 0)", a=1, b=0) == 0


def test_coalesce_without_any_value_has_none_and_names_what_it_tried() -> None:
    assert result("coalesce(a, prev(a))").missing == ("a",)


def test_an_input_that_is_no_number_is_no_value() -> None:
    assert evaluate(parse("a + 1"), lambda key, offset: D("NaN")).reason == "a is not a finite number"
    assert evaluate(parse("a + 1"), lambda key, offset: D("Infinity")).value is None


def test_a_result_that_no_store_holds_is_no_value() -> None:
    assert result("a * a", a=10**20) == Result(None, "the result is out of range")
    assert result("a * a * a", a="1e999998").reason == "the result is out of range"
    assert result("round(a, 9)", a=10**35).reason == "the result is out of range"


# --- what does not parse says where and what to do ------------------------------------------------------------------

REFUSALS = {
    "nothing": ("", "position 1: expected a number, a key or '(', but the formula ends"),
    "only spaces": ("  ", "position 3: expected a number, a key or '(', but the formula ends"),
    "an operator without its right side": ("a +", "position 4: expected a number, a key or '(', but the formula ends"),
    "two operands in a row": ("a b", "position 3: expected an operator or the end, found 'b'"),
    "an open parenthesis": ("(a", "position 3: expected ')' to close the one at position 1"),
    "a stray parenthesis": ("a)", "position 2: expected an operator or the end, found ')'"),
    "a power": ("a ^ 2", "position 3: '^' has no place here; there is no power; multiply instead"),
    "a percent sign": ("5 % a", "position 3: '%' has no place here; there is no percent sign; write 100 * a / b"),
    "a number without its 0": (".5", "position 1: '.' has no place here; write a leading 0: 0.5"),
    "a typographic minus": ("a − b", "position 3: '−' has no place here; the minus sign is -"),
    "an unknown function": ("avg(a, 3)", "position 1: there is no function `avg`; did you mean `mean`?"),
    "a misspelt function": ("coalese(a, 3)", "position 1: there is no function `coalese`; did you mean `coalesce`?"),
    "a function without its arguments": ("sum + 1", "position 1: `sum` is a function: write sum(...)"),
    "a mean without its spans": ("mean(a)", "position 7: `mean` needs a number of spans: write mean(a, 13)"),
    "a mean over an expression": ("mean(1, 3)", "position 6: `mean` looks back at one key: write mean(key, n)"),
    "no spans": ("prev(a, 0)", "position 9: the number of spans of prev is a whole number from 1 to 400"),
    "half a span": ("prev(a, 0.5)", "position 9: the number of spans of prev is a whole number from 1 to 400"),
    "too many spans": ("sum(a, 401)", "position 8: the number of spans of sum is a whole number from 1 to 400"),
    "a coalesce with nothing to fall back on": ("coalesce(a)", "position 1: `coalesce` takes at least 2 arguments"),
    "an abs of two": ("abs(a, b)", "position 6: `abs` takes at most 1 arguments"),
    "an upper-case key": ("Revenue", "position 1: keys are written in lower case; did you mean `revenue`?"),
    "a long number": ("1.1234567890", "position 1: a number has at most 18 digits before the point and 9 after it"),
    "attribute access": ("a.__class__", "position 2: '.' has no place here; write a leading 0: 0.5"),
    "a string": ("'a'", 'position 1: "\'" has no place here; allowed are + - * / ( ) , numbers and keys'),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_says_where_and_what_would_be_right(name: str) -> None:
    text, expected = REFUSALS[name]
    assert refusal(text) == expected


def test_python_is_not_understood() -> None:
    for text in ("__import__('os')", "a if b else c", "[1]", "lambda: 1", "a := 1", "1e5", "0x10", "1_000"):
        assert refusal(text)


CAPS = {
    "length": (" " * MAX_LENGTH + "1", "longer than"),
    "parentheses": ("(" * (MAX_DEPTH + 1) + "1", "levels inside one another"),
    "minus signs": ("-" * (MAX_DEPTH + 1) + "1", "levels inside one another"),
    "parts": ("+".join(["1"] * MAX_NODES), "parts"),
    "values read": ("+".join(["sum(a, 400)"] * 6), f"reads more than {MAX_READS:,} values"),
}


@pytest.mark.parametrize("name", CAPS)
def test_size_is_capped_by(name: str) -> None:
    text, says = CAPS[name]
    assert says in refusal(text)


def test_what_is_within_the_caps_is_evaluated() -> None:
    assert value("(" * (MAX_DEPTH - 1) + "1" + ")" * (MAX_DEPTH - 1)) == 1
    assert value("+".join(["1"] * (MAX_NODES // 2))) == MAX_NODES // 2
    assert value("+".join(["sum(a, 400)"] * 5), a=[1] * 400) == MAX_READS


# --- never crashes, bounded time ------------------------------------------------------------------------------------

WORDS = ["a", "b", "prev(", "mean(", "sum(", "min(", "round(", "coalesce(", "abs(", "(", ")", ",", "+", "-", "*", "/"]
NUMBERS = ["0", "1", "2", "13", "400", "0.5", "999999999999999999", "0.000000001"]
soup = st.lists(st.sampled_from(WORDS + NUMBERS), max_size=60).map(" ".join)
decimals = st.none() | st.decimals(allow_nan=True, allow_infinity=True)


def _settles(text: str, lookup: Callable[[str, int], D | None]) -> None:
    started = time.process_time()
    with suppress(InvalidFormula):
        outcome = evaluate(parse(text), lookup)
        assert (outcome.value is None) == bool(outcome.reason)
        assert outcome.value is None or outcome.value.is_finite()
    assert time.process_time() - started < 1.0


@settings(deadline=None)
@given(st.text(max_size=200), decimals)
def test_any_text_is_a_value_or_a_reason_or_a_refusal(text: str, known: D | None) -> None:
    _settles(text, lambda key, offset: known)


@settings(deadline=None)
@given(soup, decimals, decimals)
def test_any_row_of_right_words_is_a_value_or_a_reason_or_a_refusal(text: str, one: D | None, other: D | None) -> None:
    _settles(text, lambda key, offset: one if offset % 2 else other)


def trees(depth: int = 4) -> st.SearchStrategy[str]:
    leaves = st.sampled_from(["a", "b", "prev(a, 2)", "mean(b, 3)", "sum(a, 2)", "1", "0.5", "0"])

    def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pair = st.tuples(inner, inner)
        operators = [pair.map(lambda p, sign=sign: f"({p[0]} {sign} {p[1]})") for sign in "+-*/"]
        calls = [pair.map(lambda p, f=f: f"{f}({p[0]}, {p[1]})") for f in ("min", "max", "coalesce")]
        return st.one_of(*operators, *calls, inner.map(lambda x: f"-{x}"), inner.map(lambda x: f"round({x}, 2)"))

    return st.recursive(leaves, grow, max_leaves=2**depth)


@settings(deadline=None)
@given(trees(), st.lists(decimals, min_size=3, max_size=3))
def test_every_well_formed_formula_parses_and_gives_a_decimal_or_a_reason(text: str, spans: list[D | None]) -> None:
    outcome = evaluate(parse(text), lambda key, offset: spans[offset])
    assert isinstance(outcome.value, D) != bool(outcome.reason)
    assert set(outcome.missing) <= {"a", "b"}


@settings(deadline=None)
@given(st.decimals(-(10**9), 10**9, places=4), st.decimals(-(10**9), 10**9, places=4))
def test_sums_and_products_are_exact(one: D, other: D) -> None:
    assert value("a + b - a", a=one, b=other) == other
    assert value("a * b", a=one, b=other) == one * other


def test_the_deepest_and_widest_formulas_take_milliseconds() -> None:
    text = "+".join(["sum(a, 400)"] * 5 + ["1"] * 110)
    started = time.process_time()
    for _ in range(10):
        evaluate(parse(text), lambda key, offset: D(1))
    assert time.process_time() - started < 1.0


# --- the dependency order -------------------------------------------------------------------------------------------


def test_each_key_comes_after_those_it_needs() -> None:
    found = order({"ltv_cac": parse("ltv / cac"), "ltv": parse("mrr / churn"), "churn": parse("lost / mrr")})
    assert found == ["churn", "ltv", "ltv_cac"]


def test_keys_that_are_only_referred_to_are_taken_as_given() -> None:
    assert order({"a": parse("b + c")}) == ["a"]


def test_a_circle_is_refused_and_its_path_named() -> None:
    with pytest.raises(InvalidFormula, match=r"a -> b -> a; take one of these references out"):
        order({"a": parse("b + 1"), "b": parse("2 * a")})


def test_a_longer_circle_is_named_without_the_way_into_it() -> None:
    with pytest.raises(InvalidFormula, match=r": b -> c -> d -> b;"):
        order({"a": parse("b"), "b": parse("c"), "c": parse("d"), "d": parse("b")})


def test_a_formula_that_needs_itself_is_a_circle_even_through_an_earlier_span() -> None:
    with pytest.raises(InvalidFormula, match="a -> a"):
        order({"a": parse("prev(a) + 1")})


def test_a_chain_of_thousands_is_ordered_without_recursion() -> None:
    chain: dict[str, formula.Formula | list[str]] = {f"k{n}": [f"k{n + 1}"] for n in range(5_000)}
    assert order(chain)[0] == "k4999"


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sets(st.sampled_from("abcdefgh"), max_size=3)))
def test_an_order_is_right_or_the_circle_is_one(needs: dict[str, set[str]]) -> None:
    circle = formula.circle({key: sorted(names) for key, names in needs.items()})
    if circle:
        assert circle[0] == circle[-1]
        assert all(after in needs[before] for before, after in pairwise(circle))
        return
    found = order({key: sorted(names) for key, names in needs.items()})
    assert sorted(found) == sorted(needs)
    for key in found:
        assert all(found.index(name) < found.index(key) for name in needs[key] if name in needs)


def test_references_are_those_of_formula_and_guard_without_the_kpi_s_own_inputs() -> None:
    kpi = Kpi("runway", "Runway", Category.FINANCE, Grain.WEEKLY, formula="cash_balance / burn")
    kpi = replace(kpi, inputs={"burn": Measure(())}, guard=Guard("mean(burn_rate, 13)", D(0), "not burning cash"))
    assert formula.references(kpi) == {"cash_balance", "burn_rate"}
    assert formula.references(replace(kpi, formula=None, guard=None)) == frozenset()
