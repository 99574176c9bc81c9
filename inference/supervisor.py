"""Several serving processes: this one owns the socket, starts them, and replaces one that dies.

The first worker listens while it loads, so that ping is a 503 and not silence; the others are started when it is ready,
and take requests when they are. A model that cannot be loaded therefore ends the start once. Whoever kills this process
kills the workers with it: the kernel sends them SIGKILL (PR_SET_PDEATHSIG), so none is left holding the port.

As PID 1 of a container it also reaps whatever the workers' own children leave.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from contracts import container
from inference import scrape
from inference.limits import ServerOptions

_NUMBER, _SOCKET, _PARENT, _EARLY = "CVF_WORKER", "CVF_WORKER_SOCKET", "CVF_WORKER_PARENT", "CVF_WORKER_EARLY"
_READY = signal.SIGRTMIN  # queued, so that of two workers that are ready at once none is missed
_PR_SET_PDEATHSIG = 1

#: Workers that die one after the other before they are ready; then there is no use in another one.
_ATTEMPTS = 3
#: Seconds for the workers after SIGTERM; SageMaker sends SIGKILL after 30.
_GRACE_SECONDS = 26.0


@dataclass(frozen=True, slots=True)
class _Child:
    number: int
    ready: bool = False


class Supervisor:
    """Runs ``options.workers`` workers on ``listener`` until SIGTERM."""

    def __init__(self, listener: socket.socket, options: ServerOptions) -> None:
        self._listener, self._options = listener, options
        self._children: dict[int, _Child] = {}
        self._was_ready = False
        self._failures = 0
        self._counts = scrape.Folder(Path(tempfile.mkdtemp(prefix="serving-")))

    def run(self) -> int:
        """The exit code: 0 after SIGTERM or SIGINT; a worker's own when it could not start; else 1."""
        watched = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, _READY}
        signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        try:
            if self._options.metrics_port is not None:
                scrape.serve(self._options.metrics_port, self._counts.read)
            self._start(0, early=True)
            while True:
                info = signal.sigwaitinfo(watched)
                if info.si_signo in (signal.SIGTERM, signal.SIGINT):
                    return self._stop(0)
                if info.si_signo == _READY:
                    self._ready(info.si_pid)
                code = self._reap()
                if code is not None:
                    return self._stop(code)
        finally:
            for pid in self._children:
                os.kill(pid, signal.SIGKILL)
            self._counts.remove()

    def _start(self, number: int, *, early: bool) -> None:
        environment = {
            **os.environ,
            _NUMBER: str(number),
            _SOCKET: str(self._listener.fileno()),
            _PARENT: str(os.getpid()),
            _EARLY: "1" if early else "",
            scrape.FOLDER: str(self._counts.path),
        }
        process = subprocess.Popen(
            [sys.executable, *container.SERVE[1:], "serve"], env=environment, pass_fds=[self._listener.fileno()]
        )
        self._children[process.pid] = _Child(number)
        process.returncode = 0  # this loop reaps it, not the object

    def _ready(self, pid: int) -> None:
        if pid not in self._children:
            return
        self._children[pid] = replace(self._children[pid], ready=True)
        self._failures = 0
        if not self._was_ready:
            self._was_ready = True
            for number in range(1, self._options.workers):
                self._start(number, early=False)

    def _reap(self) -> int | None:
        """Take the dead; an exit code when there is no use in going on."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return None
            if not pid:
                return None
            child = self._children.pop(pid, None)
            if child is None:
                continue
            self._counts.bury(pid)
            code = os.waitstatus_to_exitcode(status)
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            if not child.ready:
                self._failures += 1
            if not self._was_ready or self._failures >= _ATTEMPTS:
                _say(f"worker {child.number} ended with {how} before it was ready")
                return code if code > 0 else 1
            _say(f"worker {child.number} ended with {how}; it is replaced")
            self._start(child.number, early=not any(one.ready for one in self._children.values()))

    def _stop(self, code: int) -> int:
        for pid in self._children:
            os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + _GRACE_SECONDS
        while self._children and (left := until - time.monotonic()) > 0:
            signal.sigtimedwait({signal.SIGCHLD}, left)
            try:
                while (found := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                    self._children.pop(found, None)
            except ChildProcessError:
                break
        return code


def worker_number(environment: Mapping[str, str]) -> int | None:
    """This worker's number; None when this process is none. Ties its life to the supervisor's.

    A worker whose supervisor died while it started ends here, with exit code 1.
    """
    text = environment.get(_NUMBER, "")
    if not text:
        return None
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(environment[_PARENT]):
        sys.exit(1)
    return int(text)


def inherited_socket(environment: Mapping[str, str]) -> socket.socket:
    return socket.socket(fileno=int(environment[_SOCKET]))


def listens_early(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process takes requests before it can answer them, with a 503."""
    return not environment.get(_NUMBER) or bool(environment.get(_EARLY))


def tell_ready(number: int | None) -> None:
    """Tell the supervisor, if there is one, that this worker answers."""
    if number is not None:
        os.kill(os.getppid(), _READY)


def _say(message: str) -> None:
    print(f"inference.server: {message}", file=sys.stderr, flush=True)
