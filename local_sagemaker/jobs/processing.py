"""Processing jobs: their request, the files that SageMaker writes for them, their answer.

Source: SageMaker Developer Guide, "How Amazon SageMaker Processing Runs Your Processing Container Image", "… Configures
Input and Output", "Save and Access Metadata Information About Your Processing Job".

A job with n instances: see :mod:`local_sagemaker.jobs.training`; it is the same here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local_sagemaker.errors import ValidationException, not_executed
from local_sagemaker.jobs import layout
from local_sagemaker.jobs.plan import Input, Plan, Upload
from local_sagemaker.store import Record

KIND = "processing-job"
NAME = "ProcessingJobName"
STATUS = "ProcessingJobStatus"
LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
EVENT = "SageMaker Processing Job State Change"

DEFAULT_RUNTIME = 86_400
_CONFIG = f"{layout.BASE}/config"
_LOCAL = f"{layout.BASE}/processing/"


def check(request: Mapping[str, Any]) -> None:
    """What AWS refuses beyond the service model, and values that this server cannot execute.

    Raises:
        ValidationException: names the member.
    """
    if not request["ProcessingResources"]["ClusterConfig"].get("InstanceCount"):
        raise ValidationException("ProcessingResources.ClusterConfig.InstanceCount must be at least 1.")
    inputs = request.get("ProcessingInputs") or []
    _check_unique("ProcessingInputs", [item["InputName"] for item in inputs])
    for item in inputs:
        source = item.get("S3Input")
        if source is None:
            raise ValidationException(f"The processing input {item['InputName']} has no S3Input.")
        if source.get("S3InputMode", "File") != "File":
            raise not_executed("CreateProcessingJob", "S3InputMode Pipe", "Use File.")
        if source.get("S3CompressionType", "None") != "None":
            raise not_executed("CreateProcessingJob", "S3CompressionType Gzip", "It works in Pipe mode only.")
        if not item.get("AppManaged"):
            _check_local(f"processing input {item['InputName']}", source.get("LocalPath"))
    outputs = (request.get("ProcessingOutputConfig") or {}).get("Outputs") or []
    _check_unique("ProcessingOutputConfig.Outputs", [item["OutputName"] for item in outputs])
    for item in outputs:
        target = item.get("S3Output")
        if target is None:
            raise ValidationException(f"The processing output {item['OutputName']} has no S3Output.")
        if not item.get("AppManaged"):
            _check_local(f"processing output {item['OutputName']}", target.get("LocalPath"))


def _check_unique(member: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValidationException(f"The names in {member} must be unique; given more than once: {', '.join(twice)}.")


def _check_local(what: str, path: str | None) -> None:
    if not path or not path.startswith(_LOCAL):
        raise ValidationException(f"LocalPath of the {what} must begin with {_LOCAL}; it is {path!r}.")


def plan(request: Mapping[str, Any], arn: str) -> Plan:
    application = request["AppSpecification"]
    entrypoint = application.get("ContainerEntrypoint")
    inputs = tuple(_input(item) for item in request.get("ProcessingInputs") or [] if not item.get("AppManaged"))
    outputs = (request.get("ProcessingOutputConfig") or {}).get("Outputs") or []
    uploads = tuple(
        Upload(
            item["S3Output"]["LocalPath"], item["S3Output"]["S3Uri"], item["S3Output"]["S3UploadMode"] == "Continuous"
        )
        for item in outputs
        if not item.get("AppManaged")
    )
    return Plan(
        image=application["ImageUri"],
        entrypoint=tuple(entrypoint) if entrypoint else None,
        arguments=tuple(application.get("ContainerArguments") or ()),
        environment={
            **(request.get("Environment") or {}),
            "PROCESSING_JOB_NAME": request[NAME],
            "PROCESSING_JOB_ARN": arn,
        },
        role_arn=request["RoleArn"],
        instance_count=request["ProcessingResources"]["ClusterConfig"]["InstanceCount"],
        isolated=bool((request.get("NetworkConfig") or {}).get("EnableNetworkIsolation")),
        max_runtime=float((request.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", DEFAULT_RUNTIME)),
        inputs=inputs,
        uploads=uploads,
        folders=(_CONFIG, f"{layout.BASE}/output", *(item.path for item in inputs), *(item.path for item in uploads)),
        files=lambda host: _files(request, arn, host),
        instance_type=request["ProcessingResources"]["ClusterConfig"]["InstanceType"],
    )


def _input(item: Mapping[str, Any]) -> Input:
    source = item["S3Input"]
    return Input(
        name=item["InputName"],
        uri=source["S3Uri"],
        path=source["LocalPath"],
        manifest=source["S3DataType"] == "ManifestFile",
        sharded=source.get("S3DataDistributionType") == "ShardedByS3Key",
    )


_IN_CONFIG = (
    "ProcessingInputs", "ProcessingOutputConfig", "ProcessingResources", "StoppingCondition", "AppSpecification",
    "Environment", "NetworkConfig", "RoleArn", "ExperimentConfig",
)  # fmt: skip


def _files(request: Mapping[str, Any], arn: str, host: str) -> dict[str, Any]:
    count = request["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
    kept = {name: request[name] for name in _IN_CONFIG if request.get(name) is not None}
    return {
        f"{_CONFIG}/processingjobconfig.json": {"ProcessingJobArn": arn, NAME: request[NAME], **kept},
        f"{_CONFIG}/resourceconfig.json": {"current_host": host, "hosts": layout.hosts(count)},
    }


def describe(record: Record) -> dict[str, Any]:
    """DescribeProcessingJob's answer."""
    body, request = record.body, record.body["Request"]
    answer: dict[str, Any] = {
        NAME: request[NAME],
        "ProcessingJobArn": body["Arn"],
        STATUS: body["Status"],
        **{name: request[name] for name in _IN_CONFIG if request.get(name) is not None},
        "StoppingCondition": request.get("StoppingCondition") or {"MaxRuntimeInSeconds": DEFAULT_RUNTIME},
        "CreationTime": record.created,
        "LastModifiedTime": record.modified,
    }
    for name, key in (
        ("ProcessingStartTime", "StartTime"), ("ProcessingEndTime", "EndTime"),
        ("FailureReason", "FailureReason"), ("ExitMessage", "ExitMessage"),
    ):  # fmt: skip
        if body.get(key):
            answer[name] = body[key]
    return answer


def summary(record: Record) -> dict[str, Any]:
    """A member of ProcessingJobSummaries."""
    answer = describe(record)
    names = (
        NAME,
        "ProcessingJobArn",
        "CreationTime",
        "ProcessingEndTime",
        "LastModifiedTime",
        STATUS,
        "FailureReason",
        "ExitMessage",
    )
    return {name: answer[name] for name in names if name in answer}


def event(record: Record) -> dict[str, Any]:
    """The detail of the EventBridge event: the description, its times in milliseconds."""
    detail = describe(record)
    for name in ("CreationTime", "LastModifiedTime", "ProcessingStartTime", "ProcessingEndTime"):
        if name in detail:
            detail[name] = round(detail[name] * 1000)
    return detail
