"""``local up``, ``status`` and ``down`` against the real server, in a folder of its own."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3

from local_sagemaker import control, processes
from tests.cv_factory.cli.conftest import Call


@pytest.fixture
def server(folder: Path) -> Iterator[Path]:
    """The state folder; whatever a test started in it is stopped."""
    state = folder / ".cv-factory" / "local"
    yield state
    control.stop(state)


def test_up_twice_status_down_and_up_again(call: Call, server: Path) -> None:
    first = call("local", "up", "--json")
    assert first.code == 0, first.err
    about = first.document
    assert set(about) == {"endpoint_url", "region", "account_id", "state_dir", "pid"}
    assert (about["region"], about["account_id"], about["state_dir"]) == ("eu-west-1", "123456789012", str(server))

    assert call("local", "up", "--json").document == about
    assert call("local", "status", "--json").document == {**about, "runtime": "process"}
    text = call("local", "up")
    assert text.code == 0 and about["endpoint_url"] in text.out and "cv-factory run --demo" in text.out

    lines = dict(
        line.removeprefix("export ").split("=", 1) for line in call("local", "up", "--export").out.splitlines()
    )
    exported = {name: shlex.split(value)[0] for name, value in lines.items()}
    assert exported["AWS_ENDPOINT_URL"] == about["endpoint_url"] and exported["AWS_DEFAULT_REGION"] == "eu-west-1"
    s3 = boto3.client(
        "s3",
        endpoint_url=exported["AWS_ENDPOINT_URL"],
        region_name=exported["AWS_REGION"],
        aws_access_key_id=exported["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=exported["AWS_SECRET_ACCESS_KEY"],
    )
    assert "shapes-local-data-123456789012" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    s3.put_object(Bucket="shapes-local-data-123456789012", Key="kept", Body=b"over a restart")
    s3.close()

    running = control.status(server)
    assert running is not None
    assert call("local", "down").out.strip() == "The local SageMaker is down"
    assert not processes.is_running(running.pid, running.started)
    assert call("local", "status").code == 1
    assert call("local", "down", "--json").document == {"stopped": False, "state_dir": str(server)}

    other_port = call("local", "up", "--port", str(about["endpoint_url"].rsplit(":", 1)[1]))
    assert other_port.code == 0
    listed = call("--env", "local", "data", "import", "nowhere")
    assert listed.code == 1 and "there is no folder" in listed.err  # the target opens again
    again = control.status(server)
    assert again is not None and again.endpoint_url == about["endpoint_url"]


def test_port_in_use_says_so(call: Call, server: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = call("local", "up", "--port", str(taken.getsockname()[1]))
    assert answer.code == 1
    assert "in use" in answer.err and "Traceback" not in answer.err
    assert control.status(server) is None


def test_running_on_another_port_or_for_another_account(call: Call, server: Path, folder: Path) -> None:
    about = call("local", "up", "--json").document
    port = int(about["endpoint_url"].rsplit(":", 1)[1])
    answer = call("local", "up", "--port", str(port - 1 if port > 1024 else port + 1))
    assert answer.code == 2 and f"running on port {port} already" in answer.err
    text = (folder / "factory.yaml").read_text(encoding="utf-8")
    (folder / "factory.yaml").write_text(text.replace("123456789012", "210987654321"), encoding="utf-8")
    answer = call("local", "up")
    assert answer.code == 3
    assert "serves account 123456789012" in answer.err and "account 210987654321" in answer.err


def test_iam_is_enforced_when_asked_for_and_stays_so(call: Call, server: Path) -> None:
    about = call("local", "up", "--enforce-iam", "--json").document
    assert switch(about) == {"enforce": True, "record": False}
    assert call("local", "up").code == 0 and switch(about)["enforce"]
    assert "IAM policies are not enforced" in call("local", "up", "--no-enforce-iam").out
    assert not switch(about)["enforce"]


def switch(about: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = urllib3.request("GET", f"{about['endpoint_url']}/_local/iam").json()
    return found
