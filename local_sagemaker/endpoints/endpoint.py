"""One endpoint's processes, and the work under way on it: create, update, scale, delete, come back after a restart.

At most one worker thread runs at a time. It reads what is to be done from the stored record, so the same code goes on
after the server was stopped or killed.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_sagemaker import tags
from local_sagemaker.endpoints import records
from local_sagemaker.endpoints.deployment import Deployment
from local_sagemaker.endpoints.fleet import Cancelled, Fleet, LaunchFailed
from local_sagemaker.endpoints.instance import Instance
from local_sagemaker.endpoints.metrics import Load
from local_sagemaker.endpoints.routing import Weighted
from local_sagemaker.store import Missing

if TYPE_CHECKING:
    from local_sagemaker.endpoints.settings import Settings
    from local_sagemaker.platform import Platform

_log = logging.getLogger(__name__)
_REASON_CHARACTERS = 1024


class Endpoint:
    """The old fleet ("blue") and, during an update, the new one ("green") with its share of the traffic."""

    def __init__(self, platform: Platform, settings: Settings, region: str, name: str, folder: Path) -> None:
        self._platform = platform
        self._settings = settings
        self._region = region
        self._name = name
        self._folder = folder
        self._blue: Fleet | None = None
        self._green: Fleet | None = None
        self._retiring: list[Fleet] = []
        self._share = 0.0
        self._by_share = Weighted()
        self._lock = threading.Lock()
        self._cancel = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, action: str) -> None:
        """Run ``create``, ``update``, ``scale``, ``delete`` or ``resume`` in the background."""
        self.cancel()
        self._cancel = threading.Event()
        work = {
            "create": self._create,
            "update": self._update,
            "scale": self._scale,
            "delete": self._delete,
            "resume": self._resume,
        }[action]
        self._thread = threading.Thread(
            target=self._guarded, args=(work,), name=f"{action} {self._name}", daemon=True
        )  # fmt: skip
        self._thread.start()

    def cancel(self) -> None:
        """End the worker without storing anything more."""
        self._cancel.set()
        self._platform.clock.wake()
        for fleet in self._fleets():
            fleet.wake()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(self._settings.invocation_seconds + self._settings.stop_seconds)

    def stop(self, grace: float) -> None:
        """End worker and processes; the record stays, for the next start."""
        self._cancel.set()
        for fleet in self._fleets():
            fleet.stop(grace)
        self.cancel()

    def serves(self) -> bool:
        """Whether a fleet has ever been healthy here, so that requests are its business."""
        return self._blue is not None

    def has(self, variant: str) -> bool:
        return any(fleet is not None and fleet.has(variant) for fleet in (self._blue, self._green))

    def loads(self) -> list[Load]:
        """Every process that serves, to be measured."""
        return [load for fleet in self._fleets() for load in fleet.loads()]

    def instances(self, variant: str) -> int:
        """Of a variant, in the fleets that get traffic."""
        with self._lock:
            serving = [self._blue] if self._share < 1 else []
            serving += [self._green] if self._share > 0 else []
        return sum(fleet.count(variant) for fleet in serving if fleet)

    def pick(self, variant: str | None) -> tuple[str, Instance] | None:
        """An instance for one request (:meth:`Fleet.pick`), from the fleet whose turn it is, else from the other."""
        with self._lock:
            shares = {self._blue: 1.0 - self._share, self._green: self._share}
            fleets = {fleet: share for fleet, share in shares.items() if fleet is not None and share > 0}
            first = self._by_share.pick(fleets)
        for fleet in sorted(fleets, key=lambda one: one is not first):
            found = fleet.pick(variant)
            if found:
                return found
        return None

    # The worker.

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Cancelled:
            pass
        except Missing:
            _log.info("endpoint %s was deleted meanwhile", self._name)
        except Exception as error:
            if self._cancel.is_set():
                return  # the server stops: its parts go away under the worker
            _log.exception("endpoint %s", self._name)
            reason = f"InternalServerError: {error!r}"
            with self._lock:
                green, self._green, self._share = self._green, None, 0.0
            if green:
                green.stop(0)
            self.end(records.IN_SERVICE if self._blue else records.FAILED, reason)

    def _create(self) -> None:
        pending = self.body()["Pending"]
        fleet = self._new_fleet(pending["Fleet"])
        self.tell(pending, "Creating", "Launching {} instance(s).")
        with self._lock:
            self._green = fleet
        try:
            fleet.check_capacity("CreateEndpoint")
            fleet.start(persistent=False)
            fleet.await_healthy(self._cancel)
        except LaunchFailed as error:
            fleet.stop(self._settings.stop_seconds)
            self._green = None
            self.end(records.FAILED, str(error))
            return
        self.take_over(pending["Fleet"])
        self.end(records.IN_SERVICE)

    def _update(self) -> None:
        Deployment(self, self.body()["Pending"]).run()

    def _scale(self) -> None:
        body = self.body()
        spec, before, fleet = body["Fleet"], body["Pending"]["Before"], self.serving()
        records.say(spec, "Updating", "Scaling desired instance count to {}.".format, self._platform.clock.time())
        self.store_fleet(spec)
        try:
            if any(one["DesiredInstanceCount"] > fleet.count(one["VariantName"]) for one in spec["Variants"]):
                fleet.check_capacity("UpdateEndpointWeightsAndCapacities")
            for variant in spec["Variants"]:
                fleet.grow(variant["VariantName"], variant["DesiredInstanceCount"])
            fleet.await_healthy(self._cancel)
        except LaunchFailed as error:
            self._undo_scaling(spec, before, fleet, str(error))
            return
        fleet.set_weights({one["VariantName"]: one["DesiredWeight"] for one in spec["Variants"]})
        for variant in spec["Variants"]:
            fleet.shrink(variant["VariantName"], variant["DesiredInstanceCount"])
        records.settle(spec)
        self.end(records.IN_SERVICE, fleet=spec)

    def _undo_scaling(self, spec: dict[str, Any], before: dict[str, Any], fleet: Fleet, reason: str) -> None:
        for variant in spec["Variants"]:
            variant |= before[variant["VariantName"]]
        records.settle(spec)
        self.move(records.ROLLING_BACK, lambda body: body.update(Fleet=spec))
        for variant in spec["Variants"]:
            fleet.shrink(variant["VariantName"], variant["DesiredInstanceCount"])
        self.end(records.IN_SERVICE, reason)

    def _delete(self) -> None:
        with self._lock:
            fleets = [fleet for fleet in (self._blue, self._green) if fleet]
            self._blue = self._green = None
        self.retire(fleets)
        self._alive()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._platform.fleets.forget(self._region, self._name)
        store = self._platform.store  # the record goes last: from then on the name may be given again
        with store.transaction():
            record = store.get(records.KIND, self._region, self._name)
            if record:
                store.delete(records.KIND, self._region, self._name)
                store.delete(tags.KIND, self._region, record.body["EndpointArn"])

    def _resume(self) -> None:
        """After a restart: do again what was under way, or bring the fleet back."""
        body = self.body()
        status, pending = body["Status"], body.get("Pending")
        if status == records.FAILED:
            return
        if status == records.DELETING:
            self._delete()
        elif status == records.CREATING:
            self._create()
        elif status == records.ROLLING_BACK or not pending or pending["Action"] != "update":
            self._bring_back(body["Fleet"])
        elif pending["Moved"]:
            self._bring_back(pending["Fleet"])
        else:
            self._start_again(body["Fleet"])
            self._update()

    def _bring_back(self, spec: dict[str, Any]) -> None:
        """Serve with this fleet again, however long it takes. What was pending is done with it."""
        before = self.body()
        reason = before.get("FailureReason", "") if before["Status"] != records.OUT_OF_SERVICE else ""
        records.settle(spec)

        def change(body: dict[str, Any]) -> None:
            body.update(Fleet=spec, EndpointConfigName=spec["ConfigName"], Pending=None)

        self.move(records.SYSTEM_UPDATING, change)
        self._start_again(spec)
        self.end_in_service(reason)

    def _start_again(self, spec: dict[str, Any]) -> None:
        """Start the processes of a fleet that served before; each is tried until it runs."""
        fleet = self._new_fleet(spec)
        with self._lock:
            self._blue = fleet
        fleet.start(persistent=True)

    # What the worker, and a deployment in it, does to the endpoint.

    @property
    def place(self) -> tuple[Platform, str]:
        """The platform and the region."""
        return self._platform, self._region

    @property
    def cancelled(self) -> threading.Event:
        """Set when the worker is to end without storing anything more."""
        return self._cancel

    def begin_green(self, spec: dict[str, Any]) -> Fleet:
        """A new fleet beside the old one, without instances and traffic."""
        green = self._new_fleet(spec)
        with self._lock:
            self._green, self._share = green, 0.0
        return green

    def drop_green(self) -> None:
        with self._lock:
            self._green, self._share = None, 0.0

    def set_share(self, share: float) -> None:
        """The new fleet's part of the traffic, 0 to 1."""
        with self._lock:
            self._share = share

    def end_in_service(self, reason: str) -> None:
        """The old fleet serves: at once, or, when it cannot be started again, once it can; until then OutOfService."""
        fleet, now = self.serving(), self._platform.clock.time
        limit = now() + max(
            float(one.get("StartupSeconds") or self._settings.startup_seconds)
            for one in self.body()["Fleet"]["Variants"]
        )
        try:
            fleet.await_healthy(self._cancel, lambda: "late" if now() > limit else "")
        except LaunchFailed:
            trouble = f"{reason} {fleet.trouble()}".strip()[:_REASON_CHARACTERS]
            self.move(records.OUT_OF_SERVICE, lambda body: body.update(FailureReason=trouble, Pending=None))
            fleet.await_healthy(self._cancel)
        self.end(records.IN_SERVICE, reason)

    def _fleets(self) -> list[Fleet]:
        with self._lock:
            return [fleet for fleet in (self._blue, self._green, *self._retiring) if fleet]

    def retire(self, fleets: list[Fleet]) -> None:
        """Let fleets that take no more requests answer what is in flight, then end them."""
        with self._lock:
            self._retiring = fleets
        for fleet in fleets:
            fleet.drain()
        with self._lock:
            self._retiring = []

    def body(self) -> dict[str, Any]:
        record = self._platform.store.get(records.KIND, self._region, self._name)
        if record is None:
            raise Missing(self._name)
        return record.body

    def serving(self) -> Fleet:
        if self._blue is None:
            raise RuntimeError(f"endpoint {self._name} has no fleet")
        return self._blue

    def _new_fleet(self, spec: dict[str, Any]) -> Fleet:
        display = self.body()["EndpointName"]
        return Fleet(self._platform, self._settings, display, self._region, spec, self._folder)

    def take_over(self, spec: dict[str, Any]) -> None:
        """The green fleet is the endpoint's fleet from now on."""
        records.settle(spec)
        with self._lock:
            if self._green:
                self._blue, self._green, self._share = self._green, None, 0.0

    def tell(self, pending: dict[str, Any], status: str, message: str | Callable[[int], str]) -> None:
        """Store and publish a deployment's next step."""
        say = message.format if isinstance(message, str) else message
        records.say(pending["Fleet"], status, say, self._platform.clock.time())
        self._alive()
        records.progress(self._platform, self._region, self._name, lambda body: body.update(Pending=pending))

    def store_fleet(self, spec: dict[str, Any]) -> None:
        self._alive()
        records.progress(self._platform, self._region, self._name, lambda body: body.update(Fleet=spec))

    def move(self, status: str, change: records.Change | None = None) -> None:
        self._alive()
        records.move(self._platform, self._region, self._name, status, change)

    def end(self, status: str, reason: str = "", fleet: dict[str, Any] | None = None) -> None:
        """The work is done: without a reason its result counts, with one the endpoint stays what it was."""

        def change(body: dict[str, Any]) -> None:
            pending = body.get("Pending") or {}
            if fleet is not None:
                body["Fleet"] = fleet
            if not reason and "Fleet" in pending:
                body["Fleet"] = pending["Fleet"]
                body["EndpointConfigName"] = pending["Fleet"]["ConfigName"]
                records.settle(body["Fleet"])
            body["Pending"] = None
            body.pop("FailureReason", None)
            if reason:
                body["FailureReason"] = reason[:_REASON_CHARACTERS]

        self.move(status, change)

    def _alive(self) -> None:
        """Store nothing once the server stops: what is stored is what the next start continues from."""
        if self._cancel.is_set():
            raise Cancelled
