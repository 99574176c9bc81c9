"""The one writer and the one extractor of tar archives.

Writing is deterministic: members sorted by name, no times, no owners, fixed modes. Extracting follows PEP 706's
``data`` filter and adds limits, because archives come from S3 and may come from strangers.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

from contracts.errors import ContractError

MAX_MEMBERS = 10_000
MAX_BYTES = 10 * 1024**3
#: PEP 706 came with Python 3.11.4; Debian 12 has 3.11.2. There a member gets neither mode nor owner from the archive.
_HOW: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {"set_attrs": False}


def pack(target: IO[bytes], members: Mapping[str, Path], *, compress: bool = True) -> None:
    """Write ``members`` (name in the archive -> file) to ``target`` as a tar archive, gzipped unless told not to.

    The same files give the same bytes: sorted names, no times, no owners, mode 0644.
    """
    if compress:
        with gzip.GzipFile(filename="", mode="wb", fileobj=target, compresslevel=6, mtime=0) as stream:
            _pack(stream, members)
    else:
        _pack(target, members)


def _pack(stream: IO[bytes] | gzip.GzipFile, members: Mapping[str, Path]) -> None:
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(members):
            path = members[name]
            info = tarfile.TarInfo(name)
            info.size = path.stat().st_size
            info.mode = 0o644
            with path.open("rb") as file:
                archive.addfile(info, file)


def pack_folder(target: IO[bytes], folder: Path) -> None:
    """Write every file below ``folder`` to ``target`` as a deterministic ``.tar.gz``."""
    pack(target, {path.relative_to(folder).as_posix(): path for path in _files(folder)})


def _files(folder: Path) -> Iterable[Path]:
    for root, _, names in os.walk(folder):
        for name in names:
            yield Path(root) / name


def extract(archive: Path, folder: Path, *, max_bytes: int = MAX_BYTES, max_members: int = MAX_MEMBERS) -> None:
    """Unpack a tar archive (gzipped or not) into ``folder``; only regular files and folders come out.

    Raises:
        ContractError: not a tar archive, a member that leaves ``folder``, a link or device, more than ``max_members``
            members or more than ``max_bytes`` bytes. Nothing outside ``folder`` is ever written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, mode="r:*") as tar:
            total = 0
            for count, member in enumerate(tar, 1):
                total += member.size
                if count > max_members or total > max_bytes or member.size < 0:
                    raise ContractError(
                        f"{archive.name} is too large to unpack",
                        f"At most {max_members} members and {max_bytes} bytes are allowed.",
                    )
                if not (member.isreg() or member.isdir()):
                    raise ContractError(f"{archive.name} holds {member.name!r}, which is no regular file or folder")
                if PurePosixPath(member.name).is_absolute() or ".." in PurePosixPath(member.name).parts:
                    raise ContractError(f"{archive.name} holds {member.name!r}, which would leave its folder")
                if not (folder / member.name).resolve().is_relative_to(folder.resolve()):
                    raise ContractError(f"{archive.name} holds {member.name!r}, which a link leads out of its folder")
                tar.extract(member, folder, **_HOW)
    except (tarfile.TarError, EOFError, ValueError, OverflowError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ContractError(f"{archive.name} is not a readable tar archive: {error}") from None
