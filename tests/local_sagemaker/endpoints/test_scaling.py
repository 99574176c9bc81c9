"""Autoscaling of a variant on the server's clock, driven by real requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.local_sagemaker.endpoints.harness import REGION, Local
from tests.local_sagemaker.endpoints.test_guarded import next_minute
from tests.local_sagemaker.endpoints.test_updating import advance, config_of, update
from tests.waiting import eventually

DIMENSION = "sagemaker:variant:DesiredInstanceCount"


class Scaling:
    """A client, and what every test asks about its endpoint."""

    def __init__(self, local: Local) -> None:
        self.local = local
        self.client: Any = boto3.Session("test", "test", region_name=REGION).client(
            "application-autoscaling",
            endpoint_url=local.info.endpoint_url,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def place(self, name: str) -> dict[str, str]:
        return {
            "ServiceNamespace": "sagemaker",
            "ResourceId": f"endpoint/{name}/variant/main",
            "ScalableDimension": DIMENSION,
        }

    def register(self, name: str, low: int, high: int) -> None:
        self.client.register_scalable_target(**self.place(name), MinCapacity=low, MaxCapacity=high)

    def track(self, name: str, target: float, **more: Any) -> dict[str, Any]:
        config = {
            "TargetValue": target,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            **more,
        }
        answer: dict[str, Any] = self.client.put_scaling_policy(
            **self.place(name), PolicyName="track", PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=config,
        )  # fmt: skip
        return answer

    def count(self, name: str) -> tuple[int, int]:
        variant = self.local.describe(name)["ProductionVariants"][0]
        return variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]

    def becomes(self, name: str, count: int) -> None:
        eventually(lambda: self.count(name) == (count, count) and self.local.status(name) == "InService")

    def activities(self, name: str) -> list[dict[str, Any]]:
        place = self.place(name)
        found: list[dict[str, Any]] = self.client.describe_scaling_activities(**place)["ScalingActivities"]
        return found

    def minutes(self, name: str, requests: int, count: int) -> None:
        """So many minutes with so many requests each."""
        for _ in range(count):
            for _ in range(requests):
                self.local.ask(name)
            next_minute(self.local)


@pytest.fixture
def scaling(local: Local) -> Iterator[Scaling]:
    found = Scaling(local)
    yield found
    for target in found.client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]:
        found.client.deregister_scalable_target(
            ServiceNamespace="sagemaker", ResourceId=target["ResourceId"], ScalableDimension=DIMENSION
        )
    found.client.close()


def test_load_adds_instances_up_to_the_maximum_and_silence_of_the_cooldown_takes_them_away(
    local: Local, scaling: Scaling
) -> None:
    name = local.serving()
    next_minute(local)
    scaling.register(name, 1, 3)
    scaling.track(name, 2.0, ScaleInCooldown=60, ScaleOutCooldown=60)
    scaling.minutes(name, 4, 2)
    assert scaling.count(name) == (1, 1)  # two of three minutes
    scaling.minutes(name, 4, 1)
    scaling.becomes(name, 2)  # 4 a minute, 2 wanted by each
    (activity,) = scaling.activities(name)
    assert activity["StatusCode"] == "Successful"
    assert activity["Description"] == "Setting desired instance count to 2."
    assert "AlarmHigh" in activity["Cause"] and "triggered policy track" in activity["Cause"]
    next_minute(local)
    scaling.minutes(name, 30, 3)
    scaling.becomes(name, 3)  # 15 each ask for more than the maximum
    scaling.minutes(name, 1, 16)
    scaling.becomes(name, 1)
    assert "AlarmLow" in scaling.activities(name)[0]["Cause"]
    local.delete(name)


def test_a_count_outside_the_bounds_moves_inside_at_once(local: Local, scaling: Scaling) -> None:
    name = local.serving()
    scaling.register(name, 2, 3)
    scaling.becomes(name, 2)
    assert [one["Cause"] for one in scaling.activities(name)] == ["minimum capacity was set to 2"]
    scaling.register(name, 1, 1)
    scaling.becomes(name, 1)
    assert scaling.activities(name)[0]["Cause"] == "maximum capacity was set to 1"
    local.delete(name)


def test_an_update_keeps_what_was_scaled_when_it_is_asked_to(local: Local, scaling: Scaling) -> None:
    name = local.serving(VERSION="blue")
    scaling.register(name, 2, 3)
    scaling.becomes(name, 2)
    update(local, name, config_of(local, VERSION="green"), RetainAllVariantProperties=True)
    local.settled(name)
    assert scaling.count(name) == (2, 2)
    assert len(scaling.activities(name)) == 1
    update(local, name, config_of(local, VERSION="blue"))  # back to InitialInstanceCount, and scaled again
    eventually(lambda: len(scaling.activities(name)) == 2)
    scaling.becomes(name, 2)
    local.delete(name)


def test_scheduled_actions_change_the_bounds(local: Local, scaling: Scaling) -> None:
    name = local.serving()
    scaling.register(name, 1, 1)
    scaling.client.put_scheduled_action(
        **scaling.place(name), ScheduledActionName="morning", Schedule="rate(1 hour)",
        ScalableTargetAction={"MinCapacity": 2, "MaxCapacity": 2},
    )  # fmt: skip
    eventually(lambda: "scheduledAction" in json.dumps(local.admin("GET", "schedules")))
    advance(local, 3600)
    scaling.becomes(name, 2)
    with pytest.raises(ClientError, match="ScheduleExpression is not valid"):
        scaling.client.put_scheduled_action(
            **scaling.place(name), ScheduledActionName="never", Schedule="rate(0 hours)",
            ScalableTargetAction={"MinCapacity": 1},
        )  # fmt: skip
    local.delete(name)


def test_this_machine_sets_a_limit_and_the_activity_says_so(local: Local, scaling: Scaling) -> None:
    name = local.serving()
    scaling.register(name, 500, 500)
    eventually(lambda: scaling.activities(name))
    eventually(lambda: scaling.activities(name)[0]["StatusCode"] == "Successful")
    (activity,) = [one for one in scaling.activities(name) if one["StatusCode"] == "Successful"]
    assert "500 were wanted; this machine runs" in activity["StatusMessage"]
    assert 1 < scaling.count(name)[0] < 500
    scaling.register(name, 1, 1)
    scaling.becomes(name, 1)
    local.delete(name)


def test_a_policy_has_real_alarms_that_go_with_it(local: Local, scaling: Scaling) -> None:
    name = local.serving()

    def alarms() -> list[str]:
        found = local.cloudwatch.describe_alarms(AlarmNamePrefix=f"TargetTracking-endpoint/{name}/")["MetricAlarms"]
        return sorted(f"{one['ComparisonOperator']} {one['Threshold']:g}" for one in found)

    with pytest.raises(ClientError, match=r"ObjectNotFoundException.*No scalable target registered"):
        scaling.track(name, 10.0)
    scaling.register(name, 1, 2)
    first = scaling.track(name, 10.0)
    assert alarms() == ["GreaterThanThreshold 10", "LessThanThreshold 9"]
    second = scaling.track(name, 20.0, DisableScaleIn=True)
    assert second["PolicyARN"] == first["PolicyARN"]
    assert alarms() == ["GreaterThanThreshold 20"]
    assert len(second["Alarms"]) == 1
    scaling.client.deregister_scalable_target(**scaling.place(name))
    assert alarms() == []
    policies = scaling.client.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert [one for one in policies if name in one["ResourceId"]] == []
    local.delete(name)


def test_policies_that_do_not_run_here_are_refused(local: Local, scaling: Scaling) -> None:
    name = local.serving()
    scaling.register(name, 1, 2)
    with pytest.raises(ClientError, match=r"Step scaling is not supported.*Use TargetTrackingScaling"):
        scaling.client.put_scaling_policy(
            **scaling.place(name), PolicyName="step", PolicyType="StepScaling",
            StepScalingPolicyConfiguration={"AdjustmentType": "ChangeInCapacity", "StepAdjustments": []},
        )  # fmt: skip
    with pytest.raises(ClientError, match="TargetValue must be above 0"):
        scaling.track(name, 0.0)
    local.delete(name)
