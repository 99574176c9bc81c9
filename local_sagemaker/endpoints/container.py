"""A serving container: its folder, its variables, and the connection to it.

Source: SageMaker Developer Guide, "Use Your Own Inference Code with Hosting Services".
"""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from local_sagemaker.children import CannotIsolate, CannotStart, Sink
from local_sagemaker.endpoints import archive
from local_sagemaker.images import Unbound
from local_sagemaker.models import ARCHIVE, FILE
from local_sagemaker.objects import ObjectError
from local_sagemaker.roles import CannotAssume
from local_sagemaker.runtimes import Launch, Served

if TYPE_CHECKING:
    from local_sagemaker.endpoints.settings import Settings
    from local_sagemaker.platform import Platform

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

    def __init__(self, served: Served) -> None:
        self.child = served.child
        self._socket_file = served.socket
        self.pool = (
            _UnixPool(served.socket)
            if served.socket is not None
            else HTTPConnectionPool(served.host, served.port, maxsize=_CONNECTIONS)
        )

    def close(self) -> None:
        """Drop the connections; the process is the caller's to end."""
        self.pool.close()
        if self._socket_file is not None:
            shutil.rmtree(self._socket_file.parent, ignore_errors=True)


def launch(
    platform: Platform, plan: dict[str, Any], owner: str, base: Path, region: str, sink: Sink, instance_type: str
) -> Container:
    """Start the container of ``plan`` in the prepared folder ``base``: the image's entrypoint with ``serve``.

    Raises:
        CannotLaunch: the image is not bound, the role or the command is missing, or isolation is not possible here.
    """
    try:
        image = platform.runtime.image(plan["Image"])
        environment = dict(plan["Environment"])
        if plan["RoleArn"] and not plan["Isolated"]:
            environment |= platform.roles.environment(plan["RoleArn"], region)
        served = image.serve(
            Launch(
                f"{owner}/{base.name}", base, ["serve"], environment, sink, isolated=plan["Isolated"],
                instance_type=instance_type,
            )
        )  # fmt: skip
    except Unbound as error:
        raise CannotLaunch(f"The image for {owner} could not be pulled. {error}") from None
    except CannotIsolate as error:
        raise CannotLaunch(f"Network isolation of {owner} is not possible here. {error}") from None
    except (CannotAssume, CannotStart) as error:
        raise CannotLaunch(f"The primary container for {owner} could not start: {error}") from None
    return Container(served)


def ping(container: Container, seconds: float) -> bool:
    """Does the container answer GET /ping with 200 within ``seconds``?"""
    try:
        answer = container.pool.urlopen("GET", "/ping", retries=False, redirect=False, timeout=seconds)
    except (urllib3.exceptions.HTTPError, OSError):
        return False
    return answer.status == 200


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
