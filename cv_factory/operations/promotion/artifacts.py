"""The kept artefacts of a package, copied to another environment's bucket and verified on the way."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts import archives, bundle, evaluation, release
from contracts.errors import ContractError, RefusedError
from contracts.s3uri import S3Uri
from cv_factory.operations.approving import evidence
from deployment import aws, packages
from deployment.packages import Package

if TYPE_CHECKING:
    from cv_factory.session import Target

#: Copied first to last; the list that says that all is there comes after them.
NAMES = (
    bundle.ARCHIVE, evaluation.EVALUATION, evaluation.REPORT, evaluation.PREDICTIONS, evaluation.MODEL_CARD,
    release.DATASET_MANIFEST,
)  # fmt: skip


def bring(source: Target, target: Target, package: Package) -> S3Uri:
    """Copy what ``package`` names to the target's bucket, below the same bundle hash; its prefix there.

    The archive's bundle hash is computed again. A copy that was interrupted starts over.

    Raises:
        RefusedError: the archive is not the bundle that the package names.
        ContractError: something to copy is missing.
    """
    there = packages.model_prefix(package)
    here = target.settings.names.artifacts(
        release.package_prefix(package.bundle_hash, package.precision or bundle.FLOAT32)
    )
    ours, theirs = target.client("s3"), source.client("s3")
    if _whole(ours, theirs, here, there):
        return here
    ours.delete_object(Bucket=here.bucket, Key=(here / release.KEPT).key)
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            file = Path(folder) / name
            _download(theirs, there / name, file)
            if name == bundle.ARCHIVE:
                _check(file, package)
            ours.upload_file(str(file), here.bucket, (here / name).key)
    aws.write_json(
        ours, here / release.KEPT, {"origin": package.arn, "objects": {name: str(there / name) for name in NAMES}}
    )
    return here


def _whole(ours: Any, theirs: Any, here: S3Uri, there: S3Uri) -> bool:
    """Whether the target has all of it already, with the very evaluation of now."""
    if aws.read_json(ours, here / release.KEPT) is None:
        return False
    return all(
        evidence.digest_of(ours, here / name) == evidence.digest_of(theirs, there / name)
        for name in (evaluation.EVALUATION, evaluation.REPORT)
    )


def _download(s3: Any, uri: S3Uri, file: Path) -> None:
    try:
        s3.download_file(uri.bucket, uri.key, str(file))
    except s3.exceptions.ClientError as error:
        if aws.is_missing(error):
            raise ContractError(f"{uri} is missing", "Run the pipeline again where the package comes from.") from None
        raise


def _check(archive: Path, package: Package) -> None:
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / "bundle"
        archives.extract(archive, unpacked)
        try:
            found = bundle.bundle_hash(unpacked)
        except (ContractError, json.JSONDecodeError) as error:
            raise RefusedError(
                f"{package.model_uri} is no bundle: {error}", "Reject the package where it is."
            ) from None
    if found != package.bundle_hash:
        raise RefusedError(
            f"{package.model_uri} is bundle {found[:12]}, and the package names {package.bundle_hash[:12]}",
            "Somebody replaced the archive. Reject the package where it is, and look who wrote it.",
        )
