"""CloudWatch Logs for jobs, endpoints and functions: lines go straight into moto's log streams.

``get_log_events`` and ``filter_log_events`` of any client see them at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

#: Events that a stream keeps: an endpoint may write for weeks, and all of it is in memory.
KEPT = 50_000


class LogStream:
    """One log stream. ``write`` may be called from any thread."""

    def __init__(self, stream: Any, now: Callable[[], float], changed: Callable[[], None]) -> None:
        self._stream = stream
        self._now = now
        self._changed = changed
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        """Store one line as one log event, at the server's time. CloudWatch refuses empty events: they are left out."""
        if not line:
            return
        with self._lock:
            self._stream.put_log_events([{"timestamp": int(self._now() * 1000), "message": line}])
            if len(self._stream.events) > KEPT:
                del self._stream.events[: KEPT // 5]
        self._changed()

    def tail(self, count: int) -> list[str]:
        """The last ``count`` lines."""
        return [event.message for event in self._stream.events[-count:]] if count > 0 else []

    def close(self) -> None:
        """Nothing is buffered; the stream stays readable."""
        self._changed()


class _Nowhere(LogStream):
    """For who may not write: the lines are lost, as on AWS."""

    def __init__(self) -> None:
        """Nothing to keep."""

    def write(self, line: str) -> None:
        """Lost."""

    def tail(self, count: int) -> list[str]:
        return []

    def close(self) -> None:
        """Nothing is open."""


class Logs:
    """Log groups and streams of one account."""

    def __init__(self, account_id: str, now: Callable[[], float], changed: Callable[[str], None]) -> None:
        self._account_id = account_id
        self._now = now
        self._changed = changed
        self._lock = threading.Lock()

    def nowhere(self) -> LogStream:
        """A stream whose lines are lost."""
        return _Nowhere()

    def stream(self, group: str, stream: str, region: str) -> LogStream:
        """A stream to write to; group and stream are made when they are not there, as SageMaker does."""
        from moto.logs.models import logs_backends

        with self._lock:
            backend = logs_backends[self._account_id][region]
            backend.ensure_log_group(group)
            backend.ensure_log_stream(group, stream)
            found = backend.groups[group].streams[stream]
        return LogStream(found, self._now, lambda: self._changed("logs"))
