"""Transform jobs: their request and their answer. What runs them is :mod:`local_sagemaker.transforms`.

Source: SageMaker API reference, "CreateTransformJob", "TransformInput", "TransformOutput"; Developer Guide, "Batch
transform for inference with Amazon SageMaker AI" and "Use your own inference code with batch transform".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local_sagemaker.errors import ValidationException, not_executed
from local_sagemaker.store import Record

KIND = "transform-job"
NAME = "TransformJobName"
STATUS = "TransformJobStatus"
LOG_GROUP = "/aws/sagemaker/TransformJobs"
EVENT = "SageMaker Transform Job State Change"

#: "The value of MaxPayloadInMB cannot be greater than 100 MB. If you specify the MaxConcurrentTransforms parameter, the
#: value of (MaxConcurrentTransforms * MaxPayloadInMB) also cannot exceed 100 MB."
LARGEST_MB = 100

_DATA_PROCESSING = {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}


def check(request: Mapping[str, Any]) -> None:
    """What AWS refuses beyond the service model, and values that this server cannot execute.

    Raises:
        ValidationException: names the member.
    """
    operation = "CreateTransformJob"
    given = request["TransformInput"]
    source = given["DataSource"]["S3DataSource"]
    if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        raise not_executed(operation, f"S3DataType {source['S3DataType']}", "Use S3Prefix or ManifestFile.")
    split = given.get("SplitType", "None")
    if split not in ("None", "Line"):
        raise not_executed(operation, f"SplitType {split}", "Use Line or None.")
    for member, uri in (("S3Uri", source["S3Uri"]), ("S3OutputPath", request["TransformOutput"]["S3OutputPath"])):
        if not uri.startswith("s3://"):
            raise ValidationException(f"{member} must be an S3 URI (s3://bucket/key); it is {uri!r}.")
    for member, value in (request.get("DataProcessing") or {}).items():
        if value != _DATA_PROCESSING[member]:
            raise not_executed(
                operation, f"DataProcessing.{member} {value}", "Filter and join the records before and after the job."
            )
    _check_sizes(request)


def _check_sizes(request: Mapping[str, Any]) -> None:
    size, parallel = request.get("MaxPayloadInMB"), request.get("MaxConcurrentTransforms")
    if size is not None and size > LARGEST_MB:
        raise ValidationException(f"MaxPayloadInMB must be at most {LARGEST_MB}; it is {size}.")
    if size and parallel and size * parallel > LARGEST_MB:
        raise ValidationException(
            f"MaxConcurrentTransforms * MaxPayloadInMB must be at most {LARGEST_MB}; it is {size * parallel}."
        )


_RETURNED = (
    "ModelName", "MaxConcurrentTransforms", "ModelClientConfig", "MaxPayloadInMB", "BatchStrategy", "Environment",
    "TransformInput", "TransformOutput", "DataCaptureConfig", "TransformResources", "DataProcessing",
    "ExperimentConfig",
)  # fmt: skip


def describe(record: Record) -> dict[str, Any]:
    """DescribeTransformJob's answer."""
    body, request = record.body, record.body["Request"]
    answer: dict[str, Any] = {
        NAME: request[NAME],
        "TransformJobArn": body["Arn"],
        STATUS: body["Status"],
        **{name: request[name] for name in _RETURNED if request.get(name) is not None},
        "CreationTime": record.created,
    }
    for name, key in (
        ("TransformStartTime", "StartTime"), ("TransformEndTime", "EndTime"), ("FailureReason", "FailureReason"),
    ):  # fmt: skip
        if body.get(key):
            answer[name] = body[key]
    return answer


def summary(record: Record) -> dict[str, Any]:
    """A member of TransformJobSummaries."""
    answer = describe(record) | {"LastModifiedTime": record.modified}
    names = (
        NAME, "TransformJobArn", "CreationTime", "TransformEndTime", "LastModifiedTime", STATUS, "FailureReason",
    )  # fmt: skip
    return {name: answer[name] for name in names if name in answer}


def event(record: Record) -> dict[str, Any]:
    """The detail of the EventBridge event: the description, its times in milliseconds; the sender adds the tags."""
    detail = describe(record)
    for name in ("CreationTime", "TransformStartTime", "TransformEndTime"):
        if name in detail:
            detail[name] = round(detail[name] * 1000)
    return detail | {"Tags": {}}
