"""One function a kind of resource: make it, or bring what is there to what it should be."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contracts import jsonio
from contracts.names import DEPLOYER_ALIAS, Names

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_kms.literals import KeySpecType, KeyUsageTypeType
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

#: The target's id in every rule.
TARGET_ID = "deployer"


def key(
    kms: KMSClient,
    names: Names,
    alias: str,
    description: str,
    policy: Any,
    *,
    spec: KeySpecType = "SYMMETRIC_DEFAULT",
    usage: KeyUsageTypeType = "ENCRYPT_DECRYPT",
) -> str:
    """A key by its alias; returns its ARN. A symmetric key is rotated every year."""
    text = json.dumps(policy)
    try:
        found = kms.describe_key(KeyId=alias)["KeyMetadata"]
        kms.put_key_policy(KeyId=found["KeyId"], PolicyName="default", Policy=text)
    except kms.exceptions.NotFoundException:
        found = kms.create_key(
            Description=description,
            KeySpec=spec,
            KeyUsage=usage,
            Policy=text,
            Tags=[{"TagKey": name, "TagValue": value} for name, value in names.tags.items()],
        )["KeyMetadata"]
        kms.create_alias(AliasName=alias, TargetKeyId=found["KeyId"])
    if spec == "SYMMETRIC_DEFAULT":
        kms.enable_key_rotation(KeyId=found["KeyId"])
    return found["Arn"]


def bucket(s3: S3Client, names: Names, name: str, key_arn: str) -> None:
    """A private bucket whose objects are encrypted with the key."""
    where: Any = {"LocationConstraint": names.region}
    try:
        if names.region == "us-east-1":  # the one region that must not be said
            s3.create_bucket(Bucket=name)
        else:
            s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    except s3.exceptions.BucketAlreadyOwnedByYou:
        pass
    s3.put_public_access_block(
        Bucket=name,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    s3.put_bucket_encryption(
        Bucket=name,
        ServerSideEncryptionConfiguration={
            "Rules": [
                {
                    "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_arn},
                    "BucketKeyEnabled": True,
                }
            ]
        },
    )
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": _tags(names)})


def role(iam: IAMClient, names: Names, actor: str, trust: Any, policies: Mapping[str, Any]) -> None:
    """The role of ``actor`` with exactly these inline policies."""
    name = names.role(actor)
    try:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), Tags=_tags(names))
    except iam.exceptions.EntityAlreadyExistsException:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
        for old in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            if old not in policies:
                iam.delete_role_policy(RoleName=name, PolicyName=old)
    for policy, value in policies.items():
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(value))


def repository(ecr: ECRClient, names: Names, name: str, key_arn: str) -> None:
    """An image repository whose tags never move."""
    try:
        ecr.create_repository(
            repositoryName=name,
            imageTagMutability="IMMUTABLE",
            imageScanningConfiguration={"scanOnPush": True},
            encryptionConfiguration={"encryptionType": "KMS", "kmsKey": key_arn},
            tags=_tags(names),
        )
    except ecr.exceptions.RepositoryAlreadyExistsException:
        pass


def package_group(sagemaker: SageMakerClient, names: Names) -> None:
    """The model registry's group. Looked for first: not every emulator refuses to make it twice."""
    found = sagemaker.list_model_package_groups(NameContains=names.package_group, MaxResults=100)
    if names.package_group not in {item["ModelPackageGroupName"] for item in found["ModelPackageGroupSummaryList"]}:
        sagemaker.create_model_package_group(
            ModelPackageGroupName=names.package_group,
            ModelPackageGroupDescription=f"Models of {names.prefix}",
            Tags=_tags(names),
        )


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """``terraform/deployer.json``: what Terraform and this code both give the function."""

    runtime: str
    handler: str
    memory_mb: int
    timeout_seconds: int
    sweep: str
    retry_attempts: int
    event_age_seconds: int


def log_group(logs: CloudWatchLogsClient, names: Names, days: int, key_arn: str) -> None:
    """The deployer's log group, encrypted with the key."""
    name = f"/aws/lambda/{names.deployer}"
    try:
        logs.create_log_group(logGroupName=name, tags=names.tags, kmsKeyId=key_arn)
    except logs.exceptions.ResourceAlreadyExistsException:
        pass
    logs.put_retention_policy(logGroupName=name, retentionInDays=days)


def function(
    client: LambdaClient, names: Names, spec: FunctionSpec, role_arn: str, code: bytes, environment: dict[str, str]
) -> None:
    """The deployer's function, with this code and configuration, published; the alias shows the newest version."""
    try:
        found = client.get_function_configuration(FunctionName=names.deployer)
    except client.exceptions.ResourceNotFoundException:
        client.create_function(
            FunctionName=names.deployer,
            Role=role_arn,
            Code={"ZipFile": code},
            Description=f"Deploys what is approved in {names.package_group}",
            Runtime=spec.runtime,  # type: ignore[arg-type]
            Handler=spec.handler,
            MemorySize=spec.memory_mb,
            Timeout=spec.timeout_seconds,
            Environment={"Variables": environment},
            Tags=names.tags,
        )
    else:
        if found.get("CodeSha256") != b64encode(hashlib.sha256(code).digest()).decode():
            client.update_function_code(FunctionName=names.deployer, ZipFile=code)
        client.update_function_configuration(
            FunctionName=names.deployer,
            Role=role_arn,
            Runtime=spec.runtime,  # type: ignore[arg-type]
            Handler=spec.handler,
            MemorySize=spec.memory_mb,
            Timeout=spec.timeout_seconds,
            Environment={"Variables": environment},
        )
    version = client.publish_version(FunctionName=names.deployer)["Version"]
    try:
        client.update_alias(FunctionName=names.deployer, Name=DEPLOYER_ALIAS, FunctionVersion=version)
    except client.exceptions.ResourceNotFoundException:
        client.create_alias(
            FunctionName=names.deployer,
            Name=DEPLOYER_ALIAS,
            FunctionVersion=version,
            Description="The version that events call",
        )


def rule(
    events: EventBridgeClient,
    client: LambdaClient,
    names: Names,
    name: str,
    spec: FunctionSpec,
    *,
    pattern: Any = None,
    schedule: str = "",
    payload: Any = None,
) -> None:
    """A rule that calls the deployer, and the permission to do so."""
    when = {"ScheduleExpression": schedule} if schedule else {"EventPattern": jsonio.canonical(pattern)}
    arn = events.put_rule(Name=name, State="ENABLED", Tags=_tags(names), **when)["RuleArn"]
    target: dict[str, Any] = {
        "Id": TARGET_ID,
        "Arn": names.deployer_alias_arn,
        "RetryPolicy": {
            "MaximumRetryAttempts": spec.retry_attempts,
            "MaximumEventAgeInSeconds": spec.event_age_seconds,
        },
    }
    if payload is not None:
        target["Input"] = jsonio.canonical(payload)
    events.put_targets(Rule=name, Targets=[target])  # type: ignore[list-item]
    try:
        client.add_permission(
            FunctionName=names.deployer,
            Qualifier=DEPLOYER_ALIAS,
            StatementId=name,
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
            SourceArn=arn,
        )
    except client.exceptions.ResourceConflictException:
        pass


def _tags(names: Names) -> list[Any]:
    return [{"Key": name, "Value": value} for name, value in names.tags.items()]
