"""The two images that a package names: ours, whole, for SageMaker's platform, signed, and scanned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from contracts import release
from contracts.errors import ContractError
from contracts.release import ReleaseSettings
from deployment.aws import Session
from deployment.checks import registry, served, signatures
from deployment.checks.registry import DIGEST, Image, Scan
from deployment.checks.signatures import Signed
from deployment.packages import Package
from deployment.report import Finding

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client

PLATFORM = "linux/amd64"
#: From the worst to the most harmless. Source: ECR User Guide, "Scan images for software vulnerabilities".
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL")
#: ``release.scan_severity``: no scan is asked for.
NO_SCAN = "none"
#: Statuses of a scan that has a result (ACTIVE: enhanced scanning goes on), and of one that is under way.
#: Source: API reference, ImageScanStatus.
_SCANNED, _SCANNING = ("COMPLETE", "ACTIVE"), ("IN_PROGRESS", "PENDING")


def check(session: Session, settings: ReleaseSettings, package: Package) -> Iterator[Finding]:
    """Findings on the serving and the training image; what hangs on a missing image is left out."""
    names = settings.names
    wanted = {
        "inference": (names.inference_repository, package.image, package.inference_digest),
        "training": (
            names.training_repository,
            names.image(names.training_repository, digest=package.training_digest),
            package.training_digest,
        ),
    }
    for name, (repository, reference, digest) in wanted.items():
        found = _find(session, settings, repository, reference, digest)
        if isinstance(found, str):
            yield Finding(f"{name}.registry", False, found)
            continue
        yield Finding(f"{name}.registry", True, f"{repository}@{digest} is in this account's registry")
        yield _platform(session, settings, name, found)
        yield _signature(session.client("kms"), session.client("s3"), settings, name, found)
        if settings.scan_severity != NO_SCAN:
            yield _scanned(session, settings, package, name, found)


def _find(session: Session, settings: ReleaseSettings, repository: str, reference: str, digest: str) -> Image | str:
    """The image that the package names, or what is wrong with it."""
    ours = f"{settings.names.registry}/{repository}"
    if not DIGEST.fullmatch(digest):
        return f"the package names the digest {digest!r}. Register the model again: cv-factory run"
    if reference != f"{ours}@{digest}":
        return f"the package names {reference}; right is {ours}@{digest}. Reject the package: it is not of this factory"
    found = registry.find(session.client("ecr"), settings.account_id, repository, digest=digest)
    if found is None:
        return f"{reference} is not in the registry. Push the image again, or reject the package"
    if found.digest != digest or not registry.is_intact(found):
        return f"{reference}: the registry's manifest is not what the digest says. Reject the package"
    return found


def _platform(session: Session, settings: ReleaseSettings, name: str, image: Image) -> Finding:
    try:
        found = registry.platform(session.client("ecr"), settings.account_id, image)
    except ContractError as error:
        return Finding(f"{name}.platform", False, f"{error.headline}. Build it again: {_build(settings)}")
    if found != PLATFORM:
        return Finding(
            f"{name}.platform", False, f"the image is for {found}; SageMaker runs {PLATFORM}. {_build(settings)}"
        )
    return Finding(f"{name}.platform", True, found)


def _signature(kms: KMSClient, s3: S3Client, settings: ReleaseSettings, name: str, image: Image) -> Finding:
    """Is there a signature of our key over our name of this digest?"""
    names = settings.names
    where, key = names.artifacts(release.signature_key(image.digest)), names.signing_key_alias
    found = signatures.verify(kms, s3, names, image.repository, image.digest)
    if found is Signed.HOLDS:
        return Finding(f"{name}.signature", True, f"signed by {key}")
    wrong = {
        Signed.MISSING: f"there is no {where}",
        Signed.NO_SIGNATURE: f"{where} holds no signature",
    }.get(found, f"{where} is not of {key} over this image")
    unsigned = f"Nobody vouches for the image. Delete it, then build it again: {_build(settings)}"
    return Finding(f"{name}.signature", False, f"{wrong}. {unsigned}")


def _scanned(session: Session, settings: ReleaseSettings, package: Package, name: str, image: Image) -> Finding:
    """What the scan says; a warning where the package was served with this very image before."""
    scan = registry.scan(session.client("ecr"), settings.account_id, image)
    found = _scan(settings, name, image, scan)
    if found.ok or not scan.status:
        return found
    before = served.release_with(session.client("s3"), settings, package, name, image.digest)
    if not before:
        return found
    detail = f"{found.detail}. Not refused: the scan held when it was served before (release {before})"
    return Finding(found.id, True, detail, warning=True)


def _scan(settings: ReleaseSettings, name: str, image: Image, found: Scan) -> Finding:
    finding = f"{name}.scan"
    again = f"aws ecr start-image-scan --repository-name {image.repository} --image-id imageDigest={image.digest}"
    if not found.status:
        return Finding(finding, False, f"the image was never scanned. Scan it: {again}")
    if found.status in _SCANNING:
        return Finding(finding, False, f"the scan is {found.status}", pending=True)
    if found.status not in _SCANNED:
        why = f" ({found.description})" if found.description else ""
        return Finding(finding, False, f"the scan is {found.status}{why}, so nothing is known. Again: {again}")
    refused = SEVERITIES[: SEVERITIES.index(settings.scan_severity) + 1]
    seen = ", ".join(f"{count} {severity}" for severity, count in found.counts.items() if count) or "none"
    if any(found.counts.get(severity) for severity in refused):
        return Finding(
            finding,
            False,
            f"findings of the scan: {seen}; none may be {settings.scan_severity} or worse (release.scan_severity). "
            f"Build on a repaired base: {_build(settings)}",
        )
    return Finding(finding, True, f"findings of the scan: {seen}")


def _build(settings: ReleaseSettings) -> str:
    return f"make images ENV={settings.env}"
