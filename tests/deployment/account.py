"""An account in memory: the control plane of :mod:`tests.deployment.plane` behind a session, moto for the rest."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from contracts.release import ReleaseSettings
from deployment import checks, clock
from deployment.report import Report
from tests.deployment.plane import ACCOUNT, NAMES, REGION, Calls, ControlPlane, report


@dataclasses.dataclass(frozen=True)
class Account:
    session: boto3.Session
    plane: ControlPlane
    calls: Calls

    def empty(self) -> None:
        """Begin again, with the same clients."""
        self.plane.__init__()  # type: ignore[misc]
        self.calls.__init__()  # type: ignore[misc]
        for name in ("logs", "cloudwatch", "applicationautoscaling"):
            get_backend(name)[DEFAULT_ACCOUNT_ID][REGION].reset()
        s3 = self.session.client("s3")
        for item in s3.list_objects_v2(Bucket=NAMES.artifact_bucket).get("Contents", []):
            s3.delete_object(Bucket=NAMES.artifact_bucket, Key=item["Key"])
        self.calls.__init__()  # type: ignore[misc]


@contextlib.contextmanager
def opened() -> Iterator[Account]:
    """An account; reading the service models is what takes the time."""
    with pytest.MonkeyPatch.context() as patch, mock_aws(config={"core": {"passthrough": {"services": ["sagemaker"]}}}):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        session, plane, calls = boto3.Session(region_name=REGION), ControlPlane(), Calls()
        session._session.set_default_client_config(Config(retries={"total_max_attempts": 1}))
        session.events.register("before-send.sagemaker", plane.answer)
        session.events.register("provide-client-params", calls.record)
        session.events.register("after-call", calls.happened)
        session.client = functools.cache(session.client)  # type: ignore[method-assign]
        session.client("s3").create_bucket(
            Bucket=NAMES.artifact_bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield Account(session, plane, calls)


def follow(account: Account, patch: pytest.MonkeyPatch) -> None:
    """The deployer's time is the control plane's, and what the checks find is told there.

    They themselves, on a server that answers, are in tests/deployment/checks, and the whole is in
    tests/deployment/test_on_the_local_sagemaker.py.
    """
    plane = account.plane

    def before(session: Any, settings: Any, package: Any, last: Any = None) -> Report:
        plane.looked.append("before")
        return plane.checked.get(package.arn, report("inference.scan"))

    def golden(session: Any, settings: Any, package: Any, endpoint: str) -> Report:
        plane.looked.append("golden")
        return plane.answers.get(package.arn, report("golden"))

    patch.setattr(checks, "before", before)
    patch.setattr(checks, "golden", golden)
    patch.setattr(clock, "now", lambda: datetime.datetime.fromtimestamp(plane.clock, datetime.UTC))


def release_settings() -> ReleaseSettings:
    """The settings of a release without guards, autoscaling and fallback types."""
    return ReleaseSettings(
        name="widgets",
        env="dev",
        account_id=ACCOUNT,
        region=REGION,
        instance_type="ml.m5.xlarge",
        fallback_instance_types=(),
        instance_count=1,
        max_instances=1,
        requests_per_instance=600,
        serverless=None,
        capture_share=0.0,
        image_url_hosts=("images.example.com", "cdn.example.com"),
        max_body_bytes=6_000_000,
        max_pixels=25_000_000,
        max_instances_per_request=64,
        max_frames=1,
        max_json_depth=32,
        max_headers=64,
        max_header_bytes=16_384,
        queue=100,
        deadline_seconds=60,
        read_seconds=15,
        log_share=1.0,
        staging=False,
        scan_severity="HIGH",
        strategy="canary",
        percent=10,
        bake_minutes=10,
        termination_minutes=0,
        guards={},
        log_days=30,
        expire_hours=0,
        isolated_endpoint=False,
        kms_key_id=NAMES.key_alias_arn,
        endpoint_role_arn=NAMES.role_arn("endpoint"),
        network={},
    )
