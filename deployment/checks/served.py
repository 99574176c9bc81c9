"""What was served here before: a package whose release succeeded on this endpoint, with these very images.

An image's scan goes on after its release, and one day it may find something, or expire. A roll-back to that image is
not refused for this: it was scanned when it was released, and an emergency is not the time to learn otherwise
(docs/decisions/0011-releases.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contracts.errors import ContractError
from contracts.release import ReleaseSettings
from deployment import ledger, log
from deployment.packages import Package
from deployment.report import Report

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def release_with(s3: S3Client, settings: ReleaseSettings, package: Package, image: str, digest: str) -> str:
    """The id of the newest release of the package that succeeded with this image after its scan held; else empty.

    Args:
        image: ``inference`` or ``training``.
        digest: of that image.
    """
    try:
        for each in ledger.releases(s3, settings):
            if each.state == ledger.SUCCEEDED and _is_of(each.facts, settings, package, image, digest):
                return each.id
    except ContractError as error:
        log.event("ledger-not-read", reason=str(error))
    return ""


def _is_of(facts: Mapping[str, Any], settings: ReleaseSettings, package: Package, image: str, digest: str) -> bool:
    digests, report = facts.get("image_digests"), Report.read(facts.get("checks"))
    return (
        facts.get("endpoint") == settings.names.endpoint
        and facts.get("package_arn") == package.arn
        and isinstance(digests, Mapping)
        and digests.get(image) == digest
        and report is not None
        and any(finding.id == f"{image}.scan" and finding.ok for finding in report.findings)
    )
