"""Metric filters: log events that match become metric data in CloudWatch.

Source: CloudWatch Logs User Guide, "Configuring metric values for a metric filter" and "Publishing dimensions with
metrics from values in JSON or space-delimited log events"; API reference, "MetricTransformation". As on AWS data is
aggregated minute by minute, so an endpoint that answers for weeks leaves one set of statistics a minute, not one value
a request.
"""

from __future__ import annotations

import datetime
import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from local_sagemaker import filter_patterns
from local_sagemaker.filter_patterns import BadPattern, BadSelector, Match, Pattern
from local_sagemaker.filter_patterns.values import number_of, text_of

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_log = logging.getLogger(__name__)

#: Minutes that late events may still change.
_OPEN = 10_000

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
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    def feed(self, region: str, group: str, events: Iterable[Mapping[str, Any]]) -> None:
        """Publish what the filters of a log group make of its new events (``timestamp`` in ms, ``message``)."""
        from moto.logs.models import logs_backends

        backend = logs_backends[self._platform.account_id][region]
        filters = [one for one in backend.filters.metric_filters if one["logGroupName"] == group]
        if not filters:
            return
        with self._platform.state.using("cloudwatch"), self._lock:
            for one in filters:
                try:
                    pattern = filter_patterns.parse(one["filterPattern"] or "")
                except BadPattern as error:  # stored by a server that did not check
                    _log.warning("metric filter %s of %s: %s", one["filterName"], group, error)
                    continue
                for event in events:
                    self._take(region, one, pattern.match(event["message"]), event["timestamp"] // 60_000)
        self._platform.state.changed("cloudwatch")

    def _take(self, region: str, one: Mapping[str, Any], match: Match | None, minute: int) -> None:
        for transformation in one["metricTransformations"]:
            key = (region, one["logGroupName"], one["filterName"])
            if match is not None:
                value = _value(match, transformation["metricValue"])
                if value is not None:
                    dimensions = _dimensions(match, transformation.get("dimensions") or {})
                    self._add(key, transformation, dimensions, minute, value)
            elif transformation.get("defaultValue") is not None:
                self._add(key, transformation, (), minute, float(transformation["defaultValue"]), default=True)

    def _add(
        self,
        key: tuple[str, str, str],
        transformation: Mapping[str, Any],
        dimensions: tuple[tuple[str, str], ...],
        minute: int,
        value: float,
        *,
        default: bool = False,
    ) -> None:
        """Add to the statistics of a minute. A default stands only as long as nothing matches in its minute."""
        about = (transformation["metricNamespace"], transformation["metricName"], transformation.get("unit") or "None")
        place = (*key, *about, dimensions, minute)
        datum = self._open.get(place)
        if datum is None:
            datum = self._new(key[0], about, dimensions, minute, value)
            datum.is_default = default
            self._open[place] = datum
            while len(self._open) > _OPEN:
                self._open.popitem(last=False)
        elif default:
            return
        elif datum.is_default:
            datum.is_default = False
            datum.min = datum.max = datum.sum = value
        else:
            datum.min, datum.max = min(datum.min, value), max(datum.max, value)
            datum.sum += value
            datum.sample_count += 1

    def _new(
        self, region: str, about: tuple[str, str, str], dimensions: Iterable[tuple[str, str]], minute: int, value: float
    ) -> Any:
        from moto.cloudwatch.models import MetricAggregatedDatum, cloudwatch_backends

        namespace, name, unit = about
        datum = MetricAggregatedDatum(
            namespace=namespace,
            name=name,
            min_stat=value,
            max_stat=value,
            sample_count=1,
            sum_stat=value,
            dimensions=[{"Name": key, "Value": text} for key, text in dimensions],
            timestamp=datetime.datetime.fromtimestamp(minute * 60, datetime.UTC).replace(tzinfo=None),
            unit=unit,
        )
        cloudwatch_backends[self._platform.account_id][region].metric_data.append(datum)
        return datum


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
