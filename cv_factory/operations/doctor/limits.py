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


#: The quota of endpoints without instances, as the console names it.
_CONCURRENCY = "Maximum total concurrency that can be allocated across all serverless endpoints"


def needed(target: Target) -> dict[str, int]:
    """Name of a quota -> what the settings need of it at once: instances, or concurrent calls of a serverless endpoint.

    An update runs the old and the new fleet; each fallback type may have to be both. ``release.staging`` adds an
    endpoint of one instance, of the first type.
    """
    settings = target.settings
    training, serving, staging = settings.training, settings.serving, int(settings.release.staging)
    count: Counter[str] = Counter()
    kind = "spot training job usage" if training.spot else "training job usage"
    count[f"{training.instance_type} for {kind}"] = training.instance_count
    count[f"{training.instance_type} for processing job usage"] = training.instance_count
    if serving.serverless:
        count[_CONCURRENCY] = (2 + staging) * serving.serverless.max_concurrency
        return dict(count)
    for instance_type in (serving.instance_type, *serving.fallback_instance_types):
        count[f"{instance_type} for endpoint usage"] = 2 * max(serving.instance_count, serving.max_instances)
    count[f"{serving.instance_type} for endpoint usage"] += staging
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
    if target.is_local or serving.serverless or serving.max_instances <= serving.instance_count:
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
