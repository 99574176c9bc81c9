"""Where containers run: as processes of this machine (:mod:`.processes`) or in a Docker engine (:mod:`.docker`).

Jobs and endpoints say in the container's own terms what they start, and get a child back; only these modules know what
a container is here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from local_sagemaker.children import Child, Sink

PROCESS, DOCKER = "process", "docker"
NAMES = (PROCESS, DOCKER)


@dataclass(frozen=True, slots=True)
class Launch:
    """What a container is started with.

    Attributes:
        name: for logs and people.
        base: the folder of this machine that is ``/opt/ml`` in it.
        arguments: what follows the entrypoint.
        environment: its variables beside the image's own; paths below ``/opt/ml`` as the container sees them.
        sink: gets each line that it prints.
        entrypoint: instead of the image's.
        isolated: no network but the way to its port, no AWS credentials.
        instance_type: of SageMaker; the memory limit follows from it.
        hostname: its name, as in a job's ``resourceconfig.json``.
        outside: folders that it sees under their own path, because a request names them outside ``/opt/ml``.
    """

    name: str
    base: Path
    arguments: Sequence[str]
    environment: Mapping[str, str]
    sink: Sink
    entrypoint: Sequence[str] | None = None
    isolated: bool = False
    instance_type: str = ""
    hostname: str = ""
    outside: Sequence[Path] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Served:
    """A started serving container: where its port is. ``socket`` is a Unix socket that leads there; else ``host``."""

    child: Child
    host: str
    port: int
    socket: Path | None = None


class Image(Protocol):
    """An image that can run here.

    ``run`` and ``serve`` raise :class:`local_sagemaker.children.CannotStart`, and its subclass ``CannotIsolate`` where
    isolation is not possible.
    """

    def run(self, launch: Launch) -> Child:
        """Start a job's container. What it writes below ``/opt/ml`` is in ``launch.base`` when the child has ended."""
        ...

    def serve(self, launch: Launch) -> Served:
        """Start a serving container. The model is for reading only where the runtime can see to it."""
        ...


class Runtime(Protocol):
    """Finds images."""

    name: str

    def image(self, uri: str) -> Image:
        """
        Raises:
            local_sagemaker.images.Unbound: there is none; the message says what to do.
        """
        ...

    def close(self) -> None:
        """Every child has ended: leave nothing behind."""
        ...
