"""Checkouts of a team's own repository, each with its own environment, as a runner or a colleague has one."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts import source

#: Where a team puts a recipe of its own: it must be in the training image.
RECIPE = "training/tiny.py"
_GIT = ("git", "-c", "user.name=somebody", "-c", "user.email=somebody@example.com", "-c", "commit.gpgsign=false")
_COMMAND = """\
#!{python}
import sys
from cv_factory.cli import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Checkout:
    """A repository's work tree, and what a shell in it has of the machine."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, line: str, *, fails: bool = False) -> str:
        """Run a line in bash; what it prints. It must succeed, or with ``fails`` not."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=self.folder, env=dict(self.environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=600, check=False,
        )  # fmt: skip
        assert (done.returncode != 0) == fails, f"{line} ended with {done.returncode}\n{done.stdout}"
        return done.stdout

    @property
    def commit(self) -> str:
        return self.run("git rev-parse HEAD").strip()


def repository(folder: Path, settings: str, environment: Mapping[str, str]) -> Checkout:
    """A repository that a team made its own: the files of this one, its settings, a recipe small enough for a test."""
    root = source.root()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).is_file():  # not one that is deleted and not yet committed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / name)
    (folder / "factory.yaml").write_text(settings)
    shutil.copy(root / "tests" / "e2e" / "recipes.py", folder / RECIPE)
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "Ours"]):
        subprocess.run([*_GIT, *arguments], cwd=folder, env=dict(environment), check=True)
    return Checkout(folder, environment)


def clone(origin: Checkout, folder: Path, environment: Mapping[str, str] | None = None) -> Checkout:
    """A fresh clone, with what ``make env`` makes there; ``environment`` comes on top of the origin's.

    The packages are this interpreter's, because installing them takes minutes. Of the project itself the clone's
    environment has the clone's code alone, as after the editable install.
    """
    made = Checkout(folder, {**origin.environment, **(environment or {})})
    subprocess.run([*_GIT, "clone", "--quiet", str(origin.folder), str(folder)], env=dict(made.environment), check=True)
    venv.EnvBuilder(symlinks=True).create(folder / ".venv")
    (packages,) = (folder / ".venv").glob("lib/python3*/site-packages")
    # A folder that a .pth names is searched, but the .pth files in it, such as this checkout's install, are not read.
    (packages / "clone.pth").write_text(f"{folder}\n{sysconfig.get_path('purelib')}\n")
    command = folder / ".venv" / "bin" / "cv-factory"
    command.write_text(_COMMAND.format(python=folder / ".venv" / "bin" / "python"))
    command.chmod(0o755)
    made.run("make --touch env")  # installed: the next `make env` has nothing to do
    return made
