"""Endpoints outlive the server: stopped and started, or killed at any moment, it converges and leaves no process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local_sagemaker import control
from tests.local_sagemaker.endpoints.harness import IMAGE, Local, running
from tests.local_sagemaker.endpoints.test_updating import advance, baking, config_of, policy, update
from tests.waiting import eventually


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    local = Local(tmp_path_factory.mktemp("mortal"))
    try:
        local.start()
        local.prepare()
        yield local
    finally:
        local.stop()
    assert containers(local) == []


@pytest.fixture
def mortal(server: Local) -> Iterator[Local]:
    """A server that the test may stop or kill, and start again."""
    yield server
    if control.status(server.state) is None:
        server.start()
    for one in server.sagemaker.list_endpoints()["Endpoints"]:
        server.settled(one["EndpointName"])
        server.delete(one["EndpointName"])
    assert containers(server) == []


def containers(local: Local) -> list[int]:
    """Every process of this machine that serves from the server's state folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"SAGEMAKER_BASE_DIR={local.state}".encode() in environment:
                found.append(int(entry.name))
    return found


def kill(local: Local) -> None:
    """SIGKILL, as a crash or an impatient user would end the server."""
    for client in local.clients:
        client.close()
    os.kill(local.info.pid, signal.SIGKILL)
    eventually(lambda: control.status(local.state) is None)


def version(local: Local, name: str) -> str:
    """What answers now; empty when nothing does."""
    try:
        return str(local.ask(name)["version"])
    except ClientError as error:
        assert error.response["Error"]["Code"] in ("ServiceUnavailable", "ValidationError")
        return ""


def test_a_stopped_server_serves_again_and_says_so_only_when_pinged(mortal: Local, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    name = mortal.serving(VERSION="1", WAIT_FOR=str(gate))
    pid = mortal.ask(name)["pid"]
    mortal.stop()
    assert not running(pid)
    assert containers(mortal) == []
    gate.unlink()
    mortal.start()
    described = mortal.describe(name)
    assert described["EndpointStatus"] == "SystemUpdating"
    assert version(mortal, name) == ""
    gate.touch()
    assert mortal.settled(name)["EndpointStatus"] == "InService"
    assert version(mortal, name) == "1"
    statuses = [one["EndpointStatus"] for one in mortal.events("SageMaker Endpoint State Change", name)]
    assert statuses == ["CREATING", "IN_SERVICE", "SYSTEM_UPDATING", "IN_SERVICE"]


def test_a_failed_endpoint_stays_failed(mortal: Local) -> None:
    name = mortal.endpoint(config_of(mortal, CRASH="1"))
    before = mortal.describe(name)
    mortal.stop()
    mortal.start()
    after = mortal.describe(name)
    assert (after["EndpointStatus"], after["FailureReason"]) == ("Failed", before["FailureReason"])
    mortal.delete(name)


def test_an_endpoint_that_cannot_come_back_is_out_of_service_until_it_can(mortal: Local) -> None:
    name = mortal.serving(VERSION="1")
    bindings = mortal.admin("GET", "images")["images"]
    mortal.admin("DELETE", "images", {"pattern": IMAGE})
    mortal.stop()
    mortal.start()
    described = eventually(lambda: mortal.describe(name) if mortal.status(name) == "OutOfService" else None)
    assert described is not None
    assert f"The image {IMAGE} is not bound" in described["FailureReason"]
    mortal.bind(IMAGE, bindings[0]["entrypoint"])
    eventually(lambda: mortal.status(name) == "InService")
    assert version(mortal, name) == "1"
    assert "FailureReason" not in mortal.describe(name)


def test_killed_while_it_creates_the_endpoint_comes_up(mortal: Local, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    name = mortal.endpoint(config_of(mortal, VERSION="1", WAIT_FOR=str(gate)), wait=False)
    eventually(lambda: containers(mortal))
    kill(mortal)
    mortal.start()
    assert mortal.status(name) == "Creating"
    gate.touch()
    assert mortal.settled(name)["EndpointStatus"] == "InService"
    assert version(mortal, name) == "1"
    eventually(lambda: len(containers(mortal)) == 1)


def test_killed_before_traffic_moves_blue_serves_and_the_update_goes_on(mortal: Local, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    name = mortal.serving(VERSION="blue")
    new = config_of(mortal, VERSION="green", WAIT_FOR=str(gate))
    update(mortal, name, new)
    eventually(lambda: len(containers(mortal)) == 2)
    kill(mortal)
    mortal.start()
    eventually(lambda: version(mortal, name) == "blue")
    assert mortal.status(name) == "Updating"
    gate.touch()
    assert mortal.settled(name)["EndpointConfigName"] == new
    assert version(mortal, name) == "green"
    eventually(lambda: len(containers(mortal)) == 1)


def test_killed_after_traffic_moved_green_serves(mortal: Local) -> None:
    name = mortal.serving(VERSION="blue")
    new = config_of(mortal, VERSION="green")
    update(mortal, name, new, DeploymentConfig=policy("ALL_AT_ONCE", last=600))
    eventually(lambda: baking(mortal, name))
    kill(mortal)
    mortal.start()
    assert mortal.settled(name)["EndpointConfigName"] == new
    assert version(mortal, name) == "green"
    eventually(lambda: len(containers(mortal)) == 1)


def test_stopped_while_an_old_fleet_answers_the_server_ends_soon(mortal: Local, tmp_path: Path) -> None:
    name = mortal.serving(VERSION="blue")
    new = config_of(mortal, VERSION="green")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(mortal.ask, name, {"touch": str(tmp_path / "begun"), "sleep": 2.9})
        eventually((tmp_path / "begun").exists)
        update(mortal, name, new)
        eventually(lambda: version(mortal, name) == "green")
        assert control.stop(mortal.state, timeout=20)
        assert slow.exception() is not None
    assert containers(mortal) == []
    mortal.start()
    assert mortal.settled(name)["EndpointConfigName"] == new


def test_killed_with_a_broken_blue_and_a_broken_green_it_is_out_of_service(mortal: Local, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    name = mortal.serving(VERSION="blue", WAIT_FOR=str(gate))
    gate.unlink()
    update(mortal, name, config_of(mortal, VERSION="green", WAIT_FOR=str(gate)))
    kill(mortal)
    mortal.start()
    eventually(lambda: mortal.status(name) == "OutOfService")
    assert "did not pass the ping health check" in mortal.describe(name)["FailureReason"]
    update(mortal, name, config_of(mortal, VERSION="healed"))
    assert mortal.settled(name)["EndpointStatus"] == "InService"
    assert version(mortal, name) == "healed"
    eventually(lambda: len(containers(mortal)) == 1)


def test_killed_in_a_canary_the_canary_is_taken_again(mortal: Local) -> None:
    name = mortal.serving(VERSION="blue")
    canary = policy("CANARY", 300, CanarySize={"Type": "CAPACITY_PERCENT", "Value": 50})
    update(mortal, name, config_of(mortal, VERSION="green"), DeploymentConfig=canary)
    eventually(lambda: baking(mortal, name))
    kill(mortal)
    mortal.start()
    eventually(lambda: {version(mortal, name) for _ in range(2)} == {"blue", "green"})
    assert mortal.status(name) == "Updating"
    eventually(lambda: baking(mortal, name))
    advance(mortal, 300)
    mortal.settled(name)
    assert version(mortal, name) == "green"


def test_killed_while_it_scales_the_endpoint_gets_what_was_desired(mortal: Local, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    name = mortal.serving(VERSION="1", WAIT_FOR=str(gate))
    gate.unlink()
    wanted = [{"VariantName": "main", "DesiredInstanceCount": 2}]
    mortal.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=wanted)
    eventually(lambda: len(containers(mortal)) == 2)
    kill(mortal)
    gate.touch()
    mortal.start()
    assert mortal.settled(name)["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert len({mortal.ask(name)["pid"] for _ in range(4)}) == 2


def test_killed_while_it_deletes_the_endpoint_goes(mortal: Local, tmp_path: Path) -> None:
    name = mortal.serving()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(mortal.ask, name, {"touch": str(tmp_path / "begun"), "sleep": 2.5})
        eventually((tmp_path / "begun").exists)
        mortal.sagemaker.delete_endpoint(EndpointName=name)
        assert mortal.status(name) == "Deleting"  # it waits for the answer
        kill(mortal)
        assert slow.exception() is not None
    mortal.start()
    eventually(lambda: not mortal.sagemaker.list_endpoints()["Endpoints"])
    assert containers(mortal) == []
