"""CloudWatch: metric data are :mod:`local_sagemaker.metrics`'s, alarms are evaluated (:mod:`local_sagemaker.alarms`).

moto keeps every value that is put for ever, knows no percentiles, no math, and takes metrics with other dimensions for
the same. PutCompositeAlarm and DescribeAlarmHistory are missing.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.exceptions import InvalidParameterCombination, InvalidParameterValue, ValidationError
from moto.cloudwatch.models import Alarm, CloudWatchBackend, MetricDatumBase
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult

from local_sagemaker.alarms import BadAlarm, history
from local_sagemaker.metrics import Distribution, Metric, metric, queries
from local_sagemaker.metrics.distribution import SIMPLE, is_percentile, of_set
from local_sagemaker.metrics.expressions import BadExpression
from local_sagemaker.metrics.queries import Query, Reader
from local_sagemaker.moto_gaps.patching import replace

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


_STATE = ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp", "history", "changes")


def install(platform: Platform) -> None:
    _take_data(platform)
    _answer_queries(platform)
    _keep_alarms(platform)


def _take_data(platform: Platform) -> None:
    @replace(CloudWatchBackend)
    def put_metric_data(self: Any, namespace: str, metric_data: list[dict[str, Any]]) -> None:
        for number, one in enumerate(metric_data, 1):
            self._validate_parameters_put_metric_data(one, number)
        for one in metric_data:
            about = metric(namespace, one["MetricName"], _dimensions(one.get("Dimensions")))
            at = _seconds(one["Timestamp"]) if one.get("Timestamp") else None
            platform.metrics.add(self.region_name, about, _values(one), one.get("Unit") or "None", at=at)

    @replace(CloudWatchBackend)
    def get_filtered_metrics(
        self: Any, metric_name: str, namespace: str, dimensions: list[dict[str, str]]
    ) -> list[MetricDatumBase]:
        known = [
            MetricDatumBase(
                one.namespace, one.name, [{"Name": key, "Value": value} for key, value in one.dimensions], None
            )
            for one in platform.metrics.known(self.region_name)
        ]
        found: list[MetricDatumBase] = []
        for datum in [*known, *self.aws_metric_data]:
            if datum.filter(namespace, metric_name, dimensions, found):
                found.append(datum)
        return found


def _keep_alarms(platform: Platform) -> None:
    @replace(CloudWatchBackend)
    def put_metric_alarm(self: Any, **given: Any) -> Alarm:
        """A new alarm begins in INSUFFICIENT_DATA, a changed one keeps its state; then it is evaluated."""
        before = self.alarms.get(given["name"])
        alarm: Alarm = put_metric_alarm.original(self, **given)  # type: ignore[attr-defined]
        try:
            platform.alarms.check(self.region_name, alarm)
        except BadAlarm as error:
            self.alarms.pop(alarm.name)
            if before is not None:
                self.alarms[alarm.name] = before
            raise ValidationError(str(error)) from None
        now = _instant(int(platform.clock.time()))
        alarm.configuration_updated_timestamp = alarm.state_updated_timestamp = now
        alarm.state_value = "INSUFFICIENT_DATA"
        if before is not None:
            for name in _STATE:
                if name in before.__dict__:
                    setattr(alarm, name, getattr(before, name))
        platform.alarms.added(self.region_name, alarm)
        return alarm

    @replace(CloudWatchBackend)
    def set_alarm_state(self: Any, alarm_name: str, reason: str, reason_data: str, state_value: str) -> None:
        alarm = self.alarms.get(alarm_name)
        old = platform.alarms.snapshot(alarm) if alarm is not None else {}
        set_alarm_state.original(self, alarm_name, reason, reason_data, state_value)  # type: ignore[attr-defined]
        alarm.state_updated_timestamp = _instant(int(platform.clock.time()))
        platform.alarms.was_set(self.region_name, alarm, old)

    @replace(CloudWatchResponse)
    def put_composite_alarm(self: Any) -> Any:
        return self.put_metric_alarm()

    @replace(CloudWatchResponse)
    def describe_alarm_history(self: Any) -> ActionResult:
        """Everything of the alarms that match, in one page."""
        given = self._get_params()
        alarms = [one for one in self.cloudwatch_backend.alarms.values() if given.get("AlarmName") in (None, one.name)]
        items = [item for alarm in alarms for item in history(alarm)]
        if given.get("HistoryItemType"):
            items = [item for item in items if item["HistoryItemType"] == given["HistoryItemType"]]
        items.sort(key=lambda item: item["Timestamp"], reverse=given.get("ScanBy") != "TimestampAscending")
        return ActionResult({"AlarmHistoryItems": items[: int(given.get("MaxRecords") or 100)]})


def _answer_queries(platform: Platform) -> None:
    @replace(CloudWatchResponse)
    def get_metric_statistics(self: Any) -> ActionResult:
        given = self._get_params()
        simple, percentiles = given.get("Statistics") or [], given.get("ExtendedStatistics") or []
        if not simple and not percentiles:
            raise InvalidParameterCombination("Must specify either Statistics or ExtendedStatistics")
        for name in [*simple, *percentiles]:
            _check_statistic(name)
        start, end, period = _seconds(given["StartTime"]), _seconds(given["EndTime"]), int(given["Period"])
        if start >= end:
            raise InvalidParameterValue("The parameter StartTime must be less than the parameter EndTime.")
        about = metric(given["Namespace"], given["MetricName"], _dimensions(given.get("Dimensions")))
        read = reader(platform, self.region)
        points = []
        for unit in _units(read, about, start, end, given.get("Unit")):
            for at, values in sorted(queries.collect(read, about, start, end, period, unit).items()):
                point: dict[str, Any] = {name: values.statistic(name) for name in simple}
                extended = {name: values.statistic(name) for name in percentiles}
                extended = {name: value for name, value in extended.items() if value is not None}
                point |= {"Timestamp": _instant(at), "Unit": unit}
                points.append(point | ({"ExtendedStatistics": extended} if extended else {}))
        return ActionResult({"Label": given["MetricName"], "Datapoints": points})

    @replace(CloudWatchResponse)
    def get_metric_data(self: Any) -> ActionResult:
        given = self._get_params()
        start, end = _seconds(given["StartTime"]), _seconds(given["EndTime"])
        if start > end:
            raise ValidationError("The parameter EndTime must be greater than StartTime.")
        if start == end:
            raise ValidationError("The parameter StartTime must not equal parameter EndTime.")
        asked = [read_query(one) for one in given.get("MetricDataQueries") or []]
        try:
            found = queries.compute(reader(platform, self.region), asked, start, end)
        except BadExpression as error:
            raise ValidationError(f"Error in expression: {error}") from None
        newest_first = (given.get("ScanBy") or "TimestampDescending") == "TimestampDescending"
        results = []
        for query in asked:
            if query.returned:
                points = sorted(found[query.id].items(), reverse=newest_first)
                results.append(
                    {
                        "Id": query.id,
                        "Label": query.label or _label(query),
                        "Timestamps": [_instant(at) for at, _ in points],
                        "Values": [value for _, value in points],
                        "StatusCode": "Complete",
                    }
                )
        return ActionResult({"MetricDataResults": results})


def reader(platform: Platform, region: str) -> Reader:
    """Reads a region's metrics, with those that moto computes for S3."""

    def read(about: Metric, start: int, end: int, unit: str | None = None) -> list[tuple[int, str, Distribution]]:
        found = platform.metrics.read(region, about, start, end, unit)
        if about.namespace == "AWS/S3":
            from moto.cloudwatch.models import cloudwatch_backends

            for datum in cloudwatch_backends[platform.account_id][region].aws_metric_data:
                minute = _seconds(datum.timestamp) // 60
                dimensions = [(one.name or "", one.value or "") for one in datum.dimensions]
                if metric(datum.namespace, datum.name, dimensions) == about and start <= minute < end:
                    values = Distribution()
                    values.add(float(datum.value))  # type: ignore[attr-defined]
                    found.append((minute, datum.unit or "None", values))
        return found

    return read


def read_query(one: dict[str, Any]) -> Query:
    """A MetricDataQuery of a request.

    Raises:
        ValidationError: neither a metric nor an expression, Metrics Insights, or no such statistic.
    """
    shown = bool(one.get("ReturnData", True))
    if one.get("MetricStat"):
        stat = one["MetricStat"]
        _check_statistic(stat["Stat"])
        about = metric(
            stat["Metric"]["Namespace"], stat["Metric"]["MetricName"], _dimensions(stat["Metric"].get("Dimensions"))
        )
        return Query(
            one["Id"], about, stat["Stat"], int(stat["Period"]), stat.get("Unit"), "", one.get("Label") or "", shown
        )
    if not one.get("Expression"):
        raise ValidationError("The parameter MetricDataQueries.member.1.MetricStat is required.\n")
    if one["Expression"].lstrip().upper().startswith("SELECT"):
        raise ValidationError("Metrics Insights queries (SELECT …) are not supported by the local SageMaker.")
    return Query(one["Id"], expression=one["Expression"], label=one.get("Label") or "", returned=shown)


def _check_statistic(name: str) -> None:
    if name not in SIMPLE and not is_percentile(name):
        raise InvalidParameterValue(f"The value {name} for parameter Stat is not supported.")


def _units(read: Reader, about: Metric, start: int, end: int, wanted: str | None) -> list[str]:
    """Data of different units are different data points, unless one unit is asked for."""
    if wanted:
        return [wanted]
    return sorted({unit for _, unit, _ in read(about, start // 60, -(-end // 60), None)})


def _values(one: dict[str, Any]) -> Distribution:
    """What a member of MetricData says: a value, values with counts, or a set of statistics."""
    if one.get("StatisticValues"):
        given = one["StatisticValues"]
        return of_set(*(float(given[name]) for name in ("SampleCount", "Sum", "Minimum", "Maximum")))
    found = Distribution()
    if one.get("Values"):
        counts = one.get("Counts") or [1] * len(one["Values"])
        for value, count in zip(one["Values"], counts, strict=True):
            found.add(float(value), float(count))
    else:
        found.add(float(one.get("Value", 0)))
    return found


def _dimensions(given: list[dict[str, str]] | None) -> list[tuple[str, str]]:
    return [(one["Name"], one["Value"]) for one in given or []]


def _label(query: Query) -> str:
    return f"{query.about.name} {query.stat}" if query.about is not None else query.id


def _seconds(instant: datetime.datetime) -> int:
    """Seconds since the epoch; moto's instants are in UTC without saying so."""
    return int((instant if instant.tzinfo else instant.replace(tzinfo=datetime.UTC)).timestamp())


def _instant(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)
