"""One server, measured: requests a second, latency, CPU a request, memory, cold start."""

from __future__ import annotations

import base64
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks import processes
from benchmarks.serving.load import Plan, Result
from benchmarks.serving.rivals import ROOT, Running

CONNECTIONS = (1, 8)


@dataclass
class Samples:
    """A number of each round, by what it is of."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        return statistics.median(self.values[name])

    def summary(self) -> dict[str, float]:
        return {name: float(f"{statistics.median(values):.5g}") for name, values in self.values.items()}


def ask(server: Running, bodies: Sequence[bytes], **options: Any) -> Result:
    """Let the client process ask ``server``; see :class:`~benchmarks.serving.load.Plan` for the options.

    Raises:
        SystemExit: an answer was not 200 although the plan allows no other.
    """
    only = options.pop("only_200", True)
    encoded = tuple(base64.b64encode(server.rival.encode(body)).decode() for body in bodies)
    plan = Plan(server.port, encoded, options.pop("content_type", server.rival.content_type), **options)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving.load"], input=json.dumps(asdict(plan)), text=True,
        stdout=subprocess.PIPE, cwd=ROOT, check=True,
    )  # fmt: skip
    result = Result(**json.loads(done.stdout))
    if only and (set(result.statuses) != {"200"} or result.lost):
        raise SystemExit(f"{server.rival.name} answered {result.statuses}, {result.lost} connections were lost")
    return result


def closed_loop(server: Running, bodies: Sequence[bytes], seconds: float, samples: Samples) -> None:
    """At 1 and at 8 connections: rate, latencies (ms), and CPU milliseconds a request of all the server's processes."""
    ask(server, bodies, connections=8, seconds=min(1.0, seconds / 2))  # warm
    for connections in CONNECTIONS:
        before = processes.cpu_of(server.pid)
        result = ask(server, bodies, connections=connections, seconds=seconds)
        used = processes.cpu_of(server.pid) - before
        samples.add(f"rps_{connections}", result.rate)
        samples.add(f"p50_ms_{connections}", result.quantile(0.5) * 1000)
        samples.add(f"p99_ms_{connections}", result.quantile(0.99) * 1000)
        samples.add(f"cpu_ms_{connections}", used / result.count * 1000)


def open_loop(server: Running, bodies: Sequence[bytes], rate: float, seconds: float, samples: Samples) -> None:
    """Requests at a given rate, whatever the answers do: latencies (ms) and CPU a request."""
    before = processes.cpu_of(server.pid)
    result = ask(server, bodies, connections=64, seconds=seconds, rate=rate)
    used = processes.cpu_of(server.pid) - before
    samples.add("open_p50_ms", result.quantile(0.5) * 1000)
    samples.add("open_p99_ms", result.quantile(0.99) * 1000)
    samples.add("open_cpu_ms", used / result.count * 1000)


def rest(server: Running, samples: Samples) -> None:
    """What it takes before it does anything: seconds to the first answer, and memory (MB, proportional set size)."""
    samples.add("cold_start_s", server.ready_seconds)
    samples.add("memory_mb", processes.pss_bytes(processes.session(server.pid)) / 1e6)
