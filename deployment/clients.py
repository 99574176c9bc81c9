"""The clients of one run, made when they are first used: reading a service's model is what takes the time."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from deployment.aws import Session

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient


class Clients:
    """What a release talks to."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @cached_property
    def sagemaker(self) -> SageMakerClient:
        return self.session.client("sagemaker")

    @cached_property
    def s3(self) -> S3Client:
        return self.session.client("s3")

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        return self.session.client("logs")

    @cached_property
    def cloudwatch(self) -> Any:
        return self.session.client("cloudwatch")

    @cached_property
    def scaling(self) -> Any:
        return self.session.client("application-autoscaling")
