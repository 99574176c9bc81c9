"""Moves the instance counts of endpoint variants, once a minute of the server's clock.

Bounds first: a count outside MinCapacity and MaxCapacity is moved inside. Then target tracking, by the state of the
policy's alarms. The count is set as a user would set it (UpdateEndpointWeightsAndCapacities), so an endpoint on which
something is under way waits. This machine runs only so many processes: what is above that is not set, and the activity
says so. A clock that jumps is looked at once, at the end of the jump.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from local_sagemaker.endpoints import records
from local_sagemaker.errors import ApiError
from local_sagemaker.metrics import queries
from local_sagemaker.minutes import EveryMinute
from local_sagemaker.scaling import policies
from local_sagemaker.scaling.activities import IN_PROGRESS, Activities
from local_sagemaker.scaling.policies import DIMENSION, LOW, BadPolicy

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform
    from local_sagemaker.store import Record

_log = logging.getLogger(__name__)

#: Minutes in which a metric's newest value is looked for.
_RECENT = 5


class Scaler:
    """Application Auto Scaling of one account. Safe to use from several threads."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = threading.RLock()
        self._minutes = EveryMinute("scaling", platform.clock, self._look)
        self._poked = True
        self._done = 0
        self.activities = Activities(platform.store, platform.clock.time)

    def start(self) -> None:
        self._minutes.start()

    def stop(self) -> None:
        self._minutes.stop()

    def poke(self) -> None:
        """A target has changed: look now."""
        self._poked = True
        self._platform.clock.wake()

    def scheduled(self) -> Iterator[tuple[str, str, str, float, Callable[[float], None]]]:
        """(ARN, expression, time zone, start, what to do) of the scheduled actions that are in force."""
        now = self._platform.clock.time()
        for region, backend in _backends(self._platform.account_id):
            for one in list(backend.scheduled_actions):
                if one.scalable_dimension != DIMENSION or (one.end_time and float(one.end_time) <= now):
                    continue
                start = float(one.start_time or 0)
                yield one.arn, one.schedule, one.timezone or "UTC", start, self._action(region, backend, one)

    def settle(self) -> None:
        """Close the activities whose endpoint has done, or refused, what was asked."""
        with self._lock:
            for region, _ in _backends(self._platform.account_id):
                for body in self.activities.of(region):
                    if body["shown"]["StatusCode"] == IN_PROGRESS:
                        self._settle(region, body)

    def _settle(self, region: str, body: dict[str, Any]) -> None:
        identity, where = body["shown"]["ActivityId"], policies.place(body["shown"]["ResourceId"])
        record, variant = self._find(region, *where) if where else (None, None)
        if record is None or variant is None:
            self.activities.end(region, identity, "the endpoint is gone")
        elif record.body["Status"] not in records.IN_PROGRESS:
            done = variant["CurrentInstanceCount"] == body["wanted"]
            why = "" if done else record.body.get("FailureReason") or "the endpoint was changed meanwhile"
            self.activities.end(region, identity, why)

    def _look(self) -> None:
        minute = int(self._platform.clock.time() // 60)
        with self._lock:
            self.settle()
            if minute <= self._done and not self._poked:
                return
            self._done, self._poked = minute, False
            self._platform.alarms.evaluate()
            for region, backend in _backends(self._platform.account_id):
                for target in list(backend.targets.get(DIMENSION, {}).values()):
                    self._scale(region, backend, target)

    def _scale(self, region: str, backend: Any, target: Any) -> None:
        where = policies.place(target.resource_id)
        record, variant = self._find(region, *where) if where else (None, None)
        if record is None or variant is None:
            return
        if record.body["Status"] in records.IN_PROGRESS:
            self._poked = True  # when it is done, its event wakes this thread
            return
        if record.body["Status"] != records.IN_SERVICE:
            return
        current = int(variant["DesiredInstanceCount"])
        suspended = target.suspended_state or {}
        least, most = int(target.min_capacity), int(target.max_capacity)
        if current < least:
            self._set(region, target, current, least, f"minimum capacity was set to {least}")
        elif current > most:
            self._set(region, target, current, most, f"maximum capacity was set to {most}")
        else:
            wanted, cause = self._tracked(region, backend, target, current)
            wanted = max(least, min(most, wanted))
            way = "DynamicScalingOutSuspended" if wanted > current else "DynamicScalingInSuspended"
            if wanted != current and not suspended.get(way):
                self._set(region, target, current, wanted, cause)

    def _tracked(self, region: str, backend: Any, target: Any, current: int) -> tuple[int, str]:
        """The count that the policies of a target want, and why. The largest wins: all must agree to scale in."""
        found: list[tuple[int, str]] = []
        for policy in list(backend.policies.values()):
            if (policy.resource_id, policy.scalable_dimension) != (target.resource_id, DIMENSION):
                continue
            try:
                found.append(self._proposal(region, policy, current))
            except BadPolicy as error:
                _log.warning("the scaling policy %s does nothing: %s", policy.policy_name, error)
        return max(found, default=(current, ""), key=lambda one: one[0])

    def _proposal(self, region: str, policy: Any, current: int) -> tuple[int, str]:
        what = policies.tracked(policy)
        for alarm in policy.alarms:
            which = policies.kind(alarm.name)
            if self._platform.alarms.state(region, alarm.name) != "ALARM" or self._cools(region, policy, which):
                continue
            value = self._value(region, what)
            if value is not None:
                cause = f"monitor alarm {alarm.name} in state ALARM triggered policy {policy.policy_name}"
                return policies.proposed(current, value, what.target, which), cause
        return current, ""

    def _cools(self, region: str, policy: Any, which: str) -> bool:
        """Scaling out waits after scaling out, scaling in after either."""
        latest = [
            body["shown"]["StartTime"]
            for body in self.activities.of(region, policy.resource_id)
            if body["shown"]["StatusCode"] != "Failed" and (body["out"] or which == LOW)
        ]
        return bool(latest) and self._platform.clock.time() < max(latest) + policies.cooldown(policy, which)

    def _value(self, region: str, what: policies.Tracked) -> float | None:
        """The newest value of the tracked metric."""
        from local_sagemaker.moto_gaps.cloudwatch import reader

        now = int(self._platform.clock.time() // 60) * 60
        query = queries.Query("m", what.about, what.statistic)
        found = queries.series(reader(self._platform, region), query, now - _RECENT * 60, now)
        return found[max(found)] if found else None

    def _set(self, region: str, target: Any, current: int, wanted: int, cause: str) -> None:
        """Ask the endpoint for ``wanted`` instances, or for as many as this machine runs."""
        from local_sagemaker import api
        from local_sagemaker.endpoints.api import room

        free, note = room(self._platform), ""
        if wanted - current > free:
            note = (
                f"{wanted} were wanted; this machine runs {free} more processes "
                "(LOCAL_SAGEMAKER_HOSTING_INSTANCES sets the limit)."
            )
            wanted = current + free
            if wanted == current:
                self._refused(region, target, current, cause, note)
                return
        endpoint, variant = policies.place(target.resource_id) or ("", "")
        desired = [{"VariantName": variant, "DesiredInstanceCount": wanted}]
        request = {"EndpointName": endpoint, "DesiredWeightsAndCapacities": desired}
        account = self._platform.account_id
        call = api.Call(
            self._platform, "UpdateEndpointWeightsAndCapacities", account, region, _service_role(account), request
        )
        identity = self.activities.begin(region, target, wanted, current, cause, note)
        try:
            api.perform(call)
        except ApiError as error:
            self.activities.end(region, identity, error.message)

    def _refused(self, region: str, target: Any, current: int, cause: str, why: str) -> None:
        """Nothing can be set; said once, not every minute."""
        last = self.activities.of(region, target.resource_id)[-1:]
        if not last or (last[0]["shown"]["StatusCode"], last[0]["shown"]["Cause"]) != ("Failed", cause):
            self.activities.end(region, self.activities.begin(region, target, current, current, cause), why)

    def _action(self, region: str, backend: Any, one: Any) -> Callable[[float], None]:
        def act(due: float) -> None:
            target = backend.targets.get(DIMENSION, {}).get(one.resource_id)
            if target is None or (target.suspended_state or {}).get("ScheduledScalingSuspended"):
                return
            change = one.scalable_target_action or {}
            target.update(change.get("MinCapacity"), change.get("MaxCapacity"), None)
            self._platform.state.changed("applicationautoscaling")
            self.poke()

        return act

    def _find(self, region: str, endpoint: str, variant: str) -> tuple[Record | None, dict[str, Any] | None]:
        """The endpoint's record and, in the fleet that serves, the variant."""
        record = self._platform.store.get(records.KIND, region, endpoint.lower())
        variants = ((record.body["Fleet"] or {}) if record is not None else {}).get("Variants", [])
        return record, next((one for one in variants if one["VariantName"] == variant), None)


def _service_role(account: str) -> str:
    name = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    return f"arn:aws:iam::{account}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/{name}"


def _backends(account: str) -> list[tuple[str, Any]]:
    """moto's backends by region; none as long as nobody has used the service (its import takes long)."""
    module = sys.modules.get("moto.applicationautoscaling.models")
    return list(module.applicationautoscaling_backends[account].items()) if module is not None else []
