"""What an API call needs: actions, the resources they are checked on, and the condition keys of each check.

Source: the Service Authorization Reference for actions and resources; where it leaves the resource open, or where
AWS's error messages show another one, the row here says so.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from local_sagemaker.iam import catalogue, dependent, s3
from local_sagemaker.iam.needs import Context, Needed, context_of, key_arn
from local_sagemaker.iam.requests import ApiRequest

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

#: botocore's name of a service -> the prefix of its actions.
PREFIXES = {"sagemaker-runtime": "sagemaker", "sagemaker-metrics": "sagemaker", "service-quotas": "servicequotas",
            "resourcegroupstaggingapi": "tag"}  # fmt: skip

#: Operation -> action, where the names differ.
_ACTIONS = {
    "lambda:Invoke": "InvokeFunction",
    "lambda:ListTags": "ListTags",
    "budgets:DescribeBudget": "ViewBudget",
    "budgets:DescribeBudgets": "ViewBudget",
    "budgets:DescribeNotificationsForBudget": "ViewBudget",
    "budgets:DescribeSubscribersForNotification": "ViewBudget",
    "budgets:CreateBudget": "ModifyBudget",
    "budgets:UpdateBudget": "ModifyBudget",
    "budgets:DeleteBudget": "ModifyBudget",
    "budgets:CreateNotification": "ModifyBudget",
    "budgets:UpdateNotification": "ModifyBudget",
    "budgets:DeleteNotification": "ModifyBudget",
    "budgets:CreateSubscriber": "ModifyBudget",
    "budgets:UpdateSubscriber": "ModifyBudget",
    "budgets:DeleteSubscriber": "ModifyBudget",
    "sqs:SendMessageBatch": "SendMessage",
    "sqs:DeleteMessageBatch": "DeleteMessage",
}
#: Placeholder of an ARN format -> the request's members that fill it, the first that is there.
_MEMBERS = {
    "RepositoryName": ("repositoryName", "repositoryNames"),
    "RuleName": ("Name", "Rule"),
    "EventBusName": ("EventBusName",),
    "FunctionName": ("FunctionName",),
    "RoleNameWithPath": ("RoleName", "RoleArn"),
    "PolicyNameWithPath": ("PolicyArn", "PolicyName"),
    "UserNameWithPath": ("UserName",),
    "OidcProviderName": ("OpenIDConnectProviderArn", "Url"),
    "TopicName": ("TopicArn", "Name"),
    "QueueName": ("QueueUrl", "QueueName"),
    "AlarmName": ("AlarmName", "AlarmNames"),
    "DashboardName": ("DashboardName", "DashboardNames"),
    "Alias": ("AliasName",),
    "KeyId": ("KeyId", "TargetKeyId"),
    "BudgetName": ("BudgetName",),
    "ModelPackageName": ("ModelPackageName",),
    "PipelineName": ("PipelineName",),
    "VpcId": ("VpcId", "ResourceIds"),
    "SecurityGroupId": ("GroupId", "SecurityGroupIds"),
    "RouteTableId": ("RouteTableIds",),
    "SubnetId": ("SubnetIds",),
    "VpcEndpointId": ("VpcEndpointIds",),
    "VpcFlowLogId": ("FlowLogIds",),
    "MlflowTrackingServerName": ("TrackingServerName",),
}
#: Where a request names the resource by its ARN, whatever its type: tag operations above all.
_ARN_MEMBERS = ("ResourceArn", "resourceArn", "ResourceARN", "Resource", "TargetArn", "PipelineExecutionArn")


def needed(request: ApiRequest, platform: Platform) -> list[Needed]:
    """The checks of an API call; empty for what needs no permission."""
    if request.service == "s3":
        return [
            _with_s3context_of(action, resource, request)
            for action, resource in s3.needed(request.parameters, request.headers)
        ]
    prefix = PREFIXES.get(request.service, request.service)
    name = f"{prefix}:{request.operation}"
    if name == "sts:GetCallerIdentity" or not request.operation:
        return []  # STS answers it even where a policy denies it
    action = f"{prefix}:{_ACTIONS.get(name, request.operation)}"
    special = _SPECIAL.get(action)
    resources = special(request, platform) if special else _resources(action, request, platform)
    context = context_of(action, request)
    found = [Needed(action, resource, context) for resource in resources]
    return found + dependent.needed(action, resources, request, platform)


def _with_s3context_of(action: str, resource: str, request: ApiRequest) -> Needed:
    query = request.parameters["query"]
    context: Context = {}
    if action in ("s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"):
        for name in ("prefix", "delimiter", "max-keys"):
            if name in query:
                context[f"s3:{name}"] = query[name][0]
    for header in ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id", "x-amz-acl",
                   "x-amz-storage-class"):  # fmt: skip
        if header in request.headers:
            context[f"s3:{header}"] = request.headers[header]
    if "versionId" in query:
        context["s3:versionid"] = query["versionId"][0]
    return Needed(action, resource, context)


def _places(request: ApiRequest, platform: Platform) -> dict[str, str]:
    return {"Partition": "aws", "Region": request.region, "Account": platform.account_id}


def _resources(action: str, request: ApiRequest, platform: Platform) -> list[str]:
    types = catalogue.resource_types(action)
    parameters = request.parameters
    if types:
        for member in _ARN_MEMBERS:
            value = parameters.get(member)
            if isinstance(value, str) and value.startswith("arn:"):
                return [_shape(action, value)]
    found = catalogue.arns(action, lambda name: _values(name, request, platform), _places(request, platform))
    return [_shape(action, arn) for arn in found]


def _shape(action: str, arn: str) -> str:
    """SageMaker writes names in ARNs in lower case; a log group is checked as the prefix of its streams."""
    service = action.partition(":")[0]
    if arn == "*":
        return arn
    if service == "sagemaker":
        return arn.lower()
    if service == "logs" and ":log-stream:" not in arn and "Tag" not in action:
        return f"{arn.removesuffix(':*')}:log-stream:"
    if service == "logs":
        return arn.removesuffix(":*")
    return arn


def _values(placeholder: str, request: ApiRequest, platform: Platform) -> list[str]:
    members = _MEMBERS.get(placeholder, ())
    if placeholder == "EventBusName" and request.parameters.get("EventBusName") == "default":
        return []  # rules of the default bus have ARNs without it
    for member in (*members, placeholder, placeholder[0].lower() + placeholder[1:]):
        value = request.parameters.get(member)
        if value:
            listed = value if isinstance(value, list) else [value]
            return [_name(placeholder, str(item), request, platform) for item in listed]
    arn = request.parameters.get(placeholder.removesuffix("Name") + "Arn")  # PipelineExecutionArn and its like
    return [str(arn)] if arn else []


def _name(placeholder: str, value: str, request: ApiRequest, platform: Platform) -> str:
    match placeholder:
        case "QueueName":
            return value.rstrip("/").rpartition("/")[2]
        case "OidcProviderName":
            return value.removeprefix("https://").rstrip("/") if not value.startswith("arn:") else value
        case "Alias":
            return value.removeprefix("alias/") if not value.startswith("arn:") else value
        case "KeyId":
            return key_arn(platform, request.region, value)
        case "FunctionName":
            return _function(value, platform, request.region)
        case "RoleNameWithPath":
            return value if value.startswith("arn:") else _role_path(platform, value, request.parameters.get("Path"))
    return value


def _function(value: str, platform: Platform, region: str) -> str:
    """The unqualified ARN of a function by name, partial ARN (``123456789012:function:name``) or ARN."""
    name = value.split(":function:")[-1] if ":function:" in value else value
    return f"arn:aws:lambda:{region}:{platform.account_id}:function:{name.split(':')[0]}"


def _role_path(platform: Platform, name: str, path: str | None) -> str:
    from moto.iam.models import iam_backends

    roles = iam_backends[platform.account_id]["aws"].roles.values()
    arn = next((role.arn for role in roles if role.name == name), None)
    return arn or f"arn:aws:iam::{platform.account_id}:role{path or '/'}{name}"


def _ciphertext_key(request: ApiRequest, platform: Platform) -> list[str]:
    """Decrypt may leave the key out: a symmetric ciphertext names it. moto's begins with the key's id."""
    key = str(request.parameters.get("KeyId") or "")
    if not key:
        with contextlib.suppress(binascii.Error, ValueError):  # no ciphertext of ours: checked as a key that nobody has
            key = base64.b64decode(str(request.parameters.get("CiphertextBlob", "")))[:36].decode("ascii")
    return [key_arn(platform, request.region, key or "unknown")]


def _registered(request: ApiRequest, platform: Platform) -> list[str]:
    """CreateModelPackage: the package that will be, and its group. The reference leaves both optional."""
    group = str(request.parameters.get("ModelPackageGroupName") or "").rpartition("/")[2].lower()
    base = f"arn:aws:sagemaker:{request.region}:{platform.account_id}"
    if not group:
        return [f"{base}:model-package/{str(request.parameters.get('ModelPackageName', '*')).lower()}"]
    return [f"{base}:model-package-group/{group}", f"{base}:model-package/{group}/*"]


def _packages(request: ApiRequest, platform: Platform) -> list[str]:
    """ListModelPackages of a group."""
    group = str(request.parameters.get("ModelPackageGroupName") or "*").rpartition("/")[2].lower()
    return [f"arn:aws:sagemaker:{request.region}:{platform.account_id}:model-package/{group}/*"]


def _search_role(request: ApiRequest, platform: Platform) -> list[str]:
    return [str(request.parameters.get("RoleArn", "*"))]


def _scalable_target(request: ApiRequest, platform: Platform) -> list[str]:
    """A target's id is AWS's own, so that policies can only name all of them."""
    return [f"arn:aws:application-autoscaling:{request.region}:{platform.account_id}:scalable-target/*"]


#: Prefix of an EC2 id -> the type in its ARN.
_EC2_TYPES = {
    "acl": "network-acl", "eipalloc": "elastic-ip", "eni": "network-interface", "fl": "vpc-flow-log",
    "igw": "internet-gateway", "nat": "natgateway", "pl": "prefix-list", "rtb": "route-table", "sg": "security-group",
    "sgr": "security-group-rule", "subnet": "subnet", "vpc": "vpc", "vpce": "vpc-endpoint",
}  # fmt: skip


def _tagged(request: ApiRequest, platform: Platform) -> list[str]:
    """CreateTags: each resource that it names."""
    base = f"arn:aws:ec2:{request.region}:{platform.account_id}"
    ids = [str(item) for item in request.parameters.get("Resources") or []]
    return [f"{base}:{_EC2_TYPES.get(item.partition('-')[0], '*')}/{item}" for item in ids] or ["*"]


def _route_table(request: ApiRequest, platform: Platform) -> list[str]:
    """DisassociateRouteTable names an association; what is checked is its route table."""
    from moto.ec2.models import ec2_backends

    wanted = request.parameters.get("AssociationId")
    tables = ec2_backends[platform.account_id][request.region].route_tables
    found = next((name for name, table in tables.items() if wanted in table._associations), "*")
    return [f"arn:aws:ec2:{request.region}:{platform.account_id}:route-table/{found}"]


def _budget(request: ApiRequest, platform: Platform) -> list[str]:
    name = request.parameters.get("BudgetName") or (request.parameters.get("Budget") or {}).get("BudgetName")
    name = name or (request.parameters.get("NewBudget") or {}).get("BudgetName") or "*"
    return [f"arn:aws:budgets::{platform.account_id}:budget/{name}"]


_SPECIAL: dict[str, Callable[[ApiRequest, Platform], list[str]]] = {
    "sagemaker:CreateModelPackage": _registered,
    "sagemaker:ListModelPackages": _packages,
    "budgets:ModifyBudget": _budget,
    "budgets:ViewBudget": _budget,
    "ec2:CreateTags": _tagged,
    "ec2:DisassociateRouteTable": _route_table,
    "kms:Decrypt": _ciphertext_key,
    "sts:AssumeRole": _search_role,
    "sts:AssumeRoleWithWebIdentity": _search_role,
    "application-autoscaling:RegisterScalableTarget": _scalable_target,
    "application-autoscaling:DeregisterScalableTarget": _scalable_target,
    "application-autoscaling:PutScalingPolicy": _scalable_target,
}
