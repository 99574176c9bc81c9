"""Autoscaling of the endpoint: one scalable target and one target tracking policy, registered once.

A roll-out leaves both as they are: the variant keeps its name, and ``RetainAllVariantProperties`` keeps the number of
instances that it has been scaled to.

Sources: Application Auto Scaling API reference, RegisterScalableTarget and PutScalingPolicy; SageMaker Developer Guide,
"Automatic scaling of Amazon SageMaker AI models".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from contracts.names import VARIANT
from contracts.release import ReleaseSettings
from deployment import aws

SERVICE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
METRIC = "SageMakerVariantInvocationsPerInstance"
#: Seconds before another instance is added, or taken away: loading a model takes a minute or two.
_OUT, _IN = 60, 300


@dataclass(frozen=True, slots=True)
class Scaling:
    """Between how many instances the fleet is kept, and for how many requests a minute each (0: no policy)."""

    least: int
    most: int
    per_instance: float


def wanted(settings: ReleaseSettings) -> Scaling | None:
    """What the settings ask for; None: a fleet of a fixed size, or one without instances."""
    if settings.serverless or settings.max_instances <= settings.instance_count:
        return None
    return Scaling(settings.instance_count, settings.max_instances, float(settings.requests_per_instance))


def look(client: Any, settings: ReleaseSettings) -> Scaling | None:
    """What is registered; None: nothing."""
    about = {"ServiceNamespace": SERVICE, "ScalableDimension": DIMENSION}
    targets = client.describe_scalable_targets(ResourceIds=[resource(settings)], **about)["ScalableTargets"]
    if not targets:
        return None
    policies = client.describe_scaling_policies(ResourceId=resource(settings), **about)["ScalingPolicies"]
    values = [
        each["TargetTrackingScalingPolicyConfiguration"]["TargetValue"]
        for each in policies
        if each["PolicyName"] == policy_name(settings) and each.get("TargetTrackingScalingPolicyConfiguration")
    ]
    return Scaling(targets[0]["MinCapacity"], targets[0]["MaxCapacity"], float(values[0]) if values else 0.0)


def resource(settings: ReleaseSettings) -> str:
    return f"endpoint/{settings.names.endpoint}/variant/{VARIANT}"


def policy_name(settings: ReleaseSettings) -> str:
    return f"{settings.names.endpoint}-requests"


def register(client: Any, settings: ReleaseSettings, scaling: Scaling) -> None:
    client.register_scalable_target(
        ServiceNamespace=SERVICE,
        ResourceId=resource(settings),
        ScalableDimension=DIMENSION,
        MinCapacity=scaling.least,
        MaxCapacity=scaling.most,
        Tags=settings.names.tags,
    )


def put_policy(client: Any, settings: ReleaseSettings, scaling: Scaling) -> None:
    client.put_scaling_policy(
        PolicyName=policy_name(settings),
        ServiceNamespace=SERVICE,
        ResourceId=resource(settings),
        ScalableDimension=DIMENSION,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": scaling.per_instance,
            "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC},
            "ScaleOutCooldown": _OUT,
            "ScaleInCooldown": _IN,
        },
    )


def deregister(client: Any, settings: ReleaseSettings) -> None:
    """Remove the target; its policy and that policy's alarms go with it."""
    try:
        client.deregister_scalable_target(
            ServiceNamespace=SERVICE, ResourceId=resource(settings), ScalableDimension=DIMENSION
        )
    except ClientError as error:
        if not aws.is_missing(error):
            raise
