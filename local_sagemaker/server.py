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
import socket
import threading
from pathlib import Path
from typing import Any

from local_sagemaker import processes

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
        from werkzeug.serving import WSGIRequestHandler, make_server

        from local_sagemaker import api, moto_gaps
        from local_sagemaker.app import App
        from local_sagemaker.platform import Platform

        try:
            listener = socket.create_server(("127.0.0.1", port), backlog=128)
        except OSError as error:
            raise PortInUse(f"port {port} on 127.0.0.1 cannot be used: {error.strerror}") from error
        platform = Platform(state_dir, account_id, region)
        platform.endpoint_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        platform.children.reap()
        moto_gaps.install(platform)
        for module in HANDLERS:
            if _exists(module):
                importlib.import_module(module)
        rooms = _rooms(platform, parallel_jobs)
        api.install(platform)

        class Handler(WSGIRequestHandler):
            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                pass

        server = make_server(
            "127.0.0.1", 0, App(platform), threaded=True, fd=listener.fileno(), request_handler=Handler
        )
        server.daemon_threads = True  # type: ignore[attr-defined]
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        for room in rooms:
            room.start()
        platform.events.start()
        _write_server_file(platform)
        _log.info("listening on %s", platform.endpoint_url)
        try:
            server.serve_forever()
        finally:
            for room in reversed(rooms):
                room.stop()
            platform.events.stop()
            platform.lambdas.stop()
            platform.children.stop()
            platform.store.close()
            (state_dir / "server.json").unlink(missing_ok=True)


def _rooms(platform: Any, parallel_jobs: int) -> list[Any]:
    rooms = []
    if _exists("local_sagemaker.jobs"):
        from local_sagemaker.jobs import Jobs

        platform.jobs = Jobs(platform, parallel=parallel_jobs)
        rooms.append(platform.jobs)
    if _exists("local_sagemaker.endpoints"):
        from local_sagemaker.endpoints import Fleets

        platform.fleets = Fleets(platform)
        rooms.append(platform.fleets)
    if _exists("local_sagemaker.pipelines"):
        from local_sagemaker.pipelines import Executions

        platform.executions = Executions(platform)
        rooms.append(platform.executions)
    return rooms


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _prepare_moto(account_id: str) -> None:
    """Settings that moto reads when it is imported."""
    os.environ["MOTO_ACCOUNT_ID"] = account_id
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"


@contextlib.contextmanager
def _locked(state_dir: Path) -> Any:
    with (state_dir / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunning(f"another server runs on {state_dir}") from None
        yield


def _write_server_file(platform: Any) -> None:
    document = {
        "endpoint_url": platform.endpoint_url, "account_id": platform.account_id, "region": platform.region,
        "pid": os.getpid(), "port": int(platform.endpoint_url.rsplit(":", 1)[1]), "started": processes.start_time(os.getpid()),
    }  # fmt: skip
    temporary = platform.state_dir / "server.json.new"
    temporary.write_text(json.dumps(document))
    temporary.rename(platform.state_dir / "server.json")
