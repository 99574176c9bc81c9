"""Waiting, in tests, for what happens in another thread, process or server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(question: Callable[[], T], what: str = "it", seconds: float = 120.0) -> T:
    """The first true answer; fails with ``what`` and the last answer once ``seconds`` are over.

    The limit is there to end a test that found a bug, not to measure: it is far above what the slowest machine needs.
    """
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s; the last answer: {answer!r}"
        time.sleep(0.05)
    return answer
