"""What stands between ``infra destroy --with-data`` and the data: a typed name, and buckets that were emptied."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from contracts.errors import FactoryError, RefusedError
from contracts.names import NO_CHAMPION_KEY, SETTINGS_KEY

if TYPE_CHECKING:
    from contracts.names import Names
    from cv_factory.session import Target

#: Objects that Terraform made and takes down itself.
_TERRAFORMS = {SETTINGS_KEY, NO_CHAMPION_KEY}


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
