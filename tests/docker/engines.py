"""A Docker engine for the tests: the one that runs, or one of their own that leaves nothing behind.

The engine of one's own needs root and Debian's packages docker.io and debootstrap. It has its data, its socket and its
process in one folder; no bridge, no rule of iptables. There ``-p`` is ignored and a build has no network, so the base
is made by debootstrap and wheels are fetched by this machine's pip.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.errors import FactoryError
from cv_factory.operations.building.engine import CLIENT_VARIABLE, Engine

HOW = (
    "The images are tested in a running Docker engine that reaches an image registry or, as root on Debian, in one of\n"
    "the tests' own: apt install --no-install-recommends docker.io debootstrap docker-registry"
)
_SBIN = "/usr/sbin"
#: What the base needs beyond Debian's smallest set; python3-pip brings setuptools, as Docker's own Python images do.
_PACKAGES = "python3,python3-pip,ca-certificates"
_EPOCH = 1767225600
_SECONDS = 60


def find(name: str) -> str:
    """The program, which may lie in sbin.

    Fails when it is not there.
    """
    found = shutil.which(name, path=f"{os.environ['PATH']}{os.pathsep}{_SBIN}")
    if found is None:
        pytest.fail(f"{name} is not there. {HOW}", pytrace=False)
    return found


@dataclass(frozen=True)
class TestEngine:
    """Where an engine is, for ``docker`` and for what starts it.

    Attributes:
        environment: variables that lead there.
        own: started here; it has no network.
    """

    __test__ = False

    environment: Mapping[str, str]
    own: bool

    def docker(self, *words: str, check: bool = True, given: bytes | None = None, timeout: float = 120) -> str:
        """What a ``docker`` command prints; with its error in the failure."""
        done = subprocess.run(
            [self.environment[CLIENT_VARIABLE], *words],
            env={**os.environ, **self.environment}, input=given, capture_output=True, timeout=timeout, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"docker {' '.join(words)}: {done.stderr.decode()}"
        return (done.stdout + (b"" if check else done.stderr)).decode().strip()


@contextmanager
def running() -> Iterator[TestEngine]:
    """The engine that answers; else one of our own, which is gone with its data when the block ends."""
    try:
        Engine.open()
    except FactoryError as error:
        if os.geteuid() != 0:
            pytest.fail(f"{error}\n{HOW}", pytrace=False)
    else:
        yield TestEngine({CLIENT_VARIABLE: os.environ.get(CLIENT_VARIABLE) or "docker"}, own=False)
        return
    daemon, docker = find("dockerd"), _client()
    folder = Path(tempfile.mkdtemp(prefix="cv-factory-docker-"))
    try:
        with _daemon(daemon, docker, folder) as engine:
            yield engine
    finally:
        # A build with the host's network leaves this mounted; without one there is nothing to undo.
        subprocess.run(["umount", str(folder / "exec/netns/default")], capture_output=True, check=False)
        shutil.rmtree(folder)


@contextmanager
def _daemon(daemon: str, docker: str, folder: Path) -> Iterator[TestEngine]:
    environment = {"DOCKER_HOST": f"unix://{folder}/docker.sock", CLIENT_VARIABLE: docker, "DOCKER_BUILDKIT": "1"}
    engine = TestEngine(environment, own=True)
    (folder / "daemon.json").write_text("{}")
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                daemon, "--config-file", str(folder / "daemon.json"), "--data-root", str(folder / "data"),
                "--exec-root", str(folder / "exec"), "--pidfile", str(folder / "pid"),
                "--host", environment["DOCKER_HOST"], "--bridge=none", "--iptables=false", "--ip6tables=false",
            ],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        end = time.monotonic() + _SECONDS
        while "Server" not in engine.docker("version", check=False) or not (folder / "docker.sock").exists():
            assert process.poll() is None and time.monotonic() < end, log.read_text(errors="replace")[-2000:]
            time.sleep(0.2)
        yield engine
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_SECONDS)


def _client() -> str:
    """Debian's client, which builds without a plugin, where another stands before it on PATH."""
    return "/usr/bin/docker" if Path("/usr/bin/docker").exists() else find("docker")


def make_base(engine: TestEngine, name: str) -> None:
    """A base image like Docker's python:3.11-slim-bookworm from Debian's packages, for an engine without network."""
    folder = Path(tempfile.mkdtemp(prefix="cv-factory-base-"))
    root = folder / "root"
    try:
        made = subprocess.run(
            [find("debootstrap"), "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(root)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout[-2000:]
        for useless in ("usr/lib/python3.11/EXTERNALLY-MANAGED", "var/cache/apt", "var/lib/apt/lists", "var/log"):
            path = root / useless
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for alias in ("python", "python3", "python3.11"):
            (root / "usr/local/bin" / alias).symlink_to("/usr/bin/python3.11")
        (root / "usr/local/bin/pip").symlink_to("/usr/bin/pip3")
        tar = [
            "tar", "--sort=name", f"--mtime=@{_EPOCH}", "--numeric-owner", "--exclude=./dev/*", "--exclude=./proc/*",
            "--exclude=./sys/*", "-C", str(root), "-cf", "-", ".",
        ]  # fmt: skip
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as packing:
            subprocess.run(
                [engine.environment[CLIENT_VARIABLE], "import", "--change", "ENV LANG=C.UTF-8", "-", name],
                env={**os.environ, **engine.environment}, stdin=packing.stdout, check=True, capture_output=True,
            )  # fmt: skip
        assert packing.returncode == 0
    finally:
        for mount in ("proc", "sys"):
            assert not os.path.ismount(root / mount), f"debootstrap left {root / mount} mounted"
        shutil.rmtree(folder)
