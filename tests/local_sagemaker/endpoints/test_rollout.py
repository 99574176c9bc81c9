from __future__ import annotations

from typing import Any

import pytest

from local_sagemaker.endpoints import rollout
from local_sagemaker.errors import ValidationException


def policy(kind: str, wait: int = 60, last: int = 0, **more: Any) -> dict[str, Any]:
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **more}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": last}}


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def shape(config: dict[str, Any] | None, instances: int = 4) -> list[tuple[float, int]]:
    return [(round(step.share, 6), step.wait) for step in rollout.steps(config, instances)]


def test_without_a_policy_all_moves_at_once() -> None:
    assert shape(None) == [(1.0, 0)]
    assert shape({"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}]}}) == [(1.0, 0)]


def test_all_at_once_waits_its_interval_and_the_termination() -> None:
    assert shape(policy("ALL_AT_ONCE", 30, 600)) == [(1.0, 30), (1.0, 600)]
    assert shape(policy("ALL_AT_ONCE", 0, 600)) == [(1.0, 600)]


def test_a_canary_takes_two_steps() -> None:
    assert shape(policy("CANARY", 60, 10, CanarySize=percent(25))) == [(0.25, 60), (1.0, 10)]
    canary = policy("CANARY", 60, CanarySize={"Type": "INSTANCE_COUNT", "Value": 1})
    assert shape(canary) == [(0.25, 60), (1.0, 0)]


@pytest.mark.parametrize(
    ("value", "shares"),
    [
        (50, [0.5, 1.0]),
        (33, [0.33, 0.66, 0.99, 1.0]),
        (25, [0.25, 0.5, 0.75, 1.0]),
        (10, [n / 10 for n in range(1, 11)]),
    ],
)
def test_linear_steps_end_with_all_traffic(value: int, shares: list[float]) -> None:
    found = shape(policy("LINEAR", 5, 0, LinearStepSize=percent(value)))
    assert [share for share, _ in found] == pytest.approx(shares)
    assert [wait for _, wait in found] == [5] * (len(shares) - 1) + [0]


def test_messages_are_those_of_aws() -> None:
    canary, full = rollout.steps(policy("CANARY", 300, 600, CanarySize=percent(30)), 3)
    assert canary.activating(3) == "Activating traffic on canary capacity of 1 instance(s)."
    assert full.baking(3) == (
        "Baking for 600 seconds (TerminationWaitInSeconds) with traffic enabled on full capacity of 3 instance(s)."
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (policy("CANARY"), "CanarySize is required"),
        (policy("LINEAR", CanarySize=percent(10)), "CanarySize cannot be given for traffic routing of type LINEAR"),
        (policy("CANARY", CanarySize=percent(51)), "at most 50 percent"),
        (policy("LINEAR", LinearStepSize=percent(9)), "between 10 and 50 percent"),
        (policy("CANARY", CanarySize={"Type": "INSTANCE_COUNT", "Value": 2}), "at most 50 percent of the variant's"),
        (policy("ALL_AT_ONCE", 3600, 3600) | {}, None),
    ],
)
def test_what_aws_refuses_is_refused(config: dict[str, Any], message: str | None) -> None:
    if message is None:
        rollout.check(config, [3], {"main"}, {"main"})
        return
    with pytest.raises(ValidationException, match=message):
        rollout.check(config, [3], {"main"}, {"main"})


def test_the_timeout_must_leave_room_for_the_waits() -> None:
    config = policy("ALL_AT_ONCE", 300, 300)
    config["BlueGreenUpdatePolicy"]["MaximumExecutionTimeoutInSeconds"] = 600
    with pytest.raises(ValidationException, match=r"MaximumExecutionTimeoutInSeconds \(600\) must be larger"):
        rollout.check(config, [1], {"main"}, {"main"})


def test_a_deployment_keeps_the_variant_names() -> None:
    with pytest.raises(ValidationException, match="same variant names"):
        rollout.check(policy("ALL_AT_ONCE", 0), [1], {"main"}, {"other"})
    rollout.check(None, [1], {"main"}, {"other"})
    rollout.check(policy("ALL_AT_ONCE", 0), [1], set(), {"first"})


def rolling(batch: dict[str, Any], wait: int = 60, **more: Any) -> dict[str, Any]:
    return {"RollingUpdatePolicy": {"MaximumBatchSize": batch, "WaitIntervalInSeconds": wait, **more}}


def count(value: int) -> dict[str, Any]:
    return {"Type": "INSTANCE_COUNT", "Value": value}


@pytest.mark.parametrize(
    ("size", "new", "old", "wanted"),
    [
        (percent(50), 4, 4, [(2, 2), (4, 0)]),
        (percent(33), 5, 5, [(2, 3), (4, 1), (5, 0)]),
        (count(1), 3, 6, [(1, 4), (2, 2), (3, 0)]),
        (percent(20), 1, 1, [(1, 0)]),
    ],
)
def test_a_rolling_update_goes_batch_by_batch(
    size: dict[str, Any], new: int, old: int, wanted: list[tuple[int, int]]
) -> None:
    assert rollout.batches(rolling(size), new, old) == wanted
    assert shape(rolling(size), new) == [(round(after / new, 6), 60) for after, _ in wanted]


def test_a_rolling_update_needs_room_for_one_batch_a_blue_green_one_for_a_fleet() -> None:
    assert rollout.surge(rolling(percent(25)), 4, 4) == 1
    assert rollout.surge(rolling(percent(50)), 8, 4) == 6
    assert rollout.surge(policy("ALL_AT_ONCE"), 4, 4) == 4


def test_the_batch_of_a_rollback() -> None:
    assert rollout.rollback_batch(rolling(percent(25)), 4) == 4
    assert rollout.rollback_batch(rolling(percent(25), RollbackMaximumBatchSize=percent(30)), 4) == 2
    assert rollout.rollback_batch(rolling(percent(25), RollbackMaximumBatchSize=count(1)), 4) == 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (rolling(percent(51)), "MaximumBatchSize must be between 5 and 50 percent"),
        (rolling(count(2)), r"MaximumBatchSize must be at most 50 percent of the variant's instances \(3\)"),
        (
            rolling(percent(50), RollbackMaximumBatchSize=percent(4)),
            "RollbackMaximumBatchSize must be between 5 and 100",
        ),
        (rolling(percent(50), 600, MaximumExecutionTimeoutInSeconds=1200), "larger than the sum of all waits"),
        (rolling(percent(50)) | policy("ALL_AT_ONCE"), "not both"),
    ],
)
def test_rolling_updates_that_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationException, match=message):
        rollout.check(config, [3], {"main"}, {"main"})


def test_a_rolling_update_has_one_variant() -> None:
    with pytest.raises(ValidationException, match="takes one production variant; there are 2: a, b"):
        rollout.check(rolling(percent(50)), [2, 2], {"a", "b"}, {"a", "b"})
