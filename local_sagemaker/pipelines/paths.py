"""Paths to a value inside a document: ``a.b``, ``a[0].b``, ``a['a name'].b``, ``$.a["b"]``.

References to step properties and the JsonPath of ``Std:JsonGet`` share this grammar.
"""

from __future__ import annotations

import re
from typing import Any

Segment = str | int

_PART = re.compile(r"""\.?(?P<name>[^.\[\]'"]+) | \[\s*(?P<index>\d+)\s*\] | \[\s*'(?P<single>[^']*)'\s*\] | \[\s*"(?P<double>[^"]*)"\s*\]""", re.VERBOSE)  # fmt: skip  # noqa: E501


class BadPath(ValueError):
    """The text is no path; the message says where it goes wrong."""


class NoValue(LookupError):
    """The document has nothing at that path; the message says up to where it was followed."""


def parse(text: str) -> tuple[Segment, ...]:
    """The segments of a path: names, and whole numbers for list indexes.

    Raises:
        BadPath: not a path.
    """
    rest = text[1:] if text.startswith("$") else text
    if not rest or (not text.startswith("$") and rest.startswith(".")):
        raise BadPath(f"{text!r} is not a path such as a.b[0]['c']")
    segments: list[Segment] = []
    at = 0
    while at < len(rest):
        match = _PART.match(rest, at)
        if match is None or (at and match["name"] is not None and rest[at] != "."):
            raise BadPath(f"{text!r} is not a path such as a.b[0]['c']: cannot read {rest[at:]!r}")
        if match["index"] is not None:
            segments.append(int(match["index"]))
        else:
            segments.append(
                next(part for part in (match["name"], match["single"], match["double"]) if part is not None)
            )
        at = match.end()
    return tuple(segments)


def show(segments: tuple[Segment, ...]) -> str:
    """The path as text, in the form that :func:`parse` reads."""
    text = ""
    for segment in segments:
        if isinstance(segment, int):
            text += f"[{segment}]"
        elif re.fullmatch(r"[\w\-]+", segment):
            text += f".{segment}" if text else segment
        else:
            text += f"['{segment}']" if "'" not in segment else f'["{segment}"]'
    return text


def follow(document: Any, segments: tuple[Segment, ...]) -> Any:
    """The value at the path. A name picks from a list of objects the one that carries it as its ``…Name``.

    Raises:
        NoValue: there is none.
    """
    value = document
    for number, segment in enumerate(segments):
        value, found = _step(value, segment)
        if not found:
            raise NoValue(f"there is no {show(segments[: number + 1])}")
    return value


def _step(value: Any, segment: Segment) -> tuple[Any, bool]:
    if isinstance(value, dict):
        return value.get(str(segment)), str(segment) in value
    if isinstance(value, list):
        if isinstance(segment, int):
            return (value[segment], True) if segment < len(value) else (None, False)
        for item in value:
            if isinstance(item, dict) and any(key.endswith("Name") and item[key] == segment for key in item):
                return item, True
    return None, False
