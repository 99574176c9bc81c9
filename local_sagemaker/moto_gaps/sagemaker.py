"""SageMaker's MLflow tracking servers: moto has none.

They are resources to create, describe, stop and delete, as Terraform does it; no MLflow server runs behind their URL.
"""

from __future__ import annotations

from typing import Any

from local_sagemaker import api, tags
from local_sagemaker.api import Call, operation
from local_sagemaker.errors import ConflictException, ResourceNotFound
from local_sagemaker.store import Exists, Missing, Record

KIND = "mlflow-tracking-server"
_DEFAULTS = {
    "TrackingServerSize": "Small", "MlflowVersion": "3.4", "AutomaticModelRegistration": False,
    "WeeklyMaintenanceWindowStart": "Tue:03:00",
}  # fmt: skip


@operation("CreateMlflowTrackingServer")
def create_mlflow_tracking_server(call: Call) -> dict[str, Any]:
    name, arn = call.request["TrackingServerName"], _arn(call, call.request["TrackingServerName"])
    tags.check(call.request.get("Tags"))
    body = _DEFAULTS | {key: value for key, value in call.request.items() if key != "Tags"}
    body |= {
        "TrackingServerArn": arn,
        "TrackingServerStatus": "Created",
        "IsActive": "Active",
        "TrackingServerUrl": f"https://t-{name.lower()}.{call.region}.experiments.sagemaker.aws",
        "CreatedBy": {},
        "LastModifiedBy": {},
    }
    with call.platform.store.transaction():
        try:
            call.platform.store.insert(KIND, call.region, name, body)
        except Exists:
            raise ConflictException(f"MLflow tracking server {name} already exists.") from None
        tags.create(call, arn, call.request.get("Tags"))
    return {"TrackingServerArn": arn}


@operation("DescribeMlflowTrackingServer")
def describe_mlflow_tracking_server(call: Call) -> dict[str, Any]:
    record = call.platform.store.get(KIND, call.region, call.request["TrackingServerName"])
    if record is None:
        raise _not_found(call)
    return record.body | {"CreationTime": record.created, "LastModifiedTime": record.modified}


@operation("UpdateMlflowTrackingServer")
def update_mlflow_tracking_server(call: Call) -> dict[str, Any]:
    changes = {key: value for key, value in call.request.items() if key != "TrackingServerName"}
    return _change(call, changes | {"TrackingServerStatus": "Updated"})


@operation("StartMlflowTrackingServer")
def start_mlflow_tracking_server(call: Call) -> dict[str, Any]:
    return _change(call, {"TrackingServerStatus": "Started", "IsActive": "Active"})


@operation("StopMlflowTrackingServer")
def stop_mlflow_tracking_server(call: Call) -> dict[str, Any]:
    return _change(call, {"TrackingServerStatus": "Stopped", "IsActive": "Inactive"})


@operation("DeleteMlflowTrackingServer")
def delete_mlflow_tracking_server(call: Call) -> dict[str, Any]:
    name = call.request["TrackingServerName"]
    with call.platform.store.transaction():
        if not call.platform.store.delete(KIND, call.region, name):
            raise _not_found(call)
        tags.drop(call, _arn(call, name))
    return {"TrackingServerArn": _arn(call, name)}


@operation("ListMlflowTrackingServers")
def list_mlflow_tracking_servers(call: Call) -> dict[str, Any]:
    def summary(record: Record) -> dict[str, Any]:
        names = ("TrackingServerArn", "TrackingServerName", "TrackingServerStatus", "IsActive", "MlflowVersion")
        times = {"CreationTime": record.created, "LastModifiedTime": record.modified}
        return {name: record.body[name] for name in names} | times

    return api.page(call, call.platform.store.list(KIND, call.region), summary, "TrackingServerSummaries")


def _arn(call: Call, name: str) -> str:
    return f"arn:aws:sagemaker:{call.region}:{call.account_id}:{KIND}/{name}"


def _change(call: Call, changes: dict[str, Any]) -> dict[str, Any]:
    def change(body: dict[str, Any]) -> None:
        body.update(changes)

    name = call.request["TrackingServerName"]
    try:
        call.platform.store.update(KIND, call.region, name, change)
    except Missing:
        raise _not_found(call) from None
    return {"TrackingServerArn": _arn(call, name)}


def _not_found(call: Call) -> ResourceNotFound:
    return ResourceNotFound(f"Tracking server {call.request['TrackingServerName']} not found.")
