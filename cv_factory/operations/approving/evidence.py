"""What a package was evaluated with, as it is now: its kept evaluation and report, its data, the champion of now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contracts import evaluation, release
from contracts.dataset import DATASETS_PREFIX, MANIFEST, ImportedDataset
from contracts.errors import ContractError
from contracts.hashing import SHORT
from contracts.names import Names
from contracts.s3uri import S3Uri
from deployment import aws, packages
from deployment.packages import Package

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient


@dataclass(frozen=True, slots=True)
class Evidence:
    """What there is now.

    Attributes:
        metadata: the package's CustomerMetadataProperties.
        evaluation: the value of ``evaluation.json``; None: it is missing, or no JSON object.
        evaluation_sha256, report_sha256: of the objects; empty: missing.
        report: where the report is.
        dataset_hash: of the prepared dataset that is kept beside; empty: missing.
        imported_hash: of the imported dataset that the metadata names; empty: missing; None: not looked for.
        champion: the package that the release desires now; None: none is approved.
    """

    metadata: Mapping[str, str]
    evaluation: Mapping[str, Any] | None
    evaluation_sha256: str
    report_sha256: str
    report: S3Uri
    dataset_hash: str
    imported_hash: str | None
    champion: Package | None

    @property
    def fingerprint(self) -> tuple[str, ...]:
        """Equal as long as nothing of it changed."""
        return (
            self.evaluation_sha256, self.report_sha256, self.dataset_hash, self.imported_hash or "",
            self.champion.arn if self.champion else "", json.dumps(dict(self.metadata), sort_keys=True),
        )  # fmt: skip


def metadata(sagemaker: SageMakerClient, arn: str) -> dict[str, str]:
    """The CustomerMetadataProperties of a package."""
    return dict(sagemaker.describe_model_package(ModelPackageName=arn).get("CustomerMetadataProperties", {}))


def gather(
    sagemaker: SageMakerClient, s3: S3Client, names: Names, package: Package, *, promoted: bool = False
) -> Evidence:
    """Read everything afresh: nothing here is remembered from an earlier look.

    Args:
        promoted: the package is to be promoted from here: its data stay here, and are not looked at.

    Raises:
        ContractError: the package names no model.
    """
    about = metadata(sagemaker, package.arn) | ({release.META_ORIGIN: package.arn} if promoted else {})
    prefix = packages.model_prefix(package)
    body, digest = read(s3, prefix / evaluation.EVALUATION)
    report = prefix / evaluation.REPORT
    return Evidence(
        metadata=about,
        evaluation=_object(body),
        evaluation_sha256=digest,
        report_sha256=digest_of(s3, report),
        report=report,
        dataset_hash=str((_object(read(s3, prefix / release.DATASET_MANIFEST)[0]) or {}).get("dataset_hash", "")),
        imported_hash=None if release.META_ORIGIN in about else _imported(s3, names, about),
        champion=packages.desired(sagemaker, s3, names).package,
    )


def _imported(s3: S3Client, names: Names, about: Mapping[str, str]) -> str:
    """The hash of the imported dataset that the metadata names, computed from its manifest; empty: it is missing, or
    these credentials may not read it."""
    wanted = about.get(release.META_DATASET_HASH, "")
    try:
        body, _ = read(s3, names.data(f"{DATASETS_PREFIX}{wanted[:SHORT]}/{MANIFEST}")) if wanted else (b"", "")
    except s3.exceptions.ClientError as error:
        # Who may not list the bucket is told 403 of what is not there.
        if aws.error_code(error) not in ("AccessDenied", "403"):
            raise
        body = b""
    value = _object(body)
    try:
        return ImportedDataset.from_json(value).hash if value is not None else ""
    except (ContractError, ValueError):
        return "not a dataset"


def read(s3: S3Client, uri: S3Uri) -> tuple[bytes, str]:
    """The bytes and the SHA-256 of an object; both empty where there is none."""
    try:
        body = s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()
    except s3.exceptions.ClientError as error:
        if aws.is_missing(error):
            return b"", ""
        raise
    return body, hashlib.sha256(body).hexdigest()


def digest_of(s3: S3Client, uri: S3Uri) -> str:
    """The SHA-256 of an object, read in pieces; empty where there is none."""
    try:
        body = s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"]
    except s3.exceptions.ClientError as error:
        if aws.is_missing(error):
            return ""
        raise
    found = hashlib.sha256()
    for chunk in body.iter_chunks(1 << 20):
        found.update(chunk)
    return found.hexdigest()


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
