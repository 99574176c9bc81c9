"""Model packages: versions of a group, or packages on their own.

The record's name is ``<group>/<version>`` or the package's name, in lower case. Version numbers are never given twice,
not even after a version or its group was deleted.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from local_sagemaker import tags
from local_sagemaker.api import Call, operation, page
from local_sagemaker.errors import ApiError, ConflictException, ValidationException
from local_sagemaker.registry import events, groups
from local_sagemaker.registry.names import PACKAGE, arn, key
from local_sagemaker.store import Exists, Record

_TOKEN = "client-token"  # noqa: S105
_LIMIT = {"CustomerMetadataProperties": 50, "AdditionalInferenceSpecifications": 15}

#: What a package keeps of the request as it came.
_KEPT = (
    "ModelPackageDescription", "ModelPackageRegistrationType", "InferenceSpecification", "MetadataProperties",
    "ModelMetrics", "Domain", "Task", "SamplePayloadUrl", "CustomerMetadataProperties", "DriftCheckBaselines",
    "AdditionalInferenceSpecifications", "SkipModelValidation", "SourceUri", "SecurityConfig", "ModelCard",
    "ModelLifeCycle",
)  # fmt: skip


def find(call: Call, name_or_arn: str) -> Record:
    """The package of that name, ``group/version`` or ARN.

    Raises:
        ValidationException: there is none, in AWS's words.
    """
    record = call.platform.store.get(PACKAGE, call.region, key(call, PACKAGE, name_or_arn))
    if record is None:
        raise ValidationException(f"ModelPackage {arn(call, PACKAGE, name_or_arn)} does not exist.")
    return record


@operation("CreateModelPackage")
def create(call: Call) -> dict[str, Any]:
    request = call.request
    _check(request)
    call.platform.state.flush("s3", "ecr")  # what the record names is on disk before the record
    with call.platform.store.transaction():
        known = _known_token(call)
        if known:
            return {"ModelPackageArn": known}
        record = _insert_version(call) if request.get("ModelPackageGroupName") else _insert_named(call)
        _keep_token(call, record.body["ModelPackageArn"])
        events.publish(call.platform, record)
    return {"ModelPackageArn": record.body["ModelPackageArn"]}


def _insert_version(call: Call) -> Record:
    group = groups.find(call, call.request["ModelPackageGroupName"])
    version = call.platform.store.count(PACKAGE, call.region, group.name)
    name = f"{group.name}/{version}"
    body = _body(call) | {
        "ModelPackageGroupName": group.body["ModelPackageGroupName"],
        "ModelPackageVersion": version,
        "ModelPackageArn": call.arn(PACKAGE, name),
        "ModelApprovalStatus": call.request.get("ModelApprovalStatus", "PendingManualApproval"),
    }
    return call.platform.store.insert(PACKAGE, call.region, name, body)


def _insert_named(call: Call) -> Record:
    name = call.request["ModelPackageName"]
    package_arn = call.arn(PACKAGE, name)
    body = _body(call) | {"ModelPackageName": name, "ModelPackageArn": package_arn}
    try:
        record = call.platform.store.insert(PACKAGE, call.region, name.lower(), body)
    except Exists:
        raise ConflictException(f"Model Package already exists: {package_arn}") from None
    tags.create(call, package_arn, call.request.get("Tags"))
    return record


def _body(call: Call) -> dict[str, Any]:
    return {name: call.request[name] for name in _KEPT if call.request.get(name) is not None} | {
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        "CertifyForMarketplace": False,
        "CreatedBy": {"IamIdentity": {"Arn": call.caller_arn}},
    }


def _check(request: dict[str, Any]) -> None:
    versioned, named = request.get("ModelPackageGroupName"), request.get("ModelPackageName")
    if versioned and named:
        raise ValidationException(
            "Both ModelPackageName and ModelPackageGroupName are provided in the input."
            " Cannot determine which one to use."
        )
    if not versioned and not named:
        raise ValidationException("Missing ARN.")
    if versioned:
        if request.get("Tags"):
            raise ValidationException(
                "Tags cannot be supplied for a versioned model package: it uses the tags of its model package group."
            )
    else:
        for name in ("ModelApprovalStatus", "ModelLifeCycle", "ModelCard"):
            if request.get(name):
                raise ValidationException(f"{name} applies to versioned model packages only.")
        specification = request.get("InferenceSpecification") or {}
        for name in ("Containers", "SupportedTransformInstanceTypes", "SupportedRealtimeInferenceInstanceTypes",
                     "SupportedContentTypes", "SupportedResponseMIMETypes"):  # fmt: skip
            if not specification.get(name):
                raise ValidationException(
                    f"InferenceSpecification.{name} is required for an unversioned model package."
                )
    _check_contents(request)


def _check_contents(request: dict[str, Any]) -> None:
    card = (request.get("ModelCard") or {}).get("ModelCardContent")
    if card is not None:
        try:
            valid = isinstance(json.loads(card), dict)
        except ValueError:
            valid = False
        if not valid:
            raise ValidationException("ModelCardContent is not a JSON object of the model card schema.")
    specifications = [request.get("InferenceSpecification")]
    for name in ("AdditionalInferenceSpecifications", "AdditionalInferenceSpecificationsToAdd"):
        specifications += request.get(name) or []
    for specification in filter(None, specifications):
        for container in specification["Containers"]:
            if not container.get("Image"):
                raise ValidationException("Image is required for each container of an inference specification.")
            if container.get("ModelDataUrl") and container.get("ModelDataSource"):
                raise ValidationException(
                    "Both ModelDataUrl and ModelDataSource are provided; only one of them can be."
                )


@operation("DescribeModelPackage")
def describe(call: Call) -> dict[str, Any]:
    record = find(call, call.request["ModelPackageName"])
    return record.body | {"CreationTime": record.created, "LastModifiedTime": record.modified}


@operation("ListModelPackages")
def list_packages(call: Call) -> dict[str, Any]:
    request, store = call.request, call.platform.store
    if request.get("ModelPackageGroupName"):
        group = groups.find(call, request["ModelPackageGroupName"])
        records, kinds = store.list(PACKAGE, call.region, prefix=f"{group.name}/"), ("Versioned", "Both", None)
        if request.get("ModelPackageType") not in kinds:
            records = []
    else:
        wanted = request.get("ModelPackageType", "Unversioned")
        records = [
            record
            for record in store.list(PACKAGE, call.region)
            if wanted == "Both" or (wanted == "Versioned") == ("ModelPackageVersion" in record.body)
        ]
    status = request.get("ModelApprovalStatus")
    if status:
        records = [record for record in records if record.body.get("ModelApprovalStatus") == status]
    ascending = replace(call, request={"SortOrder": "Ascending", **request})
    return page(ascending, records, _summary, "ModelPackageSummaryList")


_SUMMARY = (
    "ModelPackageName", "ModelPackageGroupName", "ModelPackageVersion", "ModelPackageArn", "ModelPackageDescription",
    "ModelPackageStatus", "ModelApprovalStatus", "ModelPackageRegistrationType",
)  # fmt: skip


def _summary(record: Record, *more: str) -> dict[str, Any]:
    names = (*_SUMMARY, *(more or ("ModelLifeCycle",)))
    return {name: record.body[name] for name in names if name in record.body} | {"CreationTime": record.created}


@operation("BatchDescribeModelPackage")
def batch_describe(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = {}
    errors: dict[str, Any] = {}
    for package_arn in call.request["ModelPackageArnList"]:
        try:
            record = find(call, package_arn)
        except ApiError as error:
            errors[package_arn] = {"ErrorCode": error.code, "ErrorResponse": error.message}
        else:
            found[package_arn] = _summary(record, "InferenceSpecification")
    return {"ModelPackageSummaries": found, "BatchDescribeModelPackageErrorMap": errors}


@operation("UpdateModelPackage")
def update(call: Call) -> dict[str, Any]:
    request, store = call.request, call.platform.store
    _check_contents(request)
    with store.transaction():
        before = find(call, request["ModelPackageArn"])
        package_arn = before.body["ModelPackageArn"]
        if "ModelPackageVersion" not in before.body:
            raise ValidationException(f"ModelPackage {package_arn} is not versioned and cannot be updated.")
        if _known_token(call):
            return {"ModelPackageArn": package_arn}
        after = store.update(PACKAGE, call.region, before.name, lambda body: _change(body, request))
        _keep_token(call, package_arn)
        changed = [name for name in events.NAMED if before.body.get(name) != after.body.get(name)]
        if changed:
            events.publish(call.platform, after, changed)
    return {"ModelPackageArn": package_arn}


def _change(body: dict[str, Any], request: dict[str, Any]) -> None:
    for name in ("ModelApprovalStatus", "ApprovalDescription", "ModelPackageRegistrationType", "InferenceSpecification",
                 "SourceUri", "ModelLifeCycle"):  # fmt: skip
        if request.get(name) is not None:
            body[name] = request[name]
    if request.get("ModelCard"):
        body["ModelCard"] = body.get("ModelCard", {}) | request["ModelCard"]
    properties = body.get("CustomerMetadataProperties", {}) | (request.get("CustomerMetadataProperties") or {})
    for name in request.get("CustomerMetadataPropertiesToRemove") or []:
        properties.pop(name, None)
    added = request.get("AdditionalInferenceSpecificationsToAdd") or []
    specifications = body.get("AdditionalInferenceSpecifications", []) + added
    names = [specification["Name"] for specification in specifications]
    if len(set(names)) < len(names):
        raise ValidationException("Each additional inference specification of a model package needs a name of its own.")
    for name, value in (
        ("CustomerMetadataProperties", properties), ("AdditionalInferenceSpecifications", specifications)
    ):  # fmt: skip
        if len(value) > _LIMIT[name]:
            raise ValidationException(f"{name} holds at most {_LIMIT[name]} members; this would make {len(value)}.")
        if value:
            body[name] = value
        else:
            body.pop(name, None)


@operation("DeleteModelPackage")
def delete(call: Call) -> None:
    with call.platform.store.transaction():
        record = find(call, call.request["ModelPackageName"])
        call.platform.store.delete(PACKAGE, call.region, record.name)
        tags.drop(call, record.body["ModelPackageArn"])


def _known_token(call: Call) -> str | None:
    """The answer given earlier to this client token, if it came with this very request."""
    token = call.request.get("ClientToken")
    earlier = call.platform.store.get(_TOKEN, call.region, f"{call.operation}/{token}") if token else None
    if earlier is None:
        return None
    if earlier.body["Request"] != _digest(call.request):
        raise ConflictException(f"The client token {token} was used with another {call.operation} request.")
    return str(earlier.body["ModelPackageArn"])


def _keep_token(call: Call, package_arn: str) -> None:
    token = call.request.get("ClientToken")
    if token:
        body = {"Request": _digest(call.request), "ModelPackageArn": package_arn}
        call.platform.store.insert(_TOKEN, call.region, f"{call.operation}/{token}", body)


def _digest(request: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
