"""The server's clock: real time plus an offset that ``POST /_local/clock`` moves forward.

Bake times, schedules and expiries count on this clock, so that a test or an impatient user need not wait an hour.
The offset is stored: after a restart time does not run backwards.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path


class Clock:
    """Seconds since the epoch, as this server sees them. Safe to use from several threads."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._changed = threading.Condition()
        self._offset = 0.0
        self._moves = 0
        if file is not None and file.exists():
            self._offset = float(file.read_text())

    @property
    def offset(self) -> float:
        return self._offset

    def time(self) -> float:
        return time.time() + self._offset

    def advance(self, seconds: float) -> float:
        """Move the clock forward, wake whoever waits on it, and return the new time.

        Raises:
            ValueError: ``seconds`` is negative or no number.
        """
        if not seconds >= 0 or seconds == float("inf"):
            raise ValueError(f"the clock moves forward only: {seconds} seconds is not possible")
        with self._changed:
            self._offset += seconds
            if self._file is not None:
                self._file.write_text(repr(self._offset))
            self._moves += 1
            self._changed.notify_all()
        return self.time()

    @property
    def moves(self) -> int:
        """Grows whenever the clock is moved or :meth:`wake` is called; give it to :meth:`wait_until`."""
        return self._moves

    def wait_until(
        self, deadline: float, stop: threading.Event, longest: float = 1.0, since: int | None = None
    ) -> None:
        """Sleep until ``deadline`` (this clock) or ``longest`` real seconds, or until the clock is moved or ``stop``
        set.

        ``since``: the value of :attr:`moves` before the caller looked for work; had it grown meanwhile, nobody sleeps.
        A caller loops: it looks again whatever ended the wait. Whoever sets ``stop`` calls :meth:`wake`.
        """
        with self._changed:
            left = min(deadline - self.time(), longest)
            if left > 0 and not stop.is_set() and since in (None, self._moves):
                self._changed.wait(left)

    def wake(self) -> None:
        """End every wait."""
        with self._changed:
            self._moves += 1
            self._changed.notify_all()
