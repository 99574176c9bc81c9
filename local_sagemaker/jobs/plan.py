"""What a job needs, read from its request: the same for both kinds of job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_sagemaker.jobs.layout import BASE


@dataclass(frozen=True, slots=True)
class Input:
    """Data to download before the start. ``path`` is the container's."""

    name: str
    uri: str
    path: str
    manifest: bool = False
    sharded: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """A folder of the container that goes to S3: file by file, while the job runs or at its end."""

    path: str
    uri: str
    continuous: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A job's needs. Seconds for times; ``files`` gives what SageMaker writes for a host before the start."""

    image: str
    entrypoint: tuple[str, ...] | None
    arguments: tuple[str, ...]
    environment: dict[str, str]
    role_arn: str
    instance_count: int
    isolated: bool
    max_runtime: float
    inputs: tuple[Input, ...]
    uploads: tuple[Upload, ...]
    folders: tuple[str, ...]
    files: Callable[[str], dict[str, Any]]
    checkpoints: Upload | None = None
    metrics: tuple[tuple[str, str], ...] = ()
    instance_type: str = ""

    def outside(self) -> list[Path]:
        """Folders that the request names outside ``/opt/ml``: there this machine's own path is used."""
        folders = [*self.folders, *([self.checkpoints.path] if self.checkpoints else [])]
        return [Path(folder) for folder in folders if not f"{folder}/".startswith(f"{BASE}/")]


@dataclass(slots=True)
class Result:
    """How the containers ended."""

    bases: list[Path]
    code: int = 0
    failed_host: int | None = None
    stopped: bool = False
    timed_out: bool = False
