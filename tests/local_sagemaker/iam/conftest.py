"""A server that enforces IAM, and clients in roles of it."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.local_sagemaker.platform.conftest import ACCOUNT, REGION, Server

Statements = list[dict[str, Any]]


class Guarded(Server):
    """A server; :meth:`allow` makes a role with statements and gives clients in it."""

    def allow(self, *statements: dict[str, Any], boundary: Statements | None = None, name: str = "") -> Actor:
        name = name or f"role-{secrets.token_hex(4)}"
        iam = self.client("iam")
        options: dict[str, Any] = {}
        if boundary is not None:
            made = iam.create_policy(PolicyName=f"{name}-boundary", PolicyDocument=document(boundary))
            options["PermissionsBoundary"] = made["Policy"]["Arn"]
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(), **options)["Role"]["Arn"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(list(statements)))
        return Actor(self, arn)


class Actor:
    """Who has taken a role."""

    def __init__(self, server: Server, role_arn: str) -> None:
        self.role_arn = role_arn
        self._server = server
        got = server.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
        self._keys = {
            "aws_access_key_id": got["AccessKeyId"],
            "aws_secret_access_key": got["SecretAccessKey"],
            "aws_session_token": got["SessionToken"],
        }

    def client(self, service: str) -> Any:
        return self._server.client(service, **self._keys)


def document(statements: Statements) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def trust(*services: str) -> str:
    principal: dict[str, Any] = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    if services:
        principal["Service"] = list(services)
    return document([{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}])


def allow(action: Any, resource: Any = "*", condition: Any = None, **more: Any) -> dict[str, Any]:
    found = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return found | ({"Condition": condition} if condition else {})


def token(**claims: str) -> str:
    """An OIDC token as GitHub's provider makes it; its signature is none."""
    parts = [json.dumps({"alg": "RS256"}), json.dumps(claims), "signature"]
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    running = Guarded(tmp_path_factory.mktemp("state"))
    s3 = running.client("s3")
    for name in ("plain", "sealed", "guarded"):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket=name, Key="data/a", Body=b"x")
        s3.put_object(Bucket=name, Key="other/a", Body=b"x")
    assert running.admin("PUT", "iam", {"enforce": True}) == {}
    yield running
    running.stop()
