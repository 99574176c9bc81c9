"""What is seen of requests: one JSON line each, and counts for Prometheus.

A line has ``event`` (``request``), ``id``, ``status``, ``bytes`` of the body, ``ms`` of all, ``decode_ms``,
``model_ms``, ``encode_ms``, and of one image ``label`` and ``confidence``, of more ``images``. It never has a part of
the image, nor custom attributes, nor any other header. CloudWatch Logs metric filters make metrics of such lines
(``{ $.event = "request" && $.status = 503 }``).
"""

from __future__ import annotations

import json
import random
import time
from typing import Any

from inference.exchange import Call
from inference.metrics import STAGES, Metrics


class Observer:
    """Writes the lines and counts.

    Args:
        log_share: share of the requests that get a line, 0…1; with a status of 500 or more each does but 503.
        metrics: counts; None: nothing is counted.
    """

    def __init__(self, *, log_share: float, metrics: Metrics | None = None) -> None:
        self._share = log_share
        self.metrics = metrics

    def saw(self, call: Call, status: int, waiting: int) -> None:
        """A request was answered with ``status`` (499: its client left before)."""
        seconds = time.perf_counter() - call.started
        if self.metrics is not None:
            self.metrics.count(call, status, seconds, waiting)
        if self._share >= 1 or (status >= 500 and status != 503) or random.random() < self._share:  # noqa: S311
            print(json.dumps(_line(call, status, seconds), ensure_ascii=False, separators=(",", ":")), flush=True)


def _line(call: Call, status: int, seconds: float) -> dict[str, Any]:
    record = call.record
    line: dict[str, Any] = {
        "event": "request",
        "id": call.request_id,
        "status": status,
        "bytes": len(call.body),
        "ms": round(seconds * 1000, 2),
    }
    for stage in STAGES:
        if stage in record.milliseconds:
            line[f"{stage}_ms"] = round(record.milliseconds[stage], 2)
    if len(record.predictions) == 1:
        label, confidence = record.predictions[0]
        line.update(label=label, confidence=round(confidence, 6))
    elif record.predictions:
        line["images"] = len(record.predictions)
    return line
