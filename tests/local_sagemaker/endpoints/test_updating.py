"""UpdateEndpoint and UpdateEndpointWeightsAndCapacities."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_sagemaker.endpoints.harness import Local, running
from tests.waiting import eventually


def policy(kind: str, wait: int = 0, last: int = 0, **more: Any) -> dict[str, Any]:
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **more}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": last}}


def update(local: Local, name: str, config: str, **request: Any) -> None:
    local.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, **request)


def config_of(local: Local, **environment: str) -> str:
    return local.config({"model": local.model(environment=environment)})


def advance(local: Local, seconds: float) -> None:
    local.admin("POST", "clock", {"advance": seconds})


def baking(local: Local, name: str) -> str:
    """The status message of the new fleet, while its traffic is watched; else empty."""
    pending = local.describe(name).get("PendingDeploymentSummary")
    status = pending["ProductionVariants"][0].get("VariantStatus", [{}])[0] if pending else {}
    return status["StatusMessage"] if status.get("Status") == "Baking" else ""


def test_green_replaces_blue_and_no_request_fails(local: Local) -> None:
    name = local.serving(VERSION="blue")
    blue = local.ask(name)["pid"]
    new = config_of(local, VERSION="green", SLOW="0.5")
    done, seen = threading.Event(), Counter[str]()

    def keep_asking() -> None:
        while not done.is_set():
            seen[local.ask(name)["version"]] += 1

    with ThreadPoolExecutor(2) as pool:
        askers = [pool.submit(keep_asking) for _ in range(2)]
        update(local, name, new)
        assert local.status(name) == "Updating"
        described = local.settled(name)
        seen_before = seen["green"]
        eventually(lambda: seen["green"] > seen_before)
        done.set()
        for asker in askers:
            asker.result()
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointConfigName"] == new
    assert set(seen) == {"blue", "green"}
    assert not running(blue)
    assert "FailureReason" not in described
    assert [detail["EndpointStatus"] for detail in local.events("SageMaker Endpoint State Change", name)] == [
        "CREATING",
        "IN_SERVICE",
        "UPDATING",
        "IN_SERVICE",
    ]
    local.delete(name)


def test_requests_in_flight_on_blue_are_answered_by_blue(local: Local, tmp_path: Path) -> None:
    name = local.serving(VERSION="blue")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(local.ask, name, {"touch": str(tmp_path / "begun"), "sleep": 2})
        eventually((tmp_path / "begun").exists)
        update(local, name, config_of(local, VERSION="green"))
        eventually(lambda: local.ask(name)["version"] == "green")
        assert not slow.done()
        assert slow.result()["version"] == "blue"
    local.settled(name)
    local.delete(name)


def test_a_green_that_fails_leaves_blue_serving(local: Local) -> None:
    name = local.serving(VERSION="blue")
    before = local.describe(name)["EndpointConfigName"]
    update(local, name, config_of(local, VERSION="green", CRASH="1"))
    described = local.settled(name)
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointConfigName"] == before
    assert "did not pass the ping health check" in described["FailureReason"]
    assert "ValueError: the model is broken" in described["FailureReason"]
    assert local.ask(name)["version"] == "blue"
    last = local.events("SageMaker Endpoint State Change", name)[-1]
    assert last["EndpointStatus"] == "IN_SERVICE"
    assert "did not pass the ping" in last["FailureReason"]
    update(local, name, config_of(local, VERSION="green"))
    assert "FailureReason" not in local.settled(name)
    assert local.ask(name)["version"] == "green"
    local.delete(name)


def test_a_canary_gets_its_share_then_everything(local: Local) -> None:
    name = local.serving(VERSION="blue")
    canary = policy("CANARY", 300, 600, CanarySize={"Type": "CAPACITY_PERCENT", "Value": 20})
    update(local, name, config_of(local, VERSION="green"), DeploymentConfig=canary)
    eventually(lambda: "canary capacity" in baking(local, name))
    assert Counter(local.ask(name)["version"] for _ in range(20)) == {"blue": 16, "green": 4}
    assert local.status(name) == "Updating"
    advance(local, 300)
    eventually(lambda: "full capacity" in baking(local, name))
    assert {local.ask(name)["version"] for _ in range(5)} == {"green"}
    advance(local, 600)
    described = local.settled(name)
    assert described["LastDeploymentConfig"] == canary
    events = local.events("SageMaker Endpoint Deployment State Change", name)
    phases = [one["PendingDeploymentSummary"]["ProductionVariants"][0]["VariantStatus"][0] for one in events]
    assert [phase["Status"] for phase in phases] == [
        "Creating",  # of the endpoint itself
        "Creating",
        "ActivatingTraffic",
        "Baking",
        "ActivatingTraffic",
        "Baking",
        "Deleting",
    ]
    assert phases[3]["StatusMessage"] == (
        "Baking for 300 seconds (WaitIntervalInSeconds) with traffic enabled on canary capacity of 1 instance(s)."
    )
    local.delete(name)


def test_linear_steps_follow_the_clock(local: Local) -> None:
    name = local.serving(VERSION="blue")
    linear = policy("LINEAR", 100, LinearStepSize={"Type": "CAPACITY_PERCENT", "Value": 50})
    update(local, name, config_of(local, VERSION="green"), DeploymentConfig=linear)
    eventually(lambda: baking(local, name))
    assert Counter(local.ask(name)["version"] for _ in range(10)) == {"blue": 5, "green": 5}
    advance(local, 100)
    local.settled(name)
    assert {local.ask(name)["version"] for _ in range(5)} == {"green"}
    local.delete(name)


def alarm(local: Local, name: str, state: str) -> None:
    local.cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="test",
        MetricName="errors",
        Period=60,
        EvaluationPeriods=1,
        Statistic="Sum",
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    local.cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="test")


def test_an_alarm_rolls_a_canary_back(local: Local) -> None:
    name = local.serving(VERSION="blue")
    alarm(local, "errors", "OK")
    canary = policy("CANARY", 300, CanarySize={"Type": "CAPACITY_PERCENT", "Value": 50})
    canary["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": "errors"}]}
    update(local, name, config_of(local, VERSION="green"), DeploymentConfig=canary)
    eventually(lambda: baking(local, name))
    alarm(local, "errors", "ALARM")
    described = local.settled(name)
    assert described["EndpointStatus"] == "InService"
    assert "errors in state ALARM" in described["FailureReason"]
    assert {local.ask(name)["version"] for _ in range(5)} == {"blue"}
    with pytest.raises(ClientError, match="The alarm nothing of AutoRollbackConfiguration does not exist"):
        canary["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": "nothing"}]}
        update(local, name, config_of(local), DeploymentConfig=canary)
    local.delete(name)


def test_a_deployment_that_takes_too_long_is_rolled_back(local: Local, tmp_path: Path) -> None:
    name = local.serving(VERSION="blue")
    late = policy("ALL_AT_ONCE")
    late["BlueGreenUpdatePolicy"]["MaximumExecutionTimeoutInSeconds"] = 600
    slow = {"model": local.model(environment={"WAIT_FOR": str(tmp_path / "never")})}
    config = local.config(slow | {"ContainerStartupHealthCheckTimeoutInSeconds": 3600})
    update(local, name, config, DeploymentConfig=late)
    advance(local, 600)
    described = local.settled(name)
    assert "MaximumExecutionTimeoutInSeconds (600)" in described["FailureReason"]
    assert local.ask(name)["version"] == "blue"
    local.delete(name)


def test_variant_properties_are_retained_when_asked(local: Local) -> None:
    name = local.serving(VERSION="1")
    wanted = [{"VariantName": "main", "DesiredInstanceCount": 2, "DesiredWeight": 7}]
    local.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=wanted)
    local.settled(name)
    assert len({local.ask(name)["pid"] for _ in range(4)}) == 2

    def after(**request: Any) -> tuple[int, float]:
        update(local, name, config_of(local), **request)
        (variant,) = local.settled(name)["ProductionVariants"]
        return variant["CurrentInstanceCount"], variant["CurrentWeight"]

    assert after(RetainAllVariantProperties=True) == (2, 7.0)
    weight = [{"VariantPropertyType": "DesiredWeight"}]
    assert after(RetainAllVariantProperties=True, ExcludeRetainedVariantProperties=weight) == (2, 1.0)
    assert after() == (1, 1.0)
    with pytest.raises(ClientError, match="needs RetainAllVariantProperties"):
        after(ExcludeRetainedVariantProperties=weight)
    local.delete(name)


def test_the_last_deployment_config_is_used_again_only_when_asked(local: Local) -> None:
    name = local.serving()
    config = policy("ALL_AT_ONCE")
    update(local, name, config_of(local), DeploymentConfig=config)
    assert local.settled(name)["LastDeploymentConfig"] == config
    update(local, name, config_of(local), RetainDeploymentConfig=True)
    assert local.settled(name)["LastDeploymentConfig"] == config
    update(local, name, config_of(local))
    assert "LastDeploymentConfig" not in local.settled(name)
    local.delete(name)


def test_scaling_in_lets_requests_finish(local: Local, tmp_path: Path) -> None:
    name = local.endpoint(local.config({"model": local.model(), "InitialInstanceCount": 2}))
    with ThreadPoolExecutor(2) as pool:
        begun = [tmp_path / "1", tmp_path / "2"]
        slow = [pool.submit(local.ask, name, {"touch": str(file), "sleep": 1.5}) for file in begun]
        eventually(lambda: all(file.exists() for file in begun))
        wanted = [{"VariantName": "main", "DesiredInstanceCount": 1}]
        local.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=wanted)
        assert len({one.result()["pid"] for one in slow}) == 2
    assert local.settled(name)["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert len({local.ask(name)["pid"] for _ in range(4)}) == 1
    local.delete(name)


def test_scaling_that_fails_is_rolled_back(local: Local, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    name = local.serving(WAIT_FOR=str(flag))
    flag.unlink()
    wanted = [{"VariantName": "main", "DesiredInstanceCount": 2}]
    local.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=wanted)
    described = local.settled(name)
    assert described["EndpointStatus"] == "InService"
    assert "did not pass the ping health check" in described["FailureReason"]
    (variant,) = described["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (1, 1)
    statuses = [detail["EndpointStatus"] for detail in local.events("SageMaker Endpoint State Change", name)]
    assert statuses[-3:] == ["UPDATING", "ROLLING_BACK", "IN_SERVICE"]
    assert local.ask(name)
    with pytest.raises(ClientError, match="DesiredInstanceCount of variant main must be at least 1"):
        local.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "main", "DesiredInstanceCount": 0}]
        )
    local.delete(name)


def test_a_new_configuration_may_change_instances_and_variants(local: Local) -> None:
    others = len(local.admin("GET", "children")["children"])
    name = local.serving(VERSION="1")
    a, b = (local.model(environment={"VERSION": version}) for version in "ab")
    config = local.config({"model": a, "VariantName": "A", "InitialInstanceCount": 2}, {"model": b, "VariantName": "B"})
    update(local, name, config)
    described = local.settled(name)
    counts = {one["VariantName"]: one["CurrentInstanceCount"] for one in described["ProductionVariants"]}
    assert counts == {"A": 2, "B": 1}
    assert {local.ask(name)["version"] for _ in range(4)} == {"a", "b"}
    assert len(local.admin("GET", "children")["children"]) == others + 3
    local.delete(name)
