"""A SageMaker control plane in memory, behind real boto3 clients: what botocore refuses, it refuses here too.

It raises where AWS raises (duplicates, updates of an endpoint that is changing), which plain moto does not, and fails
the test when something is deleted that is in use. S3 is moto's.
"""

from __future__ import annotations

import datetime
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from contracts.names import Names
from contracts.release import META_BUNDLE_HASH, ReleaseSettings
from deployment import clock, guards
from deployment.checks import Finding, Report

ACCOUNT, REGION = "111122223333", "eu-west-1"
NAMES = Names("widgets", "dev", ACCOUNT, REGION)


#: The code of an error whose call took effect.
LOST = "InternalFailure"


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
        self.approved: set[str] = set()
        """Packages that are, or once were, Approved."""
        self.asked: list[str] = []
        """Configurations that the endpoint was created with or updated to, in order."""
        self.served: list[str] = []
        """Configurations that the endpoint has served, in order."""

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
        self._note(arn)
        return arn

    def set(self, arn: str, approval: str) -> None:
        self.packages[arn]["ModelApprovalStatus"] = approval
        self._note(arn)

    def _note(self, arn: str) -> None:
        if self.packages[arn]["ModelApprovalStatus"] == "Approved":
            self.approved.add(arn)

    def settle(self, *, ok: bool = True) -> None:
        """An hour passes: the change that is under way ends, well or badly."""
        self.clock += 3600
        for name, endpoint in list(self.endpoints.items()):
            match endpoint["EndpointStatus"]:
                case "Creating":
                    endpoint["EndpointStatus"] = "InService" if ok else "Failed"
                    if ok:
                        self.served.append(endpoint["EndpointConfigName"])
                    else:
                        endpoint["FailureReason"] = "The container did not pass the ping health check."
                case "Updating" | "RollingBack":
                    pending = endpoint.pop("PendingDeploymentSummary")["EndpointConfigName"]
                    endpoint["EndpointStatus"] = "InService"
                    if ok:
                        endpoint["EndpointConfigName"] = pending
                        self.served.append(pending)
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
        self._note(request["ModelPackageArn"])
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
        self.asked.append(request["EndpointConfigName"])
        return answer

    def _update_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._describe_endpoint(request)
        self._config(request)
        if endpoint["EndpointStatus"] != "InService":
            raise ApiError("Cannot update in-progress endpoint")
        endpoint["EndpointStatus"] = "Updating"
        endpoint["PendingDeploymentSummary"] = {"EndpointConfigName": request["EndpointConfigName"]}
        endpoint["LastModifiedTime"] = self.now()
        self.asked.append(request["EndpointConfigName"])
        return {"EndpointArn": endpoint["EndpointArn"]}

    def _delete_endpoint(self, request: dict[str, Any]) -> None:
        endpoint = self._describe_endpoint(request)
        if endpoint["EndpointStatus"] in ("Creating", "Updating", "Deleting"):
            raise ApiError("Cannot delete in-progress endpoint")
        endpoint["EndpointStatus"] = "Deleting"

    # --- what a clean-up asks besides ---------------------------------------------------------------------------------

    def _list_endpoints(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._page(request, "Endpoints", self._named(self.endpoints, request))

    def _describe_endpoint_config(self, request: dict[str, Any]) -> dict[str, Any]:
        self._config(request)
        return self.configs[request["EndpointConfigName"]]

    def _describe_model(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["ModelName"] not in self.models:
            raise ApiError("Could not find model")
        return self.models[request["ModelName"]]

    def _list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        found = [each for each in self.endpoints.values() if each["EndpointArn"] == request["ResourceArn"]]
        return {"Tags": found[0].get("Tags", []) if found else []}

    def _list_pipeline_executions(self, request: dict[str, Any]) -> dict[str, Any]:
        raise ApiError(f"Pipeline {request['PipelineName']} does not exist.", "ResourceNotFound")

    _describe_pipeline = _list_pipeline_executions

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
    """Every call of the sessions it is given, and what befalls the n-th of them."""

    def __init__(self) -> None:
        self.made: list[tuple[str, dict[str, Any]]] = []
        self.services: dict[str, str] = {}
        """Operation -> the service it is one of, as botocore names it."""
        self.kill_after = 0
        """The process ends right after so many calls."""
        self.refuse: tuple[int, str] = (0, "")
        """The so manieth call is an error with this code, and has no effect."""
        self.lose = 0
        """The so manieth call takes effect, and its answer is an error."""

    def record(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if self.kill_after and len(self.made) >= self.kill_after:
            raise Killed  # whoever is dead cleans nothing up
        self.made.append((model.name, params))
        self.services[model.name] = model.service_model.service_name
        number, code = self.refuse
        if len(self.made) == number:
            raise _error(code, model.name)

    def happened(self, model: Any, **_: Any) -> None:
        if self.kill_after and len(self.made) >= self.kill_after:
            raise Killed
        if self.lose and len(self.made) == self.lose:
            raise _error(LOST, model.name)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.made]

    def of(self, operation: str) -> list[dict[str, Any]]:
        return [params for name, params in self.made if name == operation]


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "told to fail"}}, operation)


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
