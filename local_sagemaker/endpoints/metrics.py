"""What an endpoint reports to CloudWatch: each request, and each minute the machine's load.

Source: SageMaker Developer Guide, "Amazon SageMaker AI metrics in Amazon CloudWatch" (endpoint invocation metrics,
endpoint instance metrics). Both fleets of an update report under the same endpoint and variant.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local_sagemaker import processes
from local_sagemaker.metrics import metric
from local_sagemaker.runtimes.instance_types import memory_bytes

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_log = logging.getLogger(__name__)

INVOCATIONS, INSTANCES = "AWS/SageMaker", "/aws/sagemaker/Endpoints"

#: A clock that jumps leaves no gap in the instances' metrics, up to so many minutes.
_FILLED = 24 * 60


def invoked(
    platform: Platform,
    region: str,
    endpoint: str,
    variant: str,
    *,
    status: int,
    instances: int,
    model_seconds: float,
    overhead_seconds: float,
) -> None:
    """Report one request that reached a variant. ``status``: the container's, 0 when it gave no answer."""
    values = {
        "Invocations": (1.0, "None"),
        "InvocationsPerInstance": (1.0 / max(1, instances), "None"),
        "Invocation4XXErrors": (float(400 <= status < 500), "None"),
        "Invocation5XXErrors": (float(500 <= status < 600), "None"),
        "InvocationModelErrors": (float(not 200 <= status < 300), "None"),
        "ModelLatency": (model_seconds * 1e6, "Microseconds"),
        "OverheadLatency": (max(0.0, overhead_seconds) * 1e6, "Microseconds"),
    }
    dimensions = _dimensions(endpoint, variant)
    now = platform.clock.time()
    for name, (value, unit) in values.items():
        platform.metrics.put(region, metric(INVOCATIONS, name, dimensions), value, unit, at=now)


@dataclass(frozen=True, slots=True)
class Load:
    """One running instance, to be measured. ``folder``: where its model data is."""

    region: str
    endpoint: str
    variant: str
    instance_type: str
    pid: int
    folder: Path


class LoadMeter:
    """Reports CPU, memory and disk of every running instance, once a minute of the server's clock.

    CPU is in percent of one core (so 200 is two cores); memory in percent of the instance type's, or of this machine's
    for a type that is not known; disk in percent of the file system that holds the model data. Containers of the Docker
    runtime are not measured: only the client's process is this server's.
    """

    def __init__(self, platform: Platform, running: Callable[[], Iterable[Load]]) -> None:
        self._platform = platform
        self._running = running
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._cpu: dict[int, tuple[float, float]] = {}

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="load of endpoints", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._platform.clock.wake()
        if self._thread is not None:
            self._thread.join(5)

    def _run(self) -> None:
        clock = self._platform.clock
        done = int(clock.time() // 60)
        while not self._stop.is_set():
            moves = clock.moves
            minute = int(clock.time() // 60)
            if minute > done:
                try:
                    self._measure(range(max(done, minute - _FILLED), minute))
                except Exception:
                    _log.exception("the load of endpoints could not be measured")
                done = minute
            clock.wait_until((minute + 1) * 60, self._stop, longest=60, since=moves)

    def _measure(self, minutes: range) -> None:
        """Report what is measured now for each of these minutes."""
        before, self._cpu = self._cpu, {}
        for load in self._running():
            now = (processes.cpu_seconds(load.pid), time.monotonic())
            self._cpu[load.pid] = now
            spent, since = before.get(load.pid, (0.0, now[1] - 60.0))
            whole = memory_bytes(load.instance_type) or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
            values = {
                "CPUUtilization": 100 * max(0.0, now[0] - spent) / max(now[1] - since, 0.01),
                "MemoryUtilization": 100 * processes.resident_bytes(load.pid) / whole,
            }
            try:
                usage = shutil.disk_usage(load.folder)
                values["DiskUtilization"] = 100 * usage.used / usage.total
            except OSError:
                pass  # the instance ends
            dimensions = _dimensions(load.endpoint, load.variant)
            for minute in minutes:
                for name, value in values.items():
                    about = metric(INSTANCES, name, dimensions)
                    self._platform.metrics.put(load.region, about, value, "Percent", at=minute * 60)


def _dimensions(endpoint: str, variant: str) -> list[tuple[str, str]]:
    return [("EndpointName", endpoint), ("VariantName", variant)]
