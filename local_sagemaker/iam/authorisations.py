"""What an API call needs: actions, the resources they are checked on, and the condition keys of each check.

Source: the Service Authorization Reference for actions and resources; where it leaves the resource open, or where
AWS's error messages show another one, the row here says so.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_sagemaker.iam import catalogue, s3
from local_sagemaker.iam.requests import ApiRequest

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

Context = dict[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class Needed:
    """One check: ``service:Action`` on an ARN or ``*``, with the condition keys that only this check has."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)


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
    "SecurityGroupId": ("GroupId",),
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
            _with_s3_context(action, resource, request)
            for action, resource in s3.needed(request.parameters, request.headers)
        ]
    prefix = PREFIXES.get(request.service, request.service)
    name = f"{prefix}:{request.operation}"
    if name == "sts:GetCallerIdentity" or not request.operation:
        return []  # STS answers it even where a policy denies it
    action = f"{prefix}:{_ACTIONS.get(name, request.operation)}"
    special = _SPECIAL.get(action)
    resources = special(request, platform) if special else _resources(action, request, platform)
    context = _context(action, request)
    found = [Needed(action, resource, context) for resource in resources]
    more = _tagged_at_creation if prefix == "ec2" else _MORE.get(action)
    return (
        found
        + _tagging(action, resources, request)
        + _passed(action, request)
        + (more(request, platform) if more else [])
    )


def _with_s3_context(action: str, resource: str, request: ApiRequest) -> Needed:
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


def key_arn(platform: Platform, region: str, key: str) -> str:
    """The ARN of a key by id, ARN, alias or the alias's ARN; an alias that nobody has stays as it is."""
    from moto.kms.models import kms_backends

    if ":key/" in key:
        return key
    name = key.rpartition(":")[2]
    found = kms_backends[platform.account_id][region].get_key_id_from_alias(name) if "alias/" in name else name
    return f"arn:aws:kms:{region}:{platform.account_id}:key/{found}" if found else key


def _ciphertext_key(request: ApiRequest, platform: Platform) -> list[str]:
    """Decrypt may leave the key out: a symmetric ciphertext names it. moto's begins with the key's id."""
    key = str(request.parameters.get("KeyId") or "")
    if not key:
        with contextlib.suppress(binascii.Error, ValueError):  # no ciphertext of ours: checked as a key that nobody has
            key = base64.b64decode(str(request.parameters.get("CiphertextBlob", "")))[:36].decode("ascii")
    return [key_arn(platform, request.region, key or "unknown")]


def _context(action: str, request: ApiRequest) -> Context:
    """Condition keys that come from the request's members."""
    parameters, context = request.parameters, Context()
    tags = _tags(parameters)
    if tags is not None:
        context["aws:tagkeys"] = list(tags)
        context |= {f"aws:requesttag/{name.lower()}": value for name, value in tags.items()}
    match action:
        case "cloudwatch:PutMetricData":
            context["cloudwatch:namespace"] = str(parameters.get("Namespace", ""))
        case "iam:CreateRole" | "iam:PutRolePermissionsBoundary":
            if parameters.get("PermissionsBoundary"):
                context["iam:permissionsboundary"] = str(parameters["PermissionsBoundary"])
        case "sagemaker:UpdateModelPackage" | "sagemaker:CreateModelPackage":
            if parameters.get("ModelApprovalStatus"):
                context["sagemaker:modelapprovalstatus"] = str(parameters["ModelApprovalStatus"])
        case "kms:CreateGrant":
            context["kms:grantisforawsresource"] = "false"
        case "lambda:AddPermission":
            context["lambda:principal"] = str(parameters.get("Principal", ""))
        case "events:PutTargets":
            context["events:targetarn"] = [str(item.get("Arn")) for item in parameters.get("Targets") or []]
    vpc = parameters.get("VpcConfig") or (parameters.get("NetworkConfig") or {}).get("VpcConfig")
    if action.startswith("sagemaker:Create") and isinstance(vpc, dict):
        context["sagemaker:vpcsubnets"] = [str(item) for item in vpc.get("Subnets") or []]
        context["sagemaker:vpcsecuritygroupids"] = [str(item) for item in vpc.get("SecurityGroupIds") or []]
    return context


def _tags(parameters: Mapping[str, Any]) -> dict[str, str] | None:
    value = parameters.get("Tags", parameters.get("tags"))
    if isinstance(value, dict):
        return {str(name): str(item) for name, item in value.items()}
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return None
    pairs = ({name.lower(): text for name, text in item.items()} for item in value)
    return {
        str(pair.get("key", pair.get("tagkey"))): str(pair.get("value", pair.get("tagvalue", ""))) for pair in pairs
    }


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
    if "Tag" in name or not _tags(request.parameters):
        return []
    tag = _IAM_TAG_ACTIONS.get(name) if service == "iam" else _TAG_ACTIONS.get(service)
    if not tag:
        return []
    context = _context("", request)
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


def _tagged_at_creation(request: ApiRequest, platform: Platform) -> list[Needed]:
    """``ec2:CreateTags`` on what a call makes with tags. Source: EC2 User Guide, "Grant permission to tag Amazon EC2
    resources during creation"."""
    base = f"arn:aws:ec2:{request.region}:{platform.account_id}"
    found = []
    for item in request.parameters.get("TagSpecifications") or request.parameters.get("TagSpecification") or []:
        context = Context({"ec2:createaction": request.operation})
        tags = {str(tag.get("Key")): str(tag.get("Value", "")) for tag in item.get("Tags") or []}
        context |= {f"aws:requesttag/{name.lower()}": value for name, value in tags.items()}
        found.append(Needed("ec2:CreateTags", f"{base}:{item.get('ResourceType')}/*", context))
    return found


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
