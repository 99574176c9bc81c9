"""A thread that does something at the start of every minute of the server's clock, and whenever that clock is moved."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_sagemaker.clock import Clock

_log = logging.getLogger(__name__)


class EveryMinute:
    """Calls ``look`` from a thread of its own; what it raises is logged and the next minute comes all the same."""

    def __init__(self, name: str, clock: Clock, look: Callable[[], object]) -> None:
        self._name = name
        self._clock = clock
        self._look = look
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._clock.wake()
        if self._thread is not None:
            self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.is_set():
            moves = self._clock.moves
            try:
                self._look()
            except Exception:
                _log.exception("%s could not be looked at", self._name)
            self._clock.wait_until((self._clock.time() // 60 + 1) * 60, self._stop, longest=60, since=moves)
