"""``code/requirements.txt``: installed with pip when the server starts, as the toolkit does.

What is missing goes to a folder under the temporary one, which comes first on the search path of the processes that
serve: the root may be read-only, and the server's own environment stays as it was built.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from inference.user.module import CODE, UserModuleError

FILE = "requirements.txt"
CODE_ARTIFACT = "CA_REPOSITORY_ARN"

#: How much of pip's own words an error repeats.
_TAIL_LINES = 3


def install(model_dir: Path, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Install the bundle's requirements; the folder that must come first on the search path, if one was made.

    Raises:
        UserModuleError: pip is missing or failed.
    """
    path = model_dir / CODE / FILE
    if not path.is_file():
        return None
    if environment.get(CODE_ARTIFACT, "").strip():
        raise UserModuleError(
            f"{CODE_ARTIFACT} is not supported: this container has no AWS SDK",
            "Set PIP_INDEX_URL to the repository's address, with its token.",
        )
    pip = _pip()
    print(f"inference.server: installing {CODE}/{FILE}", flush=True)
    # Nothing is missing: then nothing needs a network.
    if _satisfied([*pip, "install", "--dry-run", "--no-index", "--quiet", "--report", "-", "-r", str(path)]):
        return None
    target = Path(tempfile.mkdtemp(prefix="requirements-"))
    _run(
        [
            *pip,
            "install",
            "--disable-pip-version-check",
            "--no-cache-dir",
            "--no-compile",
            "--target",
            str(target),
            "-r",
            str(path),
        ]
    )
    return target


def _satisfied(dry_run: list[str]) -> bool:
    done = subprocess.run(dry_run, capture_output=True, check=False)
    try:
        return done.returncode == 0 and not json.loads(done.stdout)["install"]
    except (ValueError, KeyError, TypeError):  # a pip without reports
        return False


def _pip() -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    program = shutil.which("pip")
    if program is None:
        raise UserModuleError(
            f"the bundle has {CODE}/{FILE}, and there is no pip to install it",
            "Use a base image with pip, or put what the module needs into the image.",
        )
    return [program, "--python", sys.executable]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout, end="", flush=True)
    if done.returncode != 0:
        print(done.stderr, end="", file=sys.stderr, flush=True)
        said = [line for line in done.stderr.strip().splitlines() if "ERROR" in line][-_TAIL_LINES:]
        raise UserModuleError(
            f"{CODE}/{FILE} cannot be installed: {' '.join(said) or f'pip ended with {done.returncode}'}"
        )
