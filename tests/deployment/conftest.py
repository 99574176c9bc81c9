"""A SageMaker control plane in memory, behind real boto3 clients: what botocore refuses, it refuses here too.

It raises where AWS raises (duplicates, updates of an endpoint that is changing), which plain moto does not, and fails
the test when something is deleted that is in use. S3 is moto's.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from moto import mock_aws
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from contracts.names import Names
from contracts.release import META_BUNDLE_HASH, ReleaseSettings
from deployment import checks, clock, guards
from deployment.checks import Finding, Report

ACCOUNT, REGION = "111122223333", "eu-west-1"
NAMES = Names("widgets", "dev", ACCOUNT, REGION)


def report(name: str, problem: str = "", *, pending: bool = False) -> Report:
    """A report of one finding."""
    return Report((Finding(name, not problem, problem or "as it has to be", pending),))


class Killed(BaseException):
    """The process ended right after a call."""


class ApiError(Exception):
    def __init__(self, message: str, code: str = "ValidationException") -> None:
        super().__init__(message)
        self.code = code


class ControlPlane:
    """Packages, models, endpoint configurations and one endpoint; :meth:`settle` lets time pass."""

    def __init__(self) -> None:
        self.packages: dict[str, dict[str, Any]] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.checked: dict[str, Report] = {}
        """Package -> what the checks find; all is well where it is not named."""
        self.answers: dict[str, Report] = {}
        """Package -> what its golden requests give."""
        self.looked: list[str] = []
        """Each look of the checks: ``before`` or ``golden``."""
        self.page_size = 100
        self.clock = 1_700_000_000.0
        self.before: dict[str, Callable[[], None]] = {}
        """Operation -> what happens once, just before it: another process's work."""

    # --- what the tests do --------------------------------------------------------------------------------------------

    def register(self, bundle: str = "a" * 64, approval: str = "PendingManualApproval", **more: Any) -> str:
        version = len(self.packages) + 1
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{NAMES.package_group}/{version}"
        image = f"{NAMES.registry}/{NAMES.inference_repository}@sha256:{'1' * 64}"
        self.packages[arn] = {
            "ModelPackageArn": arn,
            "ModelPackageGroupName": NAMES.package_group,
            "ModelPackageVersion": version,
            "ModelPackageStatus": "Completed",
            "ModelApprovalStatus": approval,
            "CreationTime": self.now(),
            "InferenceSpecification": {
                "Containers": [
                    {"Image": image, "ModelDataUrl": f"s3://{NAMES.artifact_bucket}/packages/{bundle}/model.tar.gz"}
                ]
            },
            "CustomerMetadataProperties": {META_BUNDLE_HASH: bundle},
            **more,
        }
        return arn

    def set(self, arn: str, approval: str) -> None:
        self.packages[arn]["ModelApprovalStatus"] = approval

    def settle(self, *, ok: bool = True) -> None:
        """An hour passes: the change that is under way ends, well or badly."""
        self.clock += 3600
        for name, endpoint in list(self.endpoints.items()):
            match endpoint["EndpointStatus"]:
                case "Creating":
                    endpoint["EndpointStatus"] = "InService" if ok else "Failed"
                    if not ok:
                        endpoint["FailureReason"] = "The container did not pass the ping health check."
                case "Updating" | "RollingBack":
                    pending = endpoint.pop("PendingDeploymentSummary")["EndpointConfigName"]
                    endpoint["EndpointStatus"] = "InService"
                    if ok:
                        endpoint["EndpointConfigName"] = pending
                case "Deleting":
                    del self.endpoints[name]

    @property
    def endpoint(self) -> dict[str, Any]:
        return self.endpoints[NAMES.endpoint]

    def served_package(self) -> str:
        config = self.configs[self.endpoint["EndpointConfigName"]]
        model = self.models[config["ProductionVariants"][0]["ModelName"]]
        return str(model["PrimaryContainer"]["ModelPackageName"])

    def now(self) -> float:
        self.clock += 1
        return self.clock

    # --- the API ------------------------------------------------------------------------------------------------------

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        happens = self.before.pop(operation, None)
        if happens is not None:
            happens()
        return getattr(self, "_" + re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower())(request) or {}

    def _list_model_packages(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = request.get("ModelApprovalStatus")
        found = [item for item in self.packages.values() if wanted in (None, item["ModelApprovalStatus"])]
        found.sort(key=lambda item: item["CreationTime"], reverse=request.get("SortOrder") == "Descending")
        return self._page(request, "ModelPackageSummaryList", found, drop="CustomerMetadataProperties")

    def _describe_model_package(self, request: dict[str, Any]) -> dict[str, Any]:
        found = self.packages.get(request["ModelPackageName"])
        if found is None:
            raise ApiError(f"ModelPackage {request['ModelPackageName']} does not exist.")
        return found

    def _update_model_package(self, request: dict[str, Any]) -> dict[str, Any]:
        package = self._describe_model_package({"ModelPackageName": request["ModelPackageArn"]})
        package.update({key: value for key, value in request.items() if key != "ModelPackageArn"})
        return {"ModelPackageArn": package["ModelPackageArn"]}

    def _create_model(self, request: dict[str, Any]) -> dict[str, Any]:
        package = request["PrimaryContainer"]["ModelPackageName"]
        if self._describe_model_package({"ModelPackageName": package})["ModelApprovalStatus"] != "Approved":
            raise ApiError(f"{package} is not approved")
        return self._create(self.models, "model", "ModelName", request)

    def _create_endpoint_config(self, request: dict[str, Any]) -> dict[str, Any]:
        model = request["ProductionVariants"][0]["ModelName"]
        if model not in self.models:
            raise ApiError(f'Could not find model "{model}".')
        return self._create(self.configs, "endpoint configuration", "EndpointConfigName", request)

    def _list_models(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._page(request, "Models", self._named(self.models, request))

    def _list_endpoint_configs(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._page(request, "EndpointConfigs", self._named(self.configs, request))

    def _delete_model(self, request: dict[str, Any]) -> None:
        used = {config["ProductionVariants"][0]["ModelName"] for config in self.configs.values()}
        assert request["ModelName"] not in used, "a model was deleted that a configuration names"
        if self.models.pop(request["ModelName"], None) is None:
            raise ApiError("Could not find model")

    def _delete_endpoint_config(self, request: dict[str, Any]) -> None:
        name = request["EndpointConfigName"]
        for endpoint in self.endpoints.values():
            pending = endpoint.get("PendingDeploymentSummary", {}).get("EndpointConfigName")
            assert name not in (endpoint["EndpointConfigName"], pending), "a configuration in use was deleted"
        if self.configs.pop(name, None) is None:
            raise ApiError("Could not find endpoint configuration")

    def _describe_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["EndpointName"] not in self.endpoints:
            raise ApiError(f'Could not find endpoint "{request["EndpointName"]}".')
        return self.endpoints[request["EndpointName"]]

    def _create_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        self._config(request)
        answer = self._create(self.endpoints, "endpoint", "EndpointName", request)
        self.endpoints[request["EndpointName"]]["EndpointStatus"] = "Creating"
        return answer

    def _update_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._describe_endpoint(request)
        self._config(request)
        if endpoint["EndpointStatus"] != "InService":
            raise ApiError("Cannot update in-progress endpoint")
        endpoint["EndpointStatus"] = "Updating"
        endpoint["PendingDeploymentSummary"] = {"EndpointConfigName": request["EndpointConfigName"]}
        endpoint["LastModifiedTime"] = self.now()
        return {"EndpointArn": endpoint["EndpointArn"]}

    def _delete_endpoint(self, request: dict[str, Any]) -> None:
        endpoint = self._describe_endpoint(request)
        if endpoint["EndpointStatus"] in ("Creating", "Updating", "Deleting"):
            raise ApiError("Cannot delete in-progress endpoint")
        endpoint["EndpointStatus"] = "Deleting"

    # --- its parts ----------------------------------------------------------------------------------------------------

    def _create(self, table: dict[str, Any], noun: str, key: str, request: dict[str, Any]) -> dict[str, Any]:
        name = request[key]
        if name in table:
            raise ApiError(f'Cannot create already existing {noun} "{name}".')
        arn_key = {"ModelName": "ModelArn", "EndpointConfigName": "EndpointConfigArn"}.get(key, "EndpointArn")
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{noun.split()[-1]}/{name}"
        times = {"CreationTime": self.now(), "LastModifiedTime": self.clock}
        table[name] = {**request, arn_key: arn, **times}
        return {arn_key: arn}

    def _config(self, request: dict[str, Any]) -> None:
        if request["EndpointConfigName"] not in self.configs:
            raise ApiError(f'Could not find endpoint configuration "{request["EndpointConfigName"]}".')

    @staticmethod
    def _named(table: dict[str, Any], request: dict[str, Any]) -> list[dict[str, Any]]:
        return [item for name, item in table.items() if request.get("NameContains", "") in name]

    def _page(self, request: dict[str, Any], key: str, found: list[dict[str, Any]], drop: str = "") -> dict[str, Any]:
        start = int(request.get("NextToken", 0))
        size = min(self.page_size, request.get("MaxResults", 10))
        answer: dict[str, Any] = {
            key: [{name: item[name] for name in item if name != drop} for item in found[start : start + size]]
        }
        if start + size < len(found):
            answer["NextToken"] = str(start + size)
        return answer

    def answer(self, request: Any, **_: Any) -> AWSResponse:
        """botocore's ``before-send``: answer instead of the network."""
        operation = request.headers["X-Amz-Target"].decode().rpartition(".")[2]
        try:
            status, body = 200, self.call(operation, json.loads(request.body))
        except ApiError as error:
            status, body = 400, {"__type": error.code, "message": str(error)}
        return AWSResponse(
            request.url, status, {"x-amzn-requestid": str(time.time_ns())}, _Raw(json.dumps(body).encode())
        )


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


class Calls:
    """Every call of the sessions it is given, and the end of the process after the n-th."""

    def __init__(self) -> None:
        self.made: list[tuple[str, dict[str, Any]]] = []
        self.services: dict[str, str] = {}
        """Operation -> the service it is one of, as botocore names it."""
        self.kill_after = 0

    def record(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if self.kill_after and len(self.made) >= self.kill_after:
            raise Killed  # whoever is dead cleans nothing up
        self.made.append((model.name, params))
        self.services[model.name] = model.service_model.service_name

    def happened(self, **_: Any) -> None:
        if self.kill_after and len(self.made) >= self.kill_after:
            raise Killed

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.made]

    def of(self, operation: str) -> list[dict[str, Any]]:
        return [params for name, params in self.made if name == operation]


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


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    """One session a module: reading the service models is what takes the time."""
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


@pytest.fixture
def fresh(account: Account, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Begin again; the deployer's time is the control plane's.

    What the checks find is told here: they themselves, on a server that answers, are in tests/deployment/checks, and
    the whole is in tests/deployment/checks/test_release.py.
    """
    account.empty()
    plane = account.plane

    def before(session: Any, settings: Any, package: Any, last: Any = None) -> Report:
        plane.looked.append("before")
        return plane.checked.get(package.arn, report("inference.scan"))

    def golden(session: Any, settings: Any, package: Any, endpoint: str) -> Report:
        plane.looked.append("golden")
        return plane.answers.get(package.arn, report("golden"))

    monkeypatch.setattr(checks, "before", before)
    monkeypatch.setattr(checks, "golden", golden)
    monkeypatch.setattr(clock, "now", lambda: datetime.datetime.fromtimestamp(account.plane.clock, datetime.UTC))
    return account.empty


@pytest.fixture
def session(account: Account, fresh: Callable[[], None]) -> boto3.Session:
    return account.session


@pytest.fixture
def plane(account: Account, fresh: Callable[[], None]) -> ControlPlane:
    return account.plane


@pytest.fixture
def calls(account: Account, fresh: Callable[[], None]) -> Calls:
    return account.calls


@pytest.fixture
def settings() -> ReleaseSettings:
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


def count_predictions(session: boto3.Session, settings: ReleaseSettings, counts: dict[str, int]) -> None:
    """What the metric filter would have made of the server's lines in the last hour: label -> predictions."""
    session.client("cloudwatch").put_metric_data(
        Namespace=guards.namespace(settings),
        MetricData=[
            {
                "MetricName": guards.BY_LABEL,
                "Dimensions": [{"Name": "label", "Value": label}],
                "Value": count,
                "Timestamp": clock.now() - datetime.timedelta(minutes=10),
            }
            for label, count in counts.items()
        ],
    )
