"""The state folder, ``.cv-factory/<env>`` beside ``factory.yaml``: caches, reports, the local SageMaker's own state."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.errors import RefusedError

FOLDER = ".cv-factory"


def folder(settings_file: Path, env: str) -> Path:
    """The state folder of an environment."""
    return settings_file.resolve().parent / FOLDER / env


#: What somebody is told who comes second.
_WAIT = "Two runs at once would start the pipeline twice. Wait for it, or watch it: cv-factory status --follow"


@contextmanager
def lock(state: Path, what: str, hint: str = _WAIT) -> Iterator[None]:
    """Hold the one lock of a folder while ``what`` runs; the kernel lets go of it when the process ends.

    Raises:
        RefusedError: another process holds it; says which.
    """
    state.mkdir(parents=True, exist_ok=True)
    file = state / "run.lock"
    with file.open("a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            raise RefusedError(f"{holder} is running on {state}", hint) from None
        handle.seek(0)
        handle.truncate()
        handle.write(f"{what} (process {os.getpid()})")
        handle.flush()
        try:
            yield
        finally:
            handle.seek(0)
            handle.truncate()
