"""What an account has of what a plan wants to create, by the type of the resource.

Only types whose creation fails when the thing is there, or makes it twice. Everything else that the modules make is
put: the same call creates it and brings it to what it should be (policies, rules and their targets, settings of
buckets, objects, alarms, topics, queues). A finder gets the values that the plan knows. What it cannot know yet is the
id of a parent that is created by the same plan, and where there is no parent there is no child.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contracts.errors import FactoryError
from cv_factory.operations.base import leftover_networks

if TYPE_CHECKING:
    from contracts.names import Names
    from cv_factory.session import Target

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """Something that is there.

    Attributes:
        id: what Terraform imports it by (the provider's pages, "Import").
        tags: whose it is; None: its parent's, which was asked for.
    """

    id: str
    tags: Mapping[str, str] | None = None


Finder = Callable[["Target", Values], Found | None]


def find(target: Target, kind: str, values: Values) -> Found | None:
    """What there is of a planned resource; None: nothing, or a type that need not be looked for.

    Raises:
        ClientError: AWS refuses to say.
        FactoryError: several things could be meant.
    """
    if kind in leftover_networks.KINDS:
        found = leftover_networks.find(target, kind, values)
        return None if found is None else Found(found)
    finder = _FINDERS.get(kind)
    return None if finder is None else finder(target, values)


def _bucket(target: Target, values: Values) -> Found | None:
    s3, names, bucket = target.client("s3"), target.settings.names, values["bucket"]
    try:
        region = s3.head_bucket(Bucket=bucket).get("BucketRegion") or names.region
    except ClientError as error:
        # HeadBucket has no body, so its errors have a status and no name.
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 404:
            return None
        if status == 403:
            raise FactoryError(
                f"the bucket {bucket} is another account's, or these credentials may not see it",
                "Bucket names are the world's: change name in the settings file.",
            ) from None
        raise
    if region != names.region:
        raise FactoryError(
            f"the bucket {bucket} is in {region}; environment {names.env} is in {names.region}",
            f"Set aws.region to {region}, or change name in the settings file.",
        )
    try:
        tags = _tags(s3.get_bucket_tagging(Bucket=bucket)["TagSet"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchTagSet":
            raise
        tags = {}
    # A bucket gets its tags by a second call. Without any, and empty, it is one whose creation was cut short.
    if not tags and not s3.list_object_versions(Bucket=bucket, MaxKeys=1).get("Versions"):
        tags = names.tags
    return Found(bucket, tags)


def _key(target: Target, values: Values) -> Found | None:
    """Keys have no names: the one with the planned description and this environment's tags."""
    kms, names = target.client("kms"), target.settings.names
    found = []
    for page in kms.get_paginator("list_keys").paginate():
        for key in page["Keys"]:
            try:
                about = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
                if about["Description"] != values["description"] or about["KeyState"] not in ("Enabled", "Disabled"):
                    continue
                tags = _key_tags(kms, key["KeyId"])
            except kms.exceptions.ClientError as error:
                # Ours leave access to IAM. A key whose policy shuts out whoever may list keys is somebody's own.
                if error.response["Error"]["Code"] != "AccessDeniedException":
                    raise
                continue
            if is_ours(names, tags):
                found.append(key["KeyId"])
    if len(found) > 1:
        raise FactoryError(
            f"{len(found)} keys are {values['description']!r} of {names.prefix}: {', '.join(found)}",
            "The one that the environment's alias names is used: aws kms list-aliases. Schedule the deletion of what"
            " encrypts nothing: aws kms schedule-key-deletion --key-id ID",
        )
    return Found(found[0]) if found else None


def _alias(target: Target, values: Values) -> Found | None:
    kms, name = target.client("kms"), values["name"]
    try:
        key = kms.describe_key(KeyId=name)["KeyMetadata"]["KeyId"]
    except kms.exceptions.NotFoundException:
        return None
    tags = _key_tags(kms, key)
    if is_ours(target.settings.names, tags) and not values.get("target_key_id"):
        return None  # its key comes first
    return Found(name, tags)


def _key_tags(kms: Any, key: str) -> dict[str, str]:
    return {tag["TagKey"]: tag["TagValue"] for tag in kms.list_resource_tags(KeyId=key)["Tags"]}


def _role(target: Target, values: Values) -> Found | None:
    iam = target.client("iam")
    try:
        role = iam.get_role(RoleName=values["name"])["Role"]
    except iam.exceptions.NoSuchEntityException:
        return None
    return Found(values["name"], _tags(role.get("Tags", [])))


def _policy(target: Target, values: Values) -> Found | None:
    iam = target.client("iam")
    arn = f"arn:aws:iam::{target.settings.names.account_id}:policy/{values['name']}"
    try:
        policy = iam.get_policy(PolicyArn=arn)["Policy"]
    except iam.exceptions.NoSuchEntityException:
        return None
    return Found(arn, _tags(policy.get("Tags", [])))


def _identity_provider(target: Target, values: Values) -> Found | None:
    iam, names = target.client("iam"), target.settings.names
    arn = f"arn:aws:iam::{names.account_id}:oidc-provider/{values['url'].removeprefix('https://')}"
    try:
        tags = _tags(iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn).get("Tags", []))
    except iam.exceptions.NoSuchEntityException:
        return None
    if not is_ours(names, tags):
        raise FactoryError(
            f"the account has the identity provider {arn} already, and it is not this environment's",
            f"An account has one for all. Name it in the settings: aws.existing.oidc_provider: {arn}",
        )
    return Found(arn)


def _log_group(target: Target, values: Values) -> Found | None:
    logs, name = target.client("logs"), values["name"]
    for group in logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]:
        if group["logGroupName"] == name:
            arn = group["arn"].removesuffix(":*")
            return Found(name, logs.list_tags_for_resource(resourceArn=arn)["tags"])
    return None


def _function(target: Target, values: Values) -> Found | None:
    client, name = target.client("lambda"), values["function_name"]
    try:
        return Found(name, client.get_function(FunctionName=name).get("Tags", {}))
    except client.exceptions.ResourceNotFoundException:
        return None


def _function_alias(target: Target, values: Values) -> Found | None:
    client, function, name = target.client("lambda"), values["function_name"], values["name"]
    try:
        client.get_alias(FunctionName=function, Name=name)
    except client.exceptions.ResourceNotFoundException:
        return None
    return Found(f"{function}/{name}")


def _permission(target: Target, values: Values) -> Found | None:
    client, function, qualifier = target.client("lambda"), values["function_name"], values["qualifier"]
    try:
        policy = json.loads(client.get_policy(FunctionName=function, Qualifier=qualifier)["Policy"])
    except client.exceptions.ResourceNotFoundException:
        return None
    statement = values["statement_id"]
    there = any(item.get("Sid") == statement for item in policy["Statement"])
    return Found(f"{function}:{qualifier}/{statement}") if there else None


def _repository(target: Target, values: Values) -> Found | None:
    ecr, name = target.client("ecr"), values["name"]
    try:
        (found,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    except ecr.exceptions.RepositoryNotFoundException:
        return None
    return Found(name, _tags(ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]))


def _package_group(target: Target, values: Values) -> Found | None:
    sagemaker, name = target.client("sagemaker"), values["model_package_group_name"]
    try:
        arn = sagemaker.describe_model_package_group(ModelPackageGroupName=name)["ModelPackageGroupArn"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ValidationException", "ResourceNotFound"):
            raise
        return None
    return Found(name, _tags(sagemaker.list_tags(ResourceArn=arn)["Tags"]))


def _tracking_server(target: Target, values: Values) -> Found | None:
    sagemaker, name = target.client("sagemaker"), values["tracking_server_name"]
    try:
        arn = sagemaker.describe_mlflow_tracking_server(TrackingServerName=name)["TrackingServerArn"]
    except sagemaker.exceptions.ResourceNotFound:
        return None
    return Found(name, _tags(sagemaker.list_tags(ResourceArn=arn)["Tags"]))


def _budget(target: Target, values: Values) -> Found | None:
    budgets, account, name = target.client("budgets"), target.settings.names.account_id, values["name"]
    try:
        budgets.describe_budget(AccountId=account, BudgetName=name)
    except budgets.exceptions.NotFoundException:
        return None
    arn = f"arn:aws:budgets::{account}:budget/{name}"
    return Found(f"{account}:{name}", _tags(budgets.list_tags_for_resource(ResourceARN=arn).get("ResourceTags", [])))


def is_ours(names: Names, tags: Mapping[str, str]) -> bool:
    """Whether tags are those of everything in this environment."""
    return names.tags.items() <= tags.items()


def _tags(items: list[dict[str, str]]) -> dict[str, str]:
    return {item["Key"]: item["Value"] for item in items}


_FINDERS: dict[str, Finder] = {
    "aws_budgets_budget": _budget,
    "aws_cloudwatch_log_group": _log_group,
    "aws_ecr_repository": _repository,
    "aws_iam_openid_connect_provider": _identity_provider,
    "aws_iam_policy": _policy,
    "aws_iam_role": _role,
    "aws_kms_alias": _alias,
    "aws_kms_key": _key,
    "aws_lambda_alias": _function_alias,
    "aws_lambda_function": _function,
    "aws_lambda_permission": _permission,
    "aws_s3_bucket": _bucket,
    "aws_sagemaker_mlflow_tracking_server": _tracking_server,
    "aws_sagemaker_model_package_group": _package_group,
}
#: Every type that is looked for.
KINDS = frozenset(_FINDERS) | leftover_networks.KINDS
