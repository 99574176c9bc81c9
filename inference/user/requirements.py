"""``code/requirements.txt``: installed with pip when the server starts, as the toolkit does.

Where the environment can be written to, pip installs into it. Where it cannot (a read-only root, another user), what is
missing goes to a folder under the temporary one, which comes first on the search path of the processes that serve.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

from inference.user.module import CODE, UserModuleError

FILE = "requirements.txt"
CODE_ARTIFACT = "CA_REPOSITORY_ARN"

#: How much of pip's own words an error repeats.
_TAIL_LINES = 3


def install(model_dir: Path, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Install the bundle's requirements; the folder that must come first on the search path, if there is one.

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
    if os.access(sysconfig.get_path("purelib"), os.W_OK):
        _run([*pip, "install", "--disable-pip-version-check", "-r", str(path)])
        return None
    # Nothing is missing: then nothing needs a network.
    satisfied = [*pip, "install", "--disable-pip-version-check", "--dry-run", "--no-index", "-r", str(path)]
    if subprocess.run(satisfied, capture_output=True, check=False).returncode == 0:
        return None
    target = Path(tempfile.mkdtemp(prefix="requirements-"))
    _run([*pip, "install", "--disable-pip-version-check", "--no-cache-dir", "--target", str(target), "-r", str(path)])
    return target


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
