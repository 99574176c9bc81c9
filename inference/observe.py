"""What is seen of requests: one JSON line each, and counts for Prometheus.

A line has ``event`` (``request``), ``id``, ``status``, ``bytes`` of the body, ``ms`` of all, ``decode_ms``,
``model_ms``, ``encode_ms``, and of one image ``label`` and ``confidence``, of more ``images``. It never has a part of
the image, nor custom attributes, nor any other header. CloudWatch Logs metric filters make metrics of such lines
(``{ $.event = "request" && $.status = 503 }``).
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

from inference.exchange import Call
from inference.metrics import STAGES, Metrics

#: Seconds that a line may wait for others: a write for each would let a waiting thread take the interpreter each time.
DELAY = 0.005


class Observer:
    """Writes the lines and counts. Its methods are called by the event loop's thread.

    Args:
        log_share: share of the requests that get a line, 0…1; with a status of 500 or more each does but 503.
        metrics: counts; None: nothing is counted.
    """

    def __init__(self, *, log_share: float, metrics: Metrics | None = None) -> None:
        self._share = log_share
        self._lines: list[str] = []
        self.metrics = metrics

    def saw(self, call: Call, status: int, waiting: int) -> None:
        """A request was answered with ``status`` (499: its client left before)."""
        seconds = time.perf_counter() - call.started
        if self.metrics is not None:
            self.metrics.count(call, status, seconds, waiting)
        if self._share >= 1 or (status >= 500 and status != 503) or random.random() < self._share:  # noqa: S311
            if not self._lines:
                asyncio.get_running_loop().call_later(DELAY, self.flush)
            self._lines.append(_line(call, status, seconds))

    def flush(self) -> None:
        """Write the lines that wait."""
        if self._lines:
            text = "\n".join([*self._lines, ""])
            self._lines.clear()
            sys.stdout.write(text)
            sys.stdout.flush()


def _line(call: Call, status: int, seconds: float) -> str:
    """One JSON document; put together by hand, because it is a tenth of what a request costs the server otherwise."""
    record = call.record
    line = f'{{"event":"request","id":"{call.request_id}","status":{status},"bytes":{len(call.body)}'
    line += f',"ms":{seconds * 1000:.2f}'
    for stage in STAGES:
        if stage in record.milliseconds:
            line += f',"{stage}_ms":{record.milliseconds[stage]:.2f}'
    if len(record.predictions) == 1:
        label, confidence = record.predictions[0]
        line += f',"label":{json.dumps(label, ensure_ascii=False)},"confidence":{confidence:.6f}'
    elif record.predictions:
        line += f',"images":{len(record.predictions)}'
    return line + "}"
