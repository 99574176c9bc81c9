"""The requests that a release makes, as pure functions of a package and the settings.

A model's and an endpoint configuration's name is a hash of its content: what is named alike is alike, so creating twice
is creating once, and comparing names is comparing contents.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from contracts import hashing, invocation
from contracts.names import VARIANT
from contracts.release import CAPTURE_PREFIX, EXPIRY_TAG, ReleaseSettings
from deployment.packages import Package

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import (
        CapacitySizeTypeDef,
        CreateEndpointConfigInputTypeDef,
        CreateModelInputTypeDef,
        DeploymentConfigTypeDef,
        TagTypeDef,
        TrafficRoutingConfigTypeDef,
        VariantPropertyTypeDef,
    )

#: Stands where an instance type stands, for an endpoint that has none.
SERVERLESS = "serverless"
#: How a temporary endpoint's configuration is named beside the roll-out's.
TRIAL = "-staging"
#: DeploymentConfig, MaximumExecutionTimeoutInSeconds: 600 to 28,800.
_TIMEOUTS = (600, 28_800)
#: What starting a fleet and shifting its traffic may take beside the waits, seconds.
_PROVISIONING = 3_600
#: Families with a local disk: the service refuses a volume key for them.
#: Source: API reference, CreateEndpointConfig, KmsKeyId.
_LOCAL_DISK = re.compile(r"ml\.(?:[a-z]+\d+[a-z]*d[a-z]*|g5|g6e?|g7e?|p5[a-z]*|p6[a-z0-9-]*|trn\d[a-z]*)\.")


def environment(settings: ReleaseSettings, precision: str = "") -> dict[str, str]:
    """The serving container's variables; ``precision`` is the package's, empty for one that names none."""
    return {
        **({invocation.PRECISION_VARIABLE: precision} if precision else {}),
        invocation.MAX_BODY_VARIABLE: str(settings.max_body_bytes),
        invocation.MAX_PIXELS_VARIABLE: str(settings.max_pixels),
        invocation.MAX_INSTANCES_VARIABLE: str(settings.max_instances_per_request),
        invocation.MAX_FRAMES_VARIABLE: str(settings.max_frames),
        invocation.MAX_JSON_DEPTH_VARIABLE: str(settings.max_json_depth),
        invocation.MAX_HEADERS_VARIABLE: str(settings.max_headers),
        invocation.MAX_HEADER_BYTES_VARIABLE: str(settings.max_header_bytes),
        invocation.QUEUE_VARIABLE: str(settings.queue),
        invocation.DEADLINE_VARIABLE: str(settings.deadline_seconds),
        invocation.READ_VARIABLE: str(settings.read_seconds),
        invocation.LOG_SHARE_VARIABLE: f"{settings.log_share:g}",
        invocation.IMAGE_URL_HOSTS_VARIABLE: ",".join(settings.image_url_hosts),
    }


def model(package: Package, settings: ReleaseSettings) -> CreateModelInputTypeDef:
    """CreateModel for ``package``. Two packages with the same bundle and image share one model."""
    request: dict[str, Any] = {
        "PrimaryContainer": {"ModelPackageName": package.arn, "Environment": environment(settings, package.precision)},
        "ExecutionRoleArn": settings.endpoint_role_arn,
        "EnableNetworkIsolation": settings.isolated_endpoint,
    }
    if settings.network:
        request["VpcConfig"] = {
            "Subnets": list(settings.network["subnets"]),
            "SecurityGroupIds": list(settings.network["security_groups"]),
        }
    identity = {
        **request,
        "PrimaryContainer": {
            "bundle": package.bundle_hash or package.model_uri,
            "image": package.image,
            "environment": environment(settings, package.precision),
        },
    }
    return {"ModelName": _name(settings, identity), **request, "Tags": tags(settings)}  # type: ignore[typeddict-item]


def instance_types(settings: ReleaseSettings) -> tuple[str, ...]:
    """The types to serve on, in the order in which they are tried."""
    if settings.serverless:
        return (SERVERLESS,)
    return tuple(dict.fromkeys((settings.instance_type, *settings.fallback_instance_types)))


def endpoint_config(
    model_name: str, settings: ReleaseSettings, instance_type: str = ""
) -> CreateEndpointConfigInputTypeDef:
    """CreateEndpointConfig with one variant that serves ``model_name``; by default on the settings' instance type."""
    kind = instance_type or settings.instance_type
    request: dict[str, Any] = {
        "ProductionVariants": [
            {
                "VariantName": VARIANT,
                "ModelName": model_name,
                **_capacity(settings, kind),
                "InitialVariantWeight": 1,
            }
        ]
    }
    if settings.kms_key_id and not settings.serverless and not _LOCAL_DISK.match(kind):
        request["KmsKeyId"] = settings.kms_key_id
    if settings.capture_share > 0:
        request["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": max(1, round(settings.capture_share * 100)),
            "DestinationS3Uri": str(settings.names.artifacts(CAPTURE_PREFIX)),
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": [invocation.JSON]},
            **({"KmsKeyId": settings.kms_key_id} if settings.kms_key_id else {}),
        }
    return {"EndpointConfigName": _name(settings, request), **request, "Tags": tags(settings)}  # type: ignore[typeddict-item]


def _capacity(settings: ReleaseSettings, kind: str) -> dict[str, Any]:
    if settings.serverless:
        return {
            "ServerlessConfig": {
                "MemorySizeInMB": settings.serverless["memory_mb"],
                "MaxConcurrency": settings.serverless["max_concurrency"],
            }
        }
    return {"InstanceType": kind, "InitialInstanceCount": settings.instance_count}


def deployment_config(settings: ReleaseSettings, alarms: Sequence[str] = ()) -> DeploymentConfigTypeDef:
    """How an update moves the traffic. Always said, so that nothing depends on an earlier update.

    ``alarms``: names, at most 10; when one is in ALARM, SageMaker goes back.

    Limits: API reference, DeploymentConfig: waits of at most 3,600 seconds, timeout of at most 28,800.
    """
    config = _traffic(settings)
    if alarms:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in alarms]}
    return config


def _traffic(settings: ReleaseSettings) -> DeploymentConfigTypeDef:
    wait = settings.bake_minutes * 60
    share: CapacitySizeTypeDef = {"Type": "CAPACITY_PERCENT", "Value": settings.percent}
    steps = math.ceil(100 / settings.percent)
    if settings.strategy == "rolling":
        return {
            "RollingUpdatePolicy": {
                "MaximumBatchSize": share,
                "WaitIntervalInSeconds": wait,
                "MaximumExecutionTimeoutInSeconds": _timeout(wait * steps),
            }
        }
    routing: TrafficRoutingConfigTypeDef = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": wait}
    if settings.strategy == "canary":
        routing = {"Type": "CANARY", "WaitIntervalInSeconds": wait, "CanarySize": share}
    elif settings.strategy == "linear":
        routing = {"Type": "LINEAR", "WaitIntervalInSeconds": wait, "LinearStepSize": share}
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": settings.termination_minutes * 60,
            "MaximumExecutionTimeoutInSeconds": _timeout(
                (wait * steps if settings.strategy == "linear" else wait) + settings.termination_minutes * 60
            ),
        }
    }


def not_retained(settings: ReleaseSettings) -> list[VariantPropertyTypeDef]:
    """Which of the running variant's properties an update takes from the new configuration instead.

    An autoscaled fleet keeps its size; a fixed one follows the settings. Capture always follows the settings.
    """
    properties: list[VariantPropertyTypeDef] = [{"VariantPropertyType": "DataCaptureConfig"}]
    if settings.max_instances == settings.instance_count and not settings.serverless:
        properties.insert(0, {"VariantPropertyType": "DesiredInstanceCount"})
    return properties


def tags(settings: ReleaseSettings) -> list[TagTypeDef]:
    expiry = {EXPIRY_TAG: str(settings.expire_hours)} if settings.expire_hours else {}
    return [{"Key": key, "Value": value} for key, value in sorted({**settings.names.tags, **expiry}.items())]


def is_ours(name: str, settings: ReleaseSettings) -> bool:
    """Is this the name of a model or endpoint configuration that this module made for this environment?"""
    return re.fullmatch(rf"{re.escape(settings.names.prefix)}-[0-9a-f]{{{hashing.SHORT}}}", name) is not None


def is_trial(name: str, settings: ReleaseSettings) -> bool:
    """Is this the name of a configuration that :mod:`deployment.checks.staging` made for this environment?"""
    return name.endswith(TRIAL) and is_ours(name.removesuffix(TRIAL), settings)


def _timeout(waits: int) -> int:
    return min(max(waits + _PROVISIONING, _TIMEOUTS[0]), _TIMEOUTS[1])


def _name(settings: ReleaseSettings, content: dict[str, Any]) -> str:
    return f"{settings.names.prefix}-{hashing.of_value(content)[: hashing.SHORT]}"
