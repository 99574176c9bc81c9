"""The Docker engine, through its own command line: what people, CI and its logins are set up for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.errors import FactoryError

#: Names another client than the first ``docker`` on PATH.
CLIENT_VARIABLE = "DOCKER"
#: From this version on the client builds through a plugin, buildx, which may be missing.
_NEEDS_BUILDX = 23

_INSTALL = (
    "Install Docker Engine: docs.docker.com/engine/install; on Debian: apt install docker.io\n"
    f"Another client than the first on PATH: {CLIENT_VARIABLE}=/path/to/docker. All else works without Docker: make run"
)


@dataclass(frozen=True, slots=True)
class Build:
    """What a build gets.

    Attributes:
        context: the folder that it sees.
        dockerfile: relative to ``context``.
        name: of the image.
        arguments: build arguments.
        labels: on the image.
        network: ``--network`` of the build's commands; "" for the engine's default.
        secrets: id -> file that a command may read and no layer keeps.
    """

    context: Path
    dockerfile: str
    name: str
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    network: str = ""
    secrets: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker engine that answered.

    Attributes:
        client: the program.
        containerd_store: the engine keeps images in containerd, whose own manifests are OCI's unless told otherwise.
    """

    client: str
    containerd_store: bool = False

    @classmethod
    def open(cls) -> Engine:
        """The engine of this shell (``DOCKER_HOST``, or the client's context).

        Raises:
            FactoryError: no client, no engine, or a client that cannot build; says what to do.
        """
        wanted = os.environ.get(CLIENT_VARIABLE) or "docker"
        client = shutil.which(wanted)
        if client is None:
            raise FactoryError(f"there is no Docker on this machine: {wanted} is not on PATH", _INSTALL)
        asked = _ask(client, "version", "--format", "{{json .}}")
        if asked.returncode:
            reason = (asked.stderr.strip() or "it said nothing").splitlines()[-1]
            raise FactoryError(
                f"no Docker engine answers {client}: {reason}",
                "Start it (systemctl start docker, or Docker Desktop), or name it: DOCKER_HOST=unix:///path/to/docker.sock",
            )
        version = str(json.loads(asked.stdout)["Client"]["Version"])
        if int(version.partition(".")[0]) >= _NEEDS_BUILDX and _ask(client, "buildx", "version").returncode:
            raise FactoryError(
                f"{client} is version {version} and cannot build: its plugin buildx is missing",
                f"Install it (docs.docker.com/go/buildx), or name another client: {CLIENT_VARIABLE}=/usr/bin/docker",
            )
        store = _ask(client, "info", "--format", "{{json .DriverStatus}}").stdout
        return cls(client, "io.containerd.snapshotter" in store)

    def build(self, build: Build) -> None:
        """Build for linux/amd64, without attestations; the build's own progress is shown.

        Raises:
            FactoryError: the build failed.
        """
        words = ["build", "--platform", "linux/amd64", "--file", str(build.context / build.dockerfile)]
        words += [f"--build-arg={name}={value}" for name, value in build.arguments.items()]
        words += [f"--label={name}={value}" for name, value in sorted(build.labels.items())]
        words += [f"--secret=id={name},src={file}" for name, file in build.secrets.items()]
        words += ["--network", build.network] if build.network else []
        if self.containerd_store:
            words += ["--output", f"type=image,name={build.name},oci-mediatypes=false"]
        self._do(f"building {build.name}", [*words, "--tag", build.name, str(build.context)])

    def import_folder(self, folder: Path, name: str) -> None:
        """An image that holds the files of ``folder``, and nothing else."""
        with subprocess.Popen(["tar", "-C", str(folder), "-cf", "-", "."], stdout=subprocess.PIPE) as tar:
            done = subprocess.run(
                [self.client, "import", "-", name], stdin=tar.stdout, capture_output=True, text=True, check=False
            )
        if done.returncode or tar.returncode:
            raise FactoryError(f"{folder} cannot be imported as {name}: {done.stderr.strip()}")

    def push(self, reference: str, login: tuple[str, str] | None = None) -> None:
        """Push an image; ``login`` is user and password, which are forgotten afterwards.

        Raises:
            FactoryError: the registry refuses the login or the image.
        """
        registry = reference.partition("/")[0]
        with tempfile.TemporaryDirectory(prefix="cv-factory-login-") as folder:
            environment = {}
            if login is not None:
                environment = {"DOCKER_CONFIG": folder, "DOCKER_HOST": self._address()}
                user, password = login
                words = ["login", "--username", user, "--password-stdin", registry]
                self._do(f"signing in to {registry}", words, environment, given=password)
            self._do(f"pushing {reference}", ["push", reference], environment)

    def save(self, reference: str, file: Path) -> None:
        """Write the image as a tar archive."""
        self._do(f"saving {reference}", ["save", "--output", str(file), reference])

    def tag(self, reference: str, name: str) -> None:
        """Give the image another name."""
        self._do(f"naming {reference} {name}", ["tag", reference, name])

    def remove(self, reference: str) -> None:
        """Take a name from an image; the last one takes its layers along. Nothing happens when it is not there."""
        _ask(self.client, "image", "rm", "--force", reference)

    def inspect(self, reference: str) -> dict[str, Any]:
        """What ``docker image inspect`` says.

        Raises:
            FactoryError: there is no such image.
        """
        asked = _ask(self.client, "image", "inspect", reference)
        if asked.returncode:
            raise FactoryError(f"the engine has no image {reference}: {asked.stderr.strip()}")
        value: dict[str, Any] = json.loads(asked.stdout)[0]
        return value

    def _address(self) -> str:
        """Where the engine is, for a client that reads no configuration of the user."""
        if os.environ.get("DOCKER_HOST"):
            return os.environ["DOCKER_HOST"]
        asked = _ask(self.client, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
        return asked.stdout.strip() or "unix:///var/run/docker.sock"

    def _do(
        self, what: str, words: Sequence[str], environment: Mapping[str, str] | None = None, given: str | None = None
    ) -> None:
        done = subprocess.run(
            [self.client, *words], env={**_environment(), **(environment or {})}, input=given, text=True, check=False
        )
        if done.returncode:
            raise FactoryError(f"{what} failed (docker ended with {done.returncode})", "Its last lines above say why.")


def _ask(client: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([client, *words], env=_environment(), capture_output=True, text=True, check=False)


def _environment() -> dict[str, str]:
    """BuildKit, and no attestation: SageMaker wants one manifest, not a list of them."""
    return {**os.environ, "DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
