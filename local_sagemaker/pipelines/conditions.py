"""Conditions of Condition steps. All of a step's conditions must hold.

Source: ``sagemaker.core.workflow.conditions`` and SageMaker Developer Guide, "Condition step".
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from local_sagemaker.pipelines.expressions import CannotResolve, Scope, is_expression, resolve

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}
_COMPARISONS = ("Equals", *_ORDER)
_MEMBERS = {
    **{name: {"Type", "LeftValue", "RightValue"} for name in _COMPARISONS},
    "In": {"Type", "QueryValue", "Values"},
    "Not": {"Type", "Condition"},
    "Or": {"Type", "Conditions"},
}


def problems(condition: Any, at: str) -> Iterator[str]:
    """What is wrong with the form of a condition, each with its place."""
    if not isinstance(condition, dict) or not isinstance(condition.get("Type"), str):
        yield f"{at} must be an object with a Type"
        return
    kind = condition["Type"]
    if kind not in _MEMBERS:
        yield f"{at} has the unknown Type {kind!r}; known are {', '.join(_MEMBERS)}"
        return
    if set(condition) != _MEMBERS[kind]:
        yield f"{at} ({kind}) must have the members {', '.join(sorted(_MEMBERS[kind]))}, and no other"
        return
    if kind == "Not":
        yield from problems(condition["Condition"], f"{at}.Condition")
    elif kind in ("Or", "In"):
        name = "Conditions" if kind == "Or" else "Values"
        if not isinstance(condition[name], list) or not condition[name]:
            yield f"{at}.{name} must be a list with one member or more"
        elif kind == "Or":
            for number, item in enumerate(condition[name]):
                yield from problems(item, f"{at}.Conditions[{number}]")
        else:
            for value in (*condition["Values"], condition["QueryValue"]):
                yield from _value_problems(value, at)
    else:
        for name in ("LeftValue", "RightValue"):
            yield from _value_problems(condition[name], f"{at}.{name}")


def _value_problems(value: Any, at: str) -> Iterator[str]:
    if not is_expression(value) and not isinstance(value, (str, int, float, bool)):
        yield f"{at} must be a text, a number, a boolean or a reference"


def holds(condition: Mapping[str, Any], scope: Scope) -> bool:
    """Evaluate one condition.

    Raises:
        CannotResolve: a value is not there, is no single value, or cannot be put in order with the other.
    """
    kind = condition["Type"]
    if kind == "Not":
        return not holds(condition["Condition"], scope)
    if kind == "Or":
        return any(holds(item, scope) for item in condition["Conditions"])
    if kind == "In":
        value = _single(condition["QueryValue"], scope)
        return any(_equal(value, _single(item, scope)) for item in condition["Values"])
    left, right = _single(condition["LeftValue"], scope), _single(condition["RightValue"], scope)
    if kind == "Equals":
        return _equal(left, right)
    if not (_numbers(left, right) or (isinstance(left, str) and isinstance(right, str))):
        raise CannotResolve(f"{kind} cannot put {left!r} and {right!r} in order: it takes two numbers or two texts.")
    return _ORDER[kind](left, right)


def all_hold(conditions: list[Mapping[str, Any]], scope: Scope) -> bool:
    """Every condition is evaluated, also after one that does not hold, so a broken reference always shows."""
    outcomes = [holds(condition, scope) for condition in conditions]
    return all(outcomes)


def _single(value: Any, scope: Scope) -> Any:
    found = resolve(value, scope)
    if isinstance(found, (dict, list)) or found is None:
        raise CannotResolve(f"A condition compares single values; {value} is {found!r}.")
    return found


def _numbers(*values: Any) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _equal(left: Any, right: Any) -> bool:
    """Numbers by value, all else only with its like: the text "1" is not the number 1, and true is not 1."""
    if _numbers(left, right):
        return bool(left == right)
    return type(left) is type(right) and bool(left == right)
