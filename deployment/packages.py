"""The model registry: the packages of the group, which of them is desired, and changes of their approval."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from contracts import bundle, release
from contracts.errors import ContractError, UsageError
from contracts.names import PIN_KEY, Names
from contracts.release import Pin
from contracts.s3uri import S3Uri
from deployment import aws, log

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.type_defs import DescribeModelPackageOutputTypeDef

Approval = Literal["Approved", "Rejected", "PendingManualApproval"]
APPROVED: Approval = "Approved"
REJECTED: Approval = "Rejected"
PENDING: Approval = "PendingManualApproval"

#: ModelPackageStatus of a package that can be deployed.
COMPLETED = "Completed"
#: UpdateModelPackage, ApprovalDescription: at most this many characters.
MAX_REASON = 1024

_KEPT_MODEL = re.compile(rf"/{release.PACKAGES_PREFIX}([0-9a-f]{{64}})(?:-{bundle.INT8})?/")


@dataclass(frozen=True, slots=True)
class Package:
    """A version of the group, as far as a release needs it.

    ``approved_by`` is the STS identity that changed the package last, as SageMaker names it; empty where it does not.
    """

    arn: str
    version: int
    approval: str
    status: str
    reason: str
    image: str
    model_uri: str
    bundle_hash: str
    precision: str = ""
    approved_by: str = ""
    inference_digest: str = ""
    training_digest: str = ""
    dataset_hash: str = ""
    source_hash: str = ""

    @property
    def label(self) -> str:
        return f"version {self.version}"


@dataclass(frozen=True, slots=True)
class Desired:
    """The package that is to be served. ``note`` says why a pin was not followed."""

    package: Package | None
    pinned: bool = False
    note: str = ""


def describe(sagemaker: SageMakerClient, arn: str) -> Package | None:
    """The package, None where there is no such package."""
    try:
        return _package(sagemaker.describe_model_package(ModelPackageName=arn))
    except ClientError as error:
        if aws.is_missing(error):
            return None
        raise


def _package(answer: DescribeModelPackageOutputTypeDef) -> Package:
    containers = answer.get("InferenceSpecification", {}).get("Containers", [])
    container = containers[0] if containers else None
    model_uri = container.get("ModelDataUrl", "") if container else ""
    kept = _KEPT_MODEL.search(model_uri)
    metadata = answer.get("CustomerMetadataProperties", {})
    return Package(
        arn=answer["ModelPackageArn"],
        version=int(answer.get("ModelPackageVersion", 0)),
        approval=str(answer.get("ModelApprovalStatus", "")),
        status=str(answer.get("ModelPackageStatus", "")),
        reason=str(answer.get("ApprovalDescription", "")),
        image=(container.get("Image", "") if container else ""),
        model_uri=model_uri,
        bundle_hash=metadata.get(release.META_BUNDLE_HASH) or (kept.group(1) if kept else ""),
        precision=metadata.get(release.META_PRECISION, ""),
        approved_by=_who(answer),
        inference_digest=metadata.get(release.META_INFERENCE_DIGEST, ""),
        training_digest=metadata.get(release.META_TRAINING_DIGEST, ""),
        dataset_hash=metadata.get(release.META_DATASET_HASH, ""),
        source_hash=metadata.get(release.META_SOURCE_HASH, ""),
    )


def _who(answer: DescribeModelPackageOutputTypeDef) -> str:
    """Who decided about the package: LastModifiedBy, else CreatedBy. Source: API reference, UserContext."""
    for context in (answer.get("LastModifiedBy"), answer.get("CreatedBy")):
        if context:
            identity = context.get("IamIdentity", {})
            found = identity.get("SourceIdentity") or identity.get("Arn") or context.get("UserProfileArn")
            if found:
                return str(found)
    return ""


def version_of(arn: str) -> int:
    """The version that a package's ARN ends with."""
    return int(arn.rpartition("/")[2])


def versions(sagemaker: SageMakerClient, group: str, approval: Approval | None = None) -> Iterator[tuple[int, str]]:
    """(version, ARN) of the group's packages that are Completed, of all or of one approval status; newest first."""
    found: list[tuple[int, str]] = []
    request: dict[str, Any] = {"ModelPackageGroupName": group, "SortBy": "CreationTime", "SortOrder": "Descending"}
    if approval:
        request["ModelApprovalStatus"] = approval
    for page in aws.pages(sagemaker.list_model_packages, **request):
        for summary in page["ModelPackageSummaryList"]:
            if approval is None or summary.get("ModelPackageStatus") == COMPLETED:
                found.append((int(summary.get("ModelPackageVersion", 0)), summary["ModelPackageArn"]))
    yield from sorted(found, reverse=True)


def desired(sagemaker: SageMakerClient, s3: S3Client, names: Names) -> Desired:
    """The pinned package or, without a pin, the Approved package with the highest version.

    A pin on a package that is not Approved, or not there any more, is not followed: rejecting a package always ends its
    service.
    """
    note = ""
    value = aws.read_json(s3, names.artifacts(PIN_KEY))
    if value is not None:
        pin = Pin.from_json(value)
        package = describe(sagemaker, pin.package_arn)
        if package is not None and (package.approval, package.status) == (APPROVED, COMPLETED):
            return Desired(package, pinned=True)
        state = f"is {package.approval}" if package is not None else "is not there any more"
        note = f"the pin on {pin.package_arn} is not followed: the package {state}"
        log.event("pin-not-followed", package_arn=pin.package_arn, state=state)
    for _, arn in versions(sagemaker, names.package_group, APPROVED):
        package = describe(sagemaker, arn)
        if package is not None and package.approval == APPROVED:
            return Desired(package, note=note)
    return Desired(None, note=note)


def with_bundle(
    sagemaker: SageMakerClient, group: str, bundle_hash: str, precision: str = bundle.FLOAT32
) -> Package | None:
    """The newest package of the group with that bundle, served with that precision, whatever its status.

    One call lists 100 packages; one more describes each, newest first, until the bundle is found.
    """
    for _, arn in versions(sagemaker, group):
        package = describe(sagemaker, arn)
        if package is None or package.bundle_hash != bundle_hash:
            continue
        if (package.precision or bundle.FLOAT32) == precision:
            return package
    return None


def find(sagemaker: SageMakerClient, names: Names, wanted: str) -> Package:
    """The package of our group that ``wanted`` names: its ARN, or its version as a number.

    Raises:
        UsageError: neither, of another group, or not there.
    """
    group = f"arn:aws:sagemaker:{names.region}:{names.account_id}:model-package/{names.package_group}".lower()
    arn = f"{group}/{int(wanted)}" if wanted.isdecimal() else wanted.strip()
    if not re.fullmatch(re.escape(group) + r"/\d+", arn.lower()):
        raise UsageError(
            f"{wanted!r} is no package of the group {names.package_group}",
            f"Name a version, for example 3, or an ARN, for example {group}/3. cv-factory status lists them.",
        )
    package = describe(sagemaker, arn)
    if package is None:
        known = ", ".join(str(version) for version, _ in versions(sagemaker, names.package_group)) or "none yet"
        raise UsageError(f"there is no package {arn}", f"Versions of {names.package_group}: {known}.")
    return package


def set_approval(
    sagemaker: SageMakerClient,
    package: Package,
    approval: Approval,
    reason: str,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Decide about a package; with ``metadata``, values that join its CustomerMetadataProperties in the same call."""
    more: dict[str, Any] = {"CustomerMetadataProperties": dict(metadata)} if metadata else {}
    sagemaker.update_model_package(
        ModelPackageArn=package.arn, ModelApprovalStatus=approval, ApprovalDescription=reason[:MAX_REASON], **more
    )
    log.event("approval", package_arn=package.arn, before=package.approval, after=approval, reason=reason[:MAX_REASON])


def unpin(s3: S3Client, names: Names, arn: str) -> None:
    """Remove the pin if it is on this package."""
    pin = names.artifacts(PIN_KEY)
    value = aws.read_json(s3, pin)
    if value is not None and Pin.from_json(value).package_arn == arn:
        s3.delete_object(Bucket=pin.bucket, Key=pin.key)
        log.event("unpinned", package_arn=arn, reason="rejected")


def attach_card(sagemaker: SageMakerClient, arn: str, card: str) -> None:
    """Attach the text of a model card (JSON, at most 100,000 characters) to a package."""
    sagemaker.update_model_package(
        ModelPackageArn=arn, ModelCard={"ModelCardContent": card, "ModelCardStatus": "Draft"}
    )
    log.event("model-card", package_arn=arn, characters=len(card))


def model_prefix(package: Package) -> S3Uri:
    """The prefix that holds the package's model archive.

    Raises:
        ContractError: the package names no model.
    """
    if not package.model_uri:
        raise ContractError(f"{package.arn} names no model data", "Reject it: it cannot be compared or deployed.")
    uri = S3Uri.parse(package.model_uri)
    return S3Uri(uri.bucket, uri.key.rpartition("/")[0]).as_prefix
