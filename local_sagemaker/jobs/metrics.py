"""Metrics of a training job, read from its log by the request's MetricDefinitions."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any

from local_sagemaker.errors import ValidationException


def check(definitions: Iterable[tuple[str, str]]) -> None:
    """Refuse an expression that cannot give a number.

    Raises:
        ValidationException: no regular expression, or one without a group.
    """
    for name, regex in definitions:
        try:
            groups = re.compile(regex).groups
        except re.error as error:
            raise ValidationException(f"Invalid regex for metric {name}: {regex!r}: {error}") from None
        if groups < 1:
            raise ValidationException(
                f"Invalid regex for metric {name}: {regex!r} has no group that captures the value"
            )


class Scraper:
    """Collects the last value of each metric; lines may come from several hosts at once."""

    def __init__(self, definitions: Iterable[tuple[str, str]], now: Callable[[], float]) -> None:
        self._patterns = [(name, re.compile(regex)) for name, regex in definitions]
        self._now = now
        self._lock = threading.Lock()
        self._last: dict[str, tuple[float, float]] = {}

    def feed(self, line: str) -> None:
        for name, pattern in self._patterns:
            for match in pattern.finditer(line):
                try:
                    value = float(match.group(1))
                except (TypeError, ValueError):  # the group matched nothing, or something that is no number
                    continue
                if math.isfinite(value):
                    with self._lock:
                        self._last[name] = (value, self._now())

    def final(self) -> list[dict[str, Any]]:
        """FinalMetricDataList, in the order of the definitions."""
        with self._lock:
            found = dict(self._last)
        names = [name for name, _ in self._patterns if name in found]
        return [
            {"MetricName": name, "Value": found[name][0], "Timestamp": found[name][1]} for name in dict.fromkeys(names)
        ]
