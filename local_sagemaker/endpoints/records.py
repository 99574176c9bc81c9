"""An endpoint's stored record: the one truth about it. Each transition is stored with its events before it is acted on.

The body: ``EndpointName``, ``EndpointArn``, ``Status``, ``EndpointConfigName`` (of the fleet that serves), ``Fleet``
(that fleet; null before the first is healthy), ``Pending`` (what is being done; null when nothing), and where they
apply ``FailureReason`` and ``LastDeploymentConfig``.

A fleet: ``Id``, ``ConfigName``, ``DataCaptureConfig``, ``Variants``. A variant: what ProductionVariantSummary has, and
``ModelName``, ``InstanceType``, ``Routing``, ``StartupSeconds``, ``Plan`` (:func:`local_sagemaker.models.launch_plan`).

Pending: ``Action`` (create, update or scale), ``StartTime``, and for an update ``Fleet`` (the new one),
``DeploymentConfig`` and ``Moved`` (all traffic is on the new fleet), for a scaling ``Before`` (variants as they were).

Source of the events: SageMaker Developer Guide, "Events that Amazon SageMaker AI sends to Amazon EventBridge".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from local_sagemaker import tags
from local_sagemaker.store import Record

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

KIND = "endpoint"

CREATING, IN_SERVICE, UPDATING, FAILED = "Creating", "InService", "Updating", "Failed"
ROLLING_BACK, DELETING, SYSTEM_UPDATING = "RollingBack", "Deleting", "SystemUpdating"
OUT_OF_SERVICE = "OutOfService"

#: In these a request to change or delete the endpoint is refused.
IN_PROGRESS = (CREATING, UPDATING, ROLLING_BACK, DELETING, SYSTEM_UPDATING)

STATE_EVENT = "SageMaker Endpoint State Change"
DEPLOYMENT_EVENT = "SageMaker Endpoint Deployment State Change"

Change = Callable[[dict[str, Any]], None]


def move(platform: Platform, region: str, name: str, status: str, change: Change | None = None) -> Record:
    """Give an endpoint another status, and tell EventBridge; ``change`` alters the body in the same transaction.

    Raises:
        Missing: there is no such endpoint.
    """

    def alter(body: dict[str, Any]) -> None:
        body["Status"] = status
        if change is not None:
            change(body)

    with platform.store.transaction():
        record = platform.store.update(KIND, region, name, alter)
        publish(platform, record, STATE_EVENT)
    return record


def progress(platform: Platform, region: str, name: str, change: Change) -> Record:
    """Store a step of a deployment that leaves the status as it is, and tell EventBridge."""
    with platform.store.transaction():
        record = platform.store.update(KIND, region, name, change)
        publish(platform, record, DEPLOYMENT_EVENT)
    return record


def publish(platform: Platform, record: Record, detail_type: str) -> None:
    body, arn = record.body, record.body["EndpointArn"]
    detail: dict[str, Any] = {
        "EndpointName": body["EndpointName"],
        "EndpointArn": arn,
        "EndpointConfigName": body["EndpointConfigName"],
        "ProductionVariants": [_variant(one) for one in (body["Fleet"] or {"Variants": []})["Variants"]],
        "EndpointStatus": re.sub(r"(?<!^)(?=[A-Z])", "_", body["Status"]).upper(),
        "CreationTime": int(record.created * 1000),
        "LastModifiedTime": int(record.modified * 1000),
        "Tags": tags.of(platform.store, record.region, arn),
    }
    if body.get("FailureReason"):
        detail["FailureReason"] = body["FailureReason"]
    pending = body.get("Pending") or {}
    if "Fleet" in pending:
        detail["PendingDeploymentSummary"] = {
            "EndpointConfigName": pending["Fleet"]["ConfigName"],
            "StartTime": int(pending["StartTime"] * 1000),
            "ProductionVariants": [_variant(one) for one in pending["Fleet"]["Variants"]],
        }
    platform.events.publish("aws.sagemaker", detail_type, detail, [arn], record.region)


_COUNTS = ("VariantName", "CurrentWeight", "DesiredWeight", "CurrentInstanceCount", "DesiredInstanceCount")


def _variant(variant: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {name: variant[name] for name in _COUNTS}
    if variant.get("VariantStatus"):
        status = variant["VariantStatus"]
        shown["VariantStatus"] = [status | {"StartTime": int(status["StartTime"] * 1000)}]
    return shown


def say(fleet: dict[str, Any], status: str, message: Callable[[int], str], now: float) -> None:
    """Set the VariantStatus of every variant of a fleet; ``message`` gets the variant's instance count."""
    for variant in fleet["Variants"]:
        variant["VariantStatus"] = {
            "Status": status,
            "StatusMessage": message(variant["DesiredInstanceCount"]),
            "StartTime": now,
        }


def settle(fleet: dict[str, Any]) -> None:
    """What was desired is so: current counts and weights, nothing under way."""
    for variant in fleet["Variants"]:
        variant["CurrentInstanceCount"] = variant["DesiredInstanceCount"]
        variant["CurrentWeight"] = variant["DesiredWeight"]
        variant.pop("VariantStatus", None)


def describe(record: Record) -> dict[str, Any]:
    """The answer of DescribeEndpoint."""
    body = record.body
    answer: dict[str, Any] = {
        "EndpointName": body["EndpointName"],
        "EndpointArn": body["EndpointArn"],
        "EndpointConfigName": body["EndpointConfigName"],
        "EndpointStatus": body["Status"],
        "CreationTime": record.created,
        "LastModifiedTime": record.modified,
    }
    answer |= {name: body[name] for name in ("FailureReason", "LastDeploymentConfig") if body.get(name)}
    fleet, pending = body["Fleet"], body.get("Pending") or {}
    if fleet:
        answer["ProductionVariants"] = [_summary(variant) for variant in fleet["Variants"]]
        if fleet.get("DataCaptureConfig"):
            answer["DataCaptureConfig"] = _capture(fleet["DataCaptureConfig"])
    if "Fleet" in pending:
        answer["PendingDeploymentSummary"] = {
            "EndpointConfigName": pending["Fleet"]["ConfigName"],
            "StartTime": pending["StartTime"],
            "ProductionVariants": [
                _summary(variant) | {"InstanceType": variant["InstanceType"]}
                for variant in pending["Fleet"]["Variants"]
            ],
        }
    return answer


def _summary(variant: dict[str, Any]) -> dict[str, Any]:
    image = {"SpecifiedImage": variant["Plan"]["Image"], "ResolutionTime": variant["ResolutionTime"]}
    if variant["Plan"]["ResolvedImage"]:
        image["ResolvedImage"] = variant["Plan"]["ResolvedImage"]
    shown = {name: variant[name] for name in _COUNTS} | {"DeployedImages": [image]}
    if variant.get("VariantStatus"):
        shown["VariantStatus"] = [variant["VariantStatus"]]
    if variant.get("Routing"):
        shown["RoutingConfig"] = {"RoutingStrategy": variant["Routing"]}
    return shown


def _capture(config: dict[str, Any]) -> dict[str, Any]:
    """Nothing is captured here, and CaptureStatus says so."""
    return {
        "EnableCapture": bool(config.get("EnableCapture")),
        "CaptureStatus": "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
