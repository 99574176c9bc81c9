"""Start, find and stop the server of a state folder, from another process."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker import processes, runtimes
from local_sagemaker.runtimes.engine import Engine, EngineError, NoEngine


class CannotStart(Exception):
    """The server did not come up; the message holds the last lines of its log."""


class CannotStop(Exception):
    """The server has ended, but what it started may be left; the message says what."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A running server, as its ``server.json`` says. ``started`` names the process together with ``pid``."""

    endpoint_url: str
    account_id: str
    region: str
    pid: int
    port: int
    started: str
    runtime: str = runtimes.PROCESS


def start(
    state_dir: Path,
    account_id: str,
    region: str,
    port: int | None = None,
    *,
    runtime: str = runtimes.PROCESS,
    missing_image: str = "",
    timeout: float = 60.0,
) -> ServerInfo:
    """Start a server that outlives this process and wait until it answers; the running one when there is one.

    ``runtime`` and ``missing_image``: see :func:`local_sagemaker.server.serve`.

    Raises:
        CannotStart: it did not come up, or no Docker engine answers.
    """
    running = status(state_dir)
    if running is not None:
        return running
    if runtime == runtimes.DOCKER:
        try:
            Engine.open()
        except NoEngine as error:
            raise CannotStart(str(error)) from None
    state_dir = state_dir.absolute()
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = state_dir / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "local_sagemaker", "--state-dir", str(state_dir),
                "--account-id", account_id, "--region", region, "--port", str(port or 0), "--runtime", runtime,
                "--missing-image", missing_image,
            ],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/", env=_environment(),
        )  # fmt: skip
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        running = status(state_dir)
        if running is not None:
            if running.pid != process.pid:  # another start was faster; ours would serve once that one has stopped
                process.kill()
                process.wait()
            process.returncode = 0  # it is nobody's child: no wait, no warning about it
            return running
        if process.poll() is not None:
            break
        time.sleep(0.02)
    else:
        process.kill()
        process.wait()
    raise CannotStart("the local SageMaker did not start. Its log ends with:\n" + "\n".join(_last_lines(log, 20)))


def status(state_dir: Path) -> ServerInfo | None:
    """The server of this folder that answers; None when there is none."""
    found = recorded(state_dir)
    return found if found is not None and _answers(found) else None


def recorded(state_dir: Path) -> ServerInfo | None:
    """The server that ``server.json`` names, if its process still runs (the id alone could be another's by now)."""
    try:
        found = ServerInfo(**json.loads((state_dir / "server.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return found if processes.is_running(found.pid, found.started) else None


def _answers(server: ServerInfo) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", "/_local/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def stop(state_dir: Path, *, timeout: float = 60.0) -> bool:
    """End the server and wait until it and all its children are gone; False when none ran."""
    running = recorded(state_dir)
    if running is None:
        _clear(state_dir)
        return False
    deadline = time.monotonic() + timeout
    number = signal.SIGTERM
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, number)
        while processes.is_running(running.pid, running.started):
            if time.monotonic() > deadline and number != signal.SIGKILL:
                number = signal.SIGKILL  # its guardian ends the children
                os.kill(running.pid, number)
            time.sleep(0.02)
    (state_dir / "server.json").unlink(missing_ok=True)
    _clear(state_dir)
    return True


def _clear(state_dir: Path) -> None:
    """Remove what a killed server left in a Docker engine, unless another is just starting.

    Raises:
        CannotStop: the engine does not answer.
    """
    from local_sagemaker.runtimes import docker

    if not (state_dir / docker.RECORD).exists():
        return
    with (state_dir / "lock").open("w") as file:
        deadline = time.monotonic() + 5  # the last threads of a killed server hold it for a moment
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if recorded(state_dir) is not None or time.monotonic() > deadline:
                    return
                time.sleep(0.02)
        try:
            docker.clear(state_dir)
        except EngineError as error:
            raise CannotStop(f"containers may be left in the Docker engine, which does not answer: {error}") from None


def _environment() -> dict[str, str]:
    """The server answers as AWS: it needs no credentials and no endpoint of the person who starts it."""
    root = str(Path(__file__).parent.parent)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "MOTO_"))}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}


def _last_lines(file: Path, count: int) -> list[str]:
    return file.read_text(errors="replace").splitlines()[-count:]
