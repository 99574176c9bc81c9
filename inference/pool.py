"""Threads that work for an event loop.

What ``loop.run_in_executor`` does, for less: a request that does nothing spends most of its time on the way into a
thread and back. A job costs one item in a queue that is written in C, and results that are ready at the same time wake
the loop once.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Job(Generic[T]):
    """Work that waits for a thread, and the function of the loop's thread that takes its result."""

    __slots__ = ("_started", "done", "result", "work")

    def __init__(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        self.work = work
        self.done = done
        self.result: T
        self._started = [False]

    def claim(self) -> bool:
        """Whether the caller is the first to claim it: a thread that works on it, or :meth:`cancel`."""
        try:
            self._started.pop()
        except IndexError:
            return False
        return True

    def cancel(self) -> bool:
        """Whether no thread works, or worked, on it; then none will, and ``done`` is never called."""
        return self.claim()


class Pool:
    """Threads that work on jobs in their order; they end with the process, which does not wait for them.

    Args:
        threads: jobs that are worked on at once.
        name: of the threads.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._jobs: SimpleQueue[Job[Any]] = SimpleQueue()
        self._finished: deque[Job[Any]] = deque()
        self._woken = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._name = name
        self.threads = 0
        self.widen(threads)

    def widen(self, threads: int) -> None:
        """Have at least so many threads."""
        while self.threads < threads:
            threading.Thread(target=self._work, name=f"{self._name}_{self.threads}", daemon=True).start()
            self.threads += 1

    def submit(self, work: Callable[[], T], done: Callable[[T], None]) -> Job[T]:
        """Let a thread call ``work``, which must not raise, and the running loop call ``done`` with what it returned.

        Called from the loop's thread; one pool works for one loop.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        job = Job(work, done)
        self._jobs.put(job)
        return job

    def call(self, work: Callable[[], T]) -> Future[T]:
        """Let a thread call ``work``, which may raise."""
        found: Future[T] = Future()

        def run() -> None:
            try:
                found.set_result(work())
            except BaseException as error:
                found.set_exception(error)

        self.submit(run, lambda nothing: None)
        return found

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if not job.claim():
                continue
            job.result = job.work()
            self._finished.append(job)
            # The loop clears the mark before it empties the queue: a result that finds the mark set is still taken.
            if not self._woken:
                self._woken = True
                if not self._wake():
                    return
            del job  # a waiting thread keeps no request

    def _wake(self) -> bool:
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._take)
        except RuntimeError:  # the loop is closed: the process ends
            return False
        return True

    def _take(self) -> None:
        self._woken = False
        while self._finished:
            job = self._finished.popleft()
            job.done(job.result)
