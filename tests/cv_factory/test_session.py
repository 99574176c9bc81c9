"""The local target sees its own endpoint only, whatever the shell's AWS configuration says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from contracts.errors import FactoryError, RefusedError
from contracts.settings import load
from cv_factory import session
from cv_factory.cli.common import explain
from local_sagemaker import control
from tests.cv_factory.helpers import FACTORY_YAML, make_settings, plain_moto

#: A shell that is set up for something else altogether.
HOSTILE = {
    "AWS_PROFILE": "nobody",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "AWS_CONFIG_FILE": "/etc/hostname",
    "AWS_CA_BUNDLE": "/nowhere/ca.pem",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_REGION": "us-west-2",
    "AWS_DEFAULT_REGION": "us-west-2",
    "AWS_ACCESS_KEY_ID": "AKIAREALKEY",
    "AWS_SESSION_TOKEN": "token",
    "AWS_MAX_ATTEMPTS": "many",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
}


@pytest.fixture
def other_process() -> Iterator[str]:
    """In this process moto would see the hostile shell too."""
    with plain_moto() as url:
        yield url


def test_hostile_shell_changes_nothing(other_process: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    made = session.local_session(other_process, "eu-west-1")
    s3 = made.client("s3")
    s3.create_bucket(Bucket="here", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["here"]
    sagemaker = made.client("sagemaker")
    assert sagemaker.list_pipelines()["PipelineSummaries"] == []
    assert sagemaker.meta.endpoint_url == other_process and sagemaker.meta.region_name == "eu-west-1"
    assert made.get_credentials().access_key == session.LOCAL_KEY
    s3.close()
    sagemaker.close()


def test_local_target_needs_the_running_server_of_its_folder(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with pytest.raises(FactoryError, match="is not running") as error:
        session.open(settings, tmp_path / "factory.yaml")
    assert "cv-factory local up" in error.value.hint


def test_local_server_of_another_account_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(tmp_path)
    other = control.ServerInfo("http://127.0.0.1:1", "999988887777", "eu-west-1", os.getpid(), 1, "now")
    monkeypatch.setattr(control, "status", lambda folder: other)
    with pytest.raises(RefusedError, match=r"serves account 999988887777 .* is account 123456789012"):
        session.open(settings, tmp_path / "factory.yaml")


def aws_error(code: str) -> Exception:
    return ClientError({"Error": {"Code": code, "Message": "as AWS says it"}}, "GetCallerIdentity")


@pytest.mark.parametrize(
    ("error", "says", "hint"),
    [
        (aws_error("ExpiredToken"), r"environment dev have expired \(ExpiredToken\)", "aws sso login"),
        (aws_error("InvalidClientTokenId"), "are not valid here", "is the region eu-west-1 not switched on"),
        (aws_error("AccessDenied"), "may not take their role", "for some seconds: try again"),
        (aws_error("Throttling"), "did not say whose", "Sign in again"),
        (UnauthorizedSSOTokenError(), "sign-in for environment dev has expired", "aws sso login"),
        (TokenRetrievalError(provider="sso", error_msg="expired"), "has expired", "aws sso login"),
        (
            EndpointConnectionError(endpoint_url="https://sts.eu-nowhere-1.amazonaws.com"),
            "does not answer",
            "aws.region",
        ),
    ],
)
def test_credentials_that_cannot_be_used_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str, hint: str
) -> None:
    """What STS answers cannot be had without an account, so the client's answer is put in its place."""
    file = tmp_path / "factory.yaml"
    file.write_text(FACTORY_YAML + "environments: {dev: {}}\n")

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", refuse)
    with pytest.raises(FactoryError, match=says) as caught:
        session.open(load(file, "dev"), file)
    assert hint in caught.value.hint and "\n" not in caught.value.headline


def test_credentials_of_another_account_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "factory.yaml"
    file.write_text(FACTORY_YAML.replace("123456789012", "999988887777") + "environments: {dev: {}}\n")
    with plain_moto() as url:
        for name, value in {"ENDPOINT_URL": url, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        with pytest.raises(RefusedError, match="are of account 123456789012; environment dev is account 999988887777"):
            session.open(load(file, "dev"), file)


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        ("ValidationException", "Could not assume role arn:aws:iam::1:role/r. Please ensure that …", "some seconds"),
        ("InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda.", "seconds"),
        ("PermanentRedirect", "The bucket must be addressed using the specified endpoint", "another region"),
        ("ExpiredTokenException", "The security token included in the request is expired", "Sign in again"),
    ],
)
def test_what_aws_says_later_is_explained_too(code: str, message: str, hint: str) -> None:
    error = explain(ClientError({"Error": {"Code": code, "Message": message}}, "CreateFunction"))
    assert error is not None and hint in error.hint and error.headline == f"CreateFunction failed: {code}: {message}"


def test_target_says_where_it_acts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(tmp_path)
    server = control.ServerInfo("http://127.0.0.1:4711", "123456789012", "eu-west-1", os.getpid(), 4711, "now")
    monkeypatch.setattr(control, "status", lambda folder: server)
    target = session.open(settings, tmp_path / "factory.yaml")
    assert str(target) == ("environment local: account 123456789012, region eu-west-1, endpoint http://127.0.0.1:4711")
    assert target.state == tmp_path / ".cv-factory" / "local" and target.is_local
