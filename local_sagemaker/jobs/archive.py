"""What SageMaker makes of ``/opt/ml/model`` and ``/opt/ml/output/data``: a gzipped tar of the files below."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

#: Fast rather than small: weights hardly compress.
_LEVEL = 1


def files_of(folders: Sequence[Path]) -> dict[str, Path]:
    """Files below the folders by relative path; of two with the same path the one of the first folder counts."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.is_file():
                found.setdefault(path.relative_to(folder).as_posix(), path)
    return found


def pack(folders: Sequence[Path], target: Path) -> bool:
    """Write ``target`` from the files below ``folders``; False, and no file, when there are none.

    Raises:
        OSError: the disk is full.
    """
    files = files_of(folders)
    if not files:
        return False
    with tarfile.open(target, "w:gz", compresslevel=_LEVEL, dereference=True) as tar:
        for name, path in files.items():
            tar.add(path, name, recursive=False)
    return True
