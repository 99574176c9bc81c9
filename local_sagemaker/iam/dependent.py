"""What an API call needs of its caller beside its own action: the actions that depend on its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from local_sagemaker.iam.needs import Context, Needed, context_of, key_arn, tags_of
from local_sagemaker.iam.requests import ApiRequest

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


def needed(action: str, resources: list[str], request: ApiRequest, platform: Platform) -> list[Needed]:
    """What a call needs beside its own action: the right to tag, to pass a role, to use a key, to set up scaling."""
    more = _tagged_at_creation if action.startswith("ec2:") else _MORE.get(action)
    return _tagging(action, resources, request) + _passed(action, request) + (more(request, platform) if more else [])


#: Services in which a create call with tags also needs the action that tags. Source: each service's page of the
#: reference ("dependent actions") and "Tagging … during creation".
_TAG_ACTIONS = {
    "sagemaker": "AddTags", "ecr": "TagResource", "events": "TagResource", "iam": "", "kms": "TagResource",
    "lambda": "TagResource", "logs": "TagResource", "sns": "TagResource", "sqs": "TagQueue",
    "cloudwatch": "TagResource", "budgets": "TagResource",
}  # fmt: skip
_IAM_TAG_ACTIONS = {
    "CreateRole": "TagRole", "CreatePolicy": "TagPolicy", "CreateOpenIDConnectProvider": "TagOpenIDConnectProvider",
}  # fmt: skip


def _tagging(action: str, resources: list[str], request: ApiRequest) -> list[Needed]:
    service, _, name = action.partition(":")
    if "Tag" in name or not tags_of(request.parameters):
        return []
    tag = _IAM_TAG_ACTIONS.get(name) if service == "iam" else _TAG_ACTIONS.get(service)
    if not tag:
        return []
    context = context_of("", request)
    return [Needed(f"{service}:{tag}", resource.removesuffix(":log-stream:"), context) for resource in resources]


#: Action -> the members that hold a role, and the service that gets it.
_PASSING = {
    "sagemaker": (("RoleArn", "ExecutionRoleArn"), "sagemaker.amazonaws.com"),
    "lambda": (("Role",), "lambda.amazonaws.com"),
    "scheduler": (("RoleArn",), "scheduler.amazonaws.com"),
    "events": (("RoleArn",), "events.amazonaws.com"),
    "ec2": (("DeliverLogsPermissionArn",), "vpc-flow-logs.amazonaws.com"),
}


def _passed(action: str, request: ApiRequest) -> list[Needed]:
    """``iam:PassRole`` for every role that the request hands to a service.

    Source: IAM User Guide, "Grant a user permissions to pass a role to an AWS service".
    """
    service, _, name = action.partition(":")
    if service not in _PASSING or not name.startswith(("Create", "Update", "Put")):
        return []
    members, principal = _PASSING[service]
    roles = {str(value) for member, value in _walk(request.parameters) if member in members and value}
    return [Needed("iam:PassRole", role, {"iam:passedtoservice": principal}) for role in sorted(roles)]


def _walk(value: Any, member: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [found for name, item in value.items() for found in _walk(item, name)]
    if isinstance(value, list):
        return [found for item in value for found in _walk(item, member)]
    return [(member, value)]


def _tagged_at_creation(request: ApiRequest, platform: Platform) -> list[Needed]:
    """``ec2:CreateTags`` on what a call makes with tags, and the call itself on the rules of a group that it makes.

    Source: EC2 User Guide, "Grant permission to tag Amazon EC2 resources during creation"; the reference has a rule as
    a second, optional resource of the Authorize calls.
    """
    base = f"arn:aws:ec2:{request.region}:{platform.account_id}"
    found = []
    for item in request.parameters.get("TagSpecifications") or request.parameters.get("TagSpecification") or []:
        context = Context({"ec2:createaction": request.operation})
        tags = {str(tag.get("Key")): str(tag.get("Value", "")) for tag in item.get("Tags") or []}
        context |= {f"aws:requesttag/{name.lower()}": value for name, value in tags.items()}
        made = f"{base}:{item.get('ResourceType')}/*"
        if request.operation.startswith("AuthorizeSecurityGroup"):
            found.append(Needed(f"ec2:{request.operation}", made, context))
        found.append(Needed("ec2:CreateTags", made, context))
    return found


def _encrypted_with(action: str, member: str) -> Callable[[ApiRequest, Platform], list[Needed]]:
    def more(request: ApiRequest, platform: Platform) -> list[Needed]:
        keys = {str(value) for name, value in _walk(request.parameters) if name == member and value}
        return [
            Needed(action, key_arn(platform, request.region, key), {"kms:grantisforawsresource": "true"})
            for key in sorted(keys)
        ]

    return more


def _scaling(request: ApiRequest, platform: Platform) -> list[Needed]:
    """What autoscaling of an endpoint asks of who sets it up.

    Source: SageMaker Developer Guide, "Auto scaling prerequisites".
    """
    kind, _, rest = str(request.parameters.get("ResourceId", "")).partition("/")
    if request.parameters.get("ServiceNamespace") != "sagemaker" or kind != "endpoint":
        return []
    base = f"{request.region}:{platform.account_id}"
    endpoint = f"arn:aws:sagemaker:{base}:endpoint/{rest.partition('/')[0].lower()}"
    if request.operation == "RegisterScalableTarget":
        linked = f"arn:aws:iam::{platform.account_id}:role/aws-service-role/{_SCALING}/{_SCALING_ROLE}"
        return [
            Needed("sagemaker:DescribeEndpoint", endpoint),
            Needed("sagemaker:UpdateEndpointWeightsAndCapacities", endpoint),
            Needed("iam:CreateServiceLinkedRole", linked, {"iam:awsservicename": _SCALING}),
        ]
    alarm = f"arn:aws:cloudwatch:{base}:alarm:TargetTracking-{request.parameters['ResourceId']}-AlarmHigh"
    verbs = ("PutMetricAlarm", "DescribeAlarms", "DeleteAlarms")
    return [Needed(f"cloudwatch:{verb}", alarm) for verb in verbs]


_SCALING = "sagemaker.application-autoscaling.amazonaws.com"
_SCALING_ROLE = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"

#: What else a call needs of the caller. Source: SageMaker Developer Guide, "Amazon SageMaker AI API Permissions:
#: Actions, Permissions, and Resources Reference" (kms:CreateGrant where a volume has a key); ECR User Guide,
#: "Encryption at rest" (kms:CreateGrant and kms:DescribeKey of who makes a repository).
_MORE: dict[str, Callable[[ApiRequest, Platform], list[Needed]]] = {
    "sagemaker:CreateTrainingJob": _encrypted_with("kms:CreateGrant", "VolumeKmsKeyId"),
    "sagemaker:CreateProcessingJob": _encrypted_with("kms:CreateGrant", "VolumeKmsKeyId"),
    "sagemaker:CreateTransformJob": _encrypted_with("kms:CreateGrant", "VolumeKmsKeyId"),
    "sagemaker:CreateEndpointConfig": _encrypted_with("kms:CreateGrant", "KmsKeyId"),
    "ecr:CreateRepository": _encrypted_with("kms:CreateGrant", "kmsKey"),
    "application-autoscaling:RegisterScalableTarget": _scaling,
    "application-autoscaling:PutScalingPolicy": _scaling,
}
