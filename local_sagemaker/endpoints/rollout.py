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
        return f"Activating traffic on {self.phase} capacity of {_part(self.share, instances)} instance(s)."

    def baking(self, instances: int) -> str:
        count = _part(self.share, instances)
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
    if old_names and old_names != new_names:
        raise ValidationException(
            "A DeploymentConfig needs the same variant names before and after the update: "
            f"{', '.join(sorted(old_names))} became {', '.join(sorted(new_names))}."
        )
    if not policy:
        return
    routing = policy["TrafficRoutingConfiguration"]
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
    waits = sum(step.wait for step in steps(config, min(instances)))
    if waits >= timeout(config):
        raise ValidationException(
            f"MaximumExecutionTimeoutInSeconds ({timeout(config)}) must be larger than the sum of all waits ({waits})."
        )


def timeout(config: dict[str, Any] | None) -> int:
    """Seconds within which the whole deployment must be done."""
    policy = (config or {}).get("BlueGreenUpdatePolicy") or {}
    return int(policy.get("MaximumExecutionTimeoutInSeconds") or LONGEST_SECONDS)


def alarms(config: dict[str, Any] | None) -> list[str]:
    """Names of the alarms that roll a deployment back."""
    found = ((config or {}).get("AutoRollbackConfiguration") or {}).get("Alarms") or []
    return [alarm["AlarmName"] for alarm in found if alarm.get("AlarmName")]


def steps(config: dict[str, Any] | None, instances: int) -> list[Step]:
    """The steps of a deployment on ``instances`` instances; without a policy all traffic moves at once."""
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


def _share(size: dict[str, Any], instances: int) -> float:
    whole = instances if size["Type"] == "INSTANCE_COUNT" else 100
    return min(1.0, float(size["Value"]) / whole)


def _part(share: float, instances: int) -> int:
    return math.ceil(share * instances - 1e-9)
