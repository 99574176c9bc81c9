"""Conditions: what holds, and what is no condition."""

from __future__ import annotations

from typing import Any

import pytest

from local_sagemaker.pipelines.conditions import all_hold, holds, problems
from local_sagemaker.pipelines.expressions import CannotResolve, Scope
from tests.local_sagemaker.pipelines.harness import equals, get

SCOPE = Scope(parameters={"N": 5, "S": "5", "T": True})


def order(kind: str, left: Any, right: Any) -> dict[str, Any]:
    return {"Type": kind, "LeftValue": left, "RightValue": right}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (equals(1, 1.0), True),
        (equals("1", 1), False),
        (equals(True, 1), False),
        (equals(get("Parameters.T"), True), True),
        (equals(get("Parameters.S"), "5"), True),
        (order("GreaterThan", get("Parameters.N"), 4.5), True),
        (order("GreaterThan", 5, get("Parameters.N")), False),
        (order("GreaterThanOrEqualTo", 5, get("Parameters.N")), True),
        (order("LessThan", "a", "b"), True),
        (order("LessThanOrEqualTo", 6, 5), False),
        ({"Type": "In", "QueryValue": get("Parameters.N"), "Values": [1, get("Parameters.N")]}, True),
        ({"Type": "In", "QueryValue": "5", "Values": [5]}, False),
        ({"Type": "Not", "Condition": equals(1, 2)}, True),
        ({"Type": "Or", "Conditions": [equals(1, 2), equals(2, 2)]}, True),
        ({"Type": "Or", "Conditions": [equals(1, 2), equals(2, 3)]}, False),
    ],
)
def test_meaning(condition: dict[str, Any], expected: bool) -> None:
    assert list(problems(condition, "Conditions[0]")) == []
    assert holds(condition, SCOPE) is expected


def test_all_conditions_of_a_step_must_hold() -> None:
    assert all_hold([equals(1, 1), equals("a", "a")], SCOPE)
    assert not all_hold([equals(1, 1), equals("a", "b")], SCOPE)


@pytest.mark.parametrize(("left", "right"), [("5", 4), (True, 1), (None, 1)])
def test_what_has_no_order(left: Any, right: Any) -> None:
    with pytest.raises(CannotResolve):
        holds(order("LessThan", left, right), SCOPE)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("x", "must be an object"),
        ({"Type": "Like"}, "unknown Type 'Like'"),
        ({"Type": "Equals", "LeftValue": 1}, "LeftValue, RightValue, Type"),
        ({"Type": "Not", "Condition": {"Type": "?"}}, "Conditions[0].Condition"),
        ({"Type": "Or", "Conditions": []}, "one member or more"),
        ({"Type": "Or", "Conditions": [1]}, "Conditions[0].Conditions[0]"),
        ({"Type": "In", "QueryValue": 1, "Values": 2}, "one member or more"),
        (equals([1], 1), "LeftValue must be a text"),
    ],
)
def test_what_is_no_condition(condition: Any, words: str) -> None:
    assert words in "; ".join(problems(condition, "Conditions[0]"))
