"""What a base is made of, in comparable form: by kind and name, without the ids that differ from one to the next."""

from __future__ import annotations

import json
from typing import Any

from contracts.names import DEPLOYER_ALIAS, NO_CHAMPION_KEY, SETTINGS_KEY
from tests.terraform import network

#: Resources that only Terraform makes, of kinds that the local base makes too.
TERRAFORM_ONLY_NAMES = {
    "widgets-local-logs-123456789012", "widgets-local-github-plan", "widgets-local-github-apply",
    "widgets-local-github-release", "widgets-local-owner", "widgets-local-flow-logs", "widgets-local-public",
    "widgets-local-execution-failed",
    "ReadersDecrypt",  # a statement of the key's policy: no other account reaches a laptop
}  # fmt: skip


def described(stack: Any) -> dict[str, Any]:
    """Kind -> name -> everything that matters of it; key ids by their alias, network ids by their name."""
    keys = {**_keys(stack), **network.ids(stack.client("ec2"))}
    text = {kind: make(stack) for kind, make in READERS.items()}
    plain = json.dumps(text, default=str, sort_keys=True)
    for key, alias in keys.items():
        plain = plain.replace(key, alias)
    result: dict[str, Any] = json.loads(plain)
    return result


def _keys(stack: Any) -> dict[str, str]:
    aliases = stack.client("kms").list_aliases()["Aliases"]
    return {item["TargetKeyId"]: item["AliasName"] for item in aliases if "widgets" in item["AliasName"]}


def _read_keys(stack: Any) -> Any:
    kms = stack.client("kms")
    found = {}
    for key, alias in _keys(stack).items():
        if alias == stack.settings.names.state_key_alias:  # bootstrap's, not Terraform's
            continue
        metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
        rotation = metadata["KeySpec"] == "SYMMETRIC_DEFAULT" and kms.get_key_rotation_status(KeyId=key)
        found[alias] = {
            **{name: metadata[name] for name in ("KeySpec", "KeyUsage", "Description", "Enabled")},
            "rotated": rotation and rotation["KeyRotationEnabled"],
            "policy": [
                item
                for item in json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])["Statement"]
                if item["Sid"] not in TERRAFORM_ONLY_NAMES
            ],
            "tags": {item["TagKey"]: item["TagValue"] for item in kms.list_resource_tags(KeyId=key)["Tags"]},
        }
    return found


def _read_buckets(stack: Any) -> Any:
    s3, names = stack.client("s3"), stack.settings.names
    found = {}
    for item in s3.list_buckets()["Buckets"]:
        name = item["Name"]
        if name in TERRAFORM_ONLY_NAMES or name == names.state_bucket:
            continue
        encryption = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
        found[name] = {
            "encryption": encryption,
            "public": s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"],
            "tags": _tags(s3.get_bucket_tagging(Bucket=name)["TagSet"]),
        }
    return found


def _read_objects(stack: Any) -> Any:
    s3, bucket = stack.client("s3"), stack.settings.names.artifact_bucket
    found = {}
    for key in (SETTINGS_KEY, NO_CHAMPION_KEY):
        answer = s3.get_object(Bucket=bucket, Key=key)
        found[key] = {"bytes": answer["Body"].read().decode(), "type": answer["ContentType"]}
    return found


def _read_roles(stack: Any) -> Any:
    iam = stack.client("iam")
    found = {}
    for role in iam.list_roles()["Roles"]:
        name = role["RoleName"]
        if name in TERRAFORM_ONLY_NAMES:
            continue
        policies = iam.list_role_policies(RoleName=name)["PolicyNames"]
        found[name] = {
            "arn": role["Arn"],
            "trust": role["AssumeRolePolicyDocument"],
            "policies": {
                policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"] for policy in policies
            },
            "attached": iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"],
            "tags": _tags(iam.list_role_tags(RoleName=name)["Tags"]),
        }
    return found


def _read_repositories(stack: Any) -> Any:
    ecr = stack.client("ecr")
    return {
        item["repositoryName"]: {
            **{
                key: item[key]
                for key in ("imageTagMutability", "imageScanningConfiguration", "encryptionConfiguration")
            },
            "tags": _tags(ecr.list_tags_for_resource(resourceArn=item["repositoryArn"])["tags"]),
        }
        for item in ecr.describe_repositories()["repositories"]
    }


def _read_group(stack: Any) -> Any:
    sagemaker, name = stack.client("sagemaker"), stack.settings.names.package_group
    found = sagemaker.describe_model_package_group(ModelPackageGroupName=name)
    tags = sagemaker.list_tags(ResourceArn=found["ModelPackageGroupArn"])["Tags"]
    return {name: {"description": found["ModelPackageGroupDescription"], "tags": _tags(tags)}}


def _read_function(stack: Any) -> Any:
    client, name = stack.client("lambda"), stack.settings.names.deployer
    found = client.get_function(FunctionName=name)
    fields = ("Role", "Runtime", "Handler", "MemorySize", "Timeout", "Environment", "Description", "CodeSha256")
    permissions = {
        item["Sid"]: {key: value for key, value in item.items() if key != "Sid"}
        for item in json.loads(client.get_policy(FunctionName=name, Qualifier=DEPLOYER_ALIAS)["Policy"])["Statement"]
    }
    alias = client.get_alias(FunctionName=name, Name=DEPLOYER_ALIAS)
    return {
        **{field: found["Configuration"][field] for field in fields},
        "tags": found["Tags"],
        "permissions": permissions,
        "alias": {field: alias[field] for field in ("AliasArn", "FunctionVersion", "Description")},
    }


def _read_rules(stack: Any) -> Any:
    events = stack.client("events")
    found = {}
    for rule in events.list_rules()["Rules"]:
        if rule["Name"] in TERRAFORM_ONLY_NAMES:
            continue
        targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        found[rule["Name"]] = {
            "pattern": json.loads(rule.get("EventPattern") or "null"),
            "schedule": rule.get("ScheduleExpression"),
            "state": rule["State"],
            "targets": [{key: value for key, value in item.items() if key != "DeadLetterConfig"} for item in targets],
            "tags": _tags(events.list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"]),
        }
    return found


def _read_log_group(stack: Any) -> Any:
    groups = stack.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
    return {item["logGroupName"]: [item["retentionInDays"], item["kmsKeyId"]] for item in groups}


def _tags(items: list[dict[str, str]]) -> dict[str, str]:
    return {item["Key"]: item["Value"] for item in items}


READERS = {
    "keys": _read_keys,
    "buckets": _read_buckets,
    "objects": _read_objects,
    "roles": _read_roles,
    "repositories": _read_repositories,
    "group": _read_group,
    "function": _read_function,
    "rules": _read_rules,
    "log group": _read_log_group,
    "network": lambda stack: network.read(stack.client("ec2"), TERRAFORM_ONLY_NAMES),
}
