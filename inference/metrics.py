"""Counts of a process, and the text in which Prometheus reads them.

Format: "Exposition formats", text format 0.0.4. Written here and not by ``prometheus_client``, because processes must
be summed: each keeps a snapshot (a plain dict), and :func:`page` writes the sum of several.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from inference import machine
from inference.exchange import Call

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
#: Labels come from the bundle's classes; a user module may make up more. Those beyond are counted as "other".
MAX_LABELS = 1000

STAGES = ("decode", "model", "encode")

Snapshot = dict[str, Any]

_GAUGES = ("waiting", "memory", "files", "processes")
_NUMBERS = (
    ("cvf_request_bytes_total", "counter", "Bytes of the bodies.", "bytes"),
    ("cvf_queue_depth", "gauge", "Requests that wait for a thread.", "waiting"),
    ("cvf_resident_memory_bytes", "gauge", "Memory of the serving processes.", "memory"),
    ("cvf_open_files", "gauge", "Open descriptors of the serving processes.", "files"),
    ("cvf_processes", "gauge", "Serving processes.", "processes"),
)


class Histogram:
    """Counts by upper bound, the last one without, and the sum of the values."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        index = next((place for place, bound in enumerate(self.bounds) if value <= bound), len(self.bounds))
        self.counts[index] += 1
        self.total += value


class Metrics:
    """Thread-safe counts of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._bytes = 0
        self._waiting = 0
        self._labels: Counter[str] = Counter()
        self._whole = Histogram(SECONDS)
        self._stages = {stage: Histogram(SECONDS) for stage in STAGES}
        self._confidence = Histogram(SHARES)

    def count(self, call: Call, status: int, seconds: float, waiting: int) -> None:
        with self._lock:
            self._requests[str(status)] += 1
            self._bytes += len(call.body)
            self._waiting = waiting
            self._whole.add(seconds)
            for stage, milliseconds in call.record.milliseconds.items():
                if stage in self._stages:
                    self._stages[stage].add(milliseconds / 1000)
            for label, confidence in call.record.predictions:
                known = label in self._labels or len(self._labels) < MAX_LABELS
                self._labels[label if known else "other"] += 1
                self._confidence.add(confidence)

    def snapshot(self) -> Snapshot:
        """Plain values, for JSON."""
        with self._lock:
            return {
                "requests": dict(self._requests),
                "bytes": self._bytes,
                "waiting": self._waiting,
                "labels": dict(self._labels),
                "seconds": _plain(self._whole),
                "stages": {name: _plain(one) for name, one in self._stages.items()},
                "confidence": _plain(self._confidence),
                "memory": machine.resident_bytes(),
                "files": machine.open_files(),
                "processes": 1,
            }

    def zeros(self) -> Snapshot:
        """A snapshot of nothing."""
        return {**self.snapshot(), "memory": 0, "files": 0, "processes": 0}


def combine(snapshots: Sequence[Snapshot]) -> Snapshot:
    """The sum of snapshots, number by number."""
    total: Snapshot = {}
    for snapshot in snapshots:
        total = _added(total, snapshot)
    return total


def counters(snapshot: Snapshot) -> Snapshot:
    """What a process counted, without what it is at the moment."""
    return {name: value for name, value in snapshot.items() if name not in _GAUGES}


def page(snapshots: Sequence[Snapshot]) -> str:
    """The text for the sum of ``snapshots``, one of each process."""
    total = combine([Metrics().zeros(), *snapshots])
    lines: list[str] = []

    def family(name: str, kind: str, text: str, samples: Sequence[tuple[str, float]]) -> None:
        lines.extend([f"# HELP {name} {text}", f"# TYPE {name} {kind}"])
        lines.extend(f"{sample} {value}" for sample, value in samples)

    def labelled(name: str, label: str, counts: dict[str, int]) -> list[tuple[str, float]]:
        return [(f'{name}{{{label}="{_escaped(key)}"}}', value) for key, value in sorted(counts.items())]

    requests = labelled("cvf_requests_total", "status", total["requests"])
    family("cvf_requests_total", "counter", "Requests by status; 499: the client left.", requests)
    predictions = labelled("cvf_predictions_total", "label", total["labels"])
    family("cvf_predictions_total", "counter", "Predictions by label.", predictions)
    for name, kind, text, key in _NUMBERS:
        family(name, kind, text, [(name, total[key])])
    whole = _samples("cvf_request_seconds", "", SECONDS, total["seconds"])
    family("cvf_request_seconds", "histogram", "Time from a request's headers to its answer.", whole)
    stages = [
        sample
        for stage in STAGES
        for sample in _samples("cvf_stage_seconds", f'stage="{stage}"', SECONDS, total["stages"][stage])
    ]
    family("cvf_stage_seconds", "histogram", "Time of each stage.", stages)
    confidence = _samples("cvf_confidence", "", SHARES, total["confidence"])
    family("cvf_confidence", "histogram", "Confidence of the predictions.", confidence)
    return "\n".join(lines) + "\n"


def _added(one: Any, other: Any) -> Any:
    if isinstance(one, dict):
        return {
            key: _added(one[key], other[key]) if key in one and key in other else one.get(key, other.get(key))
            for key in (*one, *(key for key in other if key not in one))
        }
    if isinstance(one, list):
        return [_added(a, b) for a, b in zip(one, other, strict=True)]
    return one + other


def _plain(histogram: Histogram) -> dict[str, Any]:
    return {"counts": list(histogram.counts), "sum": histogram.total}


def _samples(name: str, label: str, bounds: Sequence[float], histogram: dict[str, Any]) -> list[tuple[str, float]]:
    comma = "," if label else ""
    braces = f"{{{label}}}" if label else ""
    found: list[tuple[str, float]] = []
    count = 0
    for bound, here in zip((*map(str, bounds), "+Inf"), histogram["counts"], strict=True):
        count += here
        found.append((f'{name}_bucket{{{label}{comma}le="{bound}"}}', count))
    return [*found, (f"{name}_sum{braces}", histogram["sum"]), (f"{name}_count{braces}", count)]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
