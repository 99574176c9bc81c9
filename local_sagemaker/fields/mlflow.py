"""The requests of MLflow tracking servers: resources on paper, no server runs behind them."""

from __future__ import annotations

from local_sagemaker.fields import EXECUTED, RECORDED

_SERVER = {
    "TrackingServerName": EXECUTED,
    "ArtifactStoreUri": RECORDED,
    "TrackingServerSize": RECORDED,
    "AutomaticModelRegistration": RECORDED,
    "WeeklyMaintenanceWindowStart": RECORDED,
    "S3BucketOwnerAccountId": RECORDED,
    "S3BucketOwnerVerification": RECORDED,
}

FIELDS: dict[str, dict[str, str]] = {
    "CreateMlflowTrackingServer": {
        **_SERVER,
        "MlflowVersion": RECORDED,
        "RoleArn": RECORDED,
        "Tags": EXECUTED,
        "Tags.Key": EXECUTED,
        "Tags.Value": EXECUTED,
    },
    "UpdateMlflowTrackingServer": _SERVER,
    "DeleteMlflowTrackingServer": {"TrackingServerName": EXECUTED},
    "StartMlflowTrackingServer": {"TrackingServerName": EXECUTED},
    "StopMlflowTrackingServer": {"TrackingServerName": EXECUTED},
}
