"""Guarded releases: shares of traffic as the policy says, and back when an alarm on real requests rings."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_sagemaker.endpoints.harness import Local, running
from tests.local_sagemaker.endpoints.test_updating import advance, baking, config_of, policy, update
from tests.waiting import eventually

REQUESTS = 200


def next_minute(local: Local) -> None:
    """One second into the next minute of the clock: what happened before is a minute of its own, and over."""
    now = local.admin("GET", "clock")["time"]
    advance(local, (now // 60 + 1) * 60 + 1 - now)


def error_alarm(local: Local, endpoint: str) -> str:
    """An alarm that rings when more than 5 % of a minute's requests end with a 5xx of the model."""

    def metric(identity: str, name: str) -> dict[str, Any]:
        dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "main"}]
        about = {"Namespace": "AWS/SageMaker", "MetricName": name, "Dimensions": dimensions}
        return {"Id": identity, "MetricStat": {"Metric": about, "Period": 60, "Stat": "Sum"}, "ReturnData": False}

    local.cloudwatch.put_metric_alarm(
        AlarmName=f"{endpoint}-errors", EvaluationPeriods=1, Threshold=5.0, ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
        Metrics=[
            {"Id": "rate", "Expression": "100 * m5 / m0", "ReturnData": True},
            metric("m0", "Invocations"), metric("m5", "Invocation5XXErrors"),
        ],
    )  # fmt: skip
    return f"{endpoint}-errors"


def guarded(config: dict[str, Any], alarm: str) -> dict[str, Any]:
    return config | {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]}}


def ask_many(local: Local, name: str, count: int = REQUESTS) -> Counter[str]:
    return Counter(local.ask(name)["version"] for _ in range(count))


def within(seen: Counter[str], share: float) -> bool:
    """Is green's share within three standard errors of what was asked for?"""
    count = sum(seen.values())
    return abs(seen["green"] / count - share) <= 3 * math.sqrt(share * (1 - share) / count)


def size(kind: str, value: int) -> dict[str, Any]:
    return {"Type": kind, "Value": value}


def test_a_canary_and_the_steps_of_a_linear_update_get_their_shares(local: Local) -> None:
    name = local.serving(VERSION="blue")
    canary = policy("CANARY", 300, CanarySize=size("CAPACITY_PERCENT", 10))
    update(local, name, config_of(local, VERSION="green"), DeploymentConfig=canary)
    eventually(lambda: baking(local, name))
    assert within(ask_many(local, name), 0.1)
    advance(local, 300)
    local.settled(name)
    assert ask_many(local, name, 20) == {"green": 20}
    update(local, name, config_of(local, VERSION="blue"))
    local.settled(name)
    linear = policy("LINEAR", 300, LinearStepSize=size("CAPACITY_PERCENT", 25))
    update(local, name, config_of(local, VERSION="green"), DeploymentConfig=linear)
    for share in (0.25, 0.5, 0.75):
        eventually(lambda: baking(local, name))
        eventually(lambda share=share: within(ask_many(local, name, 40), share))  # type: ignore[misc]
        assert within(ask_many(local, name), share)
        advance(local, 300)
    local.settled(name)
    assert ask_many(local, name, 20) == {"green": 20}
    local.delete(name)


@pytest.mark.parametrize("at_once", [False, True], ids=["minute by minute", "the whole bake in one jump"])
def test_errors_of_the_canary_ring_the_alarm_and_take_it_back(local: Local, at_once: bool) -> None:
    name = local.serving(VERSION="blue")
    alarm = error_alarm(local, name)
    next_minute(local)
    canary = policy("CANARY", 1800, CanarySize=size("CAPACITY_PERCENT", 50))
    before = local.describe(name)["EndpointConfigName"]
    update(local, name, config_of(local, VERSION="green"), DeploymentConfig=guarded(canary, alarm))
    eventually(lambda: baking(local, name))
    for number in range(20):
        if number % 2:
            with pytest.raises(ClientError, match="ModelError"):
                local.ask(name, {"status": 500})
        else:
            local.ask(name)
    if at_once:
        advance(local, 3600)
    else:
        next_minute(local)
    described = local.settled(name)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", before)
    assert f"because of its alarms: {alarm} in state ALARM" in described["FailureReason"]
    assert ask_many(local, name, 10) == {"blue": 10}
    local.delete(name)


def test_a_healthy_canary_passes_its_alarm(local: Local) -> None:
    name = local.serving(VERSION="blue")
    alarm = error_alarm(local, name)
    canary = policy("CANARY", 600, 300, CanarySize=size("CAPACITY_PERCENT", 50))
    update(local, name, config_of(local, VERSION="green"), DeploymentConfig=guarded(canary, alarm))
    eventually(lambda: "canary" in baking(local, name))
    ask_many(local, name, 10)
    advance(local, 600)
    eventually(lambda: "full" in baking(local, name))
    ask_many(local, name, 10)
    advance(local, 300)
    described = local.settled(name)
    assert "FailureReason" not in described
    assert ask_many(local, name, 10) == {"green": 10}
    local.delete(name)


def test_an_alarm_that_rings_before_the_update_keeps_traffic_where_it_is(local: Local) -> None:
    name = local.serving(VERSION="blue")
    alarm = error_alarm(local, name)
    with pytest.raises(ClientError, match="ModelError"):
        local.ask(name, {"status": 500})
    next_minute(local)
    eventually(lambda: local.cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]["StateValue"] == "ALARM")
    update(local, name, config_of(local, VERSION="green"), DeploymentConfig=guarded(policy("ALL_AT_ONCE", 60), alarm))
    described = local.settled(name)
    assert "in state ALARM" in described["FailureReason"]
    statuses = [
        one["PendingDeploymentSummary"]["ProductionVariants"][0]["VariantStatus"][0]["Status"]
        for one in local.events("SageMaker Endpoint Deployment State Change", name)
    ]
    assert "ActivatingTraffic" not in statuses[1:]
    assert ask_many(local, name, 5) == {"blue": 5}
    local.delete(name)


def rolling(batch: int, wait: int, **more: Any) -> dict[str, Any]:
    return {
        "RollingUpdatePolicy": {
            "MaximumBatchSize": size("INSTANCE_COUNT", batch), "WaitIntervalInSeconds": wait, **more,
        }
    }  # fmt: skip


def processes(local: Local) -> int:
    return len(local.admin("GET", "children")["children"])


def old_count(local: Local, name: str) -> int:
    return int(local.describe(name)["ProductionVariants"][0]["CurrentInstanceCount"])


def of_three(local: Local, version: str) -> str:
    return local.config({"model": local.model(environment={"VERSION": version}), "InitialInstanceCount": 3})


def test_a_rolling_update_replaces_batch_by_batch(local: Local) -> None:
    others = processes(local)
    name = local.endpoint(of_three(local, "blue"))
    blue = {local.ask(name)["pid"] for _ in range(6)}
    assert len(blue) == 3
    update(local, name, of_three(local, "green"), DeploymentConfig=rolling(1, 120))
    for done in (1, 2):
        eventually(lambda: baking(local, name))
        eventually(lambda done=done: within(ask_many(local, name, 60), done / 3))  # type: ignore[misc]
        assert processes(local) == others + 4
        assert "batch capacity of" in baking(local, name)
        advance(local, 120)
        eventually(lambda done=done: sum(map(running, blue)) == 3 - done)  # type: ignore[misc]
        eventually(lambda done=done: old_count(local, name) == 3 - done)  # type: ignore[misc]
    eventually(lambda: "batch capacity of 3" in baking(local, name))
    advance(local, 120)
    described = local.settled(name)
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 3
    assert ask_many(local, name, 12) == {"green": 12}
    assert processes(local) == others + 3
    local.delete(name)


def test_a_breach_rolls_a_rolling_update_back_in_batches(local: Local) -> None:
    others = processes(local)
    name = local.endpoint(of_three(local, "blue"))
    alarm = error_alarm(local, name)
    next_minute(local)
    config = rolling(1, 120, RollbackMaximumBatchSize=size("INSTANCE_COUNT", 1))
    update(local, name, of_three(local, "green"), DeploymentConfig=guarded(config, alarm))
    eventually(lambda: "batch capacity of 1" in baking(local, name))
    advance(local, 120)
    eventually(lambda: "batch capacity of 2" in baking(local, name))
    for _ in range(6):
        with pytest.raises(ClientError, match="ModelError"):
            local.ask(name, {"status": 500})
    next_minute(local)
    described = local.settled(name)
    assert "in state ALARM" in described["FailureReason"]
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 3
    statuses = [one["EndpointStatus"] for one in local.events("SageMaker Endpoint State Change", name)]
    assert statuses[-3:] == ["UPDATING", "ROLLING_BACK", "IN_SERVICE"]
    assert ask_many(local, name, 12) == {"blue": 12}
    assert len({local.ask(name)["pid"] for _ in range(6)}) == 3
    assert processes(local) == others + 3
    local.delete(name)
