"""A running server, tiny images and, through plain boto3, all that an endpoint needs."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import urllib.request
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config

from local_sagemaker import control
from tests.waiting import eventually

ACCOUNT, REGION, BUCKET = "123456789012", "ap-southeast-1", "models"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/serve:1"
SCRIPT = Path(__file__).with_name("image.py")
TRUST = {
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]
}
#: Short limits, so that what AWS gives minutes takes seconds.
HOSTING = {
    "STARTUP_SECONDS": "20",
    "PING_INTERVAL_SECONDS": "0.2",
    "STOP_SECONDS": "3",
    "RESTART_SECONDS": "1",
    "INVOCATION_SECONDS": "3",
}
T = TypeVar("T")


def tar(**files: str) -> bytes:
    """A model archive; a file's name may be given with ``__`` for a dot."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


class Local:
    """A server and clients of it."""

    def __init__(self, state: Path, runtime: str = "process") -> None:
        self.state = state
        self.runtime_name = runtime
        self.names = 0
        self.clients: list[Any] = []

    def start(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in HOSTING.items():
                patch.setenv(f"LOCAL_SAGEMAKER_HOSTING_{name}", value)
            self.info = control.start(self.state, ACCOUNT, REGION, runtime=self.runtime_name)
        session = boto3.Session("test", "test", region_name=REGION)

        def client(service: str) -> Any:
            config = Config(retries={"total_max_attempts": 1}, read_timeout=90)
            return session.client(service, endpoint_url=self.info.endpoint_url, config=config)

        self.sagemaker, self.runtime = client("sagemaker"), client("sagemaker-runtime")
        self.s3, self.iam, self.logs, self.cloudwatch = (
            client("s3"),
            client("iam"),
            client("logs"),
            client("cloudwatch"),
        )
        self.ecr = client("ecr")
        self.clients = [self.ecr, self.sagemaker, self.runtime, self.s3, self.iam, self.logs, self.cloudwatch]

    def stop(self) -> None:
        for one in self.clients:
            one.close()
        control.stop(self.state)

    def prepare(self) -> None:
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.s3.put_object(Bucket=BUCKET, Key="model.tar.gz", Body=tar(weights__txt="42"))
        self.role = self.iam.create_role(RoleName="endpoint", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        self.bind(IMAGE, [sys.executable, "-S", str(SCRIPT)])

    def admin(self, method: str, path: str, document: Any = None) -> Any:
        data = json.dumps(document).encode() if document is not None else None
        request = urllib.request.Request(f"{self.info.endpoint_url}/_local/{path}", data, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.loads(answer.read())

    def bind(self, pattern: str, entrypoint: list[str]) -> None:
        document = {
            "pattern": pattern,
            "entrypoint": entrypoint,
            "environment": {"FROM_IMAGE": "1"},
            "working_dir": "/",
        }
        self.admin("PUT", "images", document)

    def name(self, kind: str) -> str:
        self.names += 1
        return f"{kind}-{self.names}"

    def model(self, **request: Any) -> str:
        """Create a model; VERSION and the like come as ``environment``."""
        environment = request.pop("environment", {})
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz", "Environment": environment}
        container |= request.pop("container", {})
        name = self.name("model")
        self.sagemaker.create_model(
            ModelName=name, **{"PrimaryContainer": container, "ExecutionRoleArn": self.role} | request
        )
        return name

    def config(self, *variants: dict[str, Any], **request: Any) -> str:
        """Create an endpoint configuration of variants ``{"model": …, …}``, by default named ``main``."""
        name = self.name("config")
        production = []
        for given in variants:
            variant = {"VariantName": "main", "InitialInstanceCount": 1, "InstanceType": "ml.m5.xlarge"}
            variant |= {"ModelName": given["model"], **{key: value for key, value in given.items() if key != "model"}}
            production.append(variant)
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=production, **request)
        return name

    def endpoint(self, config: str, *, wait: bool = True, **request: Any) -> str:
        name = self.name("Endpoint")
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config, **request)
        if wait:
            self.settled(name)
        return name

    def serving(self, **environment: str) -> str:
        """An endpoint in service with one instance of a model with these variables."""
        name = self.endpoint(self.config({"model": self.model(environment=environment)}))
        described = self.describe(name)
        assert described["EndpointStatus"] == "InService", described.get("FailureReason")
        return name

    def describe(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
        return answer

    def status(self, name: str) -> str:
        return str(self.describe(name)["EndpointStatus"])

    def settled(self, name: str, seconds: float = 120.0) -> dict[str, Any]:
        """The endpoint, once nothing is under way on it."""
        moving = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")

        def question() -> dict[str, Any] | None:
            described = self.describe(name)
            return None if described["EndpointStatus"] in moving else described

        return eventually(question, seconds=seconds)  # type: ignore[return-value]

    def ask(self, name: str, order: dict[str, Any] | None = None, **request: Any) -> dict[str, Any]:
        """Invoke with a JSON body and return the JSON answer."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=name, Body=json.dumps(order or {}), ContentType="application/json", **request
        )
        document: dict[str, Any] = json.loads(answer["Body"].read())
        return document

    def delete(self, name: str) -> None:
        self.sagemaker.delete_endpoint(EndpointName=name)
        eventually(lambda: name not in [one["EndpointName"] for one in self.sagemaker.list_endpoints()["Endpoints"]])

    def events(self, detail_type: str, name: str) -> list[dict[str, Any]]:
        """Details of an endpoint's events, oldest first."""
        found = [entry["event"] for entry in self.admin("GET", "events")["events"]]
        return [
            event["detail"]
            for event in reversed(found)
            if event["detail-type"] == detail_type and event["detail"]["EndpointName"] == name
        ]


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
