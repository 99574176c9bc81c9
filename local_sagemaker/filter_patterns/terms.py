"""Patterns for any text: ``ERROR "not found" -timeout``, ``?ERROR ?WARN``, ``%5[0-9]{2}%``, or nothing at all.

As the guide's examples show, a term is found inside a word too (``ERROR`` in ``ERRORCODE``).
"""

from __future__ import annotations

import re

from local_sagemaker.filter_patterns.expressions import BadPattern, regular
from local_sagemaker.filter_patterns.values import BadSelector

_TERM = re.compile(r'\s*([-?]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))(?=\s|$)', re.DOTALL)
_PLAIN = re.compile(r"\w+")


def parse(text: str) -> Terms:
    """
    Raises:
        BadPattern: a term that needs quotes, or a quotation mark without its partner.
    """
    if len(text) > 1 and text.startswith("%") and text.endswith("%"):
        return Terms(expression=regular(text[1:-1]))
    wanted: dict[str, list[str]] = {"": [], "-": [], "?": []}
    at = 0
    while at < len(text):
        found = _TERM.match(text, at)
        if found is None:
            raise BadPattern(f"Invalid filter pattern: a quotation mark has no partner in {text[at:].strip()!r}")
        sign, quoted, plain = found.groups()
        if plain is not None and not _PLAIN.fullmatch(plain):
            raise BadPattern(f'Invalid character(s) in term "{plain}"')
        wanted[sign].append(plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
        at = found.end()
    return Terms(wanted[""], wanted["-"], wanted["?"])


class Terms:
    """Terms that all must be there (``every``), that must not be there, and of which one must be there."""

    def __init__(
        self,
        every: list[str] | None = None,
        none: list[str] | None = None,
        any_of: list[str] | None = None,
        expression: re.Pattern[str] | None = None,
    ) -> None:
        self.extracted: dict[str, str] = {}
        self._every = [term for term in every or [] if term.strip()]  # " " matches everything
        self._none = none or []
        # "If you combine ? with other filter patterns, all question mark terms will be ignored."
        self._any_of = any_of or [] if not (every or none) else []
        self._expression = expression

    def match(self, message: str) -> Terms | None:
        if self._expression is not None:
            return self if self._expression.search(message) else None
        matches = (
            all(term in message for term in self._every)
            and not any(term in message for term in self._none)
            and (not self._any_of or any(term in message for term in self._any_of))
        )
        return self if matches else None

    def check_selector(self, selector: str) -> None:
        raise BadSelector(f"{selector} needs a pattern in curly braces or square brackets; terms have no fields")

    def value(self, selector: str) -> None:
        """Terms give no values."""
        return
