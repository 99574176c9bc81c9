"""A Docker engine through its own command line, which knows where the engine is and how to sign in to it.

Standard library only: the guardian, which outlives the server, runs it without site-packages.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

#: Names another client than the first ``docker`` on PATH.
CLIENT_VARIABLE = "DOCKER"
#: What the client reads of its environment to find the engine.
_READ = (
    "PATH", "HOME", "XDG_RUNTIME_DIR", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION",
)  # fmt: skip
#: Seconds for one command; none of them waits for a container.
_PATIENCE = 120


class NoEngine(Exception):
    """No client or no engine; the message says what to do."""


class EngineError(Exception):
    """The engine refused; the message is its own."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answered. ``environment`` is all that its client needs."""

    client: str
    environment: Mapping[str, str]

    @classmethod
    def open(cls, environment: Mapping[str, str] = os.environ) -> Engine:
        """The engine of an environment (``DOCKER_HOST``, or the client's context).

        Raises:
            NoEngine: says what to do.
        """
        wanted = environment.get(CLIENT_VARIABLE) or "docker"
        client = shutil.which(wanted, path=environment.get("PATH"))
        if client is None:
            raise NoEngine(
                f"there is no Docker on this machine: {wanted} is not on PATH\nInstall Docker Engine "
                f"(docs.docker.com/engine/install), or name its client: {CLIENT_VARIABLE}=/path/to/docker. "
                "All runs without Docker, too: --runtime process"
            )
        engine = cls(client, {name: environment[name] for name in _READ if name in environment})
        try:
            engine._ask("version", "--format", "{{.Server.Version}}")
        except EngineError as error:
            raise NoEngine(
                f"no Docker engine answers {client}: {error}\nStart it (systemctl start docker), or name it: "
                "DOCKER_HOST=unix:///path/to/docker.sock. All runs without Docker, too: --runtime process"
            ) from None
        return engine

    def to_json(self) -> dict[str, Any]:
        """What :meth:`from_json` reads, in another process."""
        return {**asdict(self), "environment": dict(self.environment)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Engine:
        return cls(str(value["client"]), dict(value["environment"]))

    def has_image(self, name: str) -> bool:
        """Raises EngineError when the engine does not answer."""
        try:
            self._ask("image", "inspect", "--format", "{{.Id}}", name)
        except EngineError as error:
            if "No such image" in str(error) or "invalid reference format" in str(error):
                return False
            raise
        return True

    def create(self, name: str, image: str, options: Sequence[str], command: Sequence[str]) -> None:
        """Make a container that does not run yet; an image that is not there is not pulled.

        Raises:
            EngineError.
        """
        self._ask("create", "--name", name, "--pull", "never", *options, image, *command)

    def attached(self, name: str) -> list[str]:
        """The command that starts a container and hands on its output until it ends."""
        return [self.client, "start", "--attach", name]

    def signal(self, name: str, number: int) -> bool:
        """False when the container does not run."""
        try:
            self._ask("kill", "--signal", signal.Signals(number).name, name)
        except EngineError as error:
            if "is not running" in str(error) or "No such container" in str(error):
                return False
            raise
        return True

    def inspect(self, name: str) -> dict[str, Any] | None:
        """What the engine knows of a container; None when there is none."""
        try:
            value: dict[str, Any] = json.loads(self._ask("container", "inspect", name))[0]
        except EngineError as error:
            if "No such container" in str(error):
                return None
            raise
        return value

    def remove(self, *names: str) -> None:
        """Kill and remove containers; those that are gone, or just being removed by somebody else, are as wanted."""
        for name in names:
            try:
                self._ask("rm", "--force", "--volumes", name)
            except EngineError as error:
                if "No such container" not in str(error) and "already in progress" not in str(error):
                    raise

    def give_back(self, image: str, folder: str, options: Sequence[str]) -> None:
        """Make this process's user the owner of what a container's root left in a folder."""
        self._ask(
            "run", "--rm", *options, "--network", "none", "--user", "0:0", "--volume", f"{folder}:/given",
            "--entrypoint", "chown", image, "-R", f"{os.getuid()}:{os.getgid()}", "/given",
        )  # fmt: skip

    def network(self, name: str, label: str, *options: str) -> str:
        """Make an internal bridge network unless it is there; returns the address of this machine in it."""
        try:
            self._ask("network", "inspect", name)
        except EngineError:
            self._ask("network", "create", "--internal", "--label", label, *options, name)
        about = json.loads(self._ask("network", "inspect", name))[0]
        return str(about["IPAM"]["Config"][0]["Gateway"]).partition("/")[0]

    def remove_networks(self, label: str) -> None:
        """Remove the networks with a label that nothing uses any more."""
        for name in self._ask("network", "ls", "--quiet", "--filter", f"label={label}").split():
            try:
                self._ask("network", "rm", name)
            except EngineError:
                continue

    def sweep(self, label: str, *, looks: int = 1, patience: float = 15.0) -> list[str]:
        """Remove every container with a label; returns their ids.

        A container may still be on its way: it ends once ``looks`` looks in a row, half a second apart, find none.
        """
        found: list[str] = []
        clean, deadline = 0, time.monotonic() + patience
        while True:
            names = self._ask("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}").split()
            clean = 0 if names else clean + 1
            if clean >= looks or time.monotonic() > deadline:
                return found
            found += [name for name in names if name not in found]
            self.remove(*names)
            if not names:
                time.sleep(0.5)

    def _ask(self, *words: str) -> str:
        try:
            done = subprocess.run(
                [self.client, *words], env=dict(self.environment), capture_output=True, text=True, check=False,
                stdin=subprocess.DEVNULL, timeout=_PATIENCE, start_new_session=True,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineError(str(error)) from error
        if done.returncode:
            raise EngineError(
                (done.stderr.strip() or f"docker {words[0]} ended with {done.returncode}").splitlines()[-1]
            )
        return done.stdout
