"""CloudWatch Logs' filter patterns: do the words, the fields or the JSON of a log event match?

Source: CloudWatch Logs User Guide, "Filter pattern syntax for metric filters, subscription filters, filter log events,
and Live Tail". The four kinds of pattern: terms (:mod:`.terms`), a regular expression between percent signs, JSON in
curly braces (:mod:`.documents`), space-delimited fields in square brackets (:mod:`.fields`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from local_sagemaker.filter_patterns import documents, fields, terms
from local_sagemaker.filter_patterns.expressions import BadPattern
from local_sagemaker.filter_patterns.values import BadSelector

__all__ = ["BadPattern", "BadSelector", "Match", "Pattern", "parse"]


class Match(Protocol):
    """What matched; values can be read from it."""

    @property
    def extracted(self) -> dict[str, str]:
        """The fields of a space-delimited event by ``$name``, or ``$number`` without a name; else nothing."""

    def value(self, selector: str) -> str | float | None:
        """What ``$.field`` or ``$name`` stands for in this event; None: there is no text or number."""


class Pattern(Protocol):
    """A parsed filter pattern."""

    def match(self, message: str) -> Match | None:
        """None: the event does not match."""

    def check_selector(self, selector: str) -> None:
        """
        Raises:
            BadSelector: events of this pattern have no such values.
        """


@lru_cache(maxsize=512)
def parse(text: str) -> Pattern:
    """
    Raises:
        BadPattern: it is no filter pattern; the message says what is wrong.
    """
    stripped = text.strip()
    if stripped.startswith("{"):
        return documents.parse(stripped)
    if stripped.startswith("["):
        return fields.parse(stripped)
    return terms.parse(stripped)
