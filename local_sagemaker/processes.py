"""What /proc says about processes: identity that survives the reuse of a process id, memory, marks in the environment.

Standard library only: the guardian, which outlives the server, runs it without site-packages.
"""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

#: Every child and everything it starts carries this variable, so that a process that left its group is found too.
MARK = "LOCAL_SAGEMAKER_CHILD"

_PAGE = os.sysconf("SC_PAGE_SIZE")


def start_time(pid: int) -> str | None:
    """When a process started: the boot's id and clock ticks since boot; None when there is no such process.

    Together with ``pid`` it names one process for good. A zombie counts as gone.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()  # the command's name may hold blanks and parentheses
    if fields[0] in "ZX":
        return None
    return f"{_boot_id()}:{fields[19]}"


def is_running(pid: int, started: str | None) -> bool:
    """Does the very process still run that had this id and start time?"""
    return started is not None and start_time(pid) == started


def marked(marks: Iterable[str]) -> Iterator[int]:
    """Ids of the running processes whose environment carries one of ``marks``."""
    wanted = {f"{MARK}={mark}".encode() for mark in marks}
    if not wanted:
        return
    me = os.getpid()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == me:
            continue
        try:
            environment = Path("/proc", entry.name, "environ").read_bytes()
        except OSError:  # another user's process, or gone
            continue
        if any(item in wanted for item in environment.split(b"\0")):
            yield int(entry.name)


def kill_group(pgid: int, number: int = signal.SIGKILL) -> bool:
    """Signal a process group; False when it has no member."""
    try:
        os.killpg(pgid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def kill_leftovers(groups: Iterable[tuple[int, str | None, str]], patience: float = 5.0) -> list[int]:
    """Kill every process of these (group id, leader's start time, mark), and wait until they are gone.

    Returns the ids that were found running; after ``patience`` seconds the wait ends whatever is left.
    """
    groups = list(groups)
    found: list[int] = []
    for pgid, started, _ in groups:
        if is_running(pgid, started):
            found.append(pgid)
            kill_group(pgid)
    marks = {mark for _, _, mark in groups}
    deadline = time.monotonic() + patience
    while True:
        left = [pid for pid in marked(marks) if start_time(pid) is not None]
        if not left or time.monotonic() > deadline:
            return found
        for pid in left:
            if pid not in found:
                found.append(pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants."""
    total = 0
    for current in _family(pid):
        try:
            total += int(Path(f"/proc/{current}/statm").read_text().split()[1]) * _PAGE
        except (OSError, IndexError):
            continue
    return total


def cpu_seconds(pid: int) -> float:
    """Processor time that a process and its descendants have used, those that ended included."""
    ticks = 0
    for current in _family(pid):
        try:
            stat = Path(f"/proc/{current}/stat").read_text()
        except OSError:
            continue
        ticks += sum(map(int, stat[stat.rindex(")") + 2 :].split()[11:15]))  # utime, stime, cutime, cstime
    return ticks / os.sysconf("SC_CLK_TCK")


def _family(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        yield current
        try:
            for task in Path(f"/proc/{current}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except OSError:
            continue


def _boot_id() -> str:
    global _boot
    if _boot is None:
        try:
            _boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            _boot = ""
    return _boot


_boot: str | None = None
