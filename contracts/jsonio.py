"""The one JSON writer and reader of the project."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from contracts.errors import ContractError


def canonical(value: Any) -> str:
    """JSON with sorted keys and no white space: equal values give equal text. NaN and infinity raise ValueError."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def pretty(value: Any) -> str:
    """JSON for people: sorted keys, two spaces, a final newline. NaN and infinity raise ValueError."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write(path: Path, value: Any) -> None:
    """Write ``value`` to ``path`` so that a reader sees the old file or the new one, never a part."""
    write_bytes(path, pretty(value).encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically (temporary file in the same folder, flushed to disk, renamed)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read(path: Path) -> Any:
    """The value in ``path``.

    Raises:
        ContractError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ContractError(f"{path} is missing") from None
    except ValueError as error:
        raise ContractError(f"{path} is not JSON: {error}") from None
