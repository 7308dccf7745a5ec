"""The error tree: what stands in the docstring is what there is, and every message is fit to be shown."""

from __future__ import annotations

import ast
import inspect
import re

import pytest

from kpi_core import errors
from kpi_core.errors import InvalidDefinition, InvalidInput, KpiError, Problem, SignInRefused, StoreInUse

CLASSES = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, KpiError)}


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn = re.findall(r"^ {4}([│├└─ ]*)([A-Z]\w+)  ", errors.__doc__ or "", re.MULTILINE)
    assert {name for _, name in drawn} == set(CLASSES)
    path: list[str] = []
    for branch, name in drawn:
        depth = len(branch) // 4
        path[depth:] = [name]
        assert not depth or CLASSES[name].__base__ is CLASSES[path[depth - 1]]


def test_all_is_what_is_public() -> None:
    assert set(errors.__all__) == {*CLASSES, "Problem"}
    assert errors.__all__ == sorted(errors.__all__)


def test_errors_imports_nothing_of_ours() -> None:
    tree = ast.parse(inspect.getsource(errors))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [module for module in modules if module.startswith("kpi_core")]


def test_a_problem_says_where_and_what() -> None:
    assert str(Problem("line 7, column 'amount'", "is missing")) == "line 7, column 'amount': is missing"
    assert str(Problem("", "the file is empty")) == "the file is empty"


def test_bad_input_carries_all_its_problems_a_line_each() -> None:
    error = InvalidDefinition([Problem("a.yaml: name", "is missing"), "and one without a place"])
    assert str(error) == "a.yaml: name: is missing\nand one without a place"
    assert error.problems == (Problem("a.yaml: name", "is missing"), Problem("", "and one without a place"))


def test_bad_input_may_be_a_single_sentence() -> None:
    assert InvalidInput("no such thing").problems == (Problem("", "no such thing"),)


def test_problems_may_come_from_a_generator() -> None:
    assert len(InvalidInput(Problem("", str(number)) for number in range(3)).problems) == 3


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_error_is_caught_as_kpi_error_and_shows_its_message(name: str) -> None:
    with pytest.raises(KpiError) as caught:
        raise CLASSES[name]("what, which, why, and what to do")
    assert str(caught.value) == "what, which, why, and what to do"


def test_a_refused_sign_in_knows_how_long_to_wait_and_a_store_in_use_by_whom() -> None:
    assert SignInRefused("too many tries", retry_after=30.0).retry_after == 30.0
    assert SignInRefused("wrong").retry_after == 0.0
    assert StoreInUse("in use", pid=42).pid == 42
