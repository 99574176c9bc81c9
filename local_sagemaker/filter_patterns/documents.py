"""Patterns for JSON events: ``{ $.status = 500 && ($.label = "x" || $.user IS NULL) }``.

A selector must lead to a text or a number. A comparison with anything else, an object, a list, true, null or nothing
at all, does not hold, whatever its sign.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from local_sagemaker.filter_patterns.expressions import BadPattern, Scanner, Test, alternatives, comparison
from local_sagemaker.filter_patterns.values import BadSelector

#: Wildcards of a selector, and of all selectors of a pattern.
WILDCARDS, WILDCARDS_OF_PATTERN = 1, 3

_DOT_NAME = re.compile(r"\.([A-Za-z0-9_\-]+)")
_BRACKET_NAME = re.compile(r"\.?\['([^']+)'\]")
_INDEX = re.compile(r"\[(\d+|\*)\]")
_ANY = re.compile(r"\.\*")
_IS = re.compile(r"IS\s+(NULL|TRUE|FALSE)(?!\w)")
_NOT_EXISTS = re.compile(r"NOT\s+EXISTS(?!\w)")
_UNKNOWN = re.compile(r"(IS\s+NOT|EXISTS)(?!\w)")
_CONSTANTS = {"NULL": None, "TRUE": True, "FALSE": False}


class _Wildcard:
    """Every element of a list, or every field of an object."""


_EVERY = _Wildcard()
Path = tuple[str | int | _Wildcard, ...]


def parse(text: str) -> Documents:
    """
    Raises:
        BadPattern: no JSON pattern.
    """
    scanner = Scanner(text)
    paths: list[Path] = []

    def leaf(inner: Scanner) -> Test[Any]:
        path = _selector(inner)
        paths.append(path)
        return _condition(inner, path)

    scanner.expect("{")
    test = alternatives(scanner, leaf)
    scanner.expect("}")
    scanner.end()
    if sum(path.count(_EVERY) for path in paths) > WILDCARDS_OF_PATTERN:
        raise BadPattern(f"Invalid filter pattern: it has more than {WILDCARDS_OF_PATTERN} wildcard selectors")
    return Documents(test)


class Documents:
    """A pattern for JSON events."""

    def __init__(self, test: Test[Any]) -> None:
        self._test = test

    def match(self, message: str) -> Document | None:
        if not message.lstrip().startswith("{"):
            return None
        try:
            content = json.loads(message, parse_constant=_no_json)
        except (ValueError, RecursionError):
            return None
        return Document(content) if self._test(content) else None

    def check_selector(self, selector: str) -> None:
        _parse_selector(selector)


class Document:
    """A JSON event that matches."""

    def __init__(self, content: Any) -> None:
        self.extracted: dict[str, str] = {}
        self._content = content

    def value(self, selector: str) -> str | float | None:
        found = next(_find(self._content, _parse_selector(selector)), None)
        return found if _is_value(found) else None


def _no_json(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _parse_selector(text: str) -> Path:
    scanner = Scanner(text)
    try:
        path = _selector(scanner)
        scanner.end()
    except BadPattern as error:
        raise BadSelector(str(error)) from None
    return path


def _selector(scanner: Scanner) -> Path:
    scanner.skip()
    start = scanner.at
    scanner.expect("$")
    path: list[str | int | _Wildcard] = []
    while True:
        if found := _here(scanner, _DOT_NAME) or _here(scanner, _BRACKET_NAME):
            path.append(found[1])
        elif found := _here(scanner, _INDEX):
            path.append(_EVERY if found[1] == "*" else int(found[1]))
        elif _here(scanner, _ANY):
            path.append(_EVERY)
        else:
            break
    if not path:
        raise scanner.wrong("a property selector such as $.status is expected")
    if path.count(_EVERY) > WILDCARDS:
        scanner.at = start
        raise scanner.wrong("a property selector may have one wildcard")
    return tuple(path)


def _here(scanner: Scanner, expression: re.Pattern[str]) -> re.Match[str] | None:
    """No blanks may stand inside a selector."""
    found = expression.match(scanner.text, scanner.at)
    if found:
        scanner.at = found.end()
    return found


def _condition(scanner: Scanner, path: Path) -> Test[Any]:
    if scanner.find(_NOT_EXISTS):
        return lambda event: next(_find(event, path), _EVERY) is _EVERY
    if found := scanner.find(_IS):
        constant = _CONSTANTS[found[1]]
        return lambda event: any(value is constant for value in _find(event, path))
    if unknown := scanner.find(_UNKNOWN):
        raise scanner.wrong(f"{unknown[0]} is not supported by CloudWatch Logs: use IS TRUE, = * or NOT EXISTS")
    sign, wanted = comparison(scanner)
    return lambda event: any(_is_value(value) and wanted.holds(sign, value) for value in _find(event, path))


def _is_value(found: Any) -> bool:
    return isinstance(found, (str, int, float)) and not isinstance(found, bool)


def _find(content: Any, path: Path) -> Iterator[Any]:
    """What the path leads to; several values with a wildcard, none when a part of it is not there."""
    if not path:
        yield content
        return
    part, rest = path[0], path[1:]
    if isinstance(part, _Wildcard):
        for item in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
            yield from _find(item, rest)
    elif isinstance(part, int):
        if isinstance(content, list) and part < len(content):
            yield from _find(content[part], rest)
    elif isinstance(content, dict) and part in content:
        yield from _find(content[part], rest)
