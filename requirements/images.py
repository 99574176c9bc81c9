"""Writes ``requirements/<image>.txt``: what an image carries, with the lock's versions and every file's hash.

An image carries its extra of ``pyproject.toml`` and, of the base dependencies, only what its code imports: neither the
command line nor pydantic nor boto3 has a place in it. Needs uv: ``python requirements/images.py [IMAGE…]``.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent
PYPROJECT = REQUIREMENTS.parent / "pyproject.toml"
#: Base dependencies that the images' code imports.
SHARED = ("numpy", "pillow")
IMAGES = ("training", "inference")
HEADER = """\
# What the {image} image carries, from requirements/lock.txt. Written by: python requirements/images.py
"""


def wanted(image: str) -> list[str]:
    """The requirements of ``image`` before they are resolved."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    base = [line for line in project["dependencies"] if re.split(r"[^\w.-]", line)[0].lower() in SHARED]
    return [*base, *project["optional-dependencies"][image]]


def compile_image(image: str) -> None:
    """Resolve ``image`` for its platform, Linux on x86-64 with Python 3.11, under the lock's versions."""
    lines = subprocess.run(
        [
            "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-emit-index-url",
            "--generate-hashes", "--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28",
            "-c", str(REQUIREMENTS / "lock.txt"), "-",
        ],
        input="\n".join(wanted(image)),
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if lines.returncode:
        sys.exit(f"{image}: {lines.stderr.strip()}")
    (REQUIREMENTS / f"{image}.txt").write_text(HEADER.format(image=image) + lines.stdout, encoding="utf-8")
    print(f"requirements/{image}.txt: {len(re.findall(r'^[a-z0-9].*==', lines.stdout, re.M))} packages")


if __name__ == "__main__":
    for name in sys.argv[1:] or IMAGES:
        compile_image(name)
