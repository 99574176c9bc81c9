"""The server process: loads the state, answers, and on SIGTERM ends its children and saves."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import importlib.util
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local_sagemaker import control, processes

_log = logging.getLogger(__name__)

#: Modules whose import registers the handlers of SageMaker operations.
HANDLERS = (
    "local_sagemaker.registry", "local_sagemaker.models", "local_sagemaker.tags",
    "local_sagemaker.endpoints.api", "local_sagemaker.jobs.api", "local_sagemaker.pipelines.api",
)  # fmt: skip


class AlreadyRunning(Exception):
    """Another server uses this state folder."""


class PortInUse(Exception):
    """Another process listens on the port."""


def serve(state_dir: Path, account_id: str, region: str, port: int = 0, parallel_jobs: int = 2) -> None:
    """Run the server until SIGTERM or SIGINT.

    Raises:
        AlreadyRunning, PortInUse.
    """
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(state_dir):
        _prepare_moto(account_id)
        from local_sagemaker import api, http, moto_gaps
        from local_sagemaker.app import App
        from local_sagemaker.platform import Platform

        try:
            listener = http.listen(port)
        except OSError as error:
            raise PortInUse(f"port {port} on 127.0.0.1 cannot be used: {error.strerror}") from error
        platform = Platform(state_dir, account_id, region)
        platform.endpoint_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        platform.children.reap()
        moto_gaps.install(platform)
        for note in platform.state.load():
            _log.warning(note)
        platform.state.start()
        for module in HANDLERS:
            if _exists(module):
                importlib.import_module(module)
        rooms = _rooms(platform, parallel_jobs)
        api.install(platform)

        server = http.make(listener, App(platform))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        for room in rooms:
            room.start()
        platform.events.start()
        platform.schedules.start()
        _write_server_file(platform)
        _log.info("listening on %s", platform.endpoint_url)
        try:
            server.serve_forever()
        finally:
            for room in reversed(rooms):
                room.stop()
            platform.schedules.stop()
            platform.events.stop()
            platform.lambdas.stop()
            platform.children.stop()
            platform.state.stop()
            platform.store.close()
            (state_dir / "server.json").unlink(missing_ok=True)


def _rooms(platform: Any, parallel_jobs: int) -> list[Any]:
    """The rooms that are there, in the order in which they start; they stop in the reverse order."""
    rooms = []
    for name, module, make in (
        ("jobs", "local_sagemaker.jobs", lambda found: found.Jobs(platform, parallel=parallel_jobs)),
        ("fleets", "local_sagemaker.endpoints", lambda found: found.Fleets(platform)),
        ("executions", "local_sagemaker.pipelines", lambda found: found.Executions(platform)),
    ):
        if _exists(module):
            try:
                room = make(importlib.import_module(module))
            except AttributeError:
                continue
            setattr(platform, name, room)
            rooms.append(room)
    return rooms


def _exists(module: str) -> bool:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return False
    return spec is not None and spec.origin is not None


def _prepare_moto(account_id: str) -> None:
    """Settings that moto reads when it is imported."""
    os.environ["MOTO_ACCOUNT_ID"] = account_id
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"


@contextlib.contextmanager
def _locked(state_dir: Path, patience: float = 30.0) -> Iterator[None]:
    """Hold the folder's lock. A server that is just ending, or was just killed, may hold it for a moment."""
    deadline = time.monotonic() + patience
    with (state_dir / "lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                running = control.status(state_dir)
                if running is not None:
                    raise AlreadyRunning(f"a server answers at {running.endpoint_url} on {state_dir}") from None
                if time.monotonic() > deadline:
                    raise AlreadyRunning(f"another process holds {state_dir / 'lock'}") from None
                time.sleep(0.05)
        yield


def _write_server_file(platform: Any) -> None:
    document = {
        "endpoint_url": platform.endpoint_url, "account_id": platform.account_id, "region": platform.region,
        "pid": os.getpid(), "port": int(platform.endpoint_url.rsplit(":", 1)[1]), "started": processes.start_time(os.getpid()),
    }  # fmt: skip
    temporary = platform.state_dir / "server.json.new"
    temporary.write_text(json.dumps(document))
    temporary.rename(platform.state_dir / "server.json")
