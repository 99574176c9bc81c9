"""A build's context: the files that name the image, and nothing else, whatever lies about in the checkout."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from contracts import source
from contracts.errors import UsageError


def lay_out(image: str, folder: Path, replaced: Mapping[str, Path] | None = None) -> None:
    """Copy what goes into ``image`` to ``folder``, with the same permissions whatever the checkout's are.

    Args:
        image: training or inference.
        replaced: path in the repository -> the file that is taken instead. The context's hash is then another one:
            ``source.source_hash(image, folder)``.

    Raises:
        UsageError: ``replaced`` names a path that the image does not have, or a file that is not there.
    """
    files = source.files(image)
    for name, file in (replaced or {}).items():
        if name not in files:
            raise UsageError(f"{name} is not one of the {image} image's files", f"It has: {', '.join(sorted(files))}")
        if not file.is_file():
            raise UsageError(f"{file}, which would stand for {name}, is not there")
        files[name] = file
    for name, file in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        target.chmod(0o644)
    for inner in (folder, *folder.rglob("*")):
        if inner.is_dir():
            inner.chmod(0o755)
