"""Metric filters: log events that match become metric data in CloudWatch.

Source: CloudWatch Logs User Guide, "Configuring metric values for a metric filter" and "Publishing dimensions with
metrics from values in JSON or space-delimited log events"; API reference, "MetricTransformation". As on AWS data is
aggregated minute by minute, so an endpoint that answers for weeks leaves one set of statistics a minute, not one value
a request.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from local_sagemaker import filter_patterns
from local_sagemaker.filter_patterns import BadPattern, BadSelector, Match, Pattern
from local_sagemaker.filter_patterns.values import number_of, text_of
from local_sagemaker.metrics import Distribution, metric

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_log = logging.getLogger(__name__)

#: "Up to three dimensions" (MetricTransformation, dimensions).
LARGEST_DIMENSIONS = 3


class BadTransformation(Exception):
    """A transformation that AWS refuses; the message says why."""


def check(pattern: Pattern, transformation: Mapping[str, Any]) -> None:
    """What cannot be right in a member of ``metricTransformations``.

    Raises:
        BadTransformation.
    """
    dimensions = transformation.get("dimensions") or {}
    if dimensions and transformation.get("defaultValue") is not None:
        raise BadTransformation("Invalid metric transformation: dimensions and a default value cannot both be given")
    if len(dimensions) > LARGEST_DIMENSIONS:
        raise BadTransformation(f"Invalid metric transformation: at most {LARGEST_DIMENSIONS} dimensions are allowed")
    value = transformation["metricValue"]
    selectors = [*dimensions.values(), *([] if number_of(value) is not None else [value])]
    for selector in selectors:
        if not selector.startswith("$"):
            raise BadTransformation(f"Invalid metric transformation: {selector!r} is no number and no $ field")
        try:
            pattern.check_selector(selector)
        except BadSelector as error:
            raise BadTransformation(f"Invalid metric transformation: {error}") from None


class MetricFilters:
    """Watches what arrives in log groups. Safe to use from several threads."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def feed(self, region: str, group: str, events: Iterable[Mapping[str, Any]]) -> None:
        """Publish what the filters of a log group make of its new events (``timestamp`` in ms, ``message``)."""
        from moto.logs.models import logs_backends

        backend = logs_backends[self._platform.account_id][region]
        filters = [one for one in backend.filters.metric_filters if one["logGroupName"] == group]
        if not filters:
            return
        for one in filters:
            try:
                pattern = filter_patterns.parse(one["filterPattern"] or "")
            except BadPattern as error:  # stored by a server that did not check
                _log.warning("metric filter %s of %s: %s", one["filterName"], group, error)
                continue
            for event in events:
                self._take(region, one, pattern.match(event["message"]), event["timestamp"])

    def _take(self, region: str, one: Mapping[str, Any], match: Match | None, timestamp: int) -> None:
        for transformation in one["metricTransformations"]:
            if match is not None:
                value = _value(match, transformation["metricValue"])
                if value is not None:
                    dimensions = _dimensions(match, transformation.get("dimensions") or {})
                    self._add(region, transformation, dimensions, timestamp, value)
            elif transformation.get("defaultValue") is not None:
                default = float(transformation["defaultValue"])
                self._add(region, transformation, (), timestamp, default, default=True)

    def _add(
        self,
        region: str,
        transformation: Mapping[str, Any],
        dimensions: tuple[tuple[str, str], ...],
        timestamp: int,
        value: float,
        *,
        default: bool = False,
    ) -> None:
        """A default stands only as long as nothing matches in its minute."""
        values = Distribution(default=default)
        values.add(value)
        about = metric(transformation["metricNamespace"], transformation["metricName"], dimensions)
        self._platform.metrics.add(region, about, values, transformation.get("unit") or "None", at=timestamp / 1000)


def _value(match: Match, wanted: str) -> float | None:
    """The constant, or the number in the event; None: there is no finite number."""
    found = match.value(wanted) if wanted.startswith("$") else wanted
    number = number_of(found) if isinstance(found, str) else found
    try:
        return float(number) if number is not None and math.isfinite(number) else None
    except OverflowError:  # an integer of hundreds of digits
        return None


def _dimensions(match: Match, wanted: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """A dimension is published only if its value is found in the event (AWS::Logs::MetricFilter Dimension)."""
    found = ((name, match.value(selector)) for name, selector in sorted(wanted.items()))
    return tuple((name, text_of(value)) for name, value in found if value is not None)
