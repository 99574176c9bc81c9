"""The rule of a composite alarm: ``ALARM("errors") AND NOT OK(latency)``.

Source: API reference, "PutCompositeAlarm", AlarmRule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

_TOKEN = re.compile(r"\s*(?:(?P<text>\"[^\"]*\"|'[^']*')|(?P<sign>[()])|(?P<word>[^\s()\"']+))")
_STATES = ("ALARM", "OK", "INSUFFICIENT_DATA")
#: "AlarmRule … up to 10240 characters".
LONGEST = 10_240

Node = tuple[Any, ...]


class BadRule(Exception):
    """A rule that cannot be read; the message says where."""


class Rule:
    """A parsed rule."""

    def __init__(self, text: str) -> None:
        """Raises: BadRule."""
        if len(text) > LONGEST:
            raise BadRule(f"the rule has {len(text)} characters; at most {LONGEST} are allowed")
        self._tokens: list[str] = []
        self._place = 0
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if found is None:
                raise BadRule(f"cannot be read at {text[place:].strip()[:20]!r}")
            self._tokens.append(found[0].strip())
            place = found.end()
        self._node = self._either()
        if self._place < len(self._tokens):
            raise BadRule(f"cannot be read at {self._peek()!r}")

    def names(self) -> list[str]:
        """The alarms that it names, by name."""
        return list(dict.fromkeys(_names(self._node)))

    def holds(self, state: Callable[[str], str | None]) -> bool:
        """Whether the rule is true; ``state`` gives an alarm's state by its name, None when there is none."""
        return _holds(self._node, state)

    def _either(self) -> Node:
        left = self._both()
        while self._peek() == "OR":
            self._place += 1
            left = ("or", left, self._both())
        return left

    def _both(self) -> Node:
        left = self._not()
        while self._peek() == "AND":
            self._place += 1
            left = ("and", left, self._not())
        return left

    def _not(self) -> Node:
        if self._peek() == "NOT":
            self._place += 1
            return ("not", self._not())
        return self._atom()

    def _atom(self) -> Node:
        word = self._next()
        if word == "(":
            inside = self._either()
            self._expect(")")
            return inside
        if word in ("TRUE", "FALSE"):
            return ("constant", word == "TRUE")
        if word not in _STATES:
            raise BadRule(f"expected one of {', '.join(_STATES)}, TRUE, FALSE, NOT or '(', not {word!r}")
        self._expect("(")
        name = self._next().strip("\"'")
        self._expect(")")
        return ("state", word, name.rpartition(":alarm:")[2])

    def _expect(self, sign: str) -> None:
        token = self._next()
        if token != sign:
            raise BadRule(f"{sign!r} is expected, not {token!r}")

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise BadRule("it ends too early")
        self._place += 1
        return token

    def _peek(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""


def _names(node: Node) -> Iterator[str]:
    if node[0] == "state":
        yield node[2]
    elif node[0] != "constant":
        for part in node[1:]:
            yield from _names(part)


def _holds(node: Node, state: Callable[[str], str | None]) -> bool:
    match node:
        case ("or", left, right):
            return _holds(left, state) or _holds(right, state)
        case ("and", left, right):
            return _holds(left, state) and _holds(right, state)
        case ("not", inside):
            return not _holds(inside, state)
        case ("constant", value):
            return bool(value)
        case ("state", wanted, name):
            return bool(state(name) == wanted)
    raise BadRule(f"{node!r} is no rule")
