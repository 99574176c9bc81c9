"""Containers in a Docker engine of this machine, as SageMaker runs them.

Two internal networks belong to a state folder. On the first containers and this machine reach each other and nothing
else; the server answers there too. On the second, for isolated endpoints, nothing of the server answers. An isolated
job has no network at all.

Every container carries the labels of its state folder and of the server that made it: the guardian of a killed server
removes what was that server's, the next start and ``control.stop`` what is the folder's.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_sagemaker.children import CannotStart, Child, Children, Sink, gives_access
from local_sagemaker.images import Unbound
from local_sagemaker.jobs.layout import BASE
from local_sagemaker.runtimes import DOCKER, Launch, Served
from local_sagemaker.runtimes.engine import Engine, EngineError
from local_sagemaker.runtimes.instance_types import memory_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

_log = logging.getLogger(__name__)

STATE_LABEL, SERVER_LABEL = "local-sagemaker.state", "local-sagemaker.server"
#: Beside the state while containers may be there: how to reach their engine.
RECORD = "engine.json"
#: "To receive inference requests, the container must have a web server listening on port 8080".
_PORT = 8080
_ENDPOINT = "AWS_ENDPOINT_URL"
_NO_TALK = ("--opt", "com.docker.network.bridge.enable_icc=false")
#: Seconds from the start of a container until it runs.
_STARTING = 60.0

#: Tags of an image of the local ECR: (repository, digest) -> tags.
Tags = Callable[[str, str, str], list[str]]


def identity(state_dir: Path) -> str:
    """Names a state folder in labels and networks."""
    return hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:12]


def clear(state_dir: Path) -> list[str]:
    """Remove every container and network of a state folder that no server uses; returns the containers' ids.

    Raises:
        EngineError: the engine that a server of this folder used does not answer.
    """
    record = state_dir / RECORD
    if not record.is_file():
        return []
    engine = Engine.from_json(json.loads(record.read_text()))
    label = f"{STATE_LABEL}={identity(state_dir)}"
    found = engine.sweep(label)
    engine.remove_networks(label)
    record.unlink(missing_ok=True)
    return found


class DockerRuntime:
    """The runtime of one server. ``missing`` is a sentence for who names an image that the engine does not have."""

    name = DOCKER

    def __init__(self, engine: Engine, children: Children, state_dir: Path, tags: Tags, missing: str = "") -> None:
        self.engine = engine
        self.children = children
        self.endpoint_url = ""
        self._state_dir = state_dir
        self._tags = tags
        self._missing = missing
        self._identity = identity(state_dir)
        self._server = secrets.token_hex(6)

    def open(self) -> str:
        """Make the network; returns this machine's address in it, where the server must listen as well.

        Raises:
            EngineError.
        """
        (self._state_dir / RECORD).write_text(json.dumps(self.engine.to_json()))
        self.children.watch(json.dumps({"engine": self.engine.to_json(), "label": f"{SERVER_LABEL}={self._server}"}))
        return self.engine.network(self._network, self._state_label)

    def close(self) -> None:
        """Remove the networks, and what may be left of the containers."""
        try:
            clear(self._state_dir)
        except EngineError as error:
            _log.warning("networks or containers are left in the Docker engine: %s", error)

    def image(self, uri: str) -> DockerImage:
        """The engine's image of a URI: under the URI itself, else under its repository and tag alone.

        An image of the local ECR that is named by its digest has there the tags under which the engine is asked.

        Raises:
            Unbound: the engine has none.
        """
        candidates = self._candidates(uri)
        try:
            for name in candidates:
                if self.engine.has_image(name):
                    return DockerImage(name, self)
        except EngineError as error:
            raise Unbound(f"The Docker engine does not say whether it has {uri}: {error}") from None
        raise Unbound(
            f"The Docker engine has no image {' or '.join(candidates)}. {self._missing or 'Build or pull it.'}"
        )

    def _candidates(self, uri: str) -> list[str]:
        found = re.fullmatch(r"(?P<registry>[^/]+\.[^/]+)/(?P<repository>[^@:]+)(?P<rest>[:@].+)?", uri)
        if found is None:
            return [uri]
        repository, rest = found["repository"], found["rest"] or ":latest"
        ecr = re.fullmatch(r"\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?", found["registry"])
        if not rest.startswith("@"):
            return [uri, repository + rest]
        tags = self._tags(ecr[1], repository, rest[1:]) if ecr else []
        return [uri, *(f"{repository}:{tag}" for tag in tags)]

    @property
    def _state_label(self) -> str:
        return f"{STATE_LABEL}={self._identity}"

    @property
    def _network(self) -> str:
        return f"local-sagemaker-{self._identity}"

    def network(self, *, isolated: bool) -> str:
        """The network of serving containers and of jobs; the one for isolated endpoints is made when it is needed.

        Raises:
            EngineError.
        """
        if isolated:
            self.engine.network(f"{self._network}-isolated", self._state_label, *_NO_TALK)
            return f"{self._network}-isolated"
        return self._network

    def labels(self) -> list[str]:
        return ["--label", self._state_label, "--label", f"{SERVER_LABEL}={self._server}"]

    def new_name(self) -> str:
        return f"{self._network}-{secrets.token_hex(6)}"

    def environment(self, launch: Launch) -> dict[str, str]:
        """The container's variables, with the server's address as a container sees it."""
        if launch.isolated:
            return {name: value for name, value in launch.environment.items() if not gives_access(name)}
        given = dict(launch.environment)
        return given | ({_ENDPOINT: self.endpoint_url} if _ENDPOINT in given else {})


@dataclass(frozen=True, slots=True)
class DockerImage:
    """An image that the engine has; see :class:`local_sagemaker.runtimes.Image`."""

    name: str
    runtime: DockerRuntime

    def run(self, launch: Launch) -> Child:
        """``/opt/ml`` is ``launch.base``, writable."""
        mounts = [f"{launch.base}:{BASE}", *(f"{folder}:{folder}" for folder in launch.outside)]
        network = "none" if launch.isolated else self.runtime.network(isolated=False)
        return self._start(launch, network, mounts, [launch.base, *launch.outside])

    def serve(self, launch: Launch) -> Served:
        """Each folder of ``launch.base`` is below ``/opt/ml``, for reading only, by any user."""
        folders = [entry for entry in launch.base.iterdir() if entry.is_dir()]
        for folder in folders:
            _open_for_reading(folder)
        try:
            network = self.runtime.network(isolated=launch.isolated)
        except EngineError as error:
            raise CannotStart(f"the engine makes no network: {error}") from None
        child = self._start(launch, network, [f"{folder}:{BASE}/{folder.name}:ro" for folder in folders], [])
        return Served(child, self._address(child, network), _PORT)

    def _start(self, launch: Launch, network: str, mounts: list[str], written: list[Path]) -> Child:
        runtime = self.runtime
        name = runtime.new_name()
        limit = memory_bytes(launch.instance_type)
        words = [*runtime.labels(), "--network", network, "--log-driver", "none"]
        words += [word for mount in mounts for word in ("--volume", mount)]
        words += [word for item in runtime.environment(launch).items() for word in ("--env", "=".join(item))]
        words += ["--hostname", launch.hostname] if launch.hostname else []
        if limit is not None:  # shared memory as on an instance: half of it all
            words += ["--memory", str(limit), "--memory-swap", str(limit), "--shm-size", str(limit // 2)]
        command = [*launch.arguments]
        if launch.entrypoint:
            words += ["--entrypoint", launch.entrypoint[0]]
            command = [*launch.entrypoint[1:], *command]
        container = Container(runtime.engine, name, self.name, launch.sink, written, runtime.labels(), limit)
        try:
            runtime.engine.create(name, self.name, words, command)
        except EngineError as error:
            raise CannotStart(str(error)) from None
        try:
            return runtime.children.start(
                launch.name, runtime.engine.attached(name), runtime.engine.environment, "/", launch.sink,
                container=container,
            )  # fmt: skip
        except CannotStart:
            container.finish()
            raise

    def _address(self, child: Child, network: str) -> str:
        """The container's address, once it runs; one that has ended has none, and its child says so."""
        name = child.container_name
        deadline = time.monotonic() + _STARTING
        while child.wait(0.02) is None and time.monotonic() < deadline:
            try:
                about: Mapping[str, Any] = self.runtime.engine.inspect(name) or {"NetworkSettings": {"Networks": {}}}
            except EngineError:
                continue
            address = about["NetworkSettings"]["Networks"].get(network, {}).get("IPAddress")
            if address:
                return str(address)
        return "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Container:
    """What a child does to its container; see :class:`local_sagemaker.children.Contained`."""

    engine: Engine
    name: str
    image: str
    sink: Sink
    written: list[Path]
    labels: list[str]
    memory: int | None

    def signal(self, number: int) -> bool:
        """Signal its first process; False when the engine cannot be asked. One that is just starting is waited for."""
        deadline = time.monotonic() + _STARTING
        try:
            while not self.engine.signal(self.name, number):
                about = self.engine.inspect(self.name)
                if about is None or about["State"]["Status"] != "created" or time.monotonic() > deadline:
                    break
                if about["State"]["Error"]:  # it never began
                    break
                if number == signal.SIGKILL:
                    self.engine.remove(self.name)
                    break
                time.sleep(0.05)
        except EngineError as error:
            _log.warning("%s cannot be signalled: %s", self.name, error)
            return False
        return True

    def finish(self) -> int | None:
        """Remove it; returns its exit code, None when nobody knows it."""
        try:
            about = self.engine.inspect(self.name)
            self.engine.remove(self.name)
        except EngineError as error:
            _log.warning("%s may be left in the Docker engine: %s", self.name, error)
            return None
        self._give_back()
        if about is None:
            return None
        state = about["State"]
        if state["Status"] == "created":  # it could not start; the client has said why and has an exit code
            return int(state["ExitCode"]) or None
        if state["Running"]:
            return 128 + signal.SIGKILL
        if state["OOMKilled"] and self.memory is not None:
            self.sink(
                f"The container was killed: it needed more memory than its instance has ({self.memory >> 30} GiB)."
            )
        return int(state["ExitCode"])

    def _give_back(self) -> None:
        if os.geteuid() == 0:
            return
        for folder in self.written:  # what a container's root wrote, this user could neither read for sure nor remove
            try:
                self.engine.give_back(self.image, str(folder), self.labels)
            except EngineError as error:
                _log.warning("%s keeps files of the container's user: %s", folder, error)


def _open_for_reading(folder: Path) -> None:
    """A container's user may be any; what this server's umask took from others is given."""
    for root, folders, files in os.walk(folder):
        for path in (Path(root), *(Path(root, name) for name in (*folders, *files))):
            mode = path.stat().st_mode
            wanted = mode | (0o555 if path.is_dir() else 0o444)
            if wanted != mode:
                path.chmod(wanted)
