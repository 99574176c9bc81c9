"""The serving process, started as SageMaker starts it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

#: Seconds after which a server that does not start, answer or stop is a failure. Far more than it needs.
PATIENCE = 60


class ServerProcess:
    """``python -m inference.server serve`` on a free port of loopback, with a bundle in ``<base>/model``."""

    def __init__(self, base: Path, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "inference.server", *(arguments or ("serve",))],
            env={
                **os.environ,
                "SAGEMAKER_BASE_DIR": str(base),
                "SAGEMAKER_BIND_TO_HOST": "127.0.0.1",
                "SAGEMAKER_BIND_TO_PORT": "0",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.output: list[str] = []
        self.errors: list[str] = []
        self._printed = threading.Condition()
        self._open_streams = 2
        streams = ((self.process.stdout, self.output), (self.process.stderr, self.errors))
        self._readers = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in streams]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, lines: list[str]) -> None:
        for line in stream:
            with self._printed:
                lines.append(line.rstrip("\n"))
                self._printed.notify_all()
        with self._printed:
            self._open_streams -= 1
            self._printed.notify_all()

    def wait_for_line(self, part: str) -> str:
        """The first line on stdout that contains ``part``."""

        def found() -> str | None:
            return next((line for line in self.output if part in line), None)

        with self._printed:
            self._printed.wait_for(lambda: found() or not self._open_streams, PATIENCE)
            line = found()
        assert line, f"no line with {part!r}: {self.output} {self.errors}"
        return line

    @property
    def port(self) -> int:
        return int(self.wait_for_line("listening on").rpartition(":")[2])

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = self.connect()
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    def invoke(self, body: Any, content_type: str, **headers: str) -> tuple[int, Any]:
        status, _, answer = self.request("POST", "/invocations", body, Content_Type=content_type, **headers)
        return status, json.loads(answer)

    def wait_until_ready(self) -> None:
        self.wait_for_line("ready")
        assert self.request("GET", "/ping")[0] == 200

    def wait(self) -> int:
        """The exit code, when the process has ended and its output is read."""
        code = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        return code

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.wait()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait(PATIENCE)
            for stream in (self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()


@pytest.fixture
def start_server() -> Iterator[Callable[..., ServerProcess]]:
    """Start servers; those that still run at the end of the test are stopped."""
    started: list[ServerProcess] = []

    def start(base: Path, *arguments: str, **environment: str) -> ServerProcess:
        started.append(ServerProcess(base, *arguments, **environment))
        return started[-1]

    yield start
    for server in started:
        server.stop()
