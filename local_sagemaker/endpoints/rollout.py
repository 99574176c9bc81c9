"""How traffic moves from the old fleet to the new one: a DeploymentConfig, checked and taken apart into steps.

Source: SageMaker Developer Guide, "Deployment guardrails for updating models in production"; API reference,
TrafficRoutingConfig, BlueGreenUpdatePolicy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from local_sagemaker.errors import ValidationException

#: AWS's default of MaximumExecutionTimeoutInSeconds is not documented; its maximum is used.
LONGEST_SECONDS = 28_800


@dataclass(frozen=True, slots=True)
class Step:
    """One step: ``share`` of the traffic (0 to 1) goes to the new fleet, then ``wait`` seconds of watching.

    ``phase`` and ``wait_name`` are the words of AWS's status messages.
    """

    share: float
    wait: int
    phase: str
    wait_name: str

    def activating(self, instances: int) -> str:
        return f"Activating traffic on {self.phase} capacity of {part(self.share, instances)} instance(s)."

    def baking(self, instances: int) -> str:
        count = part(self.share, instances)
        return (
            f"Baking for {self.wait} seconds ({self.wait_name}) with traffic enabled on {self.phase} capacity of "
            f"{count} instance(s)."
        )


def check(config: dict[str, Any] | None, instances: Sequence[int], old_names: set[str], new_names: set[str]) -> None:
    """Refuse a DeploymentConfig that AWS refuses. ``instances``: the new variants' instance counts.

    Raises:
        ValidationException.
    """
    if not config:
        return
    policy = config.get("BlueGreenUpdatePolicy")
    rolling = config.get("RollingUpdatePolicy")
    if policy and rolling:
        raise ValidationException("Give BlueGreenUpdatePolicy or RollingUpdatePolicy in a DeploymentConfig, not both.")
    if old_names and old_names != new_names:
        raise ValidationException(
            "A DeploymentConfig needs the same variant names before and after the update: "
            f"{', '.join(sorted(old_names))} became {', '.join(sorted(new_names))}."
        )
    if rolling:
        _check_rolling(rolling, min(instances), new_names)
    elif policy:
        _check_routing(policy["TrafficRoutingConfiguration"], instances)
    else:
        return
    waits = sum(step.wait for step in steps(config, min(instances)))
    if waits >= timeout(config):
        raise ValidationException(
            f"MaximumExecutionTimeoutInSeconds ({timeout(config)}) must be larger than the sum of all waits ({waits})."
        )


def _check_rolling(policy: dict[str, Any], instances: int, names: set[str]) -> None:
    if len(names) > 1:
        raise ValidationException(
            f"RollingUpdatePolicy takes one production variant; there are {len(names)}: {', '.join(sorted(names))}."
        )
    for member, low, high in (("MaximumBatchSize", 5, 50), ("RollbackMaximumBatchSize", 5, 100)):
        size = policy.get(member)
        if size and size["Type"] == "CAPACITY_PERCENT" and not low <= size["Value"] <= high:
            raise ValidationException(f"{member} must be between {low} and {high} percent of capacity.")
        if size and size["Type"] == "INSTANCE_COUNT" and size["Value"] * 100 > high * instances:
            raise ValidationException(
                f"{member} must be at most {high} percent of the variant's instances ({instances})."
            )


def _check_routing(routing: dict[str, Any], instances: Sequence[int]) -> None:
    kind = routing["Type"]
    for member, owner, low in (("CanarySize", "CANARY", 0), ("LinearStepSize", "LINEAR", 10)):
        size = routing.get(member)
        if kind == owner and not size:
            raise ValidationException(f"{member} is required for traffic routing of type {kind}.")
        if kind != owner and size:
            raise ValidationException(f"{member} cannot be given for traffic routing of type {kind}.")
        if size and size["Type"] == "CAPACITY_PERCENT" and not low <= size["Value"] <= 50:
            raise ValidationException(
                f"{member} must be {'between 10 and' if low else 'at most'} 50 percent of capacity."
            )
        if size and size["Type"] == "INSTANCE_COUNT" and size["Value"] * 2 > min(instances):
            raise ValidationException(
                f"{member} must be at most 50 percent of the variant's instances ({min(instances)})."
            )


def timeout(config: dict[str, Any] | None) -> int:
    """Seconds within which the whole deployment must be done."""
    policy = (config or {}).get("BlueGreenUpdatePolicy") or (config or {}).get("RollingUpdatePolicy") or {}
    return int(policy.get("MaximumExecutionTimeoutInSeconds") or LONGEST_SECONDS)


def alarms(config: dict[str, Any] | None) -> list[str]:
    """Names of the alarms that roll a deployment back."""
    found = ((config or {}).get("AutoRollbackConfiguration") or {}).get("Alarms") or []
    return [alarm["AlarmName"] for alarm in found if alarm.get("AlarmName")]


def steps(config: dict[str, Any] | None, instances: int) -> list[Step]:
    """The steps of a deployment on ``instances`` instances; without a policy all traffic moves at once."""
    if is_rolling(config):
        pause = int((config or {})["RollingUpdatePolicy"]["WaitIntervalInSeconds"])
        return [
            Step(new / instances, pause, "batch", "WaitIntervalInSeconds") for new, _ in batches(config, instances, 0)
        ]
    policy = (config or {}).get("BlueGreenUpdatePolicy")
    if not policy:
        return [Step(1.0, 0, "full", "TerminationWaitInSeconds")]
    routing, last = policy["TrafficRoutingConfiguration"], int(policy.get("TerminationWaitInSeconds") or 0)
    wait = int(routing["WaitIntervalInSeconds"])
    between = "WaitIntervalInSeconds"
    if routing["Type"] == "CANARY":
        shares = [_share(routing["CanarySize"], instances)]
    elif routing["Type"] == "LINEAR":
        size = _share(routing["LinearStepSize"], instances)
        shares = [size * number for number in range(1, math.ceil(1 / size - 1e-9))]
    else:
        shares = []
    found = [Step(share, wait, "canary" if routing["Type"] == "CANARY" else "linear", between) for share in shares]
    if not shares and wait:
        found.append(Step(1.0, wait, "full", between))
    return [*found, Step(1.0, last, "full", "TerminationWaitInSeconds")]


def is_rolling(config: dict[str, Any] | None) -> bool:
    return bool((config or {}).get("RollingUpdatePolicy"))


def batches(config: dict[str, Any] | None, new: int, old: int) -> list[tuple[int, int]]:
    """The steps of a rolling update from ``old`` to ``new`` instances: how many of each there are after each step.

    A percentage of the capacity is rounded up to whole instances.
    """
    size = part(_share((config or {})["RollingUpdatePolicy"]["MaximumBatchSize"], new), new)
    counts = [min(new, size * number) for number in range(1, math.ceil(new / size) + 1)]
    return [(count, part(1 - count / new, old)) for count in counts]


def rollback_batch(config: dict[str, Any] | None, old: int) -> int:
    """Instances of the old fleet that a rolling update's rollback starts at a time; all, unless the policy says."""
    size = (config or {})["RollingUpdatePolicy"].get("RollbackMaximumBatchSize")
    return max(1, part(_share(size, old), old)) if size else old


def surge(config: dict[str, Any] | None, new: int, old: int) -> int:
    """How many instances more than ``old`` run at the most during an update."""
    if not is_rolling(config):
        return new
    steps = batches(config, new, old)
    before = [old, *(left for _, left in steps)]
    return max(count + left for (count, _), left in zip(steps, before, strict=False)) - old


def _share(size: dict[str, Any], instances: int) -> float:
    whole = instances if size["Type"] == "INSTANCE_COUNT" else 100
    return min(1.0, float(size["Value"]) / whole)


def part(share: float, instances: int) -> int:
    """So many of ``instances`` are a share, rounded up."""
    return math.ceil(share * instances - 1e-9)
