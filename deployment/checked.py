"""What the checks before a roll-out have found, and of what: ``release/checks.json``, beside the attempt.

Only the last is kept, and it holds for exactly what was checked: the package with its images and hashes, the archive's
ETag, and the settings that say what is asked. So a sweep does not read a whole archive again, and an archive that is
replaced after its checks is checked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contracts import hashing
from contracts.errors import FactoryError
from contracts.release import CHECKS_KEY, ReleaseSettings
from contracts.s3uri import S3Uri
from deployment import aws
from deployment.report import Report

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from deployment.goal import Goal


@dataclass(frozen=True, slots=True)
class Before:
    """The last checks.

    Attributes:
        key: of what was checked; another one: nothing is known.
        package_arn: the package's.
        report: what was found.
        release_id: of the record in the ledger of a refusal; empty where nothing is refused.
        told: whether the ledger has it.
    """

    key: str
    package_arn: str
    report: Report
    release_id: str = ""
    told: bool = False

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "report": self.report.to_json()}

    @classmethod
    def from_json(cls, value: Any) -> Before | None:
        """None for what is no record of this version: then the checks are made again."""
        if not isinstance(value, Mapping) or {field.name for field in fields(cls)} != set(value):
            return None
        report = Report.read(value["report"])
        return cls(**{**value, "report": report}) if report is not None else None


def look(s3: S3Client, settings: ReleaseSettings, goal: Goal) -> Before | None:
    """What is known of what is desired; None: nothing, or nothing is desired."""
    found = Before.from_json(aws.read_json(s3, settings.names.artifacts(CHECKS_KEY)))
    if found is None or goal.package is None or found.package_arn != goal.package.arn:
        return None
    return found if found.key == key(s3, settings, goal) else None


def key(s3: S3Client, settings: ReleaseSettings, goal: Goal) -> str:
    """The hash of everything that the checks' result hangs on, beside the registry of images."""
    package = goal.package
    if package is None:
        raise AssertionError("nothing is desired, so nothing is checked")
    value = {
        "package": [
            package.arn, package.image, package.model_uri, package.bundle_hash, package.precision,
            package.inference_digest, package.training_digest, package.dataset_hash, package.source_hash,
        ],
        "archive": _etag(s3, package.model_uri),
        "scan_severity": settings.scan_severity,
        "staging": goal.candidates[0].config_name if settings.staging else "",
    }  # fmt: skip
    return hashing.of_value(value)


def write(s3: S3Client, settings: ReleaseSettings, found: Before) -> None:
    aws.write_json(s3, settings.names.artifacts(CHECKS_KEY), found.to_json())


def _etag(s3: S3Client, uri: str) -> str:
    """The archive's ETag; empty where there is none, which the checks then say."""
    try:
        place = S3Uri.parse(uri)
        return s3.head_object(Bucket=place.bucket, Key=place.key)["ETag"]
    except FactoryError:
        return ""
    except ClientError as error:
        if aws.is_missing(error) or aws.error_code(error) in ("403", "AccessDenied"):
            return ""
        raise
