"""``cv-factory serve`` as a user starts it, with a bundle that was made by hand."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from local_sagemaker import processes
from tests.cv_factory.helpers import ROOT
from tests.inference import tiny

#: Seconds after which what does not happen is a failure. Far more than it needs.
PATIENCE = 60


class Served:
    """``cv-factory serve BUNDLE --port 0 --json …`` in ``folder``."""

    def __init__(self, folder: Path, bundle: str, *options: str, **environment: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cv_factory.cli", "serve", bundle, "--port", "0", "--json", *options],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )  # fmt: skip
        self._about: dict[str, Any] | None = None

    @property
    def about(self) -> dict[str, Any]:
        """The document that it prints once it is ready."""
        if self._about is None:
            assert self.process.stdout is not None and self.process.stderr is not None
            text = ""
            while line := self.process.stdout.readline():
                text += line
                if line == "}\n":
                    break
            assert text, self.process.stderr.read()
            self._about = json.loads(text)
        return self._about

    @property
    def url(self) -> str:
        return str(self.about["url"])

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    def family(self) -> list[int]:
        """The process and all that it started, and what they started."""
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        return found

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal and wait; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.communicate(timeout=PATIENCE)
        return self.process.returncode


def wait_until_gone(pids: list[int]) -> None:
    end = time.monotonic() + PATIENCE
    while left := [pid for pid in pids if processes.start_time(pid) is not None]:
        assert time.monotonic() < end, f"still there: {left}"
        time.sleep(0.02)


Serve = Callable[..., Served]


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle: a white image is light, a black one dark."""
    folder = tmp_path_factory.mktemp("tiny") / "bundle"
    tiny.write_bundle(folder)
    return folder


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts ``cv-factory serve``; all are stopped at the end of the test."""
    started: list[Served] = []

    def start(bundle: Path | str, *options: str, folder: Path | None = None, **environment: str) -> Served:
        started.append(Served(folder or tmp_path, str(bundle), *options, **environment))
        return started[-1]

    yield start
    for served in started:
        served.stop()


@pytest.fixture(scope="module")
def served(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for the tests of a module that only ask it."""
    it = Served(tmp_path_factory.mktemp("served"), str(tiny_bundle))
    yield it
    it.stop()
