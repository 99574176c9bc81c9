"""What CloudWatch says when an alarm changes its state: the reason, the event, the notification.

Source: CloudWatch User Guide, "Alarm events and EventBridge", "Notifying users on alarm changes"; shapes as AWS sends
them.
"""

from __future__ import annotations

import datetime
import json
from typing import Any

from local_sagemaker.alarms.verdicts import ALARM, BREACHING, COMPARISONS, INSUFFICIENT_DATA, OK, Verdict

EVENT = "CloudWatch Alarm State Change"


def reason(alarm: Any, verdict: Verdict, periods: int, to_alarm: int, seconds: int) -> str:
    """StateReason. ``seconds``: the first second of the newest period."""
    if verdict.state == INSUFFICIENT_DATA:
        unknown = "datapoint was" if verdict.filled == 1 else "datapoints were"
        return f"Insufficient Data: {verdict.filled} {unknown} unknown."
    if not verdict.used:
        treated = "Breaching" if alarm.treat_missing_data == BREACHING else "NonBreaching"
        return (
            f"Threshold Crossed: no datapoints were received for {_many(periods, 'period')} and "
            f"{_many(verdict.filled, 'missing datapoint')} {_was(verdict.filled)} treated as [{treated}]."
        )
    breaches, words = COMPARISONS[alarm.comparison_operator]
    wanted = verdict.state == ALARM
    counted = sum(1 for value in verdict.used if breaches(value, float(alarm.threshold)) == wanted)
    shown = ", ".join(str(value) for value in verdict.used[:5])
    instant = datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%d/%m/%y %H:%M:%S")
    least = to_alarm if wanted else periods - to_alarm + 1
    change = "OK -> ALARM" if wanted else "ALARM -> OK"
    return (
        f"Threshold Crossed: {counted} out of the last {len(verdict.used)} datapoints [{shown} ({instant})] "
        f"{_was(counted)}{'' if wanted else ' not'} {words} the threshold ({float(alarm.threshold)}) "
        f"(minimum {_many(least, 'datapoint')} for {change} transition)."
    )


def reason_data(alarm: Any, verdict: Verdict, now: float, start: int) -> str:
    """StateReasonData: a JSON text."""
    document: dict[str, Any] = {
        "version": "1.0",
        "queryDate": instant(now),
        "startDate": instant(start),
        **({"statistic": alarm.statistic or alarm.extended_statistic} if alarm.metric_name else {}),
        **({"period": int(alarm.period)} if alarm.period else {}),
        "recentDatapoints": list(reversed(verdict.used)),
        "threshold": float(alarm.threshold),
    }
    return json.dumps(document)


def state(value: str, why: str, data: str | None, at: float) -> dict[str, Any]:
    """A state as events show it."""
    found = {"value": value, "reason": why, "timestamp": instant(at)}
    return found | ({"reasonData": data} if data else {})


def event(alarm: Any, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The detail of the EventBridge event."""
    return {
        "alarmName": alarm.name,
        "configuration": _configuration(alarm),
        "previousState": old,
        "state": new,
    }


def notification(alarm: Any, old: dict[str, Any], new: dict[str, Any], account: str, region: str) -> str:
    """The message that an SNS topic gets."""
    configured = alarm.configuration_updated_timestamp.replace(tzinfo=datetime.UTC).timestamp()
    document: dict[str, Any] = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": instant(configured),
        "NewStateValue": new["value"],
        "NewStateReason": new["reason"],
        "StateChangeTime": new["timestamp"],
        "Region": region,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": old["value"],
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
    }
    if alarm.rule is not None:
        document["AlarmRule"] = alarm.rule
    else:
        document["Trigger"] = _trigger(alarm)
    return json.dumps(document)


def invocation(alarm: Any, old: dict[str, Any], new: dict[str, Any], account: str, region: str) -> str:
    """The event that a Lambda action gets."""
    data = {"alarmName": alarm.name, "state": new, "previousState": old, "configuration": _configuration(alarm)}
    return json.dumps(
        {
            "source": "aws.cloudwatch",
            "alarmArn": alarm.alarm_arn,
            "accountId": account,
            "time": new["timestamp"],
            "region": region,
            "alarmData": data,
        }
    )


def actions(alarm: Any, value: str) -> list[str]:
    """ARNs of what is to be done when the alarm goes into this state."""
    if not alarm.actions_enabled:
        return []
    found = {OK: alarm.ok_actions, ALARM: alarm.alarm_actions, INSUFFICIENT_DATA: alarm.insufficient_data_actions}
    return list(found[value] or [])


def instant(seconds: float) -> str:
    """As CloudWatch writes it: ``2019-10-02T17:20:48.551+0000``."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


def _configuration(alarm: Any) -> dict[str, Any]:
    described = {"description": alarm.description} if alarm.description else {}
    if alarm.rule is not None:
        return described | {"alarmRule": alarm.rule}
    metrics = [_query(one) for one in alarm.metric_data_queries]
    if not metrics:
        stat = {
            "metric": _metric(alarm.namespace, alarm.metric_name, alarm.dimensions),
            "period": int(alarm.period),
            "stat": alarm.statistic or alarm.extended_statistic,
            **({"unit": alarm.unit} if alarm.unit else {}),
        }
        metrics = [{"id": "m1", "metricStat": stat, "returnData": True}]
    return described | {"metrics": metrics}


def _query(one: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"id": one.id, "returnData": one.return_data is not False}
    if one.label:
        found["label"] = one.label
    if one.expression:
        return found | {"expression": one.expression}
    stat = one.metric_stat
    return found | {
        "metricStat": {
            "metric": _metric(stat.metric.namespace, stat.metric.metric_name, stat.metric.dimensions),
            "period": int(stat.period),
            "stat": stat.stat,
        }
    }


def _metric(namespace: str, name: str, dimensions: list[Any]) -> dict[str, Any]:
    return {"namespace": namespace, "name": name, "dimensions": {one.name: one.value for one in dimensions}}


def _trigger(alarm: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "EvaluationPeriods": int(alarm.evaluation_periods),
        "DatapointsToAlarm": int(alarm.datapoints_to_alarm or alarm.evaluation_periods),
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": float(alarm.threshold),
        "TreatMissingData": alarm.treat_missing_data or "missing",
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample_count_percentile or "",
    }
    if alarm.metric_data_queries:
        return found | {"Metrics": [_query(one) for one in alarm.metric_data_queries]}
    return found | {
        "MetricName": alarm.metric_name,
        "Namespace": alarm.namespace,
        "StatisticType": "Statistic" if alarm.statistic else "ExtendedStatistic",
        "Statistic": (alarm.statistic or alarm.extended_statistic or "").upper(),
        "Unit": alarm.unit,
        "Dimensions": [{"value": one.value, "name": one.name} for one in alarm.dimensions],
        "Period": int(alarm.period),
    }


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"
