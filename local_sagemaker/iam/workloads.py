"""What a job, a serving container and a function need of their role, from their own description."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from local_sagemaker.iam import on_behalf

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)")


def check_job(platform: Platform, request: Mapping[str, Any], region: str, image: str, group: str, name: str) -> None:
    """A processing or training job starts in its role.

    Raises:
        Denied: the role lacks a permission that AWS would use.
    """
    cluster = (request.get("ProcessingResources") or {}).get("ClusterConfig") or request.get("ResourceConfig") or {}
    outputs = request.get("ProcessingOutputConfig") or request.get("OutputDataConfig") or {}
    vpc = request.get("VpcConfig") or (request.get("NetworkConfig") or {}).get("VpcConfig")
    _check(
        platform, request["RoleArn"], region, image, group, f"{name}/algo-1",
        volume_key=cluster.get("VolumeKmsKeyId"), output_key=outputs.get("KmsKeyId"), vpc=vpc,
    )  # fmt: skip


def check_container(platform: Platform, plan: Mapping[str, Any], region: str, group: str, stream: str) -> None:
    """A container that serves a model starts in the model's role. Raises: Denied."""
    role = plan.get("RoleArn")
    if not role:
        return
    _check(platform, role, region, plan["Image"], group, stream, vpc=plan.get("VpcConfig"))
    for data in plan["Data"]:
        bucket = str(data["Uri"]).removeprefix("s3://").partition("/")[0]
        platform.access.table(role, [on_behalf.MODEL_DATA], {"region": region, "bucket": bucket})


def check_following(platform: Platform, role_arn: str, region: str, operation: str, arn: str) -> None:
    """A pipeline follows the job that it started (``operation``: TrainingJob, ProcessingJob …). Raises: Denied."""
    platform.access.table(role_arn, [on_behalf.FOLLOWED], {"region": region, "operation": operation, "job": arn})


def check_stopping(platform: Platform, role_arn: str, region: str, operation: str, arn: str) -> None:
    """A pipeline stops a job of its own. Raises: Denied."""
    platform.access.table(role_arn, [on_behalf.STOPPED], {"region": region, "operation": operation, "job": arn})


def check_hosting(platform: Platform, config: Mapping[str, Any], role_arn: str | None, region: str) -> None:
    """An endpoint is made from a configuration: its volumes' key, and the place of captured requests.

    Raises:
        Denied: the model's role lacks a permission that AWS would use.
    """
    if not role_arn:
        return
    capture = config.get("DataCaptureConfig") or {}
    places: dict[str, Any] = {"region": region}
    when = []
    if config.get("KmsKeyId"):
        when.append(on_behalf.VOLUME_KEY)
        places["key"] = config["KmsKeyId"]
    if capture.get("EnableCapture") and capture.get("DestinationS3Uri"):
        when.append(on_behalf.CAPTURED)
        destination = str(capture["DestinationS3Uri"]).removeprefix("s3://").rstrip("/")
        places["capture"] = f"arn:aws:s3:::{destination}/data.jsonl"
        places["capture_key"] = capture.get("KmsKeyId") or ""
    rows = [row for row in when if row]
    if rows:
        platform.access.table(role_arn, rows, places)


def check_function(platform: Platform, role_arn: str, region: str, group: str, stream: str, name: str) -> None:
    """A function writes its log. Raises: Denied."""
    places = {"region": region, "log_group": group, "stream": stream}
    platform.access.table(role_arn, [on_behalf.FUNCTION], places, session_name=name)


def check_flow_logs(platform: Platform, role_arn: str, region: str, group: str) -> None:
    """Flow logs go to a log group in the role that they were given. Raises: Denied."""
    places = {"region": region, "log_group": group, "stream": "eni-0"}
    platform.access.table(role_arn, [on_behalf.FLOW], places, session_name="FlowLogs")


def check_destination(platform: Platform, role_arn: str, region: str, queue: str, name: str) -> None:
    """A function's failed events go to a queue in its own role. Raises: Denied."""
    platform.access.table(
        role_arn, [on_behalf.DESTINATION], {"region": region, "queue": queue}, session_name=name
    )  # fmt: skip


def _check(
    platform: Platform,
    role_arn: str,
    region: str,
    image: str,
    group: str,
    stream: str,
    *,
    volume_key: str | None = None,
    output_key: str | None = None,
    vpc: Mapping[str, Any] | None = None,
) -> None:
    when = [on_behalf.JOB]
    places: dict[str, Any] = {"region": region, "log_group": group, "stream": stream}
    places["namespace"] = "/aws/sagemaker/Endpoints" if group.startswith("/aws/sagemaker/Endpoints") else group
    found = _ECR.match(image)
    if found:
        when.append(on_behalf.IMAGE)
        places["repository"] = f"arn:aws:ecr:{found[2]}:{found[1]}:repository/{found[3]}"
    for key, row in ((volume_key, on_behalf.VOLUME_KEY), (output_key, on_behalf.OUTPUT_KEY)):
        if key:
            platform.access.table(role_arn, [row], {"region": region, "key": key})
    if vpc:
        when.append(on_behalf.VPC)
        places["subnet"] = list(vpc.get("Subnets") or [])
        places["security_group"] = list(vpc.get("SecurityGroupIds") or [])
    platform.access.table(role_arn, when, places)
