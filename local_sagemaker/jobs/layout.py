"""The folder that stands for ``/opt/ml`` in one host of a job.

``SAGEMAKER_BASE_DIR`` names it to the container, and ``/opt/ml`` in the command and in the variables is rewritten,
because a process without a container sees this machine's file system. The files below it are as SageMaker writes them:
paths in them keep ``/opt/ml``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

BASE = "/opt/ml"
BASE_VARIABLE = "SAGEMAKER_BASE_DIR"

#: ``/opt/ml`` as a path of its own or as the beginning of one: not inside another path, not ``/opt/mlflow``.
_MENTION = re.compile(r"(?:(?<![\w./\-])|(?<=file://))/opt/ml(?![\w\-])(?!\.\w)")


def rewrite(text: str, base: Path) -> str:
    """``text`` with every ``/opt/ml`` replaced by the folder that stands for it."""
    return _MENTION.sub(lambda _: str(base), text)


def place(path: str, base: Path) -> Path:
    """A path in the container as a path on this machine."""
    if path == BASE or path.startswith(BASE + "/"):
        return base / path[len(BASE) :].lstrip("/")
    return Path(path)


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def hosts(count: int) -> list[str]:
    """Host names of a cluster as SageMaker gives them."""
    return [f"algo-{number}" for number in range(1, count + 1)]
