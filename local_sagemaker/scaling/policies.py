"""Target tracking: the alarms of a policy, and the instance count that its metric asks for.

Source: Application Auto Scaling User Guide, "How target tracking works", "Define cooldown periods"; SageMaker Developer
Guide, "Automatic scaling of Amazon SageMaker AI models". The alarms are those that AWS makes for a SageMaker variant:
three minutes above the target, fifteen below nine tenths of it.
"""

from __future__ import annotations

import math
import re
import uuid
from typing import Any, NamedTuple

from local_sagemaker.metrics import Metric, metric

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
PER_INSTANCE = "SageMakerVariantInvocationsPerInstance"

HIGH, LOW = "AlarmHigh", "AlarmLow"
_PERIODS = {HIGH: 3, LOW: 15}
_LOW_SHARE = 0.9
#: Seconds; what AWS takes for SageMaker when a policy does not say.
COOLDOWN = 300

_RESOURCE = re.compile(r"endpoint/(?P<endpoint>[^/]+)/variant/(?P<variant>[^/]+)")


class BadPolicy(Exception):
    """A policy that does not run here; the message says what would."""


class Tracked(NamedTuple):
    """What a policy tracks."""

    about: Metric
    statistic: str
    target: float


def place(resource_id: str) -> tuple[str, str] | None:
    """Endpoint and variant of a ResourceId; None for another kind of resource."""
    found = _RESOURCE.fullmatch(resource_id)
    return (found["endpoint"], found["variant"]) if found else None


def tracked(policy: Any) -> Tracked:
    """What one of moto's policies on a variant tracks.

    Raises:
        BadPolicy: step scaling, or a metric that does not run here.
    """
    config = policy.target_tracking_scaling_policy_configuration
    if config is None:
        raise BadPolicy("Step scaling is not supported by the local SageMaker. Use TargetTrackingScaling.")
    where = place(policy.resource_id)
    if where is None:
        raise BadPolicy(f"{policy.resource_id} is no endpoint/NAME/variant/NAME")
    target = float(config["TargetValue"])
    if target <= 0:
        raise BadPolicy(f"TargetValue must be above 0, not {target:g}")
    if config.get("PredefinedMetricSpecification"):
        kind = config["PredefinedMetricSpecification"]["PredefinedMetricType"]
        if kind != PER_INSTANCE:
            raise BadPolicy(f"The metric {kind} is not supported by the local SageMaker. Use {PER_INSTANCE}.")
        dimensions = [("EndpointName", where[0]), ("VariantName", where[1])]
        return Tracked(metric("AWS/SageMaker", "InvocationsPerInstance", dimensions), "Sum", target)
    custom = config.get("CustomizedMetricSpecification") or {}
    if not custom.get("MetricName"):
        raise BadPolicy(
            "A policy needs PredefinedMetricSpecification, or CustomizedMetricSpecification with MetricName."
        )
    dimensions = [(one["Name"], one["Value"]) for one in custom.get("Dimensions") or []]
    return Tracked(metric(custom["Namespace"], custom["MetricName"], dimensions), custom["Statistic"], target)


def alarms(policy: Any, what: Tracked) -> list[dict[str, Any]]:
    """Arguments of moto's ``put_metric_alarm`` for the policy's alarms."""
    config = policy.target_tracking_scaling_policy_configuration
    wanted = [(HIGH, "GreaterThanThreshold", what.target)]
    if not config.get("DisableScaleIn"):
        wanted.append((LOW, "LessThanThreshold", what.target * _LOW_SHARE))
    return [
        {
            "name": f"TargetTracking-{policy.resource_id}-{kind}-{uuid.uuid4()}",
            "namespace": what.about.namespace,
            "metric_name": what.about.name,
            "metric_data_queries": [],
            "comparison_operator": comparison,
            "evaluation_periods": _PERIODS[kind],
            "period": 60,
            "threshold": threshold,
            "statistic": what.statistic,
            "description": f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy.policy_arn}.",
            "dimensions": [{"Name": name, "Value": value} for name, value in what.about.dimensions],
            "alarm_actions": [policy.policy_arn],
        }
        for kind, comparison, threshold in wanted
    ]


def kind(alarm_name: str) -> str:
    """``AlarmHigh`` or ``AlarmLow``."""
    return HIGH if f"-{HIGH}-" in alarm_name else LOW


def proposed(current: int, value: float, target: float, which: str) -> int:
    """The instance count at which ``value``, which ``current`` instances see each, would be the target."""
    wanted = math.ceil(current * value / target - 1e-9)
    return max(wanted, current + 1) if which == HIGH else max(1, min(wanted, current - 1))


def cooldown(policy: Any, which: str) -> float:
    """Seconds after a scaling activity in which the policy waits."""
    config = policy.target_tracking_scaling_policy_configuration
    found = config.get("ScaleOutCooldown" if which == HIGH else "ScaleInCooldown")
    return float(COOLDOWN if found is None else found)
