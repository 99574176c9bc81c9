"""Servers in processes of their own, as they run for users."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import pytest
import urllib3

from local_sagemaker import control
from tests.waiting import eventually

ACCOUNT = "444455556666"
REGION = "eu-west-1"


class Server:
    """A running server, its admin API, and AWS clients for it."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.info = control.start(state_dir, ACCOUNT, REGION)
        self._clients: dict[tuple[str, str], Any] = {}
        self._http = urllib3.PoolManager(timeout=30, retries=False)

    def client(self, service: str, **credentials: str) -> Any:
        key = (service, self.info.endpoint_url + str(credentials))
        if key not in self._clients:
            self._clients[key] = boto3.client(
                service,
                endpoint_url=self.info.endpoint_url,
                region_name=REGION,
                config=botocore.config.Config(retries={"total_max_attempts": 1}),
                **({"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "secret"} | credentials),
            )
        return self._clients[key]

    def admin(self, method: str, path: str, document: Any = None, headers: dict[str, str] | None = None) -> Any:
        """The answer's document; an error answer's is returned too, with its status as ``status``."""
        answer = self._http.request(
            method,
            f"{self.info.endpoint_url}/_local/{path}",
            body=None if document is None else json.dumps(document).encode(),
            headers={"Content-Type": "application/json"} | (headers or {}),
        )
        found = answer.json()
        return found if answer.status < 400 else found | {"status": answer.status}

    def log(self) -> str:
        return (self.state_dir / "server.log").read_text()

    def restart(self) -> None:
        control.stop(self.state_dir)
        self.info = control.start(self.state_dir, ACCOUNT, REGION)

    def stop(self) -> None:
        for client in self._clients.values():
            client.close()
        self._http.clear()
        control.stop(self.state_dir)

    # what many tests need
    def role(self, name: str, service: str = "lambda.amazonaws.com") -> str:
        """The ARN of a role that this service may assume; made when it is not there."""
        trust = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
        }
        iam = self.client("iam")
        try:
            arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        except iam.exceptions.EntityAlreadyExistsException:
            arn = iam.get_role(RoleName=name)["Role"]["Arn"]
        return arn

    def function(self, name: str, source: str, **settings: Any) -> str:
        """The ARN of a new function with this module as its code and ``handler`` in it."""
        spec: dict[str, Any] = {"Runtime": "python3.12", "Handler": "app.handler", "Timeout": 20, "MemorySize": 256}
        spec |= {"Role": self.role("function"), "Code": {"ZipFile": zipped({"app.py": source})}} | settings
        arn: str = self.client("lambda").create_function(FunctionName=name, **spec)["FunctionArn"]
        return arn

    def invoke(self, name: str, event: Any = None, **settings: Any) -> dict[str, Any]:
        """Invoke's answer with the payload parsed as ``document``."""
        answer: dict[str, Any] = self.client("lambda").invoke(
            FunctionName=name, Payload=json.dumps(event).encode(), **settings
        )
        text = answer["Payload"].read()
        return answer | {"document": json.loads(text) if text else None}

    def queue(self, name: str) -> tuple[str, str]:
        """URL and ARN of a new queue."""
        url: str = self.client("sqs").create_queue(QueueName=name)["QueueUrl"]
        return url, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"

    def messages(self, url: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for this many messages of a queue; their bodies parsed, in order of arrival."""
        found: list[dict[str, Any]] = []

        def enough() -> bool:
            answer = self.client("sqs").receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600, MessageAttributeNames=["All"]
            )
            found.extend(answer.get("Messages", []))
            return len(found) >= count

        eventually(enough)
        return [message | {"document": json.loads(message["Body"])} for message in found]


def zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a module: they use names of their own."""
    running = Server(tmp_path_factory.mktemp("state"))
    yield running
    running.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server for one test that stops it, kills it or moves its clock."""
    running = Server(tmp_path / "state")
    yield running
    running.stop()
