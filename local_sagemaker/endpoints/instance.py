"""One instance of a variant: a container that is started, pinged, started again when it dies, and drained at last."""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_sagemaker.endpoints.container import CannotLaunch, Container, launch, ping, prepare
from local_sagemaker.faults.registry import NEVER_PINGS, SLOW_START
from local_sagemaker.iam import workloads
from local_sagemaker.iam.access import Denied

if TYPE_CHECKING:
    from local_sagemaker.endpoints.settings import Settings
    from local_sagemaker.platform import Platform

_log = logging.getLogger(__name__)

STARTING, HEALTHY, UNHEALTHY, FAILED, STOPPED = "starting", "healthy", "unhealthy", "failed", "stopped"

_FIRST_PAUSE = 0.5
_LAST_LINES = 8
#: So many failed pings in a row take an instance out of rotation, and so many more have its container started again.
_MISSES_OUT, _MISSES_RESTART = 2, 6
_REASON_CHARACTERS = 1024


def log_group(endpoint: str) -> str:
    return f"/aws/sagemaker/Endpoints/{endpoint}"


class Instance:
    """A supervised container. ``changed`` is notified at each change of ``state``; it guards ``in_flight`` too."""

    def __init__(
        self,
        platform: Platform,
        settings: Settings,
        endpoint: str,
        region: str,
        variant: dict[str, Any],
        folder: Path,
        changed: threading.Condition,
    ) -> None:
        self.endpoint = endpoint
        self.id = f"i-{secrets.token_hex(9)[:17]}"
        self.state = STARTING
        self.reason = ""
        self.in_flight = 0
        self.container: Container | None = None
        self._platform = platform
        self._settings = settings
        self._region = region
        self._variant: str = variant["VariantName"]
        self._owner = f"production variant {self._variant}"
        self._plan: dict[str, Any] = variant["Plan"]
        self._instance_type: str = variant.get("InstanceType") or ""
        self._startup = float(variant.get("StartupSeconds") or settings.startup_seconds)
        self._base = folder / self.id
        self._changed = changed
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._log_group = log_group(endpoint)
        self._stream = platform.logs.stream(self._log_group, f"{self._variant}/{self.id}", region)

    def start(self, *, persistent: bool) -> None:
        """Start in the background. ``persistent``: try again and again; else the first failure is final (FAILED)."""
        self._thread = threading.Thread(target=self._run, args=(persistent,), name=f"instance {self.id}", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """A request that was sent here is answered."""
        with self._changed:
            self.in_flight -= 1
            self._changed.notify_all()

    def drain(self) -> None:
        """Take no more requests, wait for the answers to those in flight, then stop."""
        with self._changed:
            self.state = STOPPED
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.in_flight == 0, self._settings.invocation_seconds + 1)
        self.stop(self._settings.stop_seconds)

    def stop(self, grace: float) -> None:
        """End the container: SIGTERM, SIGKILL after ``grace`` seconds."""
        with self._lock:
            self._stopping.set()
            container = self.container
        if container is not None:
            container.child.terminate(grace)
        if self._thread is not None:
            self._thread.join()
        self._set(STOPPED, self.reason)
        self._stream.close()
        shutil.rmtree(self._base, ignore_errors=True)

    def _run(self, persistent: bool) -> None:
        pause, prepared, served = _FIRST_PAUSE, False, False
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                if not prepared:
                    self._check_role()
                    prepare(self._platform, self._settings, self._plan, self._owner, self._base)
                    prepared = True
                reason = self._serve()
            except CannotLaunch as error:
                reason = str(error)
            except Exception as error:
                _log.exception("instance %s", self.id)
                reason = f"InternalServerError: {error!r}"
            if self._stopping.is_set() or self.state == STOPPED:
                return
            served = served or self.state in (HEALTHY, UNHEALTHY)
            if not served and not persistent:
                self._set(FAILED, reason)
                return
            if time.monotonic() - began > 10 * self._settings.restart_seconds:
                pause = _FIRST_PAUSE  # it had been well for long
            self._set(UNHEALTHY, reason)
            self._stream.write(f"{reason[:_REASON_CHARACTERS]} The container is started again in {pause:g} s.")
            self._stopping.wait(pause)
            pause = min(2 * pause, self._settings.restart_seconds)

    def _check_role(self) -> None:
        """Image, log and metrics in the model's role."""
        try:
            workloads.check_container(
                self._platform, self._plan, self._region, self._log_group, f"{self._variant}/{self.id}"
            )
        except Denied as error:
            raise CannotLaunch(f"{self._owner} cannot start: {error.message}") from None

    def _serve(self) -> str:
        """Run the container until it ends; returns why it ended."""
        with self._lock:
            if self._stopping.is_set():
                return ""
            container = launch(
                self._platform, self._plan, self._owner, self._base, self._region, self._stream.write,
                self._instance_type,
            )  # fmt: skip
            self.container = container
        try:
            reason = self._await_first_ping(container)
            if reason:
                return reason
            self._set(HEALTHY, "")
            return self._keep_pinging(container)
        finally:
            with self._lock:
                self.container = None
            if container.child.returncode is None:
                container.child.terminate(self._settings.stop_seconds)
            container.close()

    def _await_first_ping(self, container: Container) -> str:
        deadline, delay = time.monotonic() + self._startup, 0.05
        faults, clock = self._platform.faults, self._platform.clock
        about = {"service": "sagemaker", "operation": "Ping", "resource": self.endpoint}
        silent = faults.strike(NEVER_PINGS, **about) is not None
        slow = faults.strike(SLOW_START, **about)
        began, from_then = clock.time(), clock.time() + (slow.seconds if slow is not None else 0.0)
        while True:
            code = container.child.wait(delay)
            if code is not None:
                return self._failed(_ended(code))
            answers = not silent and clock.time() >= from_then and ping(container, self._settings.ping_seconds)
            if answers and container.child.wait(0) is None:
                return ""
            if time.monotonic() > deadline or ((silent or slow) and clock.time() > began + self._startup):
                return self._failed(f"It did not answer /ping with 200 within {self._startup:g} s.")
            delay = min(delay * 1.5, 1.0)

    def _keep_pinging(self, container: Container) -> str:
        misses = 0
        while True:
            code = container.child.wait(self._settings.ping_interval_seconds)
            if code is not None:
                return f"The container {_ended(code)}"
            if ping(container, self._settings.ping_seconds):
                misses = 0
                self._set(HEALTHY, "")
            elif self.in_flight == 0:  # one that is busy may well miss a ping
                misses += 1
            if misses == _MISSES_OUT:
                self._set(UNHEALTHY, "The container does not answer /ping.")
            if misses >= _MISSES_OUT + _MISSES_RESTART:
                return "The container does not answer /ping."

    def _failed(self, what: str) -> str:
        """AWS's sentence, then what AWS leaves to the log: how the container ended and its last lines."""
        sentence = (
            f"The primary container for production variant {self._variant} did not pass the ping health check. "
            f"Please check CloudWatch logs for this endpoint. {what}"
        )
        lines = " | ".join(self._stream.tail(_LAST_LINES))
        room = _REASON_CHARACTERS - len(sentence) - len(" Last lines: ")
        return f"{sentence} Last lines: {lines[-room:]}" if lines and room > 0 else sentence

    def _set(self, state: str, reason: str) -> None:
        with self._changed:
            if self.state != STOPPED or state == STOPPED:
                self.state, self.reason = state, reason[:_REASON_CHARACTERS]
            self._changed.notify_all()


def _ended(code: int) -> str:
    return f"was killed by signal {-code}." if code < 0 else f"exited with code {code}."
