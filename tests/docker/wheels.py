"""Wheels for the images, fetched by this machine's pip with the locks' hashes, whatever Python this machine has.

The training image of the tests has PyTorch's CPU build: with CUDA, as in the lock, it would have 5 GB, too much for
a CI of two cores. What differs from the lock is in ``REPLACED``; every other package is the lock's.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from contracts import source

LOCKS = source.root() / "requirements"
_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux2010", "manylinux1")
_TARGET = [
    "--implementation", "cp", "--python-version", "3.11", "--abi", "cp311", "--abi", "abi3", "--abi", "none",
    *(word for name in _PLATFORMS for word in ("--platform", f"{name}_x86_64")), "--platform", "any",
]  # fmt: skip
#: Of the lock, what only a GPU needs, and the two that are replaced.
_CUDA = re.compile(r"(torch|torchvision|triton|nvidia-\S+|cuda-\S+)==")
#: torchvision's compiled half belongs to PyTorch with CUDA; timm needs the other one, which this release imports alone.
REPLACED = """\
torch==2.13.0+cpu \\
    --hash=sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
torchvision==0.15.2 \\
    --hash=sha256:012ad25cfd9019ff9b0714a168727e3845029be1af82296ff1e1482931fa4b80
"""


def cpu_lock(folder: Path) -> Path:
    """``training.txt`` without CUDA, written into ``folder``."""
    text = (LOCKS / "training.txt").read_text(encoding="utf-8")
    packages = [part for part in re.split(r"(?m)^(?=[a-z0-9])", text) if re.match(r"[a-z0-9]", part)]
    kept = [part for part in packages if not _CUDA.match(part)]
    assert 0 < len(kept) < len(packages)
    file = folder / "training.txt"
    file.write_text("".join(kept) + REPLACED, encoding="utf-8")
    return file


def fetch(lock: Path, folder: Path) -> Path:
    """Every file that a lock names, for the images' platform, in ``folder``."""
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps", *_TARGET,
            "--only-binary", ":all:", "--dest", str(folder), "--requirement", str(lock),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.fail(
            f"{done.stderr[-2000:]}\nIs it torch+cpu? Name PyTorch's CPU index: PIP_EXTRA_INDEX_URL=…", pytrace=False
        )
    return folder
