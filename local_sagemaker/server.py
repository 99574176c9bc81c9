"""The server process: loads the state, answers, and on SIGTERM ends its children and saves.

Order of a start: lock the state folder, take the port, end what a killed server left running, load the state, start
the rooms, write ``server.json``. Order of a stop: the rooms, the children, then HTTP (children may call until they are
gone), then the last snapshots.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib
import json
import logging
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from local_sagemaker import control, processes, runtimes
from local_sagemaker.runtimes.engine import Engine, EngineError, NoEngine

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform, Room

_log = logging.getLogger(__name__)

#: Modules whose import registers the handlers of SageMaker operations.
HANDLERS = (
    "local_sagemaker.registry",
    "local_sagemaker.models",
    "local_sagemaker.tags",
    "local_sagemaker.endpoints.api",
    "local_sagemaker.jobs.api",
    "local_sagemaker.pipelines.api",
    "local_sagemaker.moto_gaps.sagemaker",
)


class CannotServe(Exception):
    """The server cannot start here; the message says why and what would help."""


def serve(
    state_dir: Path,
    account_id: str,
    region: str,
    port: int = 0,
    parallel_jobs: int = 2,
    runtime: str = runtimes.PROCESS,
    missing_image: str = "",
) -> None:
    """Run the server until SIGTERM or SIGINT.

    ``runtime``: one of :data:`local_sagemaker.runtimes.NAMES`. ``missing_image``: a sentence for who names an image
    that the Docker engine does not have.

    Raises:
        CannotServe: another server uses the folder, another account's state is in it, the port is taken, or no Docker
            engine answers.
    """
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.ExitStack() as stack:
        stopping = stack.enter_context(_signals())
        stack.enter_context(_locked(state_dir))
        listener = stack.enter_context(_listening(port))
        _check_account(state_dir, account_id)
        _clear(state_dir)
        _prepare_moto(account_id)
        platform = _assemble(state_dir, account_id, region, listener, parallel_jobs)
        listeners = [listener]
        if runtime == runtimes.DOCKER:
            listeners.append(stack.enter_context(_docker(platform, missing_image)))

        from local_sagemaker import http
        from local_sagemaker.app import App

        app = App(platform)
        servers = [http.make(one, app) for one in listeners]
        for server in servers:
            threading.Thread(target=server.serve_forever, args=(0.1,), name="http", daemon=True).start()
        try:
            starting: list[Room] = [platform.metrics, *_rooms(platform), platform.events, *_clockwork(platform)]
            for part in starting:
                part.start()
            _write_server_file(platform)
            _log.info("listening on %s", platform.endpoint_url)
            stopping.recv(1)
            _log.info("stopping")
        finally:
            ending: list[Room] = [*_clockwork(platform), *reversed(_rooms(platform)), platform.events]
            for part in ending:
                part.stop()
            platform.children.stop()
            for server in servers:
                server.shutdown()
                server.server_close()
            platform.runtime.close()
            platform.state.stop()
            platform.metrics.stop()
            platform.metrics.close()
            platform.store.close()
            (state_dir / "server.json").unlink(missing_ok=True)


@contextlib.contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket from which a byte comes when the server is to stop.

    Whichever thread the kernel gives the signal to, the byte is written; a handler runs in the main thread alone, and
    one that waits for something else would not run it.
    """
    reading, writing = socket.socketpair()
    with reading, writing:
        writing.setblocking(False)
        before = signal.set_wakeup_fd(writing.fileno())
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: None)
            yield reading
        finally:
            signal.set_wakeup_fd(before)


def _assemble(state_dir: Path, account_id: str, region: str, listener: socket.socket, parallel_jobs: int) -> Platform:
    """All parts, with the stored state loaded; nothing runs yet."""
    from local_sagemaker import api, moto_gaps
    from local_sagemaker.endpoints import Fleets
    from local_sagemaker.jobs import Jobs
    from local_sagemaker.pipelines import Executions
    from local_sagemaker.platform import Platform

    platform = Platform(state_dir, account_id, region)
    platform.endpoint_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    for name in platform.children.reap():
        _log.warning("ended %s, which an earlier server left", name)
    moto_gaps.install(platform)
    for module in HANDLERS:
        importlib.import_module(module)
    api.install(platform)
    for note in platform.state.load():
        _log.warning(note)
    platform.state.start()
    platform.jobs = Jobs(platform, parallel=parallel_jobs)
    platform.fleets = Fleets(platform)
    platform.executions = Executions(platform)
    return platform


def _clear(state_dir: Path) -> None:
    """Remove the containers that a killed server of this folder left, whatever the runtime is now."""
    from local_sagemaker.runtimes import docker

    try:
        for name in docker.clear(state_dir):
            _log.warning("removed container %s, which an earlier server left", name)
    except EngineError as error:
        _log.warning("containers of an earlier server may be left: %s", error)


def _docker(platform: Platform, missing_image: str) -> contextlib.closing[socket.socket]:
    """Give the platform the Docker runtime; a socket where its containers reach this server.

    Raises:
        CannotServe: no engine, or one whose networks are not this machine's.
    """
    from local_sagemaker.runtimes.docker import DockerRuntime

    try:
        runtime = DockerRuntime(
            Engine.open(), platform.children, platform.state_dir, platform.image_tags, missing_image
        )
        gateway = runtime.open()
    except (NoEngine, EngineError) as error:
        raise CannotServe(str(error)) from None
    port = int(platform.endpoint_url.rsplit(":", 1)[1])
    try:
        listener = _bound(gateway, port)
    except OSError as error:
        runtime.close()
        raise CannotServe(
            f"the Docker engine's network is not this machine's: {gateway} cannot be used ({error.strerror}). The "
            "Docker runtime needs an engine on this Linux machine, not one in a virtual machine or elsewhere."
        ) from None
    runtime.endpoint_url = f"http://{gateway}:{listener.getsockname()[1]}"
    platform.runtime = runtime
    return contextlib.closing(listener)


def _bound(address: str, port: int) -> socket.socket:
    """A listening socket on ``port``, or on a free one where that is taken."""
    try:
        return socket.create_server((address, port), backlog=128)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return socket.create_server((address, 0), backlog=128)


def _rooms(platform: Platform) -> tuple[Room, ...]:
    """In the order in which they start; they stop in the reverse order."""
    return platform.jobs, platform.fleets, platform.executions


def _clockwork(platform: Platform) -> tuple[Room, ...]:
    """What acts by itself as time passes."""
    return platform.schedules, platform.alarms, platform.scaler


def _prepare_moto(account_id: str) -> None:
    """Settings that moto reads when it is imported."""
    warnings.filterwarnings("ignore", category=UserWarning, module="moto")  # about errors that AWS's models do not list
    os.environ.update(
        MOTO_ACCOUNT_ID=account_id,
        MOTO_IAM_LOAD_MANAGED_POLICIES="true",
        MOTO_EC2_LOAD_DEFAULT_AMIS="false",
        MOTO_DISABLE_GLOBAL_CORS="true",  # no web page may read or change what is here
    )


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
                    raise CannotServe(f"a server already runs on {state_dir}: {running.endpoint_url}") from None
                if time.monotonic() > deadline:
                    raise CannotServe(f"another process holds {state_dir / 'lock'}") from None
                time.sleep(0.05)
        yield


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    try:
        listener = socket.create_server(("127.0.0.1", port), backlog=128)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CannotServe(
            f"port {port} on 127.0.0.1 cannot be used: {reason}. Choose another port, or 0 for a free one."
        ) from error
    with listener:
        yield listener


def _check_account(state_dir: Path, account_id: str) -> None:
    if not (len(account_id) == 12 and account_id.isdigit()):
        raise CannotServe(f"an account id has 12 digits, not {account_id!r}")
    file = state_dir / "account"
    if not file.exists():
        file.write_text(account_id)
    stored = file.read_text().strip()
    if stored != account_id:
        raise CannotServe(
            f"the state in {state_dir} belongs to account {stored}, not {account_id}. "
            f"Use another state folder, or remove this one to start empty."
        )


def _write_server_file(platform: Platform) -> None:
    document = {
        "endpoint_url": platform.endpoint_url,
        "account_id": platform.account_id,
        "region": platform.region,
        "pid": os.getpid(),
        "port": int(platform.endpoint_url.rsplit(":", 1)[1]),
        "started": processes.start_time(os.getpid()),
        "runtime": platform.runtime.name,
    }
    temporary = platform.state_dir / "server.json.new"
    temporary.write_text(json.dumps(document))
    temporary.rename(platform.state_dir / "server.json")
