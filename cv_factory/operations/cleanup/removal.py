"""Doing: each removal of a plan, one after the other. Killed after any call, the same command finishes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contracts.errors import FactoryError
from contracts.s3uri import S3Uri
from cv_factory.operations.cleanup.things import (
    ALARM,
    CONFIG,
    ENDPOINT,
    EXECUTION,
    IMAGE,
    KEPT,
    MODEL,
    RUN,
    SCALING,
    Decided,
    Thing,
)
from deployment import aws, down

if TYPE_CHECKING:
    from cv_factory.session import Target

#: Seconds in which an endpoint must be gone: one that is being updated cannot be deleted before the update has ended.
PATIENCE = 45 * 60
#: Seconds between two questions, at most; the first ones follow each other faster.
SLOWEST = 10.0
_MISSING = ("ObjectNotFoundException", "ImageNotFoundException", "RepositoryNotFoundException", "ResourceNotFound")
#: DeleteObjects takes at most 1,000 keys. Source: API reference, S3.
_KEYS = 1000


def remove(target: Target, decided: Decided) -> None:
    """Remove one thing; one that is gone already is no error.

    Raises:
        ClientError: AWS refuses.
        FactoryError: an endpoint is still there after :data:`PATIENCE`, or some objects could not be deleted.
    """
    try:
        _REMOVERS[decided.thing.kind](target, decided.thing, decided.why)
    except ClientError as error:
        if not aws.is_missing(error) and aws.error_code(error) not in _MISSING:
            raise


def _execution(target: Target, thing: Thing, _: str) -> None:
    if thing.status == "Executing":
        target.client("sagemaker").stop_pipeline_execution(PipelineExecutionArn=thing.name)


def _scaling(target: Target, thing: Thing, _: str) -> None:
    target.client("application-autoscaling").deregister_scalable_target(
        ServiceNamespace="sagemaker", ResourceId=thing.name,
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
    )  # fmt: skip


def _alarm(target: Target, thing: Thing, _: str) -> None:
    target.client("cloudwatch").delete_alarms(AlarmNames=[thing.name])


def _endpoint(target: Target, thing: Thing, why: str) -> None:
    """Keep the deployer from making it again, delete it, and wait until it is gone."""
    if thing.name == target.settings.names.endpoint:
        _hold(target, why)
    sagemaker: Any = target.client("sagemaker")
    deadline = time.monotonic() + PATIENCE
    asked, pause = False, 0.3
    while True:
        status = sagemaker.describe_endpoint(EndpointName=thing.name)["EndpointStatus"]
        if status in ("InService", "Failed", "OutOfService", "UpdateRollbackFailed") and not asked:
            sagemaker.delete_endpoint(EndpointName=thing.name)
            asked = True
        if time.monotonic() > deadline:
            raise FactoryError(
                f"endpoint {thing.name} is still {status} after {PATIENCE // 60} minutes",
                "An endpoint that is being updated cannot be deleted. Call cleanup again when it has ended.",
            )
        time.sleep(pause)
        pause = min(2 * pause, SLOWEST)


def _hold(target: Target, why: str) -> None:
    try:
        down.take(target.session, target.settings.names, f"cleanup: {why}")
    except ClientError as error:
        if not aws.is_missing(error):  # without a bucket or a group there is no deployer either
            raise


def _config(target: Target, thing: Thing, _: str) -> None:
    target.client("sagemaker").delete_endpoint_config(EndpointConfigName=thing.name)


def _model(target: Target, thing: Thing, _: str) -> None:
    target.client("sagemaker").delete_model(ModelName=thing.name)


def _prefix(target: Target, thing: Thing, _: str) -> None:
    """Every object below a prefix. Of a bucket with versions the old ones expire by the bucket's own rule."""
    where: S3Uri = target.settings.names.artifacts(thing.name)
    s3 = target.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=where.bucket, Prefix=where.key):
        keys = [{"Key": item["Key"]} for item in page.get("Contents", [])]
        # What says that the rest is complete goes first: a prefix that is half gone must not look whole.
        keys.sort(key=lambda item: not item["Key"].endswith("/kept.json"))
        for start in range(0, len(keys), _KEYS):
            answer = s3.delete_objects(
                Bucket=where.bucket, Delete={"Objects": keys[start : start + _KEYS], "Quiet": True}
            )
            if answer.get("Errors"):
                first = answer["Errors"][0]
                raise FactoryError(
                    f"{first['Key']} of {where.bucket} cannot be deleted: {first.get('Message', first.get('Code'))}",
                    "These credentials may lack s3:DeleteObject. Call cleanup again with others.",
                )


def _image(target: Target, thing: Thing, _: str) -> None:
    repository, _, digest = thing.name.partition("@")
    answer = target.client("ecr").batch_delete_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])
    refused = [each for each in answer.get("failures", []) if each.get("failureCode") != "ImageNotFound"]
    if refused:
        raise FactoryError(f"{thing.name} cannot be deleted: {refused[0].get('failureReason', refused[0])}")


_REMOVERS: dict[str, Callable[[Target, Thing, str], None]] = {
    EXECUTION: _execution,
    SCALING: _scaling,
    ALARM: _alarm,
    ENDPOINT: _endpoint,
    CONFIG: _config,
    MODEL: _model,
    KEPT: _prefix,
    RUN: _prefix,
    IMAGE: _image,
}
