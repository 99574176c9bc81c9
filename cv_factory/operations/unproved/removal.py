"""Taking away what a run has made: newest first, whatever state it is in, and nothing that the ledger does not name."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from cv_factory.operations.unproved.ledger import Ledger, Thing
from deployment import aws

if TYPE_CHECKING:
    from cv_factory.session import Target

#: Seconds in which a thing must be gone: an endpoint in the middle of an update cannot be deleted before its end.
PATIENCE = 45 * 60
_MISSING = (
    "NoSuchEntity", "NoSuchEntityException", "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue",
    "ResourceNotFoundException",
)  # fmt: skip


def remove(target: Target, ledger: Ledger, say: Callable[[str], None], pause: float) -> tuple[Thing, ...]:
    """Take away all that ``ledger`` names; what is left, because AWS refused.

    Args:
        pause: seconds between two looks at something that takes its time to go.
    """
    for thing in reversed(ledger.things):
        try:
            _remove(target, thing, pause)
        except (ClientError, BotoCoreError, TimeoutError) as error:
            say(f"left behind: {thing.kind} {thing.name}: {error}")
        else:
            ledger.drop(thing)
    return ledger.things


def _remove(target: Target, thing: Thing, pause: float) -> None:
    """
    Raises:
        ClientError: AWS refuses, and not because it is busy.
        TimeoutError: it is still there after :data:`PATIENCE` seconds.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if REMOVERS[thing.kind](target, thing.name):
                return
        except ClientError as error:
            if aws.is_missing(error) or aws.error_code(error) in _MISSING:
                return
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise TimeoutError(f"still there after {PATIENCE // 60} minutes")
        time.sleep(pause)


def _is_busy(error: ClientError) -> bool:
    """Does the error say: not now?"""
    text = str(error).lower()
    return aws.error_code(error) in ("ConflictException", "ResourceInUse", "DeleteConflict") or any(
        word in text for word in ("in progress", "cannot update in-progress", "updating", "in-use", "throttl")
    )


# Each returns True when the thing is gone, False to be called again; an error that says "there is none" is "gone".


def _endpoint(target: Target, name: str) -> bool:
    sagemaker = target.client("sagemaker")
    if sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] != "Deleting":
        sagemaker.delete_endpoint(EndpointName=name)
    return False


def _endpoint_config(target: Target, name: str) -> bool:
    target.client("sagemaker").delete_endpoint_config(EndpointConfigName=name)
    return True


def _model(target: Target, name: str) -> bool:
    target.client("sagemaker").delete_model(ModelName=name)
    return True


def _package_group(target: Target, name: str) -> bool:
    sagemaker = target.client("sagemaker")
    listed = sagemaker.list_model_packages(ModelPackageGroupName=name, MaxResults=100)["ModelPackageSummaryList"]
    for package in listed:
        sagemaker.delete_model_package(ModelPackageName=package["ModelPackageArn"])
    sagemaker.delete_model_package_group(ModelPackageGroupName=name)
    return True


def _pipeline(target: Target, name: str) -> bool:
    sagemaker = target.client("sagemaker")
    listed = sagemaker.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]
    running = [one for one in listed if one["PipelineExecutionStatus"] in ("Executing", "Stopping")]
    for one in running:
        if one["PipelineExecutionStatus"] == "Executing":
            sagemaker.stop_pipeline_execution(PipelineExecutionArn=one["PipelineExecutionArn"])
    if running:
        return False
    sagemaker.delete_pipeline(PipelineName=name)
    return True


def _job(kind: str) -> Callable[[Target, str], bool]:
    """Jobs cannot be deleted: one that runs is stopped, and that it was there stays on record."""

    def stop(target: Target, name: str) -> bool:
        sagemaker: Any = target.client("sagemaker")
        member = "".join(word.capitalize() for word in kind.split("_"))
        about = getattr(sagemaker, f"describe_{kind}_job")(**{f"{member}JobName": name})
        status = about[f"{member}JobStatus"]
        if status == "InProgress":
            getattr(sagemaker, f"stop_{kind}_job")(**{f"{member}JobName": name})
        return status not in ("InProgress", "Stopping")

    return stop


def _rule(target: Target, name: str) -> bool:
    events = target.client("events")
    ids = [one["Id"] for one in events.list_targets_by_rule(Rule=name)["Targets"]]
    if ids:
        events.remove_targets(Rule=name, Ids=ids)
    events.delete_rule(Name=name)
    return True


def _queue(target: Target, name: str) -> bool:
    sqs = target.client("sqs")
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])
    return True


def _role(target: Target, name: str) -> bool:
    iam = target.client("iam")
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)
    return True


def _objects(target: Target, prefix: str) -> bool:
    """Every version of every object below a prefix of the artefact bucket."""
    s3, bucket = target.client("s3"), target.settings.names.artifact_bucket
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        found = [
            {"Key": one["Key"], "VersionId": one["VersionId"]}
            for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        ]
        if found:
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": found, "Quiet": True})
            if answer.get("Errors"):
                first = answer["Errors"][0]
                raise ClientError(
                    {"Error": {"Code": first["Code"], "Message": json.dumps(first, default=str)}}, "DeleteObjects"
                )
    return True


def _log_group(target: Target, name: str) -> bool:
    target.client("logs").delete_log_group(logGroupName=name)
    return True


REMOVERS: dict[str, Callable[[Target, str], bool]] = {
    "endpoint": _endpoint,
    "endpoint-config": _endpoint_config,
    "log-group": _log_group,
    "model": _model,
    "objects": _objects,
    "package-group": _package_group,
    "pipeline": _pipeline,
    "processing-job": _job("processing"),
    "queue": _queue,
    "role": _role,
    "rule": _rule,
    "training-job": _job("training"),
    "transform-job": _job("transform"),
}
