"""Unpacking of model archives. They come from S3 and may come from strangers: nothing is written outside the folder."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

#: PEP 706 came with Python 3.11.4; Debian 12 has 3.11.2. There a member gets neither mode nor owner from the archive.
_HOW: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {"set_attrs": False}


class BadArchive(Exception):
    """Not a tar archive, or one that holds what a model archive must not hold."""


def unpack(archive: Path, folder: Path, *, max_bytes: int, max_files: int) -> None:
    """Unpack a tar archive (gzipped or not); only regular files and folders come out.

    Raises:
        BadArchive: unreadable; a link or device, an absolute path or ``..``; more files or bytes than allowed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = size = 0
    try:
        with tarfile.open(archive, mode="r:*") as tar:
            for member in tar:
                files, size = files + 1, size + member.size
                if files > max_files or size > max_bytes:
                    raise BadArchive(f"it unpacks to more than {max_files} members or {max_bytes} bytes")
                if not (member.isreg() or member.isdir()):
                    raise BadArchive(f"{member.name!r} is a link or a device")
                path = PurePosixPath(member.name)
                if path.is_absolute() or ".." in path.parts:
                    raise BadArchive(f"{member.name!r} leads out of the folder")
                if not (folder / member.name).resolve().is_relative_to(folder.resolve()):
                    raise BadArchive(f"a link leads {member.name!r} out of the folder")
                tar.extract(member, folder, **_HOW)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise BadArchive(str(error) or "it is not a tar archive") from None
    except OSError as error:
        if error.errno is None:  # the readers' own complaints carry no number, a full disk does
            raise BadArchive(str(error)) from None
        raise
