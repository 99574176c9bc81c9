"""The event that a model package sends when it is created, and when its approval or life cycle changes.

Source of the shape: SageMaker Developer Guide, "Events that Amazon SageMaker AI sends to Amazon EventBridge", section
"SageMaker model package state change".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local_sagemaker.store import Record

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

DETAIL_TYPE = "SageMaker Model Package State Change"

#: Request members whose change the event names, as ``UpdatedModelPackageFields`` spells them.
NAMED = {
    "ModelApprovalStatus": "ModelApprovalStatus",
    "ApprovalDescription": "ApprovalDescription",
    "ModelLifeCycle": "ModelLifeCycle",
    "CustomerMetadataProperties": "CustomerMetadataProperties",
    "InferenceSpecification": "InferenceSpecification",
    "SourceUri": "sourceUri",
}

_CARRIED = (
    "ModelPackageGroupName", "ModelPackageName", "ModelPackageVersion", "ModelPackageArn", "ModelPackageDescription",
    "InferenceSpecification", "ModelPackageStatus", "ModelPackageStatusDetails", "CertifyForMarketplace",
    "ModelApprovalStatus", "ApprovalDescription", "MetadataProperties", "ModelMetrics", "ModelLifeCycle",
    "CustomerMetadataProperties", "SourceUri",
)  # fmt: skip


def publish(platform: Platform, package: Record, updated: Iterable[str] = ()) -> None:
    """Tell EventBridge about a package; ``updated`` are the changed members, none for a new package."""
    detail: dict[str, Any] = {name: package.body[name] for name in _CARRIED if name in package.body}
    detail["CreationTime"] = _instant(package.created)
    detail["LastModifiedTime"] = _instant(package.modified)
    named = [NAMED[name] for name in updated]
    if named:
        detail["UpdatedModelPackageFields"] = named
    arn = package.body["ModelPackageArn"]
    platform.events.publish("aws.sagemaker", DETAIL_TYPE, detail, [arn], package.region)


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
