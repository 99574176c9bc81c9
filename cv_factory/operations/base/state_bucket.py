"""The bucket of Terraform's state and its key, which nothing but the state is encrypted with: ``infra bootstrap``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contracts.errors import FactoryError, RefusedError
from cv_factory.operations.base import resources

if TYPE_CHECKING:
    from contracts.names import Names
    from cv_factory.session import Target


def ensure(target: Target) -> bool:
    """Make the bucket and its key, or bring them to what they should be; False when the bucket was there.

    Versioned, encrypted with the key (yearly rotation), private, TLS only. Made outside of Terraform, because
    Terraform's state lies in it.

    Raises:
        RefusedError: the bucket is another account's, or in another region.
        FactoryError: the key is about to be deleted.
    """
    names = target.settings.names
    s3: Any = target.client("s3")
    bucket, owner = names.state_bucket, {"ExpectedBucketOwner": names.account_id}
    made = not _exists(s3, names) and _create(s3, names)
    key_arn = _key(target)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}, **owner)
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [
                {
                    "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_arn},
                    "BucketKeyEnabled": True,
                }
            ]
        },
        **owner,
    )
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
        **owner,
    )
    tls_only = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [tls_only]})
    s3.put_bucket_policy(Bucket=bucket, Policy=policy, **owner)
    tags = [{"Key": key, "Value": value} for key, value in names.tags.items()]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags}, **owner)
    return made


def check(target: Target) -> None:
    """Let through where the bucket is this account's and in the environment's region, or is not there yet.

    Asked before Terraform, which says of a bucket elsewhere that S3 moved permanently.

    Raises:
        RefusedError: the bucket is another account's, or in another region.
    """
    _exists(target.client("s3"), target.settings.names)


def _exists(s3: Any, names: Names) -> bool:
    """Is there a bucket of this account's? Asked first: in us-east-1 CreateBucket answers 200 for an own one."""
    try:
        found = s3.head_bucket(Bucket=names.state_bucket, ExpectedBucketOwner=names.account_id)
    except ClientError as error:
        # HeadBucket has no body, so its errors have a status and no name.
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 404:
            return False
        if status == 403:
            raise _not_ours(names) from None
        raise
    region = found.get("BucketRegion") or names.region
    if region != names.region:
        raise RefusedError(
            f"the bucket of the state, {names.state_bucket}, is in {region}; environment {names.env} is in"
            f" {names.region}",
            f"The base was made in {region}: set aws.region of {names.env} to {region} again. To move, with that"
            f" setting take down what is there (cv-factory --env {names.env} infra destroy --with-data) and delete the"
            " bucket; then infra bootstrap with the new region. Or give the factory in the new region another name.",
        )
    return True


def _create(s3: Any, names: Names) -> bool:
    where = {"CreateBucketConfiguration": {"LocationConstraint": names.region}}
    try:
        # us-east-1 is the one region that must not be said.
        s3.create_bucket(Bucket=names.state_bucket, **({} if names.region == "us-east-1" else where))
    except s3.exceptions.BucketAlreadyOwnedByYou:
        return False
    except s3.exceptions.BucketAlreadyExists:
        raise _not_ours(names) from None
    return True


def _not_ours(names: Names) -> RefusedError:
    return RefusedError(
        f"the bucket {names.state_bucket} is another account's, or these credentials may not see it",
        "Bucket names are the world's: change name in the settings file. If the bucket is yours, these credentials need"
        " s3:ListBucket on it.",
    )


def _key(target: Target) -> str:
    names, kms = target.settings.names, target.client("kms")
    alias = names.state_key_alias
    try:
        about = kms.describe_key(KeyId=alias)["KeyMetadata"]
    except kms.exceptions.NotFoundException:
        pass
    else:
        if about["KeyState"] != "Enabled":
            raise FactoryError(
                f"the key {alias} of Terraform's state is {about['KeyState']}",
                f"aws kms cancel-key-deletion --key-id {about['KeyId']} && aws kms enable-key --key-id"
                f" {about['KeyId']}",
            )
    account = {
        "Sid": "PoliciesOfThisAccountDecide",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{names.account_id}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    policy = {"Version": "2012-10-17", "Statement": [account]}
    return resources.key(kms, names, alias, f"Terraform's state of {names.prefix}", policy)
