"""This machine: interpreter, packages, tools, disk."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from contracts import source
from contracts.settings import DEFAULT_ENV, Settings
from cv_factory.operations.doctor.finding import PROBLEM, WARNING, Finding

PYTHONS = ((3, 11), (3, 14))
TERRAFORM = (1, 11)
FREE_GB = 5

_PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s\\;]+)", re.MULTILINE)
#: Of the lock's packages, those whose other versions behave otherwise.
_WATCHED = ("boto3", "botocore", "moto", "sagemaker", "onnxruntime", "torch")


def python(settings: Settings, file: Path) -> Iterator[Finding]:
    """The interpreter's version."""
    if not PYTHONS[0] <= sys.version_info[:2] < PYTHONS[1]:
        yield Finding(
            "python", PROBLEM, f"this is Python {sys.version.split()[0]}; 3.11 to 3.13 are supported",
            "make env PYTHON=/path/to/python3.11",
        )  # fmt: skip


def packages(settings: Settings, file: Path) -> Iterator[Finding]:
    """Installed versions against the lock."""
    lock = source.root() / "requirements" / "lock.txt"
    if not lock.is_file():
        return
    locked = dict(_PINNED.findall(lock.read_text(encoding="utf-8")))
    for name in _WATCHED:
        if name not in locked:
            continue
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding("packages", WARNING, f"{name} is not installed; the lock has {locked[name]}", "make env")
            continue
        if version.split("+")[0] != locked[name].split("+")[0]:
            yield Finding("packages", WARNING, f"{name} is {version}; the lock has {locked[name]}", "make env")


def tools(settings: Settings, file: Path) -> Iterator[Finding]:
    """git, and what an environment that is not local asks for: Docker, the AWS CLI, Terraform."""
    if shutil.which("git") is None:
        yield Finding(
            "tools", WARNING, "git is not on PATH: packages will not name their commit", "Debian: apt install git"
        )
    if settings.env == DEFAULT_ENV:
        return
    if shutil.which("docker") is None:
        yield Finding(
            "tools", WARNING, "docker is not on PATH: make images builds and pushes with it",
            "Install it: docs.docker.com/engine/install",
        )  # fmt: skip
    if shutil.which("aws") is None:
        yield Finding(
            "tools", WARNING, "aws is not on PATH: some of the commands that repair need it",
            "Install it: docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
        )  # fmt: skip
    install = "Install 1.11 or later: developer.hashicorp.com/terraform/install"
    binary = shutil.which("terraform")
    if binary is None:
        yield Finding("tools", PROBLEM, "terraform is not on PATH", install)
        return
    done = subprocess.run([binary, "version", "-json"], capture_output=True, text=True, check=False)
    try:
        version = str(json.loads(done.stdout)["terraform_version"])
        known = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
    except (ValueError, KeyError):
        yield Finding("tools", PROBLEM, f"{binary} does not say its version", install)
        return
    if known < TERRAFORM:
        yield Finding("tools", PROBLEM, f"terraform is {version}; the state's own lock needs 1.11", install)


def disk(settings: Settings, file: Path) -> Iterator[Finding]:
    """Room for a run's files."""
    free = shutil.disk_usage(file.resolve().parent).free / 1e9
    if free < FREE_GB:
        yield Finding(
            "disk", WARNING, f"{free:.1f} GB are free beside {file.name}; a run needs up to {FREE_GB} GB",
            "Remove what is not needed: make clean, or cv-factory local down and .cv-factory",
        )  # fmt: skip
