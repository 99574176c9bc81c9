"""Endpoints: models served by processes of this machine, behind the calls of SageMaker and its runtime.

``api`` and ``configs`` answer the operations and store what is wanted; ``endpoint`` makes it so, with a ``fleet`` of
supervised ``instance`` processes; ``invocation`` sends requests to them.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from local_sagemaker.endpoints import records
from local_sagemaker.endpoints.endpoint import Endpoint
from local_sagemaker.endpoints.invocation import Answer, invoke, refuse_verb
from local_sagemaker.endpoints.metrics import Load, LoadMeter
from local_sagemaker.endpoints.settings import Settings

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

__all__ = ["Fleets", "Settings"]

#: Seconds between SIGTERM and SIGKILL when the whole server stops.
_STOP_SECONDS = 10.0


class Fleets:
    """The running side of every endpoint."""

    def __init__(self, platform: Platform, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.from_environment()
        self._platform = platform
        self._folder = platform.state_dir / "endpoints"
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        self._lock = threading.Lock()
        self._meter = LoadMeter(platform, self._loads)

    def start(self) -> None:
        """Bring back what the store knows; the processes of an earlier server are gone, and so are their folders."""
        shutil.rmtree(self._folder, ignore_errors=True)
        for record in self._platform.store.list(records.KIND):
            self.begin(record.region, record.name, "resume")
        self._meter.start()

    def stop(self) -> None:
        """End every process; the records stay for the next start."""
        self._meter.stop()
        with self._lock:
            endpoints = list(self._endpoints.values())
        threads = [threading.Thread(target=endpoint.stop, args=(_STOP_SECONDS,)) for endpoint in endpoints]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def begin(self, region: str, name: str, action: str) -> None:
        """Act on an endpoint's stored record (:meth:`Endpoint.begin`)."""
        with self._lock:
            key = (region, name)
            if key not in self._endpoints:
                folder = self._folder / region / name
                self._endpoints[key] = Endpoint(self._platform, self.settings, region, name, folder)
            endpoint = self._endpoints[key]
        endpoint.begin(action)

    def forget(self, region: str, name: str) -> None:
        """The endpoint is deleted."""
        with self._lock:
            self._endpoints.pop((region, name), None)

    def _loads(self) -> list[Load]:
        with self._lock:
            endpoints = list(self._endpoints.values())
        return [load for endpoint in endpoints for load in endpoint.loads()]

    def invoke(
        self, name: str, region: str, body: bytes, headers: Mapping[str, str], verb: str = "invocations"
    ) -> Answer:
        """Answer InvokeEndpoint: (HTTP status, headers, body). A container's error is an answer of status 424.

        ``verb`` is the end of the path: asynchronous and streaming invocations have their own.

        Raises:
            ApiError: ValidationError, ServiceUnavailable.
        """
        refuse_verb(verb)
        with self._lock:
            endpoint = self._endpoints.get((region, name.lower()))
        return invoke(self._platform, self.settings, endpoint, name, region, body, headers)
