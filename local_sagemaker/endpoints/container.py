"""A serving container as a process: its folder, its variables, its command, and the connection to it.

Source: SageMaker Developer Guide, "Use Your Own Inference Code with Hosting Services".
"""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from local_sagemaker.children import CannotIsolate, CannotStart, Child, Sink
from local_sagemaker.endpoints import archive
from local_sagemaker.images import Unbound
from local_sagemaker.jobs.layout import BASE_VARIABLE, rewrite
from local_sagemaker.models import ARCHIVE, FILE
from local_sagemaker.objects import ObjectError
from local_sagemaker.roles import CannotAssume

if TYPE_CHECKING:
    from local_sagemaker.endpoints.settings import Settings
    from local_sagemaker.platform import Platform

PORT_VARIABLE = "SAGEMAKER_BIND_TO_PORT"
_BRIDGE = Path(__file__).with_name("bridge.py")
_ISOLATED_PORT = 8080
_CONNECTIONS = 64


class CannotLaunch(Exception):
    """The container cannot be started; the message is an endpoint's FailureReason."""


def prepare(platform: Platform, settings: Settings, plan: dict[str, Any], owner: str, base: Path) -> None:
    """Lay out ``base`` as ``/opt/ml``: the model data of ``plan`` (:func:`local_sagemaker.models.launch_plan`).

    ``owner``: for what the container is, as reasons name it (``production variant main``).

    Raises:
        CannotLaunch: data that is not there, cannot be read or is too large.
    """
    shutil.rmtree(base, ignore_errors=True)
    (base / "model").mkdir(parents=True)
    for data in plan["Data"]:
        uri, folder = data["Uri"], base / data["Folder"]
        folder.mkdir(parents=True, exist_ok=True)
        try:
            if data["Form"] == ARCHIVE:
                _unpack(platform, settings, plan, uri, folder)
            elif data["Form"] == FILE:
                platform.objects.download_file(uri, folder / uri.rpartition("/")[2], role_arn=plan["RoleArn"])
            elif not platform.objects.download_prefix(uri, folder, role_arn=plan["RoleArn"]):
                raise ObjectError(f"No object below {uri}")
        except ObjectError as error:
            raise CannotLaunch(
                f"Failed to download model data for {owner} from URL: {uri}. Please ensure that "
                "there is an object located at the URL and that the role passed to CreateModel has permissions to "
                f"download the object. {error}"
            ) from None
        except archive.BadArchive as error:
            raise CannotLaunch(
                f"Failed to extract model data archive for {owner} from URL {uri}. Please ensure "
                f"that the object located at the URL is a valid tar.gz archive: {error}"
            ) from None
        except OSError as error:
            raise CannotLaunch(f"Model data from {uri} could not be written: {error.strerror}.") from None


def _unpack(platform: Platform, settings: Settings, plan: dict[str, Any], uri: str, folder: Path) -> None:
    packed = folder.parent / "model.tar.gz"
    platform.objects.download_file(uri, packed, role_arn=plan["RoleArn"])
    try:
        archive.unpack(packed, folder, max_bytes=settings.model_bytes, max_files=settings.model_files)
    finally:
        packed.unlink(missing_ok=True)


class Container:
    """A started container and the keep-alive connections to it."""

    def __init__(self, child: Child, pool: HTTPConnectionPool, socket_file: Path | None) -> None:
        self.child = child
        self.pool = pool
        self._socket_file = socket_file

    def close(self) -> None:
        """Drop the connections; the process is the caller's to end."""
        self.pool.close()
        if self._socket_file is not None:
            shutil.rmtree(self._socket_file.parent, ignore_errors=True)


def launch(platform: Platform, plan: dict[str, Any], owner: str, base: Path, region: str, sink: Sink) -> Container:
    """Start the container of ``plan`` in the prepared folder ``base``: the image's entrypoint with ``serve``.

    Raises:
        CannotLaunch: the image is not bound, the role or the command is missing, or isolation is not possible here.
    """
    try:
        binding = platform.images.resolve(plan["Image"])
        environment = binding.environment | plan["Environment"]
        environment = {name: rewrite(value, base) for name, value in environment.items()}
        if plan["RoleArn"] and not plan["Isolated"]:
            environment |= platform.roles.environment(plan["RoleArn"], region)
        socket_file = _socket_file() if plan["Isolated"] else None
        port = _ISOLATED_PORT if socket_file else _free_port()
        environment |= {BASE_VARIABLE: str(base), PORT_VARIABLE: str(port)}
        command = [*(rewrite(part, base) for part in binding.entrypoint), "serve"]
        if socket_file:
            command = [sys.executable, "-I", "-S", str(_BRIDGE), str(socket_file), str(port), *command]
        child = platform.children.start(
            f"{owner}/{base.name}", command, environment, binding.working_dir, sink, isolated=socket_file is not None
        )
    except Unbound as error:
        raise CannotLaunch(f"The image for {owner} could not be pulled. {error}") from None
    except CannotIsolate as error:
        raise CannotLaunch(f"Network isolation of {owner} is not possible here. {error}") from None
    except (CannotAssume, CannotStart) as error:
        raise CannotLaunch(f"The primary container for {owner} could not start: {error}") from None
    pool = _UnixPool(socket_file) if socket_file else HTTPConnectionPool("127.0.0.1", port, maxsize=_CONNECTIONS)
    return Container(child, pool, socket_file)


def ping(container: Container, seconds: float) -> bool:
    """Does the container answer GET /ping with 200 within ``seconds``?"""
    try:
        answer = container.pool.urlopen("GET", "/ping", retries=False, redirect=False, timeout=seconds)
    except (urllib3.exceptions.HTTPError, OSError):
        return False
    return answer.status == 200


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _socket_file() -> Path:
    """In a private folder outside the state folder: the path of a Unix socket holds at most 107 bytes."""
    return Path(tempfile.mkdtemp(prefix="local-sagemaker-"), "socket")


class _UnixConnection(HTTPConnection):
    """HTTP over a Unix socket; the host only names it in the Host header."""

    def __init__(self, *args: Any, path: Path, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._path = path

    def _new_conn(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if isinstance(self.timeout, int | float):
            connection.settimeout(self.timeout)
        try:
            connection.connect(str(self._path))
        except OSError as error:
            connection.close()
            raise urllib3.exceptions.NewConnectionError(self, f"no connection to the container: {error}") from error
        return connection


class _UnixPool(HTTPConnectionPool):
    ConnectionCls = _UnixConnection

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", maxsize=_CONNECTIONS)
        self.conn_kw["path"] = path
