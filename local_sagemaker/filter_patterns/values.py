"""What a comparison in a pattern compares with, and the selectors that name a value."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, "!=": operator.ne, "=": operator.eq, ">": operator.gt, "<": operator.lt,
}  # fmt: skip

#: Up to here a float holds every integer.
_EXACT = 2**53

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")


class BadSelector(Exception):
    """A selector that names nothing; the message says why."""


def number_of(text: str) -> float | None:
    """A decimal or scientific number; None for anything else, ``nan`` and ``0x1`` too."""
    return float(text) if _NUMBER.fullmatch(text) else None


def text_of(found: str | float) -> str:
    """A number as an event writes it: 500, not 500.0."""
    if isinstance(found, float) and found.is_integer() and abs(found) < _EXACT:
        return str(int(found))
    return str(found)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The right side of a comparison: a regular expression, or a text that may begin and end with ``*``.

    An asterisk inside a text stands for itself.
    """

    text: str
    quoted: bool = False
    expression: re.Pattern[str] | None = None

    @property
    def number(self) -> float | None:
        return None if self.quoted or self.expression else number_of(self.text)

    def holds(self, sign: str, found: str | float) -> bool:
        """Is ``found`` (a text or a number of the event) as ``sign`` says?"""
        if self.number is not None and not isinstance(found, str):
            return OPERATORS[sign](found, self.number)
        if sign not in ("=", "!="):
            return False
        return self._is(text_of(found)) == (sign == "=")

    def _is(self, text: str) -> bool:
        if self.expression is not None:
            return self.expression.search(text) is not None
        if self.text == "*":
            return True
        core, before, after = self.text, self.text.startswith("*"), self.text.endswith("*")
        core = core[1:] if before else core
        core = core[:-1] if after else core
        if before and after:
            return core in text
        if before:
            return text.endswith(core)
        return text.startswith(core) if after else text == core
