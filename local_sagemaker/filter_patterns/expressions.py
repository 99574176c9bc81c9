"""The boolean expressions inside JSON and space-delimited patterns: ``()`` before ``&&`` before ``||``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from local_sagemaker.filter_patterns.values import OPERATORS, Wanted

#: Deeper parentheses are refused; AWS names no number, and this parser descends one call for each.
DEEPEST = 50

_BLANK = re.compile(r"\s*")
_SIGN = re.compile("|".join(map(re.escape, OPERATORS)))
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_REGEX = re.compile(r"%((?:[^%\\]|\\.)*)%", re.DOTALL)
_BARE = re.compile(r"[\w.*:/+\-]+")
#: Beyond letters, digits and blanks: what AWS allows in a regular expression.
_IN_REGEX = frozenset(":_#=@/;,-^$?[]{}|\\*+. ")

Event = TypeVar("Event")
Test = Callable[[Event], bool]


class BadPattern(Exception):
    """No filter pattern; the message says what is wrong."""


class Scanner:
    """A text and a place in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip(self) -> None:
        found = _BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def take(self, token: str) -> bool:
        """Step over ``token`` when it is next, after blanks."""
        self.skip()
        if not self.text.startswith(token, self.at):
            return False
        self.at += len(token)
        return True

    def find(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        """Step over what ``expression`` matches next, after blanks."""
        self.skip()
        found = expression.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def expect(self, token: str) -> None:
        """Raises: BadPattern."""
        if not self.take(token):
            raise self.wrong(f"{token!r} is expected")

    def end(self) -> None:
        """Raises: BadPattern: something is left."""
        self.skip()
        if self.at < len(self.text):
            raise self.wrong("nothing more is expected")

    def wrong(self, what: str) -> BadPattern:
        rest = self.text[self.at : self.at + 20]
        shown = f": {rest!r}" if rest else ""
        return BadPattern(f"Invalid filter pattern: {what} at character {self.at + 1}{shown}")


def alternatives(scanner: Scanner, leaf: Callable[[Scanner], Test[Event]], depth: int = 0) -> Test[Event]:
    """An expression; ``leaf`` reads one comparison.

    Raises:
        BadPattern: no expression, or one that is nested too deeply.
    """
    if depth > DEEPEST:
        raise scanner.wrong(f"at most {DEEPEST} parentheses may be open")
    parts = [_conjunction(scanner, leaf, depth)]
    while scanner.take("||"):
        parts.append(_conjunction(scanner, leaf, depth))
    return parts[0] if len(parts) == 1 else lambda event: any(part(event) for part in parts)


def _conjunction(scanner: Scanner, leaf: Callable[[Scanner], Test[Event]], depth: int) -> Test[Event]:
    parts = [_unit(scanner, leaf, depth)]
    while scanner.take("&&"):
        parts.append(_unit(scanner, leaf, depth))
    return parts[0] if len(parts) == 1 else lambda event: all(part(event) for part in parts)


def _unit(scanner: Scanner, leaf: Callable[[Scanner], Test[Event]], depth: int) -> Test[Event]:
    if not scanner.take("("):
        return leaf(scanner)
    inner = alternatives(scanner, leaf, depth + 1)
    scanner.expect(")")
    return inner


def comparison(scanner: Scanner) -> tuple[str, Wanted]:
    """A sign and the value after it.

    Raises:
        BadPattern: no sign, no value, or a sign of order before something that is no number.
    """
    sign = scanner.find(_SIGN)
    if sign is None:
        raise scanner.wrong(f"one of {', '.join(OPERATORS)} is expected")
    start = scanner.at
    wanted = _wanted(scanner)
    if sign[0] not in ("=", "!=") and wanted.number is None:
        scanner.at = start
        raise scanner.wrong(f"a number is expected after {sign[0]}")
    return sign[0], wanted


def _wanted(scanner: Scanner) -> Wanted:
    if quoted := scanner.find(_QUOTED):
        return Wanted(re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL), quoted=True)
    if expression := scanner.find(_REGEX):
        return Wanted(expression[1], expression=regular(expression[1]))
    if bare := scanner.find(_BARE):
        return Wanted(bare[0])
    raise scanner.wrong("a value is expected; text with other characters than letters, digits and _ needs quotes")


def regular(text: str) -> re.Pattern[str]:
    """A regular expression in AWS's subset.

    Raises:
        BadPattern: it has a character outside the subset, or is no expression.
    """
    escaped = False
    for character in text:
        if not escaped and not (character.isascii() and (character.isalnum() or character in _IN_REGEX)):
            raise BadPattern(f"Invalid filter pattern: {character!r} is not supported in a regular expression")
        escaped = character == "\\" and not escaped
    try:
        return re.compile(text, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadPattern(f"Invalid filter pattern: %{text}% is no regular expression: {error}") from None
