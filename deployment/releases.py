"""What a person decides about a release: approve, reject, deploy; and what the pipeline's step Deploy approves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts.errors import RefusedError, UsageError
from contracts.names import PIN_KEY
from contracts.release import Pin, ReleaseSettings
from deployment import aws, down, log, packages
from deployment.aws import Session
from deployment.outcome import Outcome
from deployment.packages import APPROVED, COMPLETED, PENDING, REJECTED, Package
from deployment.reconcile import Act, retry

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a package: approval statuses as SageMaker names them, and a sentence for a person."""

    package_arn: str
    version: int
    before: str
    after: str
    message: str

    @property
    def changed(self) -> bool:
        return self.before != self.after


def approve(
    session: Session,
    settings: ReleaseSettings,
    package: str | None = None,
    reason: str = "",
    metadata: Mapping[str, str] | None = None,
) -> Decision:
    """Approve a package; its registry event then starts the deployment.

    Args:
        package: ARN or version; None: the newest that waits for approval.
        reason: kept with the package, at most 1,024 characters.
        metadata: joins the package's CustomerMetadataProperties: who approved what whom has started.

    Raises:
        UsageError: no such package, or nothing waits.
        RefusedError: the package is not complete.
    """
    sagemaker = session.client("sagemaker")
    found = named(sagemaker, settings, package, "approve")
    if found.approval == APPROVED:
        return _unchanged(found, f"{found.label} is approved already{_why(found)}")
    if found.status != COMPLETED:
        raise RefusedError(
            f"{found.label} is {found.status}, so it cannot be approved",
            "Wait until it is Completed. A Failed package is registered again by another run of the pipeline.",
        )
    packages.set_approval(sagemaker, found, APPROVED, _short(reason), metadata)
    was = f"; it was rejected{_why(found)}" if found.approval == REJECTED else ""
    newest = next((version for version, _ in packages.versions(sagemaker, settings.names.package_group, APPROVED)), 0)
    later = f". Version {newest} is approved and newer, so that one is served" if newest > found.version else ""
    return Decision(found.arn, found.version, found.approval, APPROVED, f"{found.label} is approved{was}{later}")


def reject(session: Session, settings: ReleaseSettings, package: str | None = None, why: str = "") -> Decision:
    """Reject a package and say why. If it is served, the highest Approved version replaces it.

    Args:
        package: ARN or version; None: the newest that waits for approval.
        why: the reason; it must not be empty.

    Raises:
        UsageError: no reason, no such package, or nothing waits.
    """
    reason = _short(why)
    if not reason:
        raise UsageError("a rejection needs its reason", 'Say it: cv-factory reject --why "misses cracked cells".')
    sagemaker = session.client("sagemaker")
    found = named(sagemaker, settings, package, "reject")
    if found.approval != REJECTED:
        packages.set_approval(sagemaker, found, REJECTED, reason)
    packages.unpin(session.client("s3"), settings.names, found.arn)
    if found.approval == REJECTED:
        return _unchanged(found, f"{found.label} is rejected already{_why(found)}")
    others = next((version for version, _ in packages.versions(sagemaker, settings.names.package_group, APPROVED)), 0)
    next_ = ""
    if found.approval == APPROVED:
        next_ = (
            f"; version {others} is served next" if others else "; no other is approved, so the endpoint stays as it is"
        )
    return Decision(found.arn, found.version, found.approval, REJECTED, f"{found.label} is rejected{next_}")


def deploy(
    session: Session, settings: ReleaseSettings, package: str | None = None, reason: str = "", *, act: Act = retry
) -> Outcome:
    """Bring the endpoint to what is desired, and try again what failed before.

    Args:
        act: who acts: this session, or somebody whom it asks.
        package: ARN or version of an Approved package: it is pinned, so it is served whatever is approved later.
            None: the pin is removed and the highest Approved version is served.

    Raises:
        UsageError: no such package.
        RefusedError: the package is not Approved.
    """
    s3, pin = session.client("s3"), settings.names.artifacts(PIN_KEY)
    down.lift(s3, settings.names)
    if package is None:
        if aws.read_json(s3, pin) is not None:
            s3.delete_object(Bucket=pin.bucket, Key=pin.key)
            log.event("unpinned", reason=_short(reason))
    else:
        found = packages.find(session.client("sagemaker"), settings.names, package)
        if found.approval != APPROVED:
            raise RefusedError(
                f"{found.label} is {found.approval or found.status}; only an Approved package is deployed",
                f"Approve it first: cv-factory approve {found.version}.",
            )
        aws.write_json(s3, pin, Pin(found.arn, _short(reason)).to_json())
        log.event("pinned", package_arn=found.arn, reason=_short(reason))
    return act(session, settings, at_once=False)


def approve_for_pipeline(session: Session, settings: ReleaseSettings, package_arn: str, reason: str) -> Decision:
    """Approve what a pipeline has just registered. A person's rejection in between stands.

    Raises:
        UsageError: no such package.
        RefusedError: somebody has rejected it.
    """
    sagemaker = session.client("sagemaker")
    found = packages.find(sagemaker, settings.names, package_arn)
    if found.approval == REJECTED:
        raise RefusedError(f"{found.label} has been rejected{_why(found)}", "Only a person may approve it again.")
    if found.approval == APPROVED:
        return _unchanged(found, f"{found.label} is approved already{_why(found)}")
    packages.set_approval(sagemaker, found, APPROVED, _short(reason))
    return Decision(found.arn, found.version, found.approval, APPROVED, f"{found.label} is approved")


def named(sagemaker: SageMakerClient, settings: ReleaseSettings, package: str | None, verb: str) -> Package:
    """The package that is named by ARN or version; None: the newest that waits for approval.

    Raises:
        UsageError: no such package, or nothing waits.
    """
    if package is not None:
        return packages.find(sagemaker, settings.names, package)
    for _, arn in packages.versions(sagemaker, settings.names.package_group, PENDING):
        found = packages.describe(sagemaker, arn)
        if found is not None and found.approval == PENDING:
            return found
    raise UsageError(
        f"no package of {settings.names.package_group} waits for approval",
        f"Name one: cv-factory {verb} 3. cv-factory status --releases lists them; cv-factory run makes another.",
    )


def _unchanged(package: Package, message: str) -> Decision:
    return Decision(package.arn, package.version, package.approval, package.approval, message)


def _why(package: Package) -> str:
    return f" ({package.reason})" if package.reason else ""


def _short(text: str) -> str:
    """One line: ApprovalDescription's pattern ``.*`` allows no line break."""
    return " ".join(text.split())[: packages.MAX_REASON]
