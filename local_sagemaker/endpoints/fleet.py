"""The instances that serve one endpoint configuration, and the choice of the one that answers a request."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_sagemaker.endpoints.instance import FAILED, HEALTHY, Instance
from local_sagemaker.endpoints.metrics import Load
from local_sagemaker.endpoints.routing import Weighted
from local_sagemaker.faults.registry import CAPACITY

if TYPE_CHECKING:
    from local_sagemaker.endpoints.settings import Settings
    from local_sagemaker.platform import Platform


class LaunchFailed(Exception):
    """An instance did not become healthy; the message is an endpoint's FailureReason."""


class Cancelled(Exception):
    """The server stops, or the endpoint is deleted."""


class Fleet:
    """One process an instance and variant. ``spec`` is the stored description (:mod:`.records`)."""

    def __init__(
        self, platform: Platform, settings: Settings, endpoint: str, region: str, spec: dict[str, Any], folder: Path
    ) -> None:
        self.changed = threading.Condition()
        self._platform = platform
        self._settings = settings
        self._endpoint = endpoint
        self._region = region
        self._folder = folder / str(spec["Id"])
        self._variants: dict[str, dict[str, Any]] = {variant["VariantName"]: variant for variant in spec["Variants"]}
        self._instances: dict[str, list[Instance]] = {name: [] for name in self._variants}
        self._weights: dict[str, float] = {name: variant["DesiredWeight"] for name, variant in self._variants.items()}
        self._by_weight = Weighted()
        self._turn: dict[str, int] = dict.fromkeys(self._variants, 0)

    def check_capacity(self, operation: str) -> None:
        """Does a fault leave AWS without machines for this endpoint now?

        Raises:
            LaunchFailed.
        """
        if self._platform.faults.strike(CAPACITY, service="sagemaker", operation=operation, resource=self._endpoint):
            raise LaunchFailed(
                "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please "
                "retry using a different ML instance type or after some time."
            )

    def start(self, *, persistent: bool) -> None:
        """Start every instance; ``persistent``: an instance that fails is started again and again."""
        for name, variant in self._variants.items():
            self.grow(name, variant["DesiredInstanceCount"], persistent=persistent)

    def grow(self, variant: str, count: int, *, persistent: bool = False) -> None:
        """Start instances until the variant has ``count``."""
        with self.changed:
            missing = count - len(self._instances[variant])
            new = [self._new(variant) for _ in range(missing)]
            self._instances[variant] += new
        for instance in new:
            instance.start(persistent=persistent)

    def shrink(self, variant: str, count: int) -> None:
        """Drain and stop instances, the newest first, until the variant has ``count``."""
        with self.changed:
            kept, spare = self._instances[variant][:count], self._instances[variant][count:]
            self._instances[variant] = kept
        _each(spare, Instance.drain)

    def await_healthy(self, cancel: threading.Event, expired: Callable[[], str] = str) -> None:
        """Wait until every instance is healthy.

        ``expired`` is asked about once a second; the reason that it gives, if any, ends the wait.

        Raises:
            LaunchFailed: an instance failed for good, or the wait expired.
            Cancelled: ``cancel`` was set; whoever sets it calls :meth:`wake`.
        """
        with self.changed:
            while not cancel.is_set():
                reason = expired()
                if reason:
                    raise LaunchFailed(reason)
                instances = self._all()
                failed = next((one for one in instances if one.state == FAILED), None)
                if failed:
                    raise LaunchFailed(failed.reason)
                if all(one.state == HEALTHY for one in instances):
                    return
                self.changed.wait(1)
        raise Cancelled

    def trouble(self) -> str:
        """Why an instance is not healthy; empty when all are or none has said why."""
        with self.changed:
            return next((one.reason for one in self._all() if one.state != HEALTHY and one.reason), "")

    def count(self, variant: str) -> int:
        return len(self._instances.get(variant, []))

    def loads(self) -> list[Load]:
        """Every process that serves, to be measured."""
        found = []
        with self.changed:
            for name, instances in self._instances.items():
                kind = self._variants[name].get("InstanceType") or ""
                for one in instances:
                    container = one.container
                    if container is not None and not container.child.container_name:
                        pid = container.child.pid
                        found.append(Load(self._region, self._endpoint, name, kind, pid, self._folder))
        return found

    def has(self, variant: str) -> bool:
        return variant in self._variants

    def set_weights(self, weights: dict[str, float]) -> None:
        with self.changed:
            self._weights |= weights

    def pick(self, variant: str | None = None) -> tuple[str, Instance] | None:
        """An instance for one request, counted as in flight there; None when none is healthy.

        Without ``variant`` the weights choose it. The caller calls :meth:`Instance.release`.
        """
        with self.changed:
            name = variant or self._by_weight.pick(self._weights)
            healthy = [one for one in self._instances.get(name or "", []) if one.state == HEALTHY]
            if name is None or not healthy:
                return None
            if self._variants[name].get("Routing") == "LEAST_OUTSTANDING_REQUESTS":
                chosen = min(healthy, key=lambda one: one.in_flight)
            else:
                self._turn[name] += 1
                chosen = healthy[self._turn[name] % len(healthy)]
            chosen.in_flight += 1
            return name, chosen

    def drain(self) -> None:
        """Answer what is in flight, then stop everything and remove the fleet's folder."""
        _each(self._all(), Instance.drain)
        shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self, grace: float) -> None:
        """Stop everything now; the folder goes too."""
        _each(self._all(), lambda one: one.stop(grace))
        shutil.rmtree(self._folder, ignore_errors=True)

    def wake(self) -> None:
        """End the waits of :meth:`await_healthy`."""
        with self.changed:
            self.changed.notify_all()

    def _all(self) -> list[Instance]:
        return [instance for instances in self._instances.values() for instance in instances]

    def _new(self, variant: str) -> Instance:
        about = self._variants[variant]
        return Instance(
            self._platform, self._settings, self._endpoint, self._region, about, self._folder, self.changed
        )  # fmt: skip


def _each(instances: Iterable[Instance], act: Any) -> None:
    """Do it to all at the same time and wait."""
    threads = [threading.Thread(target=act, args=(one,), name=f"end {one.id}") for one in instances]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
