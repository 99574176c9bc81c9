"""Containers as processes of this machine: an image is bound to a command, ``/opt/ml`` is a folder.

Isolation is a network namespace; a program inside it leads a Unix socket to the container's port.
"""

from __future__ import annotations

import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker.children import Child, Children
from local_sagemaker.endpoints import bridge
from local_sagemaker.images import Binding, Images
from local_sagemaker.jobs.layout import BASE_VARIABLE, rewrite
from local_sagemaker.runtimes import PROCESS, Launch, Served

PORT_VARIABLE = "SAGEMAKER_BIND_TO_PORT"
_ISOLATED_PORT = 8080


class ProcessRuntime:
    """The default runtime."""

    name = PROCESS

    def __init__(self, images: Images, children: Children) -> None:
        self._images = images
        self._children = children

    def image(self, uri: str) -> ProcessImage:
        """
        Raises:
            Unbound: nothing is bound to ``uri``.
        """
        return ProcessImage(self._images.resolve(uri), self._children)

    def close(self) -> None:
        """A process leaves nothing behind that its parent has not removed."""


@dataclass(frozen=True, slots=True)
class ProcessImage:
    """A bound command; see :class:`local_sagemaker.runtimes.Image`."""

    binding: Binding
    children: Children

    def run(self, launch: Launch) -> Child:
        """Start a job's process; its temporary files lie beside its ``/opt/ml``."""
        temporary = launch.base / "tmp"
        temporary.mkdir(exist_ok=True)
        return self._start(launch, [], {"TMPDIR": str(temporary)})

    def serve(self, launch: Launch) -> Served:
        """Start a serving process on a free port of loopback, or behind a socket when it is isolated."""
        path = _socket_file() if launch.isolated else None
        port = _ISOLATED_PORT if path else _free_port()
        before = [sys.executable, "-I", "-S", bridge.__file__, str(path), str(port)] if path else []
        return Served(self._start(launch, before, {PORT_VARIABLE: str(port)}), "127.0.0.1", port, path)

    def _start(self, launch: Launch, before: list[str], more: dict[str, str]) -> Child:
        words = [*(launch.entrypoint or self.binding.entrypoint), *launch.arguments]
        variables = {**self.binding.environment, **launch.environment}
        variables = {name: rewrite(value, launch.base) for name, value in variables.items()}
        return self.children.start(
            launch.name,
            [*before, *(rewrite(word, launch.base) for word in words)],
            {**variables, BASE_VARIABLE: str(launch.base), **more},
            self.binding.working_dir,
            launch.sink,
            isolated=launch.isolated,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _socket_file() -> Path:
    """In a private folder outside the state folder: the path of a Unix socket holds at most 107 bytes."""
    return Path(tempfile.mkdtemp(prefix="local-sagemaker-"), "socket")
