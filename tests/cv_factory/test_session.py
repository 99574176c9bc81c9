"""The local target sees its own endpoint only, whatever the shell's AWS configuration says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.errors import FactoryError, RefusedError
from cv_factory import session
from local_sagemaker import control
from tests.cv_factory.helpers import make_settings, plain_moto

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


def test_target_says_where_it_acts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(tmp_path)
    server = control.ServerInfo("http://127.0.0.1:4711", "123456789012", "eu-west-1", os.getpid(), 4711, "now")
    monkeypatch.setattr(control, "status", lambda folder: server)
    target = session.open(settings, tmp_path / "factory.yaml")
    assert str(target) == ("environment local: account 123456789012, region eu-west-1, endpoint http://127.0.0.1:4711")
    assert target.state == tmp_path / ".cv-factory" / "local" and target.is_local
