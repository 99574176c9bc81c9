"""The serving container's process on this machine: started, waited for, and ended with all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from contracts import container
from contracts.errors import FactoryError
from local_sagemaker import guardian, processes

_LOOPBACK = "127.0.0.1"
#: Seconds that it gets to answer what is in flight after SIGTERM. SageMaker gives 30.
_GRACE = 10.0
_LAST_LINES = 8
#: A longer line of its log is left out.
_LONGEST_LINE = 2**20


class Container:
    """``python -m inference.server serve`` on loopback; nothing of it outlives this process."""

    def __init__(self, process: asyncio.subprocess.Process, say: Callable[[str], None]) -> None:
        self._process = process
        self._say = say
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._log = asyncio.create_task(self._follow())

    @classmethod
    async def start(
        cls, base: Path, port: int, environment: Mapping[str, str], guard: Guard, say: Callable[[str], None]
    ) -> Container:
        """Start it with the bundle in ``<base>/model``.

        Args:
            environment: variables beside those of SageMaker; this machine's AWS configuration is not among them.
            guard: ends it when this process is killed.
            say: gets each line that it prints.
        """
        mark = secrets.token_hex(8)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *container.SERVE[1:],
            "serve",
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
                container.BASE_DIR_VARIABLE: str(base),
                container.HOST_VARIABLE: _LOOPBACK,
                container.PORT_VARIABLE: str(port),
                **environment,
                processes.MARK: mark,
            },
            cwd=base,  # and not the user's folder, whose names could hide ours
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            limit=_LONGEST_LINE,
            start_new_session=True,  # Ctrl-C is for this process, which then ends the container in order
        )
        guard.watch(process.pid, mark)
        return cls(process, say)

    async def ended(self) -> FactoryError:
        """Wait until it has ended by itself; the error that says so, with its last lines."""
        code = await self._process.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._log), 2)
        lines = "".join(f"  | {line}\n" for line in self._last)
        return FactoryError(f"the container's server ended with code {code}", lines and f"Its last lines:\n{lines}")

    async def stop(self) -> None:
        """SIGTERM, SIGKILL to the whole group when its time is over; returns when nothing of it is left."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), _GRACE)
        processes.kill_group(self._process.pid)
        await self._process.wait()
        await self._log

    async def _follow(self) -> None:
        stream = self._process.stdout
        assert stream is not None  # noqa: S101 - it is a pipe
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # a line without an end: what was read of it is gone
                continue
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip("\n")
            self._last.append(text)
            self._say(text)


class Guard:
    """A process that kills the container when this one dies without a word (SIGKILL, a crash)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={}, cwd="/", start_new_session=True,
        )  # fmt: skip

    def watch(self, pid: int, mark: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.write(f"+ {pid} {processes.start_time(pid)} {mark}\n".encode())
        self._process.stdin.flush()

    def close(self) -> None:
        """End it; what it watched is killed if it is still there."""
        with contextlib.suppress(OSError):
            self._process.communicate()

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def listen(port: int) -> socket.socket:
    """A listening socket on loopback; port 0 takes a free one.

    Raises:
        FactoryError: the port is taken, or not allowed to this user.
    """
    try:
        return socket.create_server((_LOOPBACK, port), backlog=128)
    except OSError as error:
        raise FactoryError(
            f"cannot listen on {_LOOPBACK}:{port}: {os.strerror(error.errno) if error.errno else error}",
            "Name another port (--port 8081), or take a free one (--port 0).",
        ) from None


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.create_server((_LOOPBACK, 0)) as found:
        port: int = found.getsockname()[1]
        return port
