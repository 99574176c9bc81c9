"""Child processes: jobs, model servers and Lambda workers.

Each child leads a process group (and session) of its own, so that what it starts ends with it; a process that leaves
the group is found by a mark in its environment. A child is recorded with the start time of its leader: the next server
on the same state kills what a killed server left. Before that, already when the server dies, a guardian process does
it.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from local_sagemaker import isolation, processes
from local_sagemaker.store import Store

_log = logging.getLogger(__name__)
_KIND = "child"
_HERE = Path(__file__).parent

#: CloudWatch Logs takes events of up to 256 KB; a longer line is handed on in pieces.
LONGEST_LINE = 256 * 1024 - 26

#: Taken over from the server's own environment when the caller does not set them.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH")

Sink = Callable[[str], None]


class CannotStart(Exception):
    """The command could not be started; the message says why."""


class CannotIsolate(CannotStart):
    """This machine gives no network namespace to this user."""


class Contained(Protocol):
    """A container of which a child process is the output; it is the container that is signalled."""

    @property
    def name(self) -> str: ...

    def signal(self, number: int) -> bool:
        """False when the engine cannot be asked."""
        ...

    def finish(self) -> int | None:
        """Its output has ended: remove it; its exit code, None when nobody knows it."""
        ...


class Child:
    """A running or ended child process, or a container."""

    def __init__(
        self,
        name: str,
        mark: str,
        process: subprocess.Popen[bytes],
        memory_bytes: int | None,
        container: Contained | None = None,
    ) -> None:
        self.name = name
        self.mark = mark
        self.memory_bytes = memory_bytes
        self.started_at = processes.start_time(process.pid)
        #: True once the child was killed because it used more memory than it may.
        self.out_of_memory = False
        self._process = process
        self._container = container
        self._code: int | None = None
        self._lock = threading.Lock()
        self._exited = False
        self._done = threading.Event()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal's number; None while it runs or its last output is being read."""
        return self._code if self._done.is_set() else None

    @property
    def container_name(self) -> str:
        """The container's name in its engine; empty for a process."""
        return self._container.name if self._container else ""

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code once the child has ended, its group is gone and its last line is delivered; None on timeout."""
        self._done.wait(timeout)
        return self.returncode

    def terminate(self, grace: float) -> int:
        """SIGTERM to the whole group, SIGKILL after ``grace`` seconds; returns the exit code."""
        self._signal(signal.SIGTERM)
        if self.wait(grace) is None:
            self.kill()
        self._done.wait()
        return int(self._code or 0)

    def kill(self) -> None:
        """SIGKILL to the whole group; does not wait."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with self._lock:
            if self._exited:
                return
            if self._container is None or (not self._container.signal(number) and number == signal.SIGKILL):
                processes.kill_group(self.pid, number)

    def _follow(self, sink: Sink, ended: Callable[[Child], None]) -> None:
        """Deliver the output, wait for the end, kill what is left of the group."""
        pump = threading.Thread(
            target=_pump, args=(self._process.stdout, sink), name=f"{self.name} output", daemon=True
        )
        pump.start()
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)  # the zombie still reserves the group's id
        with self._lock:
            processes.kill_group(self.pid)
            self._exited = True
            self._process.wait()
        pump.join(0.05)
        if pump.is_alive():  # somebody left the group and holds the pipe
            processes.kill_leftovers([(self.pid, None, self.mark)])
            pump.join(5)
        code = self._container.finish() if self._container is not None else None
        self._code = self._process.returncode if code is None else code
        ended(self)
        self._done.set()


class Children:
    """Starts children and knows the running ones."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: dict[str, Child] = {}
        self._lock = threading.Lock()
        self._guardian: _Guardian | None = None
        self._engine = ""
        self._watching = False
        self._closed = False
        self._can_isolate: bool | None = None

    def reap(self) -> list[str]:
        """Kill what children of an earlier server still run; returns the names of all that were recorded."""
        records = self._store.list(_KIND)
        processes.kill_leftovers((r.body["pgid"], r.body["started"], r.name) for r in records)
        for record in records:
            self._store.delete(_KIND, "", record.name)
        return [record.body["name"] for record in records]

    def watch(self, engine: str) -> None:
        """Have the guardian remove a dead server's containers too. ``engine``: a line for it, see the guardian."""
        self._engine = engine
        self._tell_guardian(f"! {engine}\n")

    def start(
        self,
        name: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path | str,
        sink: Sink,
        *,
        isolated: bool = False,
        memory_mb: int | None = None,
        pass_fds: Sequence[int] = (),
        container: Contained | None = None,
    ) -> Child:
        """Start a command.

        ``environment`` is all the child gets, but for PATH, HOME, the locale and the like. ``sink`` gets each line of
        standard output and error, without its end, from one thread. ``isolated``: no network but its own loopback, no
        AWS credentials and endpoint. ``memory_mb``: the child is killed when it and what it started hold more.
        ``pass_fds``: file descriptors that stay open in it. ``container``: what the command shows the output of.

        Raises:
            CannotIsolate: ``isolated``, and the kernel allows no namespace.
            CannotStart: no such command or folder, or the server is stopping.
        """
        variables = {key: os.environ[key] for key in _INHERITED if key in os.environ} | dict(environment)
        command = [str(part) for part in argv]
        if isolated:
            self._check_isolation()
            variables = {key: value for key, value in variables.items() if not gives_access(key)}
            command = [sys.executable, "-I", "-S", isolation.__file__, "--", *command]
        mark = secrets.token_hex(8)
        variables[processes.MARK] = mark
        with self._lock:
            if self._closed:
                raise CannotStart("the server is stopping")
            process = _spawn(command, variables, cwd, pass_fds)
            child = Child(name, mark, process, memory_mb * 2**20 if memory_mb else None, container)
            self._running[mark] = child
        body = {"name": name, "pgid": child.pid, "started": child.started_at}
        self._store.insert(_KIND, "", mark, body)
        self._tell_guardian(f"+ {child.pid} {child.started_at} {mark}\n")
        threading.Thread(target=child._follow, args=(sink, self._ended), name=f"{name} end", daemon=True).start()
        if child.memory_bytes:
            self._watch_memory()
        return child

    def running(self) -> list[Child]:
        with self._lock:
            return list(self._running.values())

    def stop(self, grace: float = 10.0) -> None:
        """End every child: SIGTERM to all, SIGKILL after ``grace`` seconds. No child starts after that."""
        with self._lock:
            self._closed = True
            children = list(self._running.values())
        for child in children:
            child._signal(signal.SIGTERM)
        deadline = time.monotonic() + grace
        for child in children:
            if child.wait(max(0.0, deadline - time.monotonic())) is None:
                child.kill()
        for child in children:
            child.wait(10)
        with self._lock:
            guardian, self._guardian = self._guardian, None
        if guardian is not None:
            guardian.tell("!\n")
            guardian.close()

    def _ended(self, child: Child) -> None:
        with self._lock:
            self._running.pop(child.mark, None)
        self._store.delete(_KIND, "", child.mark)
        self._tell_guardian(f"- {child.pid}\n")

    def _tell_guardian(self, line: str) -> None:
        with self._lock:
            if self._closed and line.startswith("-"):
                return
            if self._guardian is None:
                self._guardian = _Guardian()
                if self._engine and not line.startswith("!"):
                    self._guardian.tell(f"! {self._engine}\n")
            if not self._guardian.tell(line):
                _log.warning("the guardian is gone: children of a killed server live until the next start")
                self._guardian.close()
                self._guardian = None

    def _check_isolation(self) -> None:
        if self._can_isolate is None:
            probe = [sys.executable, "-I", "-S", isolation.__file__, "--", "/bin/true"]
            self._can_isolate = subprocess.run(probe, env={}, capture_output=True, check=False).returncode == 0
        if not self._can_isolate:
            raise CannotIsolate(
                "This machine gives no network namespace to this user, so nothing can run isolated. "
                "Run the local SageMaker as root, or allow unprivileged user namespaces "
                "(sysctl kernel.unprivileged_userns_clone=1)."
            )

    def _watch_memory(self) -> None:
        with self._lock:
            if self._watching:
                return
            self._watching = True
        threading.Thread(target=self._kill_the_greedy, name="memory", daemon=True).start()

    def _kill_the_greedy(self) -> None:
        """Look at the memory of limited children a few times a second, as long as there are any."""
        while True:
            with self._lock:
                limited = [child for child in self._running.values() if child.memory_bytes]
                if not limited:
                    self._watching = False
                    return
            for child in limited:
                if child.memory_bytes and processes.resident_bytes(child.pid) > child.memory_bytes:
                    child.out_of_memory = True
                    child.kill()
            time.sleep(0.1)


class _Guardian:
    """The process that ends the children of a server that died (:mod:`local_sagemaker.guardian`)."""

    def __init__(self) -> None:
        reading, self._pipe = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_HERE / "guardian.py")], stdin=reading, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env={}, cwd="/", start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(reading)

    def tell(self, line: str) -> bool:
        """False when it is gone."""
        try:
            os.write(self._pipe, line.encode())
        except OSError:
            return False
        return True

    def close(self) -> None:
        """No server, no children: it ends."""
        os.close(self._pipe)
        self._process.wait()


def _spawn(
    command: list[str], variables: Mapping[str, str], cwd: Path | str, pass_fds: Sequence[int]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command, env=dict(variables), cwd=cwd, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0, pass_fds=pass_fds,
        )  # fmt: skip
    except FileNotFoundError as error:
        what = "working folder" if error.filename == str(cwd) else "command"
        raise CannotStart(f"there is no such {what}: {error.filename}") from error
    except (OSError, ValueError) as error:
        raise CannotStart(f"{command[0]}: {error}") from error


def _pump(output: IO[bytes] | None, sink: Sink) -> None:
    """Hand on line by line. Whatever the sink does, the pipe is drained: a full pipe would stop the child."""
    rest = b""
    broken = False

    def deliver(line: bytes) -> None:
        nonlocal broken
        if broken:
            return
        try:
            sink(line.decode("utf-8", "replace").rstrip("\r"))
        except Exception:
            broken = True
            _log.exception("a log line could not be stored; the rest of this child's output is dropped")

    if output is None:
        return
    with output:
        while chunk := output.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                for start in range(0, len(line) or 1, LONGEST_LINE):
                    deliver(line[start : start + LONGEST_LINE])
            while len(rest) > LONGEST_LINE:
                deliver(rest[:LONGEST_LINE])
                rest = rest[LONGEST_LINE:]
        if rest:
            deliver(rest)


def gives_access(variable: str) -> bool:
    """Does an environment variable lead to AWS, or open it?"""
    return variable.startswith(
        (
            "AWS_ACCESS",
            "AWS_SECRET",
            "AWS_SESSION",
            "AWS_ENDPOINT",
            "AWS_CONTAINER",
            "AWS_PROFILE",
            "AWS_WEB_IDENTITY",
            "AWS_ROLE",
        )
    )
