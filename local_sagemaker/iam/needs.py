"""One check of a caller's permissions, and what a request says for it: tags, condition keys, keys' ARNs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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


def context_of(action: str, request: ApiRequest) -> Context:
    """Condition keys that come from the request's members."""
    parameters, context = request.parameters, Context()
    tags = tags_of(parameters)
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


def tags_of(parameters: Mapping[str, Any]) -> dict[str, str] | None:
    """The tags of a request, however its service spells them; None where it has no list of them."""
    value = parameters.get("Tags", parameters.get("tags"))
    made = parameters.get("TagSpecifications") or parameters.get("TagSpecification")  # EC2: of what a call makes
    if value is None and isinstance(made, list):
        value = [tag for item in made for tag in item.get("Tags") or []]
    if isinstance(value, dict):
        return {str(name): str(item) for name, item in value.items()}
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return None
    pairs = ({name.lower(): text for name, text in item.items()} for item in value)
    return {
        str(pair.get("key", pair.get("tagkey"))): str(pair.get("value", pair.get("tagvalue", ""))) for pair in pairs
    }


def key_arn(platform: Platform, region: str, key: str) -> str:
    """The ARN of a key by id, ARN, alias or the alias's ARN; an alias that nobody has stays as it is."""
    from moto.kms.models import kms_backends

    if ":key/" in key:
        return key
    name = key.rpartition(":")[2]
    found = kms_backends[platform.account_id][region].get_key_id_from_alias(name) if "alias/" in name else name
    return f"arn:aws:kms:{region}:{platform.account_id}:key/{found}" if found else key
