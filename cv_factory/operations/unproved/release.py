"""Guarded roll-outs: two packages, traffic and the minutes of a bake; a person tries these on a real release."""

from __future__ import annotations

from cv_factory.operations.unproved.check import ByHand, Check

TITLE = "Release"
_WHY = "it takes two packages, requests and the minutes of a bake: try it with the first release of dev"
_ROWS = (
    (
        "`UpdateEndpoint` with `AutoRollbackConfiguration`, an alarm of which is in ALARM",
        "the endpoint is InService again with the old configuration, and `FailureReason` names the alarm",
    ),
    (
        "`UpdateEndpoint` where no machine of the type is free, or the quota is 0",
        "`FailureReason`, or the error, matches `deployment.verdict.is_capacity`",
    ),
    ("`PutMetricAlarm` on an alarm that exists", "it keeps its state"),
    (
        "an alarm with `IF(total >= 20, MAX([ABS(FILL(label0, 0) / total - 0.5), …]), 0)` over ten metrics",
        "accepted",
    ),
    (
        "`MemoryUtilization` of `/aws/sagemaker/Endpoints`, of a serverless endpoint too",
        "there, with EndpointName and VariantName",
    ),
    (
        "`RegisterScalableTarget` by the deployer's role, first in an account",
        "the service-linked role is made; `PutScalingPolicy` makes its own alarms",
    ),
    ("`DeregisterScalableTarget`", "the policy goes with it"),
    ("a blue/green update of a serverless endpoint with a canary of 10 %", "accepted"),
    ("`PutObject` with `IfMatch` by two at a time", "one gets 412 or 409"),
    ("`DescribeModelPackage` after an approval", "`LastModifiedBy` is who approved"),
)
ROWS: tuple[Check | ByHand, ...] = tuple(ByHand(call, expected, _WHY) for call, expected in _ROWS)
