"""Promotion: a package of another environment, approved there, is brought here as it is, and approved here.

Nothing is trained or built again: the bundle, its evaluation and the image's digest are the same. The group here gets a
version of its own that names where it comes from. Called again after it was cut off, it goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contracts import bundle, evaluation, invocation, release
from contracts.errors import FactoryError, RefusedError
from cv_factory.operations import approving
from cv_factory.operations.approving import evidence, identity, rules
from cv_factory.operations.approving.identity import Identity
from cv_factory.operations.approving.review import Review, deploys, who_started
from cv_factory.operations.approving.rules import Refusal
from cv_factory.operations.promotion import artifacts, images, origin, soak
from cv_factory.operations.promotion.origin import is_elsewhere
from cv_factory.operations.promotion.soak import Soak
from deployment import aws, keep, packages
from deployment.packages import APPROVED, PENDING

if TYPE_CHECKING:
    from cv_factory.session import Target
    from deployment import Decision

__all__ = ["Promotion", "find", "is_elsewhere", "promote"]
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")


@dataclass(frozen=True)
class Promotion:
    """A package of ``source`` that may come to another environment.

    Attributes:
        review: of the package as it stands at its source, with the settings and the champion of where it goes.
    """

    source: Target
    review: Review
    soak: Soak

    def to_json(self) -> dict[str, Any]:
        return {**self.review.to_json(), "from": self.source.settings.env, "soak": self.soak.to_json()}


def find(target: Target, arn: str, profile: str | None = None) -> Promotion:
    """Read the package where it is. Nothing is changed.

    Args:
        profile: with whose credentials the source is read; None: with the target's.

    Raises:
        UsageError: no environment of the file has that package.
        FactoryError: these credentials may not read it.
    """
    source = origin.source(target, arn, profile)
    try:
        return _look(target, source, arn)
    except ClientError as error:
        if aws.error_code(error) not in _DENIED:
            raise
        theirs, ours = source.settings, target.settings
        raise FactoryError(
            f"these credentials may not read {arn}: {error}",
            f"Either list account {ours.aws.account_id} in release.readers of environment {theirs.env} and apply there,"
            f" or name a profile of account {theirs.aws.account_id}: --from-profile PROFILE."
            " A soak and the signature of an image are read with a profile only.",
        ) from None


def _look(target: Target, source: Target, arn: str) -> Promotion:
    sagemaker, s3 = source.client("sagemaker"), source.client("s3")
    package = packages.find(sagemaker, source.settings.names, arn)
    found = evidence.gather(sagemaker, s3, source.settings.names, package, promoted=True)
    champion = packages.desired(target.client("sagemaker"), target.client("s3"), target.settings.names).package
    found = replace(found, champion=champion)
    approver = identity.parse(str(target.client("sts").get_caller_identity()["Arn"]))
    starters = _starters(source, found.metadata)
    measured = soak.measure(source, package, target.settings.release.soak_hours)
    refusals = [*_approved(source, package), *rules.about_evidence(package, found), *measured.refusals()]
    if target.settings.four_eyes:
        refusals += rules.four_eyes(starters, approver)
    review = Review(
        package, found, deploys(target, package), starters, approver, target.settings.four_eyes, tuple(refusals),
        (
            f"from environment {source.settings.env}, account {source.settings.aws.account_id}; soak: {measured}",
            *_champions(found),
        ),
    )  # fmt: skip
    return Promotion(source, review, measured)


def _approved(source: Target, package: packages.Package) -> list[Refusal]:
    if package.approval == APPROVED:
        return []
    says = f"it is {package.approval} in environment {source.settings.env}; only what is approved there is promoted"
    return [
        Refusal("origin", says, f"Approve it there: cv-factory --env {source.settings.env} approve {package.version}")
    ]


def _champions(found: evidence.Evidence) -> list[str]:
    now = found.champion.bundle_hash if found.champion else release.NO_CHAMPION
    compared = rules.compared_with(found)
    if now == compared:
        return []
    here = f"{found.champion.label} (bundle {now[:12]})" if found.champion else "nothing yet"
    return [
        f"it was compared with bundle {compared[:12]} there; what is served here is {here}: the two were not compared"
    ]


def _starters(source: Target, metadata: Any) -> tuple[Identity, ...]:
    """Who started the execution; from the metadata alone where these credentials may not read executions."""
    plain = {key: value for key, value in metadata.items() if key != release.META_ORIGIN}
    try:
        return who_started(source, plain)
    except ClientError as error:
        if aws.error_code(error) not in _DENIED:
            raise
        plain.pop(release.META_EXECUTION, None)
        return who_started(source, plain)


def promote(target: Target, promotion: Promotion, why: str, again: str) -> Decision:
    """Bring the artefacts and the image, register the package here, and approve it.

    Args:
        again: the command line that does the same once more, for messages.

    Raises:
        RefusedError: a rule is broken, something changed since ``promotion`` was looked at, or the image's layers are
            not in the registry here.
    """
    approving.check(promotion.review, promoted=True)
    source, package = promotion.source, promotion.review.package
    now = _look(target, source, package.arn)
    approving.check(now.review, promoted=True)
    if now.review.evidence.fingerprint != promotion.review.evidence.fingerprint:
        raise RefusedError(
            f"{package.label} is not promoted: its evaluation or the champion changed while you read",
            f"Look again: {again}",
        )
    image = images.bring(source, target, package.image.rpartition("@")[2], again)
    prefix = artifacts.bring(source, target, package)
    arn = _register(target, now, image, str(prefix))
    return approving.approve(target, approving.find(target, arn), why)


def _register(target: Target, promotion: Promotion, image: str, prefix: str) -> str:
    """The package here: the one of this bundle that is there already, or a new one that waits for approval."""
    package, found = promotion.review.package, promotion.review.evidence
    sagemaker = target.client("sagemaker")
    precision = package.precision or bundle.FLOAT32
    group = target.settings.names.package_group
    metadata = {
        **found.metadata,
        release.META_ORIGIN: package.arn,
        release.META_SOAK: str(promotion.soak),
        release.META_APPROVAL: release.PROMOTED,
        release.META_INFERENCE_DIGEST: image.rpartition("@")[2],
    }
    metadata.pop(release.META_APPROVED_BY, None)
    if promotion.review.starters:
        metadata.setdefault(release.META_STARTED_BY, promotion.review.starters[0].arn)
    known = packages.with_bundle(sagemaker, group, package.bundle_hash, precision)
    if known is not None:
        if known.approval != APPROVED:
            sagemaker.update_model_package(ModelPackageArn=known.arn, CustomerMetadataProperties=metadata)
        return known.arn
    arn: str = sagemaker.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus=PENDING,
        InferenceSpecification={
            "Containers": [
                {
                    "Image": image, "ModelDataUrl": prefix + bundle.ARCHIVE,
                    "Environment": {invocation.PRECISION_VARIABLE: precision},
                }
            ],
            "SupportedContentTypes": list(invocation.CONTENT_TYPES),
            "SupportedResponseMIMETypes": list(invocation.ACCEPTS),
        },
        ModelMetrics={
            "ModelQuality": {
                "Statistics": {"ContentType": invocation.JSON, "S3Uri": prefix + evaluation.EVALUATION}
            }
        },
        CustomerMetadataProperties=metadata,
    )["ModelPackageArn"]  # fmt: skip
    keep.publish(target.session, package_arn=arn, model_card_uri=prefix + evaluation.MODEL_CARD)
    return arn
