"""Where a bundle came from: the archive that the package names, and the dataset and sources it was made of."""

from __future__ import annotations

import re
from collections.abc import Iterator

from botocore.exceptions import ClientError

from contracts import bundle, dataset, hashing, release, source
from contracts.errors import FactoryError
from contracts.release import ReleaseSettings
from contracts.s3uri import S3Uri
from deployment import aws
from deployment.aws import Session
from deployment.checks import archive, registry
from deployment.checks.archive import Contents
from deployment.packages import Package
from deployment.report import Finding

_HASH = re.compile(r"[0-9a-f]{64}")
#: S3 says so of an object that is not there to whoever may not list the bucket.
_NOT_SEEN = ("403", "AccessDenied")


def contents(session: Session, settings: ReleaseSettings, package: Package) -> Contents | Finding:
    """What the package's archive holds, or what is wrong with it."""
    finding, reject = "bundle.hash", "Reject the package"
    precision = package.precision or bundle.FLOAT32
    kept = settings.names.artifacts(release.package_prefix(package.bundle_hash, precision)) / bundle.ARCHIVE
    if not _HASH.fullmatch(package.bundle_hash) or package.model_uri != str(kept):
        return Finding(
            finding,
            False,
            f"the package names the bundle {package.bundle_hash or 'without a hash'} at {package.model_uri}; a bundle "
            f"of this factory lies at {settings.names.artifacts(release.PACKAGES_PREFIX)}<hash>/. {reject}",
        )
    try:
        found = archive.read(session.client("s3"), S3Uri.parse(package.model_uri))
    except FactoryError as error:
        return Finding(finding, False, f"{package.model_uri}: {error.headline}. {reject}")
    except ClientError as error:
        if not aws.is_missing(error):
            raise
        return Finding(finding, False, f"{package.model_uri} is not there. {reject}, and run the pipeline again")
    if found.bundle_hash != package.bundle_hash:
        return Finding(
            finding,
            False,
            f"{package.model_uri} holds the bundle {found.bundle_hash}, not {package.bundle_hash}: it was replaced "
            f"after its registration. {reject}",
        )
    return found


def check(session: Session, settings: ReleaseSettings, package: Package, found: Contents) -> Iterator[Finding]:
    """Are the dataset and the sources of the bundle known here?"""
    yield _dataset(session, settings, package, found)
    yield _source(session, settings, package, found)


def _dataset(session: Session, settings: ReleaseSettings, package: Package, found: Contents) -> Finding:
    finding, said = "dataset.known", package.dataset_hash
    if not _HASH.fullmatch(said) or said != found.spec.dataset_hash:
        return Finding(finding, False, _differs("dataset", said, found.spec.dataset_hash))
    uri = settings.names.data(f"{dataset.DATASETS_PREFIX}{said[: hashing.SHORT]}/{dataset.MANIFEST}")
    try:
        session.client("s3").head_object(Bucket=uri.bucket, Key=uri.key)
    except ClientError as error:
        if not aws.is_missing(error) and aws.error_code(error) not in _NOT_SEEN:
            raise
        return Finding(
            finding,
            False,
            f"{uri} is not there, or the deployer may not read it: nobody can say what the model was trained on. "
            "Import the data again (cv-factory data import), or reject the package",
        )
    return Finding(finding, True, str(uri))


def _source(session: Session, settings: ReleaseSettings, package: Package, found: Contents) -> Finding:
    finding, said = "source.known", package.source_hash
    if not _HASH.fullmatch(said) or said != found.spec.source_hash:
        return Finding(finding, False, _differs("sources", said, found.spec.source_hash))
    repository, tag = settings.names.training_repository, source.tag(said)
    image = registry.find(session.client("ecr"), settings.account_id, repository, tag=tag)
    if image is None:
        return Finding(
            finding,
            False,
            f"{repository} has no image {tag}: the sources that trained the model are not known here. Push the image "
            "of that commit again, or reject the package",
        )
    if image.digest != package.training_digest:
        return Finding(
            finding,
            False,
            f"{repository}:{tag} is {image.digest}; the package names {package.training_digest or 'none'}. Reject it",
        )
    return Finding(finding, True, f"{repository}:{tag}")


def _differs(what: str, said: str, found: str) -> str:
    return f"the package names the {what} {said or '(none)'}, its bundle {found or '(none)'}. Reject the package"
