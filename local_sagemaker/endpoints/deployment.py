"""UpdateEndpoint under way: a new fleet is started, gets traffic step by step, and goes again when an alarm rings.

Blue/green: the new fleet is whole before it gets traffic, the old one whole until the end. Rolling: batch by batch, a
batch of the new fleet is started and gets its share, then as much of the old fleet ends. Source: SageMaker Developer
Guide, "Deployment guardrails for updating models in production".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from local_sagemaker.endpoints import records, rollout
from local_sagemaker.endpoints.fleet import Cancelled, Fleet, LaunchFailed

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


class Hands(Protocol):
    """What a deployment does to its endpoint."""

    @property
    def place(self) -> tuple[Platform, str]:
        """The platform and the region."""
        ...

    @property
    def cancelled(self) -> threading.Event: ...
    def body(self) -> dict[str, Any]: ...
    def serving(self) -> Fleet: ...
    def begin_green(self, spec: dict[str, Any]) -> Fleet: ...
    def drop_green(self) -> None: ...
    def set_share(self, share: float) -> None: ...
    def take_over(self, spec: dict[str, Any]) -> None: ...
    def retire(self, fleets: list[Fleet]) -> None: ...
    def tell(self, pending: dict[str, Any], status: str, message: str | Callable[[int], str]) -> None: ...
    def store_fleet(self, spec: dict[str, Any]) -> None: ...
    def move(self, status: str, change: records.Change | None = None) -> None: ...
    def end(self, status: str, reason: str = "", fleet: dict[str, Any] | None = None) -> None: ...
    def end_in_service(self, reason: str) -> None: ...


class Deployment:
    """One update, from its stored description (``Pending`` of the endpoint's record)."""

    def __init__(self, endpoint: Hands, pending: dict[str, Any]) -> None:
        self._endpoint = endpoint
        self._platform, self._region = endpoint.place
        self._pending = pending
        self._spec: dict[str, Any] = pending["Fleet"]
        self._config: dict[str, Any] | None = pending.get("DeploymentConfig")
        self._alarms = rollout.alarms(self._config)
        self._watched_since: float | None = None

    def run(self) -> None:
        """Do it all. Raises: Cancelled: the server stops."""
        if rollout.is_rolling(self._config):
            self._roll()
            return
        endpoint = self._endpoint
        green = endpoint.begin_green(self._spec)
        endpoint.tell(self._pending, "Creating", "Launching {} instance(s).")
        try:
            green.check_capacity("UpdateEndpoint")
            green.start(persistent=False)
            green.await_healthy(endpoint.cancelled, self._expired)
            records.settle(self._spec)
            for step in rollout.steps(self._config, min(_counts(self._spec))):
                self._shift(step)
        except LaunchFailed as error:
            endpoint.set_share(0.0)
            green.drain()
            endpoint.drop_green()
            endpoint.end_in_service(str(error))
            return
        self._finish()

    def _roll(self) -> None:
        """Batch by batch, in an endpoint of one variant."""
        endpoint, blue = self._endpoint, self._endpoint.serving()
        old = endpoint.body()["Fleet"]
        records.settle(old)
        green = endpoint.begin_green(self._spec)
        variant = self._spec["Variants"][0]
        name = variant["VariantName"]
        plan = rollout.batches(
            self._config, variant["DesiredInstanceCount"], old["Variants"][0]["DesiredInstanceCount"]
        )
        steps = rollout.steps(self._config, variant["DesiredInstanceCount"])
        try:
            green.check_capacity("UpdateEndpoint")
            for (new_count, old_count), step in zip(plan, steps, strict=True):
                endpoint.tell(self._pending, "Creating", f"Launching {new_count - green.count(name)} instance(s).")
                green.grow(name, new_count)
                green.await_healthy(endpoint.cancelled, self._expired)
                variant["CurrentInstanceCount"] = new_count
                self._shift(step)
                if step.share < 1.0:
                    blue.shrink(name, old_count)
                    old["Variants"][0]["CurrentInstanceCount"] = old_count
                    endpoint.store_fleet(old)
        except LaunchFailed as error:
            self._roll_back(old, green, str(error))
            return
        self._finish()

    def _roll_back(self, old: dict[str, Any], green: Fleet, reason: str) -> None:
        """The old fleet gets its instances and its traffic back, in batches of RollbackMaximumBatchSize."""
        endpoint, blue = self._endpoint, self._endpoint.serving()
        name, whole = old["Variants"][0]["VariantName"], int(old["Variants"][0]["DesiredInstanceCount"])

        def change(body: dict[str, Any]) -> None:
            body.update(Fleet=old, FailureReason=reason)

        endpoint.move(records.ROLLING_BACK, change)
        new_whole = int(self._spec["Variants"][0]["DesiredInstanceCount"])
        batch = rollout.rollback_batch(self._config, whole)
        while blue.count(name) < whole:
            blue.grow(name, min(whole, blue.count(name) + batch), persistent=True)
            blue.await_healthy(endpoint.cancelled)
            left = 1.0 - blue.count(name) / whole
            endpoint.set_share(left)
            green.shrink(name, min(green.count(name), rollout.part(left, new_whole)))
            old["Variants"][0]["CurrentInstanceCount"] = blue.count(name)
            endpoint.store_fleet(old)
        endpoint.set_share(0.0)
        green.drain()
        endpoint.drop_green()
        endpoint.end_in_service(reason)

    def _finish(self) -> None:
        endpoint, blue = self._endpoint, self._endpoint.serving()
        endpoint.take_over(self._spec)
        endpoint.tell(self._pending, "Deleting", "Terminating the old instance(s); {} instance(s) serve.")
        endpoint.retire([blue])
        endpoint.end(records.IN_SERVICE)

    def _shift(self, step: rollout.Step) -> None:
        """Send the step's share to the new fleet and watch it for the step's wait."""
        self._watch(0)
        self._pending["Moved"] = step.share >= 1.0
        self._endpoint.tell(self._pending, "ActivatingTraffic", step.activating)
        self._endpoint.set_share(step.share)
        if step.wait:
            self._endpoint.tell(self._pending, "Baking", step.baking)
            self._watch(step.wait)

    def _watch(self, seconds: int) -> None:
        """Let ``seconds`` of the server's clock pass, and look at the alarms meanwhile.

        An alarm that rings and is silent again before anybody looks counts: the clock may jump.

        Raises:
            LaunchFailed: an alarm is or was in state ALARM, or the deployment's time is over.
            Cancelled: the server stops.
        """
        clock = self._platform.clock
        begun = clock.time()
        if self._watched_since is None:
            self._watched_since = begun
        while True:
            now = clock.time()
            tripped = self._platform.alarms.tripped(self._region, self._alarms, self._watched_since)
            if tripped:
                raise LaunchFailed(
                    f"The deployment was rolled back because of its alarms: {', '.join(tripped)} in state ALARM."
                )
            if self._endpoint.cancelled.is_set():
                raise Cancelled
            reason = self._expired()
            if reason:
                raise LaunchFailed(reason)
            if now >= begun + seconds:
                return
            clock.wait_until(begun + seconds, self._endpoint.cancelled)

    def _expired(self) -> str:
        limit = rollout.timeout(self._config)
        late = self._platform.clock.time() >= self._pending["StartTime"] + limit
        return f"The deployment took longer than MaximumExecutionTimeoutInSeconds ({limit})." if late else ""


def _counts(spec: dict[str, Any]) -> Sequence[int]:
    return [one["DesiredInstanceCount"] for one in spec["Variants"]]
