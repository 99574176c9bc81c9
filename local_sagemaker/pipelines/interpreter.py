"""Runs executions: one thread that makes every transition, a short-lived one for each action, no polling.

Whatever happens (an action ended, a job ended, a pause is over, somebody called the API) comes into one inbox and is
handled in order, so transitions never race.
"""

from __future__ import annotations

import heapq
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from local_sagemaker.pipelines import records
from local_sagemaker.pipelines.run import Run
from local_sagemaker.pipelines.steps.base import Outcome
from local_sagemaker.store import Record

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_log = logging.getLogger(__name__)

#: Between two tries to store a transition.
RETRY_SECONDS = 1.0


class Executions:
    """All executions of the server."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._runs: dict[tuple[str, str], Run] = {}
        self._jobs: dict[tuple[str, str, str], tuple[Run, str]] = {}
        self._jobs_lock = threading.Lock()
        self._timers = _Timers(platform, self._inbox)
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def start(self) -> None:
        """Go on with every execution that an earlier server left."""
        self._platform.jobs.on_end(self._job_ended)
        for record in self._platform.store.list(records.EXECUTION):
            if record.body["PipelineExecutionStatus"] in records.RUNNING:
                self._inbox.put(lambda record=record: self._resume(record))  # type: ignore[misc]
        self._thread = threading.Thread(target=self._work, name="executions", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Make no more transitions; what was going on is resumed at the next start."""
        self._closing.set()
        self._timers.stop()
        self._inbox.put(None)
        if self._thread is not None:
            self._thread.join()

    def begin(self, record: Record) -> None:
        """Run a stored execution, from its beginning or, after a retry, from where it failed."""
        self._inbox.put(lambda: self._resume(record))

    def look_again(self, record: Record) -> None:
        """The API changed an execution: it is to stop, or may run more steps at a time."""

        def look() -> None:
            run = self._runs.get((record.region, record.name))
            if run is not None:
                self._advance(run)

        self._inbox.put(look)

    # Engine

    def act(self, run: Run, step: str, attempt: int, action: Callable[[], Outcome]) -> None:
        def work() -> None:
            outcome = action()
            self._inbox.put(lambda: self._handle(run, lambda: run.acted(step, attempt, outcome)))

        threading.Thread(target=work, name=f"{run.id} {step}", daemon=True).start()

    def watch_job(self, run: Run, step: str, key: tuple[str, str, str]) -> None:
        with self._jobs_lock:
            self._jobs[key] = (run, step)

    def at(self, instant: float, run: Run, step: str) -> None:
        self._timers.add(instant, lambda: self._handle(run, lambda: run.try_again(step)))

    # the thread

    def _work(self) -> None:
        while not self._closing.is_set():
            item = self._inbox.get()
            if item is None:
                return
            try:
                item()
            except Exception:
                _log.exception("a transition failed")

    def _resume(self, record: Record) -> None:
        run = self._runs[record.region, record.name] = Run(self._platform, self, record)
        self._handle(run, run.resume)

    def _advance(self, run: Run) -> None:
        self._handle(run, run.advance)

    def _handle(self, run: Run, transition: Callable[[], None]) -> None:
        """Make a transition of a run that is not over, and forget the run when it is.

        A transition that cannot be stored (the disk is full) is tried again until it can.
        """
        if self._runs.get((run.region, run.id)) is not run:
            return
        pending = [transition]
        while pending:
            try:
                pending[0]()
                pending.pop(0)
            except sqlite3.OperationalError as error:
                _log.error("the state of execution %s cannot be stored, trying again: %s", run.id, error)
                pending = [transition, run.advance]  # some of it may be done, and then only the rest is left
                if self._closing.wait(RETRY_SECONDS):
                    return
        if run.ended:
            del self._runs[run.region, run.id]
            with self._jobs_lock:
                self._jobs = {key: value for key, value in self._jobs.items() if value[0] is not run}

    def _job_ended(self, key: tuple[str, str, str]) -> None:
        """Called from the job's thread."""
        with self._jobs_lock:
            found = self._jobs.pop(key, None)
        if found is not None:
            run, step = found
            self._inbox.put(lambda: self._handle(run, lambda: run.job_ended(step, key[2])))


class _Timers:
    """Puts something into the inbox at a time of the server's clock; its thread lives only while something is due."""

    def __init__(self, platform: Platform, inbox: queue.SimpleQueue[Callable[[], None] | None]) -> None:
        self._platform = platform
        self._inbox = inbox
        self._lock = threading.Lock()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._thread: threading.Thread | None = None
        self._end = threading.Event()

    def add(self, instant: float, action: Callable[[], None]) -> None:
        with self._lock:
            self._number += 1
            heapq.heappush(self._due, (instant, self._number, action))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="retries", daemon=True)
                self._thread.start()
        self._platform.clock.wake()

    def stop(self) -> None:
        self._end.set()
        self._platform.clock.wake()

    def _run(self) -> None:
        while not self._end.is_set():
            with self._lock:
                if not self._due:
                    self._thread = None
                    return
                instant = self._due[0][0]
                if instant <= self._platform.clock.time():
                    self._inbox.put(heapq.heappop(self._due)[2])
                    continue
            self._platform.clock.wait_until(instant, self._end)
