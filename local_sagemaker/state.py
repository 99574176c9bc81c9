"""moto's state on disk: one snapshot for each service that changed, a moment after it changed.

A snapshot is a file that is replaced in one step; its folder carries moto's version, because other versions have other
classes: after an upgrade the server says so and starts empty beside the old state. A ``kill -9`` may lose the last
moment that AWS calls changed in moto (never what :mod:`local_sagemaker.store` holds); :meth:`State.flush` leaves no
such moment.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local_sagemaker import snapshots
from local_sagemaker.blobs import BlobStore

_log = logging.getLogger(__name__)

#: Seconds from a change to its snapshot, if nothing keeps it longer.
DELAY = 0.5

#: A snapshot is taken at most this often, as a multiple of what the last one cost: large states are stored less often.
_COST_SHARE = 20

#: So long, in seconds, waits the snapshot of a service whose last one was dear, so that a kill loses no more than the
#: last second; but for those that may grow large: what an execution or a release names in them is flushed.
_LONGEST_PAUSE = 0.5
_LARGE = {"logs", "s3"}

#: Services whose backends hold nothing of the user's.
_NOT_STORED = {"moto_api", "instance_metadata"}


class _Gate:
    """Many requests at a time, or one snapshot. A waiting snapshot does not keep new requests out."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._closed = False

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        with self._condition:
            while self._closed:
                self._condition.wait()
            self._inside += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                self._condition.notify_all()

    @contextlib.contextmanager
    def closed(self, patience: float) -> Iterator[None]:
        """Nobody inside; after ``patience`` seconds of waiting go on all the same."""
        deadline = time.monotonic() + patience
        with self._condition:
            while self._inside and (left := deadline - time.monotonic()) > 0:
                self._condition.wait(left)
            self._closed = True
        try:
            yield
        finally:
            with self._condition:
                self._closed = False
                self._condition.notify_all()


class State:
    """Snapshots of moto's backends. Safe to use from several threads."""

    def __init__(self, folder: Path, blobs: BlobStore) -> None:
        self._version = importlib.metadata.version("moto")
        self._parent = folder
        self._folder = folder / self._version
        self._blobs = blobs
        self._lock = threading.Condition()
        self._dirty: dict[str, float] = {}
        self._next: dict[str, float] = {}
        self._gates: dict[str, _Gate] = {}
        self._writing = threading.Lock()
        self._failed: set[str] = set()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def load(self) -> list[str]:
        """Put every stored backend back into moto; returns what the person at the keyboard should know."""
        notes = []
        self._parent.mkdir(exist_ok=True, mode=0o700)
        others = sorted(entry.name for entry in self._parent.iterdir() if entry.is_dir() and entry != self._folder)
        if others:
            self._blobs.keep_unknown()
            if not self._folder.exists():
                before = ", ".join(others)
                notes.append(
                    f"The state in {self._parent} was stored by moto {before}; this is moto {self._version}. "
                    f"Starting empty beside it."
                )
        self._folder.mkdir(exist_ok=True, mode=0o700)
        for file in sorted(self._folder.glob("*.pickle")):
            service = file.stem
            try:
                _put_back(service, snapshots.load(snapshots.read_own(file), self._blobs))
            except Exception as error:
                aside = file.with_suffix(f".unreadable-{int(time.time())}")
                file.rename(aside)
                self._blobs.keep_unknown()
                notes.append(
                    f"The stored state of {service} cannot be read ({error}); starting without it. Kept: {aside}"
                )
        for missing in self._blobs.missing():
            _log.warning("the body %s of an S3 object is missing in the state folder", missing)
        return notes

    def start(self) -> None:
        """Store changes as they come."""
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Store everything that any service holds, for the last time."""
        with self._lock:
            self._stopping = True
            self._lock.notify_all()
        if self._thread is not None:
            self._thread.join()
        for service in _services():
            self._write(service)

    def using(self, service: str) -> contextlib.AbstractContextManager[None]:
        """A request to this service: no snapshot of it is taken meanwhile."""
        return self._gate(service).inside()

    def changed(self, *services: str) -> None:
        """Something of these moto services (``s3``, ``awslambda``, …) changed: store it soon."""
        if self._dirty.keys() >= set(services):
            return  # asked for already; whoever writes a thousand log lines need not wake anybody a thousand times
        now = time.monotonic()
        with self._lock:
            for service in services:
                self._dirty.setdefault(service, now)
            self._lock.notify_all()

    def unsaved(self) -> list[str]:
        """Services with changes that a kill would lose now."""
        with self._writing, self._lock:
            return sorted(self._dirty)

    def flush(self, *services: str) -> None:
        """Store what changed in these services before returning.

        Raises:
            OSError: the disk is full.
            RuntimeError: they change too fast.
        """
        for service in services:
            with self._lock:
                dirty = service in self._dirty
            if dirty:
                self._write(service, strict=True)

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._stopping:
                    return
                due = {service: max(at + DELAY, self._next.get(service, 0.0)) for service, at in self._dirty.items()}
                now = time.monotonic()
                ready = [service for service, at in due.items() if at <= now]
                if not ready:
                    self._lock.wait(min(due.values()) - now if due else None)
                    continue
            for service in ready:
                self._write(service)

    def _write(self, service: str, *, strict: bool = False) -> None:
        with self._writing:
            with self._lock:
                self._dirty.pop(service, None)
            started, cpu = time.monotonic(), time.thread_time()
            try:
                data, blobs = self._dump(service)
                snapshots.write_own(self._folder / f"{service}.pickle", data)
            except (OSError, RuntimeError) as error:  # a full disk, or changed again and again while it was taken
                _log.error("the state of %s could not be stored: %s", service, error)
                self._next[service] = time.monotonic() + 5
                self.changed(service)
                if strict:
                    raise
                return
            except Exception:
                if service not in self._failed:
                    self._failed.add(service)
                    _log.exception("what %s holds cannot be stored: a restart loses it", service)
                return
            pause = _COST_SHARE * (time.thread_time() - cpu)
            self._next[service] = started + (pause if service in _LARGE else min(pause, _LONGEST_PAUSE))
            if service == "s3":
                self._blobs.collect(blobs)

    def _dump(self, service: str) -> tuple[bytes, set[str]]:
        for attempt in range(5):
            try:
                with self._gate(service).closed(patience=1.0):
                    return snapshots.dump(_take(service))
            except RuntimeError:  # a dictionary changed under the pickler: another service's request worked on it
                if attempt == 4:
                    raise
                time.sleep(0.01 * 2**attempt)
        raise RuntimeError(f"{service} changed whenever it was to be stored")

    def _gate(self, service: str) -> _Gate:
        with self._lock:
            return self._gates.setdefault(service, _Gate())


def _services() -> list[str]:
    """The services that moto made a backend for, under the names that ``get_backend`` takes."""
    from moto.core.base_backend import BackendDict

    instances: list[Any] = BackendDict._instances  # type: ignore[misc]
    modules = {type_of(backends).split(".")[1] for backends in instances}
    return sorted(modules - _NOT_STORED)


def type_of(backends: Any) -> str:
    module: str = backends.backend.__module__
    return module


def _take(service: str) -> dict[str, dict[str, Any]]:
    from moto.backends import get_backend

    backends: Any = get_backend(service)  # type: ignore[call-overload]
    return {account: dict(regions) for account, regions in backends.items()}


def _put_back(service: str, value: dict[str, dict[str, Any]]) -> None:
    from moto.backends import get_backend

    backends: Any = get_backend(service)  # type: ignore[call-overload]
    for account, regions in value.items():
        for region, backend in regions.items():
            backends[account][region] = backend
            if service == "s3":
                for name in backend.buckets:
                    backends.bucket_accounts[name] = (region, account)
            if service == "logs":
                _continue_event_ids(backend)


def _continue_event_ids(backend: Any) -> None:
    """moto numbers log events from 0 in each process; a client pages by these numbers."""
    from moto.logs.models import LogEvent

    for group in backend.groups.values():
        for stream in group.streams.values():
            if stream.events:
                LogEvent._event_id = max(LogEvent._event_id, stream.events[-1].event_id + 1)
