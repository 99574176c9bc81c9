"""EnableNetworkIsolation: no network, no credentials; refused where the kernel gives no namespace."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local_sagemaker.children import CannotIsolate
from local_sagemaker.endpoints.container import CannotLaunch, launch
from local_sagemaker.images import Binding
from local_sagemaker.runtimes.processes import ProcessRuntime
from tests.local_sagemaker.endpoints.harness import Local, running
from tests.waiting import eventually


@pytest.mark.docker
def test_an_isolated_container_serves_but_reaches_nothing(local: Local) -> None:
    name = local.endpoint(local.config({"model": local.model(EnableNetworkIsolation=True)}))
    assert local.status(name) == "InService", local.describe(name).get("FailureReason")
    server = ["127.0.0.1", local.info.port]
    assert "refused" in str(local.ask(name, {"reach": server}))
    answer = local.ask(name)
    assert not [key for key in answer["environment"] if key.startswith("AWS_")]
    assert answer["model"] == {"model/weights.txt": "42"}
    pid = answer["pid"]
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(local.ask(name, {"text": 1}))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [1] * 8
    local.delete(name)
    eventually(lambda: not running(pid))
    open_name = local.serving()
    assert local.ask(open_name, {"reach": server}) == "reached"  # the control: without isolation it is reachable
    local.delete(open_name)


@pytest.mark.docker
def test_an_isolated_container_that_dies_is_started_again(local: Local) -> None:
    name = local.endpoint(local.config({"model": local.model()}, EnableNetworkIsolation=True))
    assert local.status(name) == "InService", local.describe(name).get("FailureReason")
    with pytest.raises(local.runtime.exceptions.ModelError):
        local.ask(name, {"die": True})

    def answers() -> bool:
        try:
            return bool(local.ask(name))
        except (local.runtime.exceptions.ServiceUnavailable, local.runtime.exceptions.ModelError):
            return False

    eventually(answers)
    local.delete(name)


def test_without_a_namespace_isolation_is_refused_and_said(tmp_path: Path) -> None:
    def start(*_: Any, isolated: bool, **__: Any) -> Any:
        assert isolated
        raise CannotIsolate("This machine gives no network namespace to this user.")

    images: Any = SimpleNamespace(resolve=lambda uri: Binding(("serve-it",)))
    children: Any = SimpleNamespace(start=start)
    platform: Any = SimpleNamespace(runtime=ProcessRuntime(images, children))
    plan = {"Image": "image", "Environment": {}, "RoleArn": "arn", "Isolated": True}
    with pytest.raises(CannotLaunch, match="Network isolation of production variant main is not possible here"):
        launch(platform, plan, "production variant main", tmp_path, "ap-southeast-1", print, "ml.m5.large")
