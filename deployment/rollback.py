"""Back to an earlier package: everything newer is rejected, so that no late event and no champion brings it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contracts.errors import RefusedError, UsageError
from contracts.names import PIN_KEY
from contracts.release import Pin, ReleaseSettings
from deployment import aws, down, log, packages
from deployment.aws import Session
from deployment.outcome import Outcome
from deployment.packages import APPROVED, REJECTED, Package
from deployment.reconcile import Act, retry


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What was done.

    Attributes:
        package: that is served again, or will be when the endpoint has followed.
        rejected: versions that were Approved and are Rejected now, oldest first.
        outcome: of the reconciliation that was started.
    """

    package: Package
    rejected: tuple[int, ...]
    outcome: Outcome

    def to_json(self) -> dict[str, Any]:
        return {
            "model_package_arn": self.package.arn,
            "version": self.package.version,
            "rejected": list(self.rejected),
            "deployment": self.outcome.to_json(),
        }


def rollback(
    session: Session, settings: ReleaseSettings, to: str | None = None, why: str = "", *, now: bool = False,
    act: Act = retry,
) -> RolledBack:  # fmt: skip
    """Reject what is served and every Approved package that is newer than ``to``, and deploy ``to``.

    The target is pinned while the others are rejected, one by one, oldest first: an event that comes in between finds
    it desired, and a rollback that was killed is finished by calling it again.

    Args:
        to: ARN or version of an Approved package; None: the Approved one before the one that is desired now.
        why: kept with every package that is rejected; it must not be empty.
        now: at once, without the release's guards and bake time.
        act: who acts: this session, or somebody whom it asks.

    Raises:
        UsageError: no reason, no such package, or none to go back to.
        RefusedError: the target is not Approved.
    """
    reason = " ".join(why.split())[: packages.MAX_REASON]
    if not reason:
        raise UsageError("a rollback needs its reason", 'Say it: cv-factory rollback --why "misses cracked cells".')
    sagemaker, s3 = session.client("sagemaker"), session.client("s3")
    group = settings.names.package_group
    approved = list(packages.versions(sagemaker, group, APPROVED))
    target = _target(session, settings, to, approved)
    pin = settings.names.artifacts(PIN_KEY)
    aws.write_json(s3, pin, Pin(target.arn, f"rollback: {reason}"[: packages.MAX_REASON]).to_json())
    rejected = []
    for version, arn in sorted(approved):
        newer = packages.describe(sagemaker, arn) if version > target.version else None
        if newer is not None and newer.approval == APPROVED:
            packages.set_approval(sagemaker, newer, REJECTED, reason)
            rejected.append(version)
    s3.delete_object(Bucket=pin.bucket, Key=pin.key)
    down.lift(s3, settings.names)
    log.event("rolled back", package_arn=target.arn, rejected=rejected, reason=reason)
    return RolledBack(target, tuple(rejected), act(session, settings, at_once=now))


def _target(session: Session, settings: ReleaseSettings, to: str | None, approved: list[tuple[int, str]]) -> Package:
    sagemaker = session.client("sagemaker")
    if to is not None:
        found = packages.find(sagemaker, settings.names, to)
        if found.approval != APPROVED:
            raise RefusedError(
                f"{found.label} is {found.approval or found.status}; only an Approved package is deployed",
                f"Approve it first: cv-factory approve {found.version}, or name another one.",
            )
        return found
    current = packages.desired(sagemaker, session.client("s3"), settings.names).package
    for version, arn in approved:  # newest first
        found_or_none = packages.describe(sagemaker, arn) if current and version < current.version else None
        if found_or_none is not None:
            return found_or_none
    now = f"{current.label} is desired" if current else "no package is approved"
    raise UsageError(
        f"there is nothing to go back to: {now}, and no earlier package is approved",
        "Approve an earlier one (cv-factory status --releases), or reject this one: then the endpoint stays as it is.",
    )
