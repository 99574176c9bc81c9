"""Approving a model package: what a person sees, when it is refused, and who is on record for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import deployment
from contracts import release as contract
from contracts.errors import RefusedError
from cv_factory.operations import release
from cv_factory.operations.approving.review import Review, look
from cv_factory.operations.approving.rules import Refusal
from deployment import releases
from deployment.packages import APPROVED

if TYPE_CHECKING:
    from cv_factory.session import Target
    from deployment import Decision

__all__ = ["Refusal", "Review", "approve", "check", "find", "look"]


def find(target: Target, package: str | None) -> Review:
    """The review of a package of the environment.

    Args:
        package: ARN or version; None: the newest that waits for approval.

    Raises:
        UsageError: no such package, or nothing waits.
        ContractError: the base is not there.
    """
    settings = release.settings_of(target)
    return look(target, releases.named(target.client("sagemaker"), settings, package, "approve"))


def check(review: Review, *, promoted: bool = False) -> None:
    """
    Args:
        promoted: the package is approved where it is, and about to be approved elsewhere.

    Raises:
        RefusedError: the package must not be approved; says every reason.
    """
    if not review.refusals or (review.package.approval == APPROVED and not promoted):
        return
    first, *others = review.refusals
    more = "".join(f"Also: {each.says}\n" for each in others)
    right = list(dict.fromkeys(each.right for each in review.refusals))
    raise RefusedError(f"{review.package.label} is not approved: {first.says}", more + "\n".join(right))


def approve(target: Target, review: Review, why: str) -> Decision:
    """Approve what was reviewed, if everything is still as it was shown.

    Who approved and who had started the execution join the package's CustomerMetadataProperties in the same call.

    Raises:
        RefusedError: a rule is broken, or something changed since ``review``.
    """
    check(review)
    again = look(target, release.package(target, review.package.arn))
    check(again)
    if again.evidence.fingerprint != review.evidence.fingerprint:
        raise RefusedError(
            f"{review.package.label} is not approved: its evaluation, its data or the champion changed while you read",
            f"Look again: cv-factory approve {review.package.version}",
        )
    on_record = {contract.META_APPROVED_BY: contract.recorded_identity(again.approver.arn)}
    if again.starters and again.evidence.metadata.get(contract.META_STARTED_BY, contract.UNKNOWN) == contract.UNKNOWN:
        on_record[contract.META_STARTED_BY] = again.starters[0].arn
    return deployment.approve(target.session, release.settings_of(target), review.package.arn, why, on_record)
