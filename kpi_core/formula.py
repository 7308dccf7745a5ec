"""Formulas over KPI keys: parsed into a small tree, ordered by what they need, evaluated in decimals.

A formula is text that a person wrote, so nothing of Python is ever run on it: a tokenizer, a Pratt parser of a
dozen lines, and four kinds of node. Every way to be expensive is capped where the text is read (length, nesting,
nodes, how far back and how many values in all), so that evaluation needs no clock: a formula that was accepted is
cheap. The caps also keep the tree shallow enough to be walked by plain recursion.

The grammar (SEMANTICS.md, section 10): `+ - * / ( )`, unary minus, numbers, keys, `min max abs round coalesce`, and
over earlier spans `prev(key[, n])`, `mean(key, n)`, `sum(key, n)`. `prev` is the value n spans before (default 1);
`mean` and `sum` take the n spans that end with the span asked for, itself included, as a moving average does.
`round(x[, places])` is half to even. A key is a KPI's, or one of the KPI's own `inputs`, which win over a KPI of the
same name.

No value is an answer, with its reason: a missing input is named, a division by zero says so, and neither is ever 0.
`coalesce` takes its first argument that has a value, whatever the reason that the ones before it have none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext
from difflib import get_close_matches
from functools import cached_property, lru_cache
from typing import Final, NamedTuple, NoReturn

from kpi_core.errors import InvalidFormula, Problem
from kpi_core.model import Kpi

__all__ = [
    "FUNCTIONS",
    "MAX_DEPTH",
    "MAX_LENGTH",
    "MAX_NODES",
    "MAX_READS",
    "MAX_SPANS",
    "Formula",
    "Lookup",
    "Result",
    "circle",
    "circle_words",
    "evaluate",
    "order",
    "parse",
    "references",
]

MAX_LENGTH: Final = 2_000
"""Characters."""
MAX_DEPTH: Final = 30
"""Parentheses, function calls and minus signs inside one another."""
MAX_NODES: Final = 250
"""Numbers, keys, operators and calls together; also the most that the tree can be deep (1 + 1 + 1 ...)."""
MAX_SPANS: Final = 400
"""How far back `prev`, `mean` and `sum` reach: a year of days, and some."""
MAX_READS: Final = 2_000
"""Values that one evaluation may ask for."""

_MAX_DIGITS: Final = 18
_MAX_PLACES: Final = 9
_LIMIT: Final = Decimal(10) ** 29
"""What NUMERIC(38, 9) holds."""
_CONTEXT: Final = Context(prec=38, rounding=ROUND_HALF_EVEN, traps=[DivisionByZero, InvalidOperation, Overflow])

_OVER_VALUES: Final = {"min": (1, 20), "max": (1, 20), "abs": (1, 1), "round": (1, 2), "coalesce": (2, 20)}
"""Functions over values: how few and how many arguments."""
_OVER_SPANS: Final = frozenset({"prev", "mean", "sum"})
FUNCTIONS: Final = frozenset(_OVER_VALUES) | _OVER_SPANS

Lookup = Callable[[str, int], Decimal | None]
"""(key, n) -> the value of that key n spans before the span asked for; 0 is the span itself. None: it has none."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Key:
    """The value of a KPI or input, `offset` spans before."""

    name: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Over:
    """`mean` or `sum` of a key over `spans` spans, the present one included."""

    function: str
    name: str
    spans: int


@dataclass(frozen=True, slots=True)
class Apply:
    """An operator or function over values; unary minus is `-` with one argument."""

    function: str
    arguments: tuple[Node, ...]


Node = Number | Key | Over | Apply


@dataclass(frozen=True)
class Formula:
    """A formula that parsed: its text and its tree."""

    text: str
    root: Node

    @cached_property
    def names(self) -> frozenset[str]:
        """The keys it refers to."""
        return frozenset(self.reach)

    @cached_property
    def reach(self) -> Mapping[str, int]:
        """How many spans back it reads each key; 0 is the span itself."""
        furthest: dict[str, int] = {}
        for node in _leaves(self.root):
            if not isinstance(node, Number):
                back = node.offset if isinstance(node, Key) else node.spans - 1
                furthest[node.name] = max(back, furthest.get(node.name, 0))
        return furthest

    @cached_property
    def current(self) -> frozenset[str]:
        """The keys that it reads by themselves at the span itself."""
        return frozenset(node.name for node in _leaves(self.root) if isinstance(node, Key) and not node.offset)

    @cached_property
    def averaged(self) -> frozenset[str]:
        """The keys that it reads through `mean` or `sum` alone, never by themselves."""
        leaves = [node for node in _leaves(self.root) if not isinstance(node, Number)]
        alone = {node.name for node in leaves if isinstance(node, Key)}
        return frozenset(node.name for node in leaves) - alone


@dataclass(frozen=True, slots=True)
class Result:
    """A value, or the reason why there is none; `missing` names the inputs that had no value."""

    value: Decimal | None
    reason: str | None = None
    missing: tuple[str, ...] = ()


@lru_cache(maxsize=2_048)
def parse(text: str) -> Formula:
    """Read a formula. Raises InvalidFormula, which says at which character (from 1) and what would be right."""
    if len(text) > MAX_LENGTH:
        _refuse(MAX_LENGTH + 1, f"the formula is longer than {MAX_LENGTH:,} characters; split it over several KPIs")
    return Formula(text, _Parser(text).formula())


def evaluate(formula: Formula, lookup: Lookup) -> Result:
    """The value of a formula, each input asked for through `lookup`. Never raises for what the inputs are."""
    with localcontext(_CONTEXT):
        value, lacks = _value(formula.root, lookup)
    if value is not None and abs(value) < _LIMIT:
        return Result(value)
    if value is not None:
        return Result(None, "the result is out of range")
    missing = tuple(dict.fromkeys(lack.key for lack in lacks if lack.key))
    return Result(None, _reason(lacks), missing)


def references(kpi: Kpi) -> frozenset[str]:
    """The KPI keys that a derived KPI is made of, its guard's included, its own inputs left out."""
    texts = [kpi.formula, kpi.guard.formula if kpi.guard else None]
    names = frozenset(name for text in texts if text is not None for name in parse(text).names)
    return names - frozenset(kpi.inputs)


def order(definitions: Mapping[str, Formula | Collection[str]]) -> list[str]:
    """The keys of `definitions`, each after all those it needs. A value is a formula or the keys it refers to.

    Keys that are only referred to are taken as given. Raises InvalidFormula naming the path of a circle; a formula
    that reads its own earlier spans is a circle too, because nothing would ever end it.
    """
    done, path = _walk(definitions)
    if path:
        raise InvalidFormula(circle_words(path))
    return done


def circle(definitions: Mapping[str, Formula | Collection[str]]) -> list[str]:
    """The path of a circle, its first key again at its end; empty where there is none."""
    return _walk(definitions)[1]


def circle_words(path: list[str]) -> str:
    """What is wrong with a circle, and what to do."""
    return f"the formulas go in a circle: {' -> '.join(path)}; take one of these references out"


# --- the dependency order -------------------------------------------------------------------------------------------


def _walk(definitions: Mapping[str, Formula | Collection[str]]) -> tuple[list[str], list[str]]:
    """The order, and the path of the first circle that was met."""
    done: dict[str, None] = {}
    for start in definitions:
        path = [] if start in done else _visit(start, definitions, done)
        if path:
            return list(done), path
    return list(done), []


def _visit(start: str, definitions: Mapping[str, Formula | Collection[str]], done: dict[str, None]) -> list[str]:
    """Depth first, without recursion: a chain of KPIs may be thousands long. Answers the path of a circle."""
    path = {start: None}
    waiting = [_needs(start, definitions)]
    while waiting:
        following = next((key for key in waiting[-1] if key not in done), None)
        if following is None:
            waiting.pop()
            done[path.popitem()[0]] = None
        elif following in path:
            steps = list(path)
            return [*steps[steps.index(following) :], following]
        else:
            path[following] = None
            waiting.append(_needs(following, definitions))
    return []


def _needs(key: str, definitions: Mapping[str, Formula | Collection[str]]) -> Iterator[str]:
    needs = definitions[key]
    names = needs.names if isinstance(needs, Formula) else needs
    return iter(sorted(name for name in names if name in definitions))


# --- evaluation -----------------------------------------------------------------------------------------------------


class _Lack(NamedTuple):
    """Why there is no value: a key that had none `offset` spans before, or (without a key) what happened."""

    says: str
    key: str = ""
    offset: int = 0


_Outcome = tuple[Decimal | None, tuple[_Lack, ...]]
_ZERO_DIVISION: Final = _Lack("division by zero")
_OUT_OF_RANGE: Final = _Lack("the result is out of range")


def _reason(lacks: tuple[_Lack, ...]) -> str:
    """What happened first; where inputs are missing, all of them (the first few)."""
    if not lacks[0].key:
        return lacks[0].says
    names = list(dict.fromkeys(_spoken(lack) for lack in lacks if lack.key))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"no value for {', '.join(names[:3])}{more}"


def _spoken(lack: _Lack) -> str:
    if lack.offset == 0:
        return lack.key
    return f"{lack.key} ({'the span' if lack.offset == 1 else f'{lack.offset} spans'} before)"


def _value(node: Node, lookup: Lookup) -> _Outcome:
    if isinstance(node, Number):
        return node.value, ()
    if isinstance(node, Key):
        return _read(node.name, node.offset, lookup)
    if isinstance(node, Over):
        return _over(node, lookup)
    if node.function == "coalesce":
        return _coalesce(node.arguments, lookup)
    outcomes = [_value(argument, lookup) for argument in node.arguments]
    lacks = tuple(lack for _, reasons in outcomes for lack in reasons)
    values = [value for value, _ in outcomes if value is not None]
    return (None, lacks) if lacks else _apply(node.function, values)


def _read(name: str, offset: int, lookup: Lookup) -> _Outcome:
    value = lookup(name, offset)
    if value is None:
        return None, (_Lack("", name, offset),)
    return (value, ()) if value.is_finite() else (None, (_Lack(f"{name} is not a finite number"),))


def _over(node: Over, lookup: Lookup) -> _Outcome:
    outcomes = [_read(node.name, offset, lookup) for offset in range(node.spans)]
    lacks = tuple(lack for _, reasons in outcomes for lack in reasons)
    if lacks:
        return None, lacks
    total, reasons = _apply("+", [value for value, _ in outcomes if value is not None])
    return (
        _apply("/", [total, Decimal(node.spans)]) if node.function == "mean" and total is not None else (total, reasons)
    )


def _coalesce(arguments: tuple[Node, ...], lookup: Lookup) -> _Outcome:
    lacks: tuple[_Lack, ...] = ()
    for argument in arguments:
        value, reasons = _value(argument, lookup)
        if value is not None:
            return value, ()
        lacks += reasons
    return None, lacks


def _apply(function: str, values: list[Decimal]) -> _Outcome:
    if function == "/" and values[1] == 0:
        return None, (_ZERO_DIVISION,)
    try:
        return _OPERATIONS[function](values), ()
    except (InvalidOperation, Overflow):
        return None, (_OUT_OF_RANGE,)


def _minus(values: list[Decimal]) -> Decimal:
    return -values[0] if len(values) == 1 else values[0] - values[1]


def _round(values: list[Decimal]) -> Decimal:
    places = int(values[1]) if len(values) == 2 else 0
    return values[0].quantize(Decimal(1).scaleb(-places))


_OPERATIONS: Final[Mapping[str, Callable[[list[Decimal]], Decimal]]] = {
    "+": lambda values: sum(values, Decimal(0)),
    "-": _minus,
    "*": lambda values: values[0] * values[1],
    "/": lambda values: values[0] / values[1],
    "min": min,
    "max": max,
    "abs": lambda values: abs(values[0]),
    "round": _round,
}


def _leaves(root: Node) -> Iterator[Number | Key | Over]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Apply):
            waiting.extend(node.arguments)
        else:
            yield node


# --- reading --------------------------------------------------------------------------------------------------------


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


_TOKEN: Final = re.compile(
    r"(?P<space>[ \t\r\n]+)|(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>[-+*/(),])"
)
_POWER: Final = {"+": 1, "-": 1, "*": 2, "/": 2}
_HINTS: Final = {
    "^": "there is no power; multiply instead",
    "%": "there is no percent sign; write 100 * a / b",
    "=": "a formula is only the right-hand side",
    ".": "write a leading 0: 0.5",
    "×": "multiply with *",
    "÷": "divide with /",
    "−": "the minus sign is -",
    "–": "the minus sign is -",
}
_OTHER_NAMES: Final = {"avg": "mean", "average": "mean", "lag": "prev", "previous": "prev", "ifnull": "coalesce"}


def _refuse(at: int, says: str) -> NoReturn:
    raise InvalidFormula([Problem(f"position {at}", says)])


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            _refuse(
                at + 1,
                f"{text[at]!r} has no place here; {_HINTS.get(text[at], 'allowed are + - * / ( ) , numbers and keys')}",
            )
        if match.lastgroup != "space":
            tokens.append(_Token(str(match.lastgroup), match.group(), at + 1))
        at = match.end()
    return [*tokens, _Token("end", "", len(text) + 1)]


class _Parser:
    """A Pratt parser: `expression(power)` takes operators that bind more tightly than `power`."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.index = 0
        self.depth = 0
        self.nodes = 0
        self.reads = 0

    def formula(self) -> Node:
        root = self.expression(0)
        if self.here.kind != "end":
            _refuse(self.here.at, f"expected an operator or the end, found {self.here.text!r}")
        return root

    @property
    def here(self) -> _Token:
        return self.tokens[self.index]

    def take(self) -> _Token:
        token = self.here
        self.index += token.kind != "end"
        return token

    def expect(self, text: str, after: str) -> None:
        token = self.take()
        if token.text != text:
            _refuse(
                token.at,
                f"expected {text!r} {after}, found {token.text!r}" if token.text else f"expected {text!r} {after}",
            )

    def counted(self, node: Node, at: int) -> Node:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            _refuse(at, f"the formula has more than {MAX_NODES} parts; split it over several KPIs")
        return node

    def expression(self, power: int) -> Node:
        left = self.operand()
        while _POWER.get(self.here.text, 0) > power:
            sign = self.take()
            left = self.counted(Apply(sign.text, (left, self.expression(_POWER[sign.text]))), sign.at)
        return left

    def operand(self) -> Node:
        """A number, a key, a call, a minus with its operand, or something in parentheses."""
        token = self.take()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            _refuse(token.at, f"more than {MAX_DEPTH} levels inside one another; split it over several KPIs")
        node = self.started_by(token)
        self.depth -= 1
        return node

    def started_by(self, token: _Token) -> Node:
        if token.kind == "number":
            return self.counted(Number(_number(token)), token.at)
        if token.kind == "name":
            return self.call(token) if self.here.text == "(" else self.counted(Key(self.key(token)), token.at)
        if token.text == "-":
            return self.counted(Apply("-", (self.operand(),)), token.at)
        if token.text == "(":
            inside = self.expression(0)
            self.expect(")", f"to close the one at position {token.at}")
            return inside
        found = f"found {token.text!r}" if token.text else "the formula ends"
        _refuse(token.at, f"expected a number, a key or '(', but {found}")

    def key(self, token: _Token) -> str:
        if token.text in FUNCTIONS:
            _refuse(token.at, f"`{token.text}` is a function: write {token.text}(...)")
        if token.text != token.text.lower():
            _refuse(token.at, f"keys are written in lower case; did you mean `{token.text.lower()}`?")
        self.read(1, token.at)
        return token.text

    def read(self, count: int, at: int) -> None:
        self.reads += count
        if self.reads > MAX_READS:
            _refuse(at, f"the formula reads more than {MAX_READS:,} values; use fewer or shorter spans")

    def call(self, name: _Token) -> Node:
        if name.text not in FUNCTIONS:
            _refuse(name.at, f"there is no function `{name.text}`; {_near(name.text)}")
        self.expect("(", f"after `{name.text}`")
        node = self.over_spans(name) if name.text in _OVER_SPANS else self.over_values(name)
        return self.counted(node, name.at)

    def over_values(self, name: _Token) -> Node:
        arguments = [self.expression(0)]
        while self.here.text == ",":
            comma = self.take()
            if name.text == "round":
                arguments.append(Number(Decimal(self.whole(f"places of {name.text}", 0, _MAX_PLACES))))
            else:
                arguments.append(self.expression(0))
            if len(arguments) > _OVER_VALUES[name.text][1]:
                _refuse(comma.at, f"`{name.text}` takes at most {_OVER_VALUES[name.text][1]} arguments")
        self.expect(")", f"to close `{name.text}(`")
        if len(arguments) < _OVER_VALUES[name.text][0]:
            _refuse(name.at, f"`{name.text}` takes at least {_OVER_VALUES[name.text][0]} arguments")
        return Apply(name.text, tuple(arguments))

    def over_spans(self, name: _Token) -> Node:
        key = self.take()
        if key.kind != "name":
            _refuse(key.at, f"`{name.text}` looks back at one key: write {name.text}(key, n)")
        text, spans = self.key(key), 1
        if self.here.text == ",":
            self.take()
            spans = self.whole(f"spans of {name.text}", 1, MAX_SPANS)
        elif name.text != "prev":
            _refuse(self.here.at, f"`{name.text}` needs a number of spans: write {name.text}({text}, 13)")
        self.expect(")", f"to close `{name.text}(`")
        self.read(spans - 1 if name.text != "prev" else 0, name.at)
        return Key(text, spans) if name.text == "prev" else Over(name.text, text, spans)

    def whole(self, what: str, low: int, high: int) -> int:
        token = self.take()
        if token.kind != "number" or not token.text.isdigit() or not low <= int(token.text[:9]) <= high:
            _refuse(token.at, f"the number of {what} is a whole number from {low} to {high}")
        return int(token.text)


def _number(token: _Token) -> Decimal:
    whole, _, fraction = token.text.partition(".")
    if len(whole) > _MAX_DIGITS or len(fraction) > _MAX_PLACES:
        _refuse(token.at, f"a number has at most {_MAX_DIGITS} digits before the point and {_MAX_PLACES} after it")
    return Decimal(token.text)


def _near(name: str) -> str:
    wanted = name.lower()
    near = _OTHER_NAMES.get(wanted) or next(iter(get_close_matches(wanted, sorted(FUNCTIONS), 1)), None)
    return f"did you mean `{near}`?" if near else f"there are {', '.join(sorted(FUNCTIONS))}"
