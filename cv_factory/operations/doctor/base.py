"""The base of an environment: buckets, keys, the registry's group, the deployer and its rules."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from contracts.names import SETTINGS_KEY
from contracts.release import SETTINGS_VARIABLE
from cv_factory.operations.doctor.finding import PROBLEM, WARNING, Finding
from cv_factory.session import Target
from deployment.package import build_zip

#: Hours after which a lock of Terraform's state is one that was left behind.
LOCK_HOURS = 1.0
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def apply(target: Target) -> str:
    """The command that makes, or makes again, what belongs to the base."""
    if target.is_local:
        return "cv-factory local up"
    return f"cv-factory --env {target.settings.env} infra apply"


def missing(error: ClientError) -> bool:
    """Does the error say that the thing is not there?"""
    code = error.response["Error"].get("Code", "")
    return code in ("404", "403") or any(word in code for word in ("NotFound", "NoSuch", "NotExist"))


def state(target: Target) -> Iterator[Finding]:
    """The bucket of Terraform's state, and locks that were left in it."""
    if target.is_local:
        return
    names, s3 = target.settings.names, target.client("s3")
    bootstrap = f"cv-factory --env {names.env} infra bootstrap"
    try:
        versioning = s3.get_bucket_versioning(Bucket=names.state_bucket, ExpectedBucketOwner=names.account_id)
    except ClientError as error:
        if not missing(error) and error.response["Error"]["Code"] != "AccessDenied":
            raise
        yield Finding("state", PROBLEM, f"there is no bucket {names.state_bucket} of this account's", bootstrap)
        return
    if versioning.get("Status") != "Enabled":
        yield Finding("state", PROBLEM, f"{names.state_bucket} keeps no versions of the state", bootstrap)
    yield from _private(target, "state", names.state_bucket, bootstrap)
    yield from _encrypted(target, "state", names.state_bucket, bootstrap)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=names.state_bucket):
        for item in page.get("Contents", []):
            hours = (datetime.now(UTC) - item["LastModified"]).total_seconds() / 3600
            if item["Key"].endswith(".tflock") and hours > LOCK_HOURS:
                held = json.loads(s3.get_object(Bucket=names.state_bucket, Key=item["Key"])["Body"].read() or b"{}")
                unlock = f"cv-factory --env {names.env} infra force-unlock {held.get('ID', 'ID')}"
                yield Finding(
                    "state", WARNING, f"{item['Key']} is held for {hours:.0f} hours by {held.get('Who', 'somebody')}",
                    f"When nobody runs Terraform: {unlock}",
                )  # fmt: skip


def buckets(target: Target) -> Iterator[Finding]:
    """Data and artifact bucket: ours, private, encrypted with our key, with versions."""
    names, s3 = target.settings.names, target.client("s3")
    for bucket in (names.data_bucket, names.artifact_bucket):
        try:
            s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=names.account_id)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("403", "AccessDenied"):
                yield Finding(
                    "buckets", PROBLEM, f"{bucket} is another account's, or these credentials may not see it",
                    "Choose another name in factory.yaml: bucket names are the world's.",
                )  # fmt: skip
                continue
            if not missing(error):
                raise
            yield Finding("buckets", PROBLEM, f"there is no bucket {bucket}", apply(target))
            continue
        yield from _private(target, "buckets", bucket, apply(target))
        yield from _encrypted(target, "buckets", bucket, apply(target))
        versioned = target.is_local or s3.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled"
        if not versioned:
            yield Finding("buckets", PROBLEM, f"{bucket} keeps no versions", apply(target))


def _private(target: Target, check: str, bucket: str, repair: str) -> Iterator[Finding]:
    try:
        block = target.client("s3").get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    except ClientError as error:
        if not missing(error):
            raise
        block = {}
    if not all(block.get(name) for name in _BLOCKS):
        yield Finding(check, PROBLEM, f"{bucket} does not block public access", repair)


def _encrypted(target: Target, check: str, bucket: str, repair: str) -> Iterator[Finding]:
    try:
        rules = target.client("s3").get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError as error:
        if "Encryption" not in error.response["Error"].get("Code", ""):
            raise
        rules = []
    kinds = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for rule in rules]
    if kinds != ["aws:kms"]:
        yield Finding(check, PROBLEM, f"{bucket} does not encrypt with the environment's key", repair)


def keys(target: Target) -> Iterator[Finding]:
    """Both keys: there, enabled, of the right kind."""
    names, kms = target.settings.names, target.client("kms")
    for alias, usage in ((names.key_alias, "ENCRYPT_DECRYPT"), (names.signing_key_alias, "SIGN_VERIFY")):
        try:
            about = kms.describe_key(KeyId=alias)["KeyMetadata"]
        except ClientError as error:
            if not missing(error):
                raise
            yield Finding("keys", PROBLEM, f"there is no key {alias}", apply(target))
            continue
        if about["KeyState"] == "PendingDeletion":
            key = about["KeyId"]
            yield Finding(
                "keys", PROBLEM, f"{alias} will be deleted on {about.get('DeletionDate')}: then nobody reads its data",
                f"aws kms cancel-key-deletion --key-id {key} && aws kms enable-key --key-id {key}",
            )  # fmt: skip
        elif about["KeyState"] != "Enabled":
            yield Finding(
                "keys", PROBLEM, f"{alias} is {about['KeyState']}", f"aws kms enable-key --key-id {about['KeyId']}"
            )
        if about["KeyUsage"] != usage:
            yield Finding("keys", PROBLEM, f"{alias} is for {about['KeyUsage']}, not for {usage}", apply(target))


def github(target: Target) -> Iterator[Finding]:
    """The identity provider that lets the workflows in without stored keys."""
    settings = target.settings
    if target.is_local or not settings.github.repository:
        return
    arn = settings.aws.existing.oidc_provider or (
        f"arn:aws:iam::{settings.aws.account_id}:oidc-provider/token.actions.githubusercontent.com"
    )
    try:
        found = target.client("iam").get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    except ClientError as error:
        if not missing(error):
            raise
        yield Finding("github", PROBLEM, "GitHub's identity provider is not there", apply(target))
        return
    if "sts.amazonaws.com" not in found.get("ClientIDList", []):
        yield Finding(
            "github", PROBLEM, "GitHub's identity provider does not name sts.amazonaws.com as its audience",
            f"aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn {arn}"
            " --client-id sts.amazonaws.com",
        )  # fmt: skip


def registry(target: Target) -> Iterator[Finding]:
    """The model registry's group."""
    name = target.settings.names.package_group
    try:
        target.client("sagemaker").describe_model_package_group(ModelPackageGroupName=name)
    except ClientError as error:
        if not missing(error) and "does not exist" not in str(error):
            raise
        yield Finding("registry", PROBLEM, f"there is no model package group {name}", apply(target))


def deployer(target: Target) -> Iterator[Finding]:
    """The function that rolls out what is approved: there, ready, and this checkout's."""
    names = target.settings.names
    try:
        found = target.client("lambda").get_function_configuration(FunctionName=names.deployer)
    except ClientError as error:
        if not missing(error):
            raise
        yield Finding("deployer", PROBLEM, f"there is no function {names.deployer}", apply(target))
        return
    if found.get("State", "Active") != "Active":
        yield Finding(
            "deployer", PROBLEM, f"{names.deployer} is {found['State']}: {found.get('StateReason', '')}", apply(target)
        )
    if found["CodeSha256"] != b64encode(hashlib.sha256(build_zip()).digest()).decode():
        yield Finding("deployer", WARNING, f"{names.deployer} runs another code than this checkout's", apply(target))
    if found["Role"] != target.settings.role_arn("deployer"):
        yield Finding("deployer", PROBLEM, f"{names.deployer} runs as {found['Role']}", apply(target))
    variables = found.get("Environment", {}).get("Variables", {})
    if variables.get(SETTINGS_VARIABLE) != str(names.artifacts(SETTINGS_KEY)):
        yield Finding("deployer", PROBLEM, f"{names.deployer} reads other settings", apply(target))


def events(target: Target) -> Iterator[Finding]:
    """The rules that call the deployer."""
    names, client = target.settings.names, target.client("events")
    for name in (names.registry_rule, names.endpoint_rule, names.sweep_rule):
        try:
            rule = client.describe_rule(Name=name)
        except ClientError as error:
            if not missing(error):
                raise
            yield Finding("events", PROBLEM, f"there is no rule {name}: approvals are not acted on", apply(target))
            continue
        if rule["State"] != "ENABLED":
            yield Finding("events", PROBLEM, f"the rule {name} is off", f"aws events enable-rule --name {name}")
        if names.deployer_alias_arn not in {one["Arn"] for one in client.list_targets_by_rule(Rule=name)["Targets"]}:
            yield Finding("events", PROBLEM, f"the rule {name} does not call the deployer", apply(target))
