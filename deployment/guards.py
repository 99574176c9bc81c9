"""The alarms that roll an update back, and the metric filters they need. Pure functions of the settings.

SageMaker watches the alarms while it moves the traffic and during the bake time, and goes back to the old fleet when
one is in ALARM. Its metrics are of the endpoint as a whole, old and new fleet together: what only the new one does
wrong is seen in proportion to its traffic, so a canary of 10 % shows a tenth of it.

Sources: SageMaker Developer Guide, "Auto-rollback configuration and monitoring" and "Amazon SageMaker AI metrics in
Amazon CloudWatch"; CloudWatch User Guide, "Using math expressions with CloudWatch metrics".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts import hashing, release
from contracts.names import VARIANT
from contracts.release import ReleaseSettings
from deployment import specs

#: Requests, or predictions, in a period below which a share says nothing.
FEWEST = 20
#: A math expression of an alarm may have 10 metrics (CloudWatch quotas): the total and nine labels.
MOST_LABELS = 9
#: Metrics of the two filters, in the namespace ``cv-factory/<endpoint>``.
ALL, BY_LABEL = "Predictions", "PredictionsByLabel"
_ENDPOINT_NAMESPACE, _INSTANCE_NAMESPACE = "AWS/SageMaker", "/aws/sagemaker/Endpoints"


@dataclass(frozen=True, slots=True)
class Filter:
    """A metric filter on the lines that the server writes for each request (inference/observe.py)."""

    name: str
    pattern: str
    metric: str
    dimensions: Mapping[str, str]

    def request(self, settings: ReleaseSettings) -> dict[str, Any]:
        """PutMetricFilter."""
        transformation: dict[str, Any] = {
            "metricName": self.metric, "metricNamespace": namespace(settings), "metricValue": "1", "unit": "Count",
        }  # fmt: skip
        if self.dimensions:
            transformation["dimensions"] = dict(self.dimensions)
        return {
            "logGroupName": log_group(settings),
            "filterName": self.name,
            "filterPattern": self.pattern,
            "metricTransformations": [transformation],
        }


@dataclass(frozen=True, slots=True)
class Alarm:
    """A guard's alarm: ``request`` is PutMetricAlarm without its tags, which have no part in its identity."""

    guard: str
    request: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.request["AlarmName"])

    @property
    def threshold(self) -> float:
        return float(self.request["Threshold"])

    @property
    def description(self) -> str:
        return str(self.request["AlarmDescription"])


def log_group(settings: ReleaseSettings) -> str:
    """Where SageMaker keeps what the endpoint's containers write."""
    return f"/aws/sagemaker/Endpoints/{settings.names.endpoint}"


def namespace(settings: ReleaseSettings) -> str:
    return f"cv-factory/{settings.names.endpoint}"


def alarm_name(settings: ReleaseSettings, guard: str) -> str:
    return f"{settings.names.endpoint}-guard-{guard.replace('_', '-')}"


def alarm_names(settings: ReleaseSettings) -> dict[str, str]:
    """Guard -> the name of its alarm, of every guard there is."""
    return {guard: alarm_name(settings, guard) for guard in release.GUARDS}


def filters(settings: ReleaseSettings) -> tuple[Filter, ...]:
    """The filters for the guard on labels; none if it is off. Requests with one image have a label."""
    if release.LABEL_SHIFT not in settings.guards:
        return ()
    pattern = '{ $.event = "request" && $.label = "*" }'
    endpoint = settings.names.endpoint
    return (
        Filter(f"{endpoint}-predictions", pattern, ALL, {}),
        Filter(f"{endpoint}-predictions-by-label", pattern, BY_LABEL, {"label": "$.label"}),
    )


def alarms(settings: ReleaseSettings) -> tuple[Alarm, ...]:
    """The alarms of the guards that are on, all but the one on labels, which needs to know what was usual."""
    makers = {
        release.ERRORS_5XX: _errors_5xx,
        release.SHARE_4XX: _share_4xx,
        release.LATENCY_P99: _latency,
        release.MEMORY: _memory,
    }
    return tuple(
        _alarm(settings, guard, float(settings.guards[guard]), *make(settings))
        for guard, make in makers.items()
        if guard in settings.guards
    )


def label_alarm(settings: ReleaseSettings, usual: Mapping[str, float]) -> Alarm | None:
    """The alarm on a label whose share moved; None: the guard is off, or nobody knows what was usual.

    ``usual``: label -> its share of the predictions before the update, 0 to 1.
    """
    if release.LABEL_SHIFT not in settings.guards or not usual:
        return None
    labels = sorted(usual, key=lambda label: (-usual[label], label))[:MOST_LABELS]
    total = _metric("total", namespace(settings), ALL, {}, "Sum", 300)
    counts = [
        _metric(f"label{number}", namespace(settings), BY_LABEL, {"label": label}, "Sum", 300)
        for number, label in enumerate(labels)
    ]
    moved = ", ".join(
        f"ABS(FILL(label{number}, 0) / total - {usual[label]:.6f})" for number, label in enumerate(labels)
    )
    expression = f"IF(total >= {FEWEST}, MAX([{moved}]), 0)"
    about = "the share of a predicted label has moved by more than the threshold"
    threshold = float(settings.guards[release.LABEL_SHIFT])
    return _alarm(
        settings, release.LABEL_SHIFT, threshold, about, {"Metrics": [_math(expression), total, *counts]}, (1, 1)
    )


def request(alarm: Alarm, settings: ReleaseSettings) -> dict[str, Any]:
    """PutMetricAlarm."""
    return {**alarm.request, "Tags": specs.tags(settings)}


# --- the guards -------------------------------------------------------------------------------------------------------

_Parts = tuple[str, dict[str, Any], tuple[int, int]]


def _errors_5xx(settings: ReleaseSettings) -> _Parts:
    """Invocation5XXErrors counts answers only: a container that ends, or hangs, is seen in InvocationModelErrors."""
    of = _dimensions(settings)
    metrics = [
        _math("MAX([FILL(answered, 0), FILL(failed, 0) - FILL(bad, 0)])"),
        _metric("answered", _ENDPOINT_NAMESPACE, "Invocation5XXErrors", of, "Sum", 60),
        _metric("failed", _ENDPOINT_NAMESPACE, "InvocationModelErrors", of, "Sum", 60),
        _metric("bad", _ENDPOINT_NAMESPACE, "Invocation4XXErrors", of, "Sum", 60),
    ]
    about = "more requests in a minute have an answer with status 5xx, or none, than the threshold"
    return about, {"Metrics": metrics}, (1, 1)


def _share_4xx(settings: ReleaseSettings) -> _Parts:
    of = _dimensions(settings)
    metrics = [
        _math(f"IF(all >= {FEWEST}, bad / all, 0)"),
        _metric("bad", _ENDPOINT_NAMESPACE, "Invocation4XXErrors", of, "Sum", 60),
        _metric("all", _ENDPOINT_NAMESPACE, "Invocations", of, "Sum", 60),
    ]
    return "a larger share of answers has status 4xx than the threshold", {"Metrics": metrics}, (2, 3)


def _latency(settings: ReleaseSettings) -> _Parts:
    metric = _plain(settings, _ENDPOINT_NAMESPACE, "ModelLatency") | {"ExtendedStatistic": "p99"}
    return "the container is slower than the threshold (microseconds) for one request of a hundred", metric, (2, 3)


def _memory(settings: ReleaseSettings) -> _Parts:
    metric = _plain(settings, _INSTANCE_NAMESPACE, "MemoryUtilization") | {"Statistic": "Maximum"}
    return "an instance uses more of its memory (percent) than the threshold", metric, (2, 3)


#: CloudWatch's unit over the setting's. ModelLatency is in microseconds.
_FACTORS = {release.LATENCY_P99: 1000.0}


def _alarm(
    settings: ReleaseSettings,
    guard: str,
    threshold: float,
    about: str,
    metric: dict[str, Any],
    periods: tuple[int, int],
) -> Alarm:
    """``periods``: (in how many, of how many) periods the threshold must be passed.

    The description ends with a hash of the request: what has another hash is another alarm.
    """
    content = {
        "AlarmName": alarm_name(settings, guard),
        **metric,
        "EvaluationPeriods": periods[1],
        "DatapointsToAlarm": periods[0],
        "Threshold": threshold * _FACTORS.get(guard, 1.0),
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "ActionsEnabled": True,
    }
    version = hashing.of_value(json.loads(json.dumps(content)))[: hashing.SHORT]
    return Alarm(guard, {**content, "AlarmDescription": f"Guard of the release: {about}. [{version}]"})


def _dimensions(settings: ReleaseSettings) -> dict[str, str]:
    return {"EndpointName": settings.names.endpoint, "VariantName": VARIANT}


def _plain(settings: ReleaseSettings, space: str, name: str) -> dict[str, Any]:
    return {
        "Namespace": space, "MetricName": name, "Dimensions": _pairs(_dimensions(settings)), "Period": 60,
    }  # fmt: skip


def _pairs(dimensions: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in dimensions.items()]


def _metric(
    identifier: str, space: str, name: str, dimensions: Mapping[str, str], statistic: str, seconds: int
) -> dict[str, Any]:
    metric = {"Namespace": space, "MetricName": name, "Dimensions": _pairs(dimensions)}
    return {
        "Id": identifier,
        "MetricStat": {"Metric": metric, "Period": seconds, "Stat": statistic},
        "ReturnData": False,
    }


def _math(expression: str) -> dict[str, Any]:
    return {"Id": "share", "Expression": expression, "ReturnData": True}
