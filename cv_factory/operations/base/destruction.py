"""What stands between ``infra destroy`` and what people made: registries that were emptied; for ``--with-data`` a typed
name and emptied buckets as well. All is asked before anything is taken down, because Terraform would stop halfway."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contracts.errors import FactoryError, RefusedError
from contracts.names import NO_CHAMPION_KEY, SETTINGS_KEY

if TYPE_CHECKING:
    from contracts.names import Names
    from cv_factory.session import Target

#: Objects that Terraform made and takes down itself.
_TERRAFORMS = {SETTINGS_KEY, NO_CHAMPION_KEY}
_DELETE_PACKAGES = (
    "python -c \"import boto3; s = boto3.client('sagemaker'); [s.delete_model_package(ModelPackageName=one"
    "['ModelPackageArn']) for page in s.get_paginator('list_model_packages').paginate(ModelPackageGroupName='{group}')"
    " for one in page['ModelPackageSummaryList']]\""
)


def check_registry(target: Target) -> None:
    """Let through when no image and no model package is left; AWS deletes neither repository nor group before.

    Raises:
        FactoryError: with the commands that empty them.
    """
    names = target.settings.names
    ecr, sagemaker = target.client("ecr"), target.client("sagemaker")
    found, commands = [], []
    for repository in (names.training_repository, names.inference_repository):
        try:
            images = ecr.list_images(repositoryName=repository, maxResults=1)["imageIds"]
        except ecr.exceptions.RepositoryNotFoundException:
            continue
        if images:
            found.append(f"images in {repository}")
            commands.append(f"aws ecr delete-repository --force --repository-name {repository}")
    try:
        packages = sagemaker.list_model_packages(ModelPackageGroupName=names.package_group, MaxResults=1)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ValidationException", "ResourceNotFound"):  # there is no such group
            raise
        packages = {"ModelPackageSummaryList": []}
    if packages["ModelPackageSummaryList"]:
        found.append(f"packages in {names.package_group}")
        commands.append(_DELETE_PACKAGES.format(group=names.package_group))
    if found:
        lines = "\n".join(f"  {command}" for command in commands)
        raise FactoryError(
            f"the registry is not empty: {', '.join(found)}",
            f"They go with the factory. This deletes them, and cannot be undone:\n{lines}",
        )


def check(target: Target, confirmed: str | None, ask: Callable[[str], str] | None, say: Callable[[str], None]) -> None:
    """Let through who typed the environment's name, when nothing is left in the buckets.

    Args:
        confirmed: the name as it was given on the command line; None: not given.
        ask: asks a person; None: there is none to ask.

    Raises:
        RefusedError: the name was not typed, or another.
        FactoryError: a bucket holds something.
    """
    names = target.settings.names
    say(_consequences(names))
    if confirmed is None and ask is not None:
        confirmed = ask(f"Type {names.prefix} to destroy it")
    if confirmed != names.prefix:
        said = "was not confirmed" if not confirmed else f"was confirmed with {confirmed!r}"
        raise RefusedError(
            f"destroying the data of {names.prefix} {said}",
            f"--yes is not enough. Type the name: cv-factory --env {names.env} infra destroy --with-data --confirm"
            f" {names.prefix}",
        )
    for bucket in (names.data_bucket, names.artifact_bucket):
        _refuse_full(target, bucket)


def _consequences(names: Names) -> str:
    return (
        f"This destroys the buckets {names.data_bucket}, {names.artifact_bucket} and {names.log_bucket} with its access"
        f" logs, and schedules the keys {names.key_alias} and {names.signing_key_alias} for deletion in 30 days.\n"
        "When they are gone, nobody can ever read again what they encrypted: copies of these objects anywhere, backups,"
        " images of the registry, log lines of the deployer, volumes. Signatures of images cannot be made or checked.\n"
        "Until then: aws kms cancel-key-deletion. The state bucket and its own key stay."
    )


def _refuse_full(target: Target, bucket: str) -> None:
    s3: Any = target.client("s3")
    try:
        page = s3.list_object_versions(Bucket=bucket, MaxKeys=1000)
    except s3.exceptions.NoSuchBucket:
        return
    found = [item for kind in ("Versions", "DeleteMarkers") for item in page.get(kind, [])]
    kept = [item for item in found if item["Key"] not in _TERRAFORMS]
    if kept:
        many = f"{len(kept)} objects and versions" if not page.get("IsTruncated") else "more than 1,000 objects"
        raise FactoryError(
            f"the bucket {bucket} is not empty: {many}, for instance {kept[0]['Key']}",
            "Copy what must stay. This deletes all of it, versions included, and cannot be undone:\n"
            f"  python -c \"import boto3; boto3.resource('s3').Bucket('{bucket}').object_versions.delete()\"",
        )
