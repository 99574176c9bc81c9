"""Endpoint configurations."""

from __future__ import annotations

from typing import Any

from local_sagemaker import models, tags
from local_sagemaker.api import Call, operation, page
from local_sagemaker.errors import ValidationException, not_executed
from local_sagemaker.store import Exists, Record

KIND = "endpoint-config"

_KEPT = ("DataCaptureConfig", "KmsKeyId", "ExecutionRoleArn", "VpcConfig", "MetricsConfig")


def find(call: Call, name: str) -> Record:
    """The endpoint configuration of that name.

    Raises:
        ValidationException: there is none, in AWS's words.
    """
    record = call.platform.store.get(KIND, call.region, name.lower())
    if record is None:
        raise ValidationException(f'Could not find endpoint configuration "{call.arn(KIND, name)}".')
    return record


@operation("CreateEndpointConfig")
def create(call: Call) -> dict[str, Any]:
    request = call.request
    name = request["EndpointConfigName"]
    arn = call.arn(KIND, name)
    for variant in request["ProductionVariants"]:
        _check(call, variant)
    names = [variant["VariantName"].lower() for variant in request["ProductionVariants"]]
    if len(set(names)) < len(names):
        raise ValidationException("Each production variant needs a name of its own.")
    body = {
        "EndpointConfigName": name,
        "EndpointConfigArn": arn,
        "ProductionVariants": [
            {"InitialVariantWeight": 1.0} | {key: value for key, value in variant.items() if value is not None}
            for variant in request["ProductionVariants"]
        ],
        "EnableNetworkIsolation": bool(request.get("EnableNetworkIsolation")),
        **{key: request[key] for key in _KEPT if request.get(key)},
    }
    with call.platform.store.transaction():
        try:
            call.platform.store.insert(KIND, call.region, name.lower(), body)
        except Exists:
            raise ValidationException(f'Cannot create already existing endpoint configuration "{arn}".') from None
        tags.create(call, arn, request.get("Tags"))
    return {"EndpointConfigArn": arn}


def _check(call: Call, variant: dict[str, Any]) -> None:
    name = variant["VariantName"]
    if not variant.get("ModelName"):
        raise not_executed(
            "CreateEndpointConfig", f"A variant without ModelName ({name})", "Inference components do not run here."
        )
    models.find(call, variant["ModelName"])
    for member in ("InitialInstanceCount", "InstanceType"):
        if not variant.get(member):
            raise ValidationException(f"{member} is required for production variant {name}.")
    if (variant.get("RoutingConfig") or {}).get("RoutingStrategy") == "PREFIX_AWARE":
        raise not_executed("CreateEndpointConfig", "RoutingStrategy PREFIX_AWARE", "Use LEAST_OUTSTANDING_REQUESTS.")


@operation("DescribeEndpointConfig")
def describe(call: Call) -> dict[str, Any]:
    record = find(call, call.request["EndpointConfigName"])
    return record.body | {"CreationTime": record.created}


@operation("ListEndpointConfigs")
def list_configs(call: Call) -> dict[str, Any]:
    def summary(record: Record) -> dict[str, Any]:
        names = ("EndpointConfigName", "EndpointConfigArn")
        return {name: record.body[name] for name in names} | {"CreationTime": record.created}

    return page(call, call.platform.store.list(KIND, call.region), summary, "EndpointConfigs")


@operation("DeleteEndpointConfig")
def delete(call: Call) -> None:
    """An endpoint that uses the configuration goes on serving, as on AWS."""
    record = find(call, call.request["EndpointConfigName"])
    with call.platform.store.transaction():
        call.platform.store.delete(KIND, call.region, record.name)
        tags.drop(call, record.body["EndpointConfigArn"])
