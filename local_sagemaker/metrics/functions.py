"""The operators and functions of metric math that run here."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

Series = dict[int, float]
Value = float | Series | list[Series]


class BadExpression(Exception):
    """An expression that cannot be read or computed; the message says why."""


def _divide(left: float, right: float) -> float:
    return left / right if right else math.nan


def _power(left: float, right: float) -> float:
    try:
        found = left**right
    except (ZeroDivisionError, OverflowError):
        return math.nan
    return math.nan if isinstance(found, complex) else found


OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide,
    "^": _power,
    "==": lambda left, right: float(left == right),
    "!=": lambda left, right: float(left != right),
    "<": lambda left, right: float(left < right),
    "<=": lambda left, right: float(left <= right),
    ">": lambda left, right: float(left > right),
    ">=": lambda left, right: float(left >= right),
    "&&": lambda left, right: float(bool(left) and bool(right)),
    "||": lambda left, right: float(bool(left) or bool(right)),
}


def combine(act: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """An operator between two values; what is no number (a division by zero) is left out."""
    if isinstance(left, list):
        return [_series(combine(act, one, right)) for one in left]
    if isinstance(right, list):
        return [_series(combine(act, left, one)) for one in right]
    if isinstance(left, dict):
        pairs = (
            {at: (value, right[at]) for at, value in left.items() if at in right}
            if isinstance(right, dict)
            else {at: (value, right) for at, value in left.items()}
        )
    elif isinstance(right, dict):
        pairs = {at: (left, value) for at, value in right.items()}
    else:
        return act(left, right)
    found = {at: act(*pair) for at, pair in pairs.items()}
    return {at: value for at, value in found.items() if not math.isnan(value)}


def each(value: Value, act: Callable[[Series], Series]) -> Value:
    """Do it to a series, or to each of a list."""
    if isinstance(value, list):
        return [act(one) for one in value]
    if isinstance(value, dict):
        return act(value)
    raise BadExpression("a time series is expected, not a number")


def fill(series: Series, filler: Any, grid: Sequence[int]) -> Series:
    """``FILL``: what is missing becomes a number, a series' value, the last one before (REPEAT), or lies between."""
    found: Series = {}
    for at in grid:
        if at in series:
            found[at] = series[at]
        elif filler == "REPEAT":
            before = [value for when, value in sorted(series.items()) if when < at]
            if before:
                found[at] = before[-1]
        elif filler == "LINEAR":
            earlier, later = [t for t in series if t < at], [t for t in series if t > at]
            if earlier and later:
                low, high = max(earlier), min(later)
                found[at] = series[low] + (series[high] - series[low]) * (at - low) / (high - low)
        elif isinstance(filler, dict):
            if at in filler:
                found[at] = filler[at]
        elif isinstance(filler, int | float):
            found[at] = float(filler)
        else:
            raise BadExpression(f"FILL takes a number, a metric, REPEAT or LINEAR, not {filler!r}")
    return found


def _series(value: Value) -> Series:
    if isinstance(value, dict):
        return value
    raise BadExpression("a time series is expected")


def _over(act: Callable[[list[float]], float]) -> Callable[[Value], Value]:
    """A statistic: of a series one number, of a list of series one series."""

    def apply(value: Value) -> Value:
        if isinstance(value, dict):
            return act(list(value.values())) if value else math.nan
        if not isinstance(value, list):
            return value
        instants = sorted({at for one in value for at in one})
        return {at: act([one[at] for one in value if at in one]) for at in instants}

    return apply


def _map(act: Callable[[float], float]) -> Callable[[Value], Value]:
    def apply(value: Value) -> Value:
        return combine(lambda one, _: act(one), value, 0.0)

    return apply


def _if(condition: Value, yes: Value, no: Value | None = None) -> Value:
    """Without a third argument an instant whose condition is false has no value."""
    if isinstance(condition, list):
        raise BadExpression("the condition of IF is one time series or a number")
    if not isinstance(condition, dict):
        return yes if condition else (no if no is not None else {})

    def at_instant(value: Value | None, at: int) -> float | None:
        if isinstance(value, list):
            raise BadExpression("IF gives one time series")
        return value.get(at) if isinstance(value, dict) else value

    found = {at: at_instant(yes if truth else no, at) for at, truth in condition.items()}
    return {at: value for at, value in found.items() if value is not None}


def _differences(value: Value, per_second: bool) -> Value:
    def act(series: Series) -> Series:
        instants = sorted(series)
        return {
            at: (series[at] - series[before]) / ((at - before) if per_second else 1)
            for before, at in itertools.pairwise(instants)
        }

    return each(value, act)


def _running_sum(value: Value) -> Value:
    def act(series: Series) -> Series:
        total, found = 0.0, {}
        for at in sorted(series):
            total += series[at]
            found[at] = total
        return found

    return each(value, act)


def _log(base: float) -> Callable[[float], float]:
    return lambda one: math.log(one, base) if one > 0 else math.nan


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "ABS": _map(abs),
    "AVG": _over(statistics.fmean),
    "CEIL": _map(math.ceil),
    "DIFF": lambda value: _differences(value, per_second=False),
    "FLOOR": _map(math.floor),
    "IF": _if,
    "LOG": _map(_log(math.e)),
    "LOG10": _map(_log(10)),
    "MAX": _over(max),
    "MIN": _over(min),
    "METRIC_COUNT": lambda value: float(len(value)) if isinstance(value, list) else 1.0,
    "RATE": lambda value: _differences(value, per_second=True),
    "RUNNING_SUM": _running_sum,
    "STDDEV": _over(statistics.pstdev),
    "SUM": _over(math.fsum),
}
KNOWN = frozenset(FUNCTIONS) | {"FILL", "METRICS", "PERIOD"}
