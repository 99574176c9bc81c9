"""CPU seconds and memory of a command and of everything it starts, detached servers included. Linux only."""

from __future__ import annotations

import ctypes
import os
import resource
import threading
from collections.abc import Iterable
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_TICKS = os.sysconf("SC_CLK_TCK")


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends (prctl(2), PR_SET_CHILD_SUBREAPER).

    So a server that detaches itself is still counted, and none is forgotten.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def descendants() -> list[int]:
    """The living processes below this one."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def cpu_seconds() -> float:
    """User and system seconds of all descendants so far, the ended ones included."""
    reap()
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = ended.ru_utime + ended.ru_stime
    for pid in descendants():
        fields = _stat(pid)
        if fields:
            total += sum(int(value) for value in fields[11:15]) / _TICKS
    return total


def session(root: int) -> list[int]:
    """The living processes of the session that ``root`` leads, those included whose parents have ended."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields and int(fields[3]) == root:
                found.append(int(entry.name))
    return found


def cpu_of(root: int) -> float:
    """User and system seconds so far of the processes of a session, ended and collected children included."""
    total = 0
    for pid in session(root):
        total += sum(int(value) for value in _stat(pid)[11:15])
    return total / _TICKS


def reap() -> None:
    """Collect adopted processes that have ended, so that their time is counted once, with the ended ones."""
    for pid in descendants():
        fields = _stat(pid)
        if fields and fields[0] == "Z" and int(fields[1]) == os.getpid():
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from ``state`` on; empty when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rsplit(") ", 1)[1].split()


def pss_bytes(pids: Iterable[int] | None = None) -> int:
    """Proportional set size of these processes, all descendants unless given: shared pages count once, in shares."""
    total = 0
    for pid in descendants() if pids is None else pids:
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            continue
    return total


class PeakMemory:
    """Samples :func:`pss_bytes` of the descendants while the block runs; the largest is in ``bytes``."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.bytes = 0
        self._every = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(self._every):
            self.bytes = max(self.bytes, pss_bytes())
