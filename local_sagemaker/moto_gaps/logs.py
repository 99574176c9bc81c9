"""CloudWatch Logs.

- Metric filters are stored and evaluate nothing: here they make metric data (:mod:`local_sagemaker.metric_filters`).
- PutMetricFilter checks neither the pattern nor the log group, and adds a filter of the same name beside the first.
- A log group's metric filters outlive it.
- TestMetricFilter is missing.
- FilterLogEvents understands words and one phrase; of any other pattern it says that every event matches.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.logs import models
from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.metric_filters import MetricFilters as StoredFilters
from moto.logs.models import LogsBackend, LogStream
from moto.logs.responses import LogsResponse

from local_sagemaker import filter_patterns, metric_filters
from local_sagemaker.filter_patterns import BadPattern, Pattern
from local_sagemaker.metric_filters import BadTransformation, MetricFilters
from local_sagemaker.moto_gaps.patching import put, replace

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_NOT_EXECUTED = ("applyOnTransformedLogs", "fieldSelectionCriteria", "emitSystemFieldDimensions")
_LONGEST_PATTERN, _MOST_MESSAGES = 1024, 50


class EventFilter:
    """A filter pattern under the name and with the method by which moto uses its own."""

    def __init__(self, pattern: str | None) -> None:
        self._pattern = _parse(pattern or "")

    def matches(self, message: str) -> bool:
        return self._pattern.match(message) is not None


def install(platform: Platform) -> None:
    put(models, "EventMessageFilter", EventFilter)
    _install_storing()
    _install_evaluation(platform)


def _install_storing() -> None:
    @replace(LogsResponse)
    def put_metric_filter(self: Any) -> Any:
        pattern = _parse(self._get_param("filterPattern") or "")
        for name in _NOT_EXECUTED:
            if self._get_param(name):
                raise InvalidParameterException(f"PutMetricFilter: {name} is not supported by the local SageMaker.")
        for transformation in self._get_param("metricTransformations") or []:
            try:
                metric_filters.check(pattern, transformation)
            except BadTransformation as error:
                raise InvalidParameterException(str(error)) from None
        if self._get_param("logGroupName") not in self.logs_backend.groups:
            raise ResourceNotFoundException
        return put_metric_filter.original(self)  # type: ignore[attr-defined]

    @replace(StoredFilters)
    def add_filter(
        self: Any, filter_name: str, filter_pattern: str, log_group_name: str, metric_transformations: Any
    ) -> None:
        self.delete_filter(filter_name, log_group_name)
        add_filter.original(  # type: ignore[attr-defined]
            self, filter_name, filter_pattern, log_group_name, metric_transformations
        )
        self.metric_filters[-1]["creationTime"] = int(time.time() * 1000)

    @replace(LogsBackend)
    def delete_log_group(self: Any, log_group_name: str) -> None:
        delete_log_group.original(self, log_group_name)  # type: ignore[attr-defined]
        kept = [one for one in self.filters.metric_filters if one["logGroupName"] != log_group_name]
        self.filters.metric_filters = kept


def _install_evaluation(platform: Platform) -> None:
    found = MetricFilters(platform)

    @replace(LogStream)
    def put_log_events(self: Any, log_events: list[dict[str, Any]]) -> Any:
        token = put_log_events.original(self, log_events)  # type: ignore[attr-defined]
        found.feed(self.region, self.log_group.name, log_events)
        return token

    @replace(LogsResponse)
    def test_metric_filter(self: Any) -> Any:
        text, messages = self._get_param("filterPattern"), self._get_param("logEventMessages")
        if text is None or len(text) > _LONGEST_PATTERN:
            raise InvalidParameterException(f"filterPattern must have at most {_LONGEST_PATTERN} characters.")
        if not messages or len(messages) > _MOST_MESSAGES:
            raise InvalidParameterException(f"logEventMessages must have 1 to {_MOST_MESSAGES} members.")
        pattern = _parse(text)
        matches = [(number, message, pattern.match(message)) for number, message in enumerate(messages)]
        return ActionResult(
            {
                "matches": [
                    {"eventNumber": number, "eventMessage": message, "extractedValues": match.extracted}
                    for number, message, match in matches
                    if match is not None
                ]
            }
        )


def _parse(text: str) -> Pattern:
    try:
        return filter_patterns.parse(text)
    except BadPattern as error:
        raise InvalidParameterException(str(error)) from None
