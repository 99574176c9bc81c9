"""Alarms, metric filters and the log group of the endpoint, as CloudWatch has them; and which labels were usual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contracts.release import ReleaseSettings
from deployment import aws, clock, guards
from deployment.guards import Alarm, Filter

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

    from deployment.clients import Clients

#: How far back the usual share of a label is counted, and in which steps.
_BEFORE, _STEP = timedelta(hours=24), 3600
#: Predictions in that time below which nothing is usual.
_ENOUGH = 100


@dataclass(frozen=True, slots=True)
class AlarmState:
    """An alarm as DescribeAlarms has it."""

    description: str
    threshold: float
    enabled: bool
    state: str = ""
    reason: str = ""
    since: str = ""

    def matches(self, alarm: Alarm) -> bool:
        return self.enabled and self.description == alarm.description and self.threshold == alarm.threshold


@dataclass(frozen=True, slots=True)
class Monitor:
    """What watches the endpoint.

    Attributes:
        log_days: the retention of its log group; 0: for ever; None: there is no group.
        filters: name -> pattern.
        alarms: name -> alarm, of the guards' names.
    """

    log_days: int | None = None
    filters: Mapping[str, str] = field(default_factory=dict)
    alarms: Mapping[str, AlarmState] = field(default_factory=dict)

    def has(self, wanted: Filter) -> bool:
        return self.filters.get(wanted.name) == wanted.pattern


def look(clients: Clients, settings: ReleaseSettings) -> Monitor:
    """What is there now."""
    group = guards.log_group(settings)
    days = _log_days(clients.logs, group)
    return Monitor(
        log_days=days,
        filters={} if days is None else _filters(clients.logs, group, settings),
        alarms=alarms(clients.cloudwatch, settings),
    )


def alarms(cloudwatch: Any, settings: ReleaseSettings) -> dict[str, AlarmState]:
    """The guards' alarms that exist, by name."""
    names = list(guards.alarm_names(settings).values())
    found = cloudwatch.describe_alarms(AlarmNames=names, AlarmTypes=["MetricAlarm"])["MetricAlarms"]
    return {
        each["AlarmName"]: AlarmState(
            description=each.get("AlarmDescription", ""),
            threshold=float(each.get("Threshold", 0.0)),
            enabled=bool(each.get("ActionsEnabled", True)),
            state=each.get("StateValue", ""),
            reason=each.get("StateReason", ""),
            since=clock.text(each["StateUpdatedTimestamp"]) if each.get("StateUpdatedTimestamp") else "",
        )
        for each in found
    }


def usual_labels(cloudwatch: Any, settings: ReleaseSettings) -> dict[str, float]:
    """Label -> its share of the predictions of the last day, 0 to 1; empty where there were too few."""
    space, end = guards.namespace(settings), clock.now()
    labels = [
        dimension["Value"]
        for page in cloudwatch.get_paginator("list_metrics").paginate(Namespace=space, MetricName=guards.BY_LABEL)
        for metric in page["Metrics"]
        for dimension in metric["Dimensions"]
        if dimension["Name"] == "label"
    ]
    counts: dict[str, float] = {}
    for first in range(0, len(labels), 100):
        part = labels[first : first + 100]
        queries = [
            {
                "Id": f"m{number}",
                "MetricStat": {
                    "Metric": {
                        "Namespace": space,
                        "MetricName": guards.BY_LABEL,
                        "Dimensions": [{"Name": "label", "Value": label}],
                    },
                    "Period": _STEP,
                    "Stat": "Sum",
                },
            }
            for number, label in enumerate(part)
        ]
        answer = cloudwatch.get_metric_data(MetricDataQueries=queries, StartTime=end - _BEFORE, EndTime=end)
        for found in answer["MetricDataResults"]:
            counts[part[int(found["Id"][1:])]] = float(sum(found["Values"]))
    total = sum(counts.values())
    return {label: count / total for label, count in counts.items()} if total >= _ENOUGH else {}


def _log_days(logs: CloudWatchLogsClient, group: str) -> int | None:
    for found in logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        if found["logGroupName"] == group:
            return found.get("retentionInDays", 0)
    return None


def _filters(logs: CloudWatchLogsClient, group: str, settings: ReleaseSettings) -> dict[str, str]:
    """Those of our names."""
    try:
        found = logs.describe_metric_filters(
            logGroupName=group, filterNamePrefix=f"{settings.names.endpoint}-predictions"
        )["metricFilters"]
    except ClientError as error:
        if aws.is_missing(error):
            return {}
        raise
    return {each["filterName"]: each.get("filterPattern", "") for each in found}
