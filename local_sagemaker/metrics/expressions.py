"""Metric math: an expression over metrics, read and computed.

A value is a number, a time series ({seconds since the epoch: value}) or a list of series. Between two series only the
instants that both have count. Source: CloudWatch User Guide, "Using math expressions with CloudWatch metrics".
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local_sagemaker.metrics import functions
from local_sagemaker.metrics.functions import BadExpression, Series, Value

__all__ = ["BadExpression", "Expression", "Series", "parse"]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|(?P<text>\"[^\"]*\"|'[^']*')|(?P<name>[A-Za-z][A-Za-z0-9_]*)"
    r"|(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/^(),<>\[\]!]))"
)
_BINARY = (("OR", "||"), ("AND", "&&"), ("==", "!=", "<", "<=", ">", ">="), ("+", "-"), ("*", "/"))
_SAME = {"OR": "||", "AND": "&&"}

Node = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression. ``names``: the ids of other queries that it needs."""

    text: str
    node: Node
    names: frozenset[str]

    def compute(self, named: Mapping[str, Series], grid: Sequence[int], period: int) -> Series:
        """The series that it gives at the instants of ``grid``, ``period`` seconds apart.

        Raises:
            BadExpression: the result is a list, or an operation does not take what it is given.
        """
        found = _Computer(named, grid, period).value(self.node)
        if isinstance(found, list):
            if len(found) != 1:
                raise BadExpression(f"{self.text!r} gives {len(found)} time series where one is needed")
            found = found[0]
        if isinstance(found, dict):
            return found
        return {} if math.isnan(found) else dict.fromkeys(grid, float(found))


@functools.lru_cache(maxsize=512)
def parse(text: str) -> Expression:
    """Read an expression.

    Raises:
        BadExpression: it cannot be read, or uses a function that does not run here.
    """
    parser = _Parser(text)
    node = parser.binary(0)
    parser.expect_end()
    return Expression(text, node, frozenset(parser.names))


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        self._place = 0
        self.names: set[str] = set()
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if found is None:
                raise BadExpression(f"{text!r} cannot be read at {text[place:].strip()[:20]!r}")
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            place = found.end()

    def binary(self, level: int) -> Node:
        if level == len(_BINARY):
            return self._power()
        left = self.binary(level + 1)
        while (sign := self._peek()) and sign.upper() in _BINARY[level]:
            self._place += 1
            left = ("binary", _SAME.get(sign.upper(), sign), left, self.binary(level + 1))
        return left

    def expect_end(self) -> None:
        if self._place < len(self._tokens):
            raise BadExpression(f"{self._text!r} cannot be read at {self._peek()!r}")

    def _power(self) -> Node:
        left = self._unary()
        if self._peek() == "^":
            self._place += 1
            return ("binary", "^", left, self._power())
        return left

    def _unary(self) -> Node:
        if self._peek() == "-":
            self._place += 1
            return ("binary", "-", ("number", 0.0), self._unary())
        return self._atom()

    def _atom(self) -> Node:
        if self._place >= len(self._tokens):
            raise BadExpression(f"{self._text!r} ends too early")
        kind, text = self._tokens[self._place]
        self._place += 1
        if kind == "number":
            return ("number", float(text))
        if kind == "text":
            return ("text", text[1:-1])
        if kind == "name":
            return self._named(text)
        if text == "(":
            inside = self.binary(0)
            self._expect(")")
            return inside
        if text == "[":
            return ("list", self._until("]"))
        raise BadExpression(f"{self._text!r} cannot be read at {text!r}")

    def _named(self, text: str) -> Node:
        if self._peek() == "(":
            self._place += 1
            if text.upper() not in functions.KNOWN:
                known = ", ".join(sorted(functions.KNOWN))
                raise BadExpression(f"the function {text} is not supported by the local SageMaker; these are: {known}")
            return ("call", text.upper(), self._until(")"))
        if text.upper() in ("REPEAT", "LINEAR"):
            return ("text", text.upper())
        if not text[0].islower():
            raise BadExpression(f"{text} is no id of a metric: an id begins with a small letter")
        self.names.add(text)
        return ("name", text)

    def _until(self, end: str) -> tuple[Node, ...]:
        found: list[Node] = []
        if self._peek() != end:
            found.append(self.binary(0))
            while self._peek() == ",":
                self._place += 1
                found.append(self.binary(0))
        self._expect(end)
        return tuple(found)

    def _expect(self, sign: str) -> None:
        if self._peek() != sign:
            raise BadExpression(f"{self._text!r}: {sign!r} is expected, not {self._peek() or 'the end'!r}")
        self._place += 1

    def _peek(self) -> str:
        return self._tokens[self._place][1] if self._place < len(self._tokens) else ""


class _Computer:
    def __init__(self, named: Mapping[str, Series], grid: Sequence[int], period: int) -> None:
        self._named = named
        self._grid = grid
        self._period = period

    def value(self, node: Node) -> Value:
        match node:
            case ("number", number):
                return float(number)
            case ("text", text):
                raise BadExpression(f"the text {text!r} is no value")
            case ("name", name):
                if name not in self._named:
                    raise BadExpression(f"there is no metric with the id {name}")
                return self._named[name]
            case ("list", items):
                return [series for item in items for series in self._several(item)]
            case ("binary", sign, left, right):
                return functions.combine(functions.OPERATORS[sign], self.value(left), self.value(right))
            case ("call", name, arguments):
                return self._call(name, arguments)
        raise BadExpression(f"{node!r} cannot be computed")

    def _several(self, node: Node) -> list[Series]:
        found = self.value(node)
        if isinstance(found, list):
            return found
        return [found if isinstance(found, dict) else dict.fromkeys(self._grid, float(found))]

    def _call(self, name: str, arguments: tuple[Node, ...]) -> Value:
        if name == "METRICS":
            part = arguments[0][1] if arguments else ""
            return [series for key, series in self._named.items() if str(part) in key]
        if name == "FILL":
            if len(arguments) != 2:
                raise BadExpression("FILL takes a metric and a filler")
            series, filler = self.value(arguments[0]), arguments[1]
            with_what: Any = filler[1] if filler[0] == "text" else self.value(filler)
            return functions.each(series, lambda one: functions.fill(one, with_what, self._grid))
        values = [self.value(argument) for argument in arguments]
        if name == "PERIOD":
            return float(self._period)
        function: Callable[..., Value] = functions.FUNCTIONS[name]
        try:
            return function(*values)
        except TypeError:
            raise BadExpression(f"{name} does not take {len(values)} arguments of these kinds") from None
