"""What an account may have: quotas for the instances of the settings, and the roles that AWS's services bring."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from botocore.exceptions import ClientError

from cv_factory.operations.doctor.base import missing
from cv_factory.operations.doctor.finding import PROBLEM, WARNING, Finding
from cv_factory.session import Target

_SERVICE = "sagemaker"
_SCALING_ROLE = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"


def needed(target: Target) -> dict[str, int]:
    """Name of a quota -> instances that the settings need at once. A blue/green update runs both fleets."""
    settings = target.settings
    training, serving = settings.training, settings.serving
    count: Counter[str] = Counter()
    kind = "spot training job usage" if training.spot else "training job usage"
    count[f"{training.instance_type} for {kind}"] = training.instance_count
    count[f"{training.instance_type} for processing job usage"] = training.instance_count
    count[f"{serving.instance_type} for endpoint usage"] = 2 * max(serving.instance_count, serving.max_instances)
    return dict(count)


def quotas(target: Target) -> Iterator[Finding]:
    """The account's quotas by name."""
    if target.is_local:
        return
    client = target.client("service-quotas")
    known: dict[str, tuple[str, float]] = {}
    for page in client.get_paginator("list_service_quotas").paginate(ServiceCode=_SERVICE):
        known.update({one["QuotaName"]: (one["QuotaCode"], one["Value"]) for one in page["Quotas"]})
    for name, count in needed(target).items():
        code, value = known.get(name, ("", 0.0))
        if value >= count:
            continue
        had = f"is {math.floor(value)}" if code else "is not among the account's"
        yield Finding(
            "quotas", PROBLEM, f"the quota {name!r} {had}; these settings need {count}",
            f"aws service-quotas request-service-quota-increase --service-code {_SERVICE} --quota-code {code or 'CODE'}"
            f" --desired-value {count}",
        )  # fmt: skip


def service_roles(target: Target) -> Iterator[Finding]:
    """The role of Application Auto Scaling, when the endpoint is to grow."""
    serving = target.settings.serving
    if target.is_local or serving.max_instances <= serving.instance_count:
        return
    try:
        target.client("iam").get_role(RoleName=_SCALING_ROLE)
    except ClientError as error:
        if not missing(error):
            raise
        yield Finding(
            "service roles", WARNING, f"there is no {_SCALING_ROLE} yet: the first scaling target makes it",
            "aws iam create-service-linked-role --aws-service-name sagemaker.application-autoscaling.amazonaws.com",
        )  # fmt: skip
