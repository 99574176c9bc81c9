"""What ECR's scans find in the images here, which nobody can scan: it is told through ``/_local/scans``.

``PUT {"repository", "digest", "status", "findings": [{"name", "severity"}, …]}``; ``DELETE`` with repository and digest
forgets it. An image that nothing was said about was scanned without findings. It is kept on moto's own image, so that
a snapshot has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

#: Source: ECR API reference, ImageScanStatus and ImageScanFinding.
STATUSES = (
    "IN_PROGRESS", "COMPLETE", "FAILED", "UNSUPPORTED_IMAGE", "ACTIVE", "PENDING", "SCAN_ELIGIBILITY_EXPIRED",
    "FINDINGS_UNAVAILABLE", "LIMIT_EXCEEDED",
)  # fmt: skip
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED")
#: Statuses of a scan that has a result.
WITH_FINDINGS = ("COMPLETE", "ACTIVE")

_FIELDS = {"repository", "digest", "status", "findings", "region"}


class BadScan(ValueError):
    """The message says what the request should be."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The last scan of an image; findings as DescribeImageScanFindings answers them."""

    status: str
    findings: tuple[Mapping[str, Any], ...] = ()

    @property
    def description(self) -> str:
        return "The scan was completed successfully." if self.status == "COMPLETE" else f"The scan is {self.status}."

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(finding["severity"] for finding in self.findings))


NOTHING_FOUND = Scan("COMPLETE")


def of(image: Any) -> Scan | None:
    """What was told of moto's ``image``; None: nothing."""
    told = getattr(image, "local_scan", None)
    return None if told is None else Scan(told["status"], tuple(told["findings"]))


def layers(repository: Any) -> dict[str, bytes]:
    """Digest -> content of the small layers of moto's ``repository``."""
    found: dict[str, bytes] | None = getattr(repository, "local_layers", None)
    if found is None:
        found = repository.local_layers = {}
    return found


def layer(platform: Platform, region: str, repository: str, digest: str) -> bytes | None:
    """The content of a layer; None where it is not here."""
    found = _backend(platform, region).repositories.get(repository)
    return None if found is None else layers(found).get(digest)


def tell(platform: Platform, request: Mapping[str, Any]) -> None:
    """Set what the scan of an image says.

    Raises:
        BadScan: the request is not one, or there is no such image.
    """
    unknown = sorted(set(request) - _FIELDS)
    status, findings = request.get("status", "COMPLETE"), request.get("findings", [])
    if unknown or status not in STATUSES or not isinstance(findings, list):
        raise BadScan(
            f"expected repository, digest, status of {', '.join(STATUSES)}, findings; not {unknown or status!r}"
        )
    for finding in findings:
        if not isinstance(finding, dict) or finding.get("severity") not in SEVERITIES or not finding.get("name"):
            raise BadScan(f"a finding is {{name, severity of {', '.join(SEVERITIES)}}}, not {finding!r}")
    _image(platform, request).local_scan = {"status": status, "findings": findings}
    platform.state.changed("ecr")


def forget(platform: Platform, request: Mapping[str, Any]) -> None:
    """Remove what was told of an image. Raises: BadScan."""
    _image(platform, request).local_scan = None
    platform.state.changed("ecr")


def told(platform: Platform) -> Iterator[dict[str, Any]]:
    """Everything that was told, in the region of this server."""
    for repository in _backend(platform, platform.region).repositories.values():
        for image in repository.images:
            scan = of(image)
            if scan is not None:
                yield {
                    "repository": repository.name,
                    "digest": image.get_image_digest(),
                    "status": scan.status,
                    "findings": list(scan.findings),
                }


def _image(platform: Platform, request: Mapping[str, Any]) -> Any:
    name, digest = request.get("repository"), request.get("digest")
    repository = _backend(platform, str(request.get("region") or platform.region)).repositories.get(name)
    for image in repository.images if repository is not None else ():
        if image.get_image_digest() == digest:
            return image
    raise BadScan(f"there is no image {digest!r} in the repository {name!r}")


def _backend(platform: Platform, region: str) -> Any:
    from moto.ecr.models import ecr_backends

    return ecr_backends[platform.account_id][region]
